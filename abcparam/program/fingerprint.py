"""What tells one spec from another: a hash of its text in canonical form."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from abcparam.diagnostics.source import Source
from abcparam.language.formatter import canonical, format_source
from abcparam.language.reader import read
from abcparam.storage.digests import digest

if TYPE_CHECKING:
    from abcparam.program.model import Program


def fingerprint(source_text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a spec's canonically formatted text.

    Raises `SpecError` if it cannot be parsed.
    """
    return digest(format_source(Source(source_text)))


def mark_of(program: Program) -> str:
    """What emitted groups carry: the fingerprint of all that their exponents come from.

    That is the spec, imported files, and values that were given to symbols. Sizes and hypers leave
    it as it is.
    """
    own, folder = digest(canonical(program.source)), program.source.folder or ""
    others = [fingerprint(read(os.path.join(folder, path)).text) for path in program.imports]
    others += [f"{symbol} = {value}" for symbol, value in sorted(program.chosen.items())]
    others += [program.gauge] if program.gauge != "as-written" else []
    others += ["folded"] if program.folded else []
    return digest("\n".join([own, *others])) if others else own
