"""`abcparam import`: a PyTorch model of the user's own as a spec."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands.audit import audited, model_arguments
from abcparam.commands.shared import (
    Command,
    generated_arguments,
    print_diagnostics,
    print_or_generate,
    spare_target,
)


def _arguments(command: argparse.ArgumentParser) -> None:
    model_arguments(command)
    generated_arguments(command)


def run(options: argparse.Namespace) -> int:
    """Writes the spec once it is proved; 0 done, 2 where the model cannot be read or written."""
    from abcparam.imports.text.importing import imported
    from abcparam.imports.text.proof import summary

    spare_target(options)
    found = imported(audited(options, exact=True))
    print_diagnostics(found.notes, found.audit.program.source)
    written = print_or_generate(found.text, options)
    where = options.output_file if written else "standard output"
    proof = summary(found.compared)
    print(f"{found.report.program.name}: {found.verdict}; {proof} -> {where}", file=sys.stderr)
    return 0


COMMAND = Command(
    "import", "write a PyTorch model of your own as a spec, with proof", _arguments, run
)
