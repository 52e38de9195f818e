"""What an audit and an import give; imports nothing that reads a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record, field

if TYPE_CHECKING:
    from abcparam.diagnostics.diagnostic import Diagnostic
    from abcparam.imports.alike import Model
    from abcparam.imports.factory import Factory
    from abcparam.imports.inits import Start
    from abcparam.imports.numbers import Sizes
    from abcparam.imports.rates import Rate
    from abcparam.imports.reading import Read
    from abcparam.imports.remedy import Remedy
    from abcparam.imports.text.proof import Compared, TextWeight
    from abcparam.program.model import Program
    from abcparam.verdict.report import Report


class Audit(Record):
    """What was found of a model as it is.

    `settings` are the sizes that it was read at, the first is the base. `remedy` says what makes
    it maximal-update.
    """

    factory: Factory
    settings: tuple[Sizes, ...]
    grow: tuple[str, ...]
    model: Model = field(repr=False)
    read: Read = field(repr=False)
    report: Report = field(repr=False)
    remedy: Remedy = field(repr=False)
    starts: Mapping[str, Start] = field(repr=False)
    rates: Mapping[str, Rate] = field(repr=False)
    optimizer: Callable[..., Any] | None = field(default=None, repr=False)
    output: str | None = None
    lr_key: str | None = None

    @property
    def verdict(self) -> str | None:
        return self.report.verdict

    @property
    def program(self) -> Program:
        return self.report.program

    @property
    def as_expected(self) -> bool:
        return self.report.as_expected

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `abcparam audit --format json`: that of a check, and what to change."""
        return {
            **self.report.to_dict(),
            "factory": f"{self.factory.file}:{self.factory.name}",
            "settings": [dict(sizes) for sizes in self.settings],
            "grow": list(self.grow),
            "starts": {path: str(x.scale or x.kind) for path, x in self.starts.items()},
            "remedy": self.remedy.to_dict(),
        }


class ImportedModel(Record):
    """A model as a spec: its `text`, and the `report` of that.

    `weights` says which parameter each tensor of the text is, `compared` by how much the two differ
    at each setting that they were run at, `notes` what is worth knowing.
    """

    text: str
    audit: Audit = field(repr=False)
    report: Report = field(repr=False)
    weights: Mapping[str, TextWeight] = field(repr=False)
    compared: tuple[Compared, ...] = field(repr=False)
    notes: tuple[Diagnostic, ...] = field(repr=False)

    @property
    def verdict(self) -> str | None:
        return self.report.verdict
