"""What the compiler has to say about a spec: values with a code, a place, a reason and a way out.

A rule is a subclass of `DiagnosticRule` in `abcparam.diagnostics.rules`: its class attributes are
the prose, its docstring is what `abcparam explain CODE` prints. A raise site says only
`UnknownName.at(span, name="W9")`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from unicodedata import category

from abcparam.algebra.record import Record, field
from abcparam.diagnostics.source import START, Source, Span


class DiagnosticRule:
    """One kind of diagnostic.

    `message` and `help` are `str.format` templates over the fields given to `at`.
    """

    code: ClassVar[str]
    severity: ClassVar[str] = "error"
    message: ClassVar[str]
    label: ClassVar[str] = ""
    summary: ClassVar[str]  # of findings and warnings, for the reference
    help: ClassVar[str]

    @classmethod
    def at(cls, span: Span, **fields: Any) -> Diagnostic:
        """The diagnostic of this rule at `span`."""
        suggested = (field for field in fields.values() if isinstance(field, Suggestion))
        return Diagnostic(
            code=cls.code,
            severity=cls.severity,
            message=cls.message.format(**fields),
            label=cls.label.format(**fields),
            help=cls.help.format(**fields).strip(),
            span=span,
            edit=tuple(replacement for found in suggested for replacement in found.edit),
        )


class Replacement(Record):
    """A text that takes the place of a stretch of a spec."""

    span: Span
    text: str

    def to_dict(self) -> dict[str, Any]:
        return {"span": self.span.to_dict(), "text": self.text}

    @classmethod
    def from_dict(cls, made: Mapping[str, Any]) -> Replacement:
        """The replacement that `to_dict` was of."""
        return cls(Span.from_dict(made["span"]), made["text"])


class Suggestion(str):
    """Part of a help that says what was meant; `edit` writes that into the spec."""

    edit: tuple[Replacement, ...]

    def __new__(cls, text: str, edit: Iterable[Replacement] = ()) -> Suggestion:
        made = super().__new__(cls, text)
        made.edit = tuple(edit)
        return made


class Diagnostic(Record):
    """One finding, ready to print. `label` stands beside the caret, `help` is the way out.

    `edit` is what a machine may do of that: replacements that do not overlap.
    """

    code: str
    severity: str
    message: str
    help: str
    span: Span
    label: str = ""
    notes: tuple[str, ...] = ()
    edit: tuple[Replacement, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The diagnostic as in the JSON of `abcparam check --format json`."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "help": self.help,
            "span": self.span.to_dict(),
            "label": self.label,
            "notes": list(self.notes),
            "edit": [replacement.to_dict() for replacement in self.edit],
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Diagnostic:
        """The diagnostic that `to_dict` was of."""
        return cls(
            code=found["code"],
            severity=found["severity"],
            message=found["message"],
            help=found["help"],
            span=Span.from_dict(found["span"]),
            label=found["label"],
            notes=tuple(found["notes"]),
            edit=tuple(map(Replacement.from_dict, found["edit"])),
        )


class SpecError(Exception):
    """An invalid spec.

    `diagnostics` are its errors in the order of the source, `source` the text they are in.
    """

    def __init__(self, source: Source, diagnostics: Iterable[Diagnostic]) -> None:
        self.source = source
        self.diagnostics = in_order(diagnostics)
        super().__init__(rendered(self.diagnostics, source))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in the place of a traceback."""
        return rendered(self.diagnostics, self.source, True).split("\n")

    @classmethod
    def about(cls, place: str, rule: type[DiagnosticRule], **fields: Any) -> SpecError:
        """An error in no text of a spec: about an option, or a file as a whole."""
        return cls(Source("", place), [rule.at(START, **fields)])

    def __reduce__(self) -> tuple[type[SpecError], tuple[Source, Iterable[Diagnostic]]]:
        """Another process may raise it here."""
        return type(self), (self.source, self.diagnostics)


class Collector:
    """The diagnostics of one phase. `check` ends the phase: it raises if there was an error."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: dict[Diagnostic, None] = {}

    def add(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.setdefault(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    @property
    def warnings(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity != "error"]

    def check(self) -> None:
        if self.errors:
            raise SpecError(self.source, self.errors)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Errors before warnings before notes, each in the order of the source."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(diagnostics, key=lambda d: (rank[d.severity], d.span.line, d.span.column, d.code))


MOST_KNOWN = 200  # names to compare with, so that a long spec full of errors is told of fast


def did_you_mean(name: str, known: Iterable[str], place: Span | None = None) -> Suggestion:
    """` Did you mean ...?` for the nearest known name, or nothing.

    Where the name stands at `place`, the nearest can be put there.
    """
    import difflib

    near = [other for other in known if abs(len(other) - len(name)) < 8][:MOST_KNOWN]
    alike = [other for other in near if other.lower() == name.lower()]
    close = alike or difflib.get_close_matches(name, near, n=1, cutoff=0.6)
    if not close:
        return Suggestion("")
    edit = [Replacement(place, close[0])] if place else []
    return Suggestion(f" Did you mean `{close[0]}`?", edit)


UNSHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # categories of Unicode
COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m"}


def rendered(diagnostics: Iterable[Diagnostic], source: Source, colour: bool = False) -> str:
    """Diagnostics as text, an empty line between two."""
    return "\n\n".join(render(diagnostic, source, colour) for diagnostic in diagnostics)


def render(diagnostic: Diagnostic, source: Source, colour: bool = False) -> str:
    """The diagnostic as text: code, message, place, the line with a caret under it, the way out."""
    start, bold, end = (
        (COLOURS[diagnostic.severity], "\x1b[1m", "\x1b[0m") if colour else ("", "", "")
    )
    span = diagnostic.span
    source = source.holding(span)
    message = showing(diagnostic.message)
    head = f"{start}{diagnostic.severity}[{diagnostic.code}]{end}: {bold}{message}{end}"
    margin = " " * len(str(span.line))
    whole = span == START  # about the file as a whole, or an option
    out = [
        head,
        f"{margin}--> {showing(source.file)}{'' if whole else f':{span.line}:{span.column}'}",
    ]
    lines = source.lines
    if not whole and 1 <= span.line <= len(lines):
        out += _quote(showing(lines[span.line - 1].expandtabs(1)), diagnostic, margin, start, end)
    out += [f"{margin} = note: {showing(note)}" for note in diagnostic.notes]
    if diagnostic.help:
        out.append(f"{margin} = help: {showing(diagnostic.help)}")
    return "\n".join(out)


def showing(text: str) -> str:
    """The text with a mark for each character that terminals obey or that does not show."""
    if text.isprintable():
        return text
    return "".join("\ufffd" if c != "\n" and category(c) in UNSHOWN else c for c in text)


def _quote(line: str, diagnostic: Diagnostic, margin: str, start: str, end: str) -> list[str]:
    span = diagnostic.span
    stop = span.end_column if span.end_line == span.line else len(line) + 1
    carets = "^" * max(1, stop - span.column)
    label = f" {showing(diagnostic.label)}" if diagnostic.label else ""
    return [
        f"{margin} |",
        f"{span.line} | {line}",
        f"{margin} | {' ' * (span.column - 1)}{start}{carets}{label}{end}",
    ]
