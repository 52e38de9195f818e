"""What `--module` names: a Python file and a class in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError
from abcparam.diagnostics.rules.tuning import NoModule


class Handwritten(Record):
    """The file, the class, and the file's text."""

    path: Path
    name: str
    text: str

    @property
    def module(self) -> str:
        """As on the command line."""
        return f"{self.path}:{self.name}"

    @property
    def identity(self) -> str:
        return f"{self.path.resolve()}:{self.name} {hashlib.sha256(self.text.encode()).hexdigest()}"


def handwritten(module: str) -> Handwritten:
    """The class that `file.py:Class` names, which is not looked for yet. Raises `SpecError`."""
    file, colon, name = module.rpartition(":")
    if not (colon and file and name.isidentifier()):
        raise refused(NoModule, module=module, problem="it is not FILE.py:CLASS")
    try:
        return Handwritten(Path(file), name, Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise refused(NoModule, module=module, problem=problem) from None


def refused(rule: type[DiagnosticRule], **fields: object) -> SpecError:
    """An error about the option."""
    return SpecError.about("--module", rule, **fields)
