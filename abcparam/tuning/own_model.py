"""A model of the user's own, tuned as it is or as its adapter would have it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError
from abcparam.diagnostics.rules.tuning import NotAdaptable, NotMaximalModel
from abcparam.diagnostics.source import START, Source
from abcparam.imports.adapter import adapter_of, can_be_hooked
from abcparam.imports.alike import KnownData, Part, Repeated
from abcparam.imports.result import Audit
from abcparam.imports.trained import base_rates
from abcparam.language import syntax
from abcparam.program.binding import bind
from abcparam.program.dims import Dim, Hyper
from abcparam.program.model import Program
from abcparam.program.value_ranges import require_in_range
from abcparam.storage.digests import digest
from abcparam.tuning.choices import DECAY, LR
from abcparam.tuning.tunable import ExactValues, Judged, bases_of
from abcparam.verdict.check import judged
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.tuning.train.builders import ModelBuilder

REACH = 32  # how far learning rates are searched to both sides, where no range is given


class OwnRecipe(Record):
    """How a model of the user's own is made and trained."""

    audit: Audit
    program: Program
    adapted: bool
    identity: str

    def builder(self, compiled: bool) -> ModelBuilder:
        from abcparam.tuning.train.own_models import OwnModelBuilder

        return OwnModelBuilder(self.audit, self.program, self.adapted)


class OwnModel(Record):
    """A model as an audit has read it. Its hypers are what all groups have at base.

    Raises `SpecError` where it shall be adapted and cannot be.
    """

    audit: Audit
    adapted: bool = False
    command: str = "abcparam transfer"
    kind: str = "model"
    not_maximal: type[DiagnosticRule] = NotMaximalModel

    @property
    def source(self) -> Source:
        return self.audit.program.source

    @property
    def notes(self) -> tuple[str, ...]:
        how = "as its adapter says" if self.adapted else "as it is, by its own optimizer"
        return (
            f"the model itself is trained, {how}; {LR} is that at base, the largest of its groups",
        )

    def program(self, values: ExactValues) -> Program:
        found = bind(self._program(), values)
        if values:
            require_in_range(found, values)
        return found

    def _program(self) -> Program:
        if not self.adapted:
            found = self.audit.program
        else:
            self.require_adaptable()
            found = self.audit.remedy.program
        dims = {name: _sized(dim) for name, dim in found.dims.items()}
        return replace(found, dims=dims, hypers=dict(self._hypers()))

    def require_adaptable(self) -> None:
        remedy = self.audit.remedy
        if not remedy.reaches or not can_be_hooked(self.audit):
            raise SpecError(self.source, [NotAdaptable.at(START, name=self.audit.factory.name)])

    def _hypers(self) -> Iterator[tuple[str, Hyper]]:
        base = base_rates(self.audit)
        lr = _exact(base.lr)
        low, high = (syntax.Number(value) for value in (lr / REACH, lr * REACH))
        yield LR, Hyper(LR, lr, syntax.Interval(low, high, log=True))
        if base.decay:
            yield DECAY, Hyper(DECAY, _exact(base.decay))

    def bases(self) -> dict[str, Fraction]:
        return bases_of(self._program())

    def mark(self, program: Program) -> str:
        return digest(self._identity())

    def recipes(self, values: ExactValues, forms: Iterable[str]) -> dict[str, Judged]:
        program = self.program(values)
        sizes = " ".join(f"{dim.name}={dim.default}" for dim in program.dims.values())
        hypers = " ".join(f"{hyper.name}={hyper.value}" for hyper in program.hypers.values())
        identity = f"{self._identity()}\n{sizes} {hypers}"
        recipe = OwnRecipe(self.audit, program, self.adapted, identity)
        verdict = self.audit.remedy.verdict if self.adapted else self.audit.verdict
        return {form: Judged(recipe, verdict or "") for form in forms}

    def _identity(self) -> str:
        """The code that makes and trains it, the names that are asked for, and what was read."""
        audit = self.audit
        texts = [source.text for _, source in sorted(self.source.others.items())]
        files = {audit.factory.file, *_file_of(audit.optimizer)}
        texts += [_text(file) for file in sorted(files)]
        factory = (audit.factory.name, audit.factory.defaults, _name_of(audit.optimizer))
        read = (audit.starts, audit.rates, audit.grow, audit.output, audit.lr_key)
        laws = adapter_of(audit, "") if self.adapted else ""
        calls = _calls(audit.model.parts)
        return "\n".join(
            [*texts, repr(factory), *calls, repr(audit.read.counted), repr(read), laws]
        )

    def report(self, program: Program) -> Report:
        said = () if self.adapted else self.audit.report.said
        return replace(judged(program), said=said)

    def written(self, values: ExactValues, hypers: ExactValues) -> str:
        """The adapter, whose rates are those found; nothing for a model as it is."""
        if not self.adapted:
            return ""
        found = {name: float(value) for name, value in {**values, **hypers}.items()}
        lr, decay = found.get(LR), found.get(DECAY)
        return adapter_of(self.audit, self.command, lr=lr, weight_decay=decay)


def _sized(dim: Dim) -> Dim:
    """With its base as its size."""
    return replace(dim, default=dim.base if dim.default is None else dim.default)


def _exact(value: float) -> Fraction:
    return Fraction(repr(value))


def _calls(parts: Iterable[Part]) -> Iterator[str]:
    """What a model computes, line by line: one function may give many models, by what it closes on.

    Without what was measured, which differs from machine to machine.
    """
    for part in parts:
        if isinstance(part, Repeated):
            yield f"{part.count} times {part.carried}"
            yield from _calls(part.body)
        else:
            given = (*part.arguments, *part.keywords.items())
            yield repr((part.name, part.target, _unmeasured(given), part.shapes))


def _unmeasured(operand: object) -> object:
    if isinstance(operand, KnownData):
        return operand.shape, operand.integer, operand.constant
    return tuple(map(_unmeasured, operand)) if isinstance(operand, tuple) else operand


def _name_of(function: object) -> str:
    return str(getattr(function, "__qualname__", ""))


def _file_of(function: object) -> Iterator[str]:
    if function is not None:
        try:
            file = inspect.getsourcefile(inspect.unwrap(function))  # type: ignore[arg-type]
        except TypeError:
            return
        if file is not None:
            yield file


def _text(file: str) -> str:
    path = Path(file)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else file
