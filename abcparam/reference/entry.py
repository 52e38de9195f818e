"""One word as the reference explains it."""

from __future__ import annotations

from abcparam.algebra.record import Record

SIZES = (
    "Sizes are exponents of the width: `s0` at initialization, `d` of the change by training, `s` "
    "the larger; `σ` of an entry of a tensor at initialization, `u` of its update, `ρ` of a length"
)


class GlossaryEntry(Record):
    """A word: its kind, what it means, how it is written, its law and that law's source.

    `more` are further lines under headings of their own.
    """

    name: str
    kind: str
    meaning: str
    written: str = ""
    law: str = ""
    example: str = ""
    source: str = ""
    more: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """All of it, as `abcparam explain` prints it."""
        parts = (
            ("written", self.written),
            ("law", self.law),
            *self.more,
            ("source", self.source),
            ("example", self.example),
        )
        lines = [f"{self.name} ({self.kind}): {self.meaning}", ""]
        lines += [_indented(head, text) for head, text in parts if text]
        if self.kind == "operation" and "`" in self.law:
            lines += ["", SIZES]
        return "\n".join(lines).rstrip()


def _indented(head: str, text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([f"  {head + ':':9} {first}", *(f"{'':12}{line}" for line in rest)])
