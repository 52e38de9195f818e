"""What makes a model maximal-update, beside what it does now.

Multiples of its own initial scales and learning rates, and, where no such multiple does, factors
that its forward has to have.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from fractions import Fraction
from typing import Any

from abcparam.algebra.record import Record, field, replace
from abcparam.algebra.sizes import numeric
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import Judgement, TensorLaw
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.parameter import Parameter
from abcparam.comparison.degrees import DimPowers
from abcparam.comparison.fold import Kept, fold
from abcparam.diagnostics.source import Span
from abcparam.imports.maximal import Wanted, left_out, wanted
from abcparam.imports.numbers import Power
from abcparam.imports.reading import Read
from abcparam.program.model import Program
from abcparam.verdict.check import judged
from abcparam.verdict.report import Report

LETTERS = ("init", "lr", "decay", "eps")
BIAS = 2  # which argument of a linear map it is


class TensorChange(Record):
    """By which powers of `r`, a size over that at base, what a tensor has now is multiplied.

    `parameters` are the names of it and its copies in the model.
    """

    path: str
    parameters: tuple[str, ...]
    init: DimPowers
    lr: DimPowers
    decay: DimPowers
    eps: DimPowers

    @property
    def key(self) -> tuple[tuple[tuple[str, Fraction], ...], ...]:
        """Equal for tensors that change alike."""
        return tuple(tuple(sorted(getattr(self, letter).items())) for letter in LETTERS)

    def to_dict(self) -> dict[str, Any]:
        shown = {n: {d: str(p) for d, p in getattr(self, n).items()} for n in LETTERS}
        return {"path": self.path, "parameters": list(self.parameters), **shown}


class MissingFactor(Record):
    """A factor that the forward has to have, by its powers of sizes, and why nothing else does.

    `module` is the path of the module that is the map which the factor belongs to, if one is.
    """

    powers: DimPowers
    span: Span
    reasons: tuple[str, ...]
    module: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for factors of the same place."""
        return tuple(sorted(self.powers.items())), self.span, self.module


class Knob(Record):
    """A number of the model's own, and by which powers of `r` it is multiplied.

    Modules at `paths` hold it, in which a star is the number of a layer and the empty one is the
    model; `name` may be that of a number of their config. What it is now is `own`.
    """

    paths: tuple[str, ...]
    name: str
    own: Power
    powers: DimPowers
    span: Span = field(compare=False)  # of what lacks the factor

    @property
    def places(self) -> tuple[str, ...]:
        """It as the user's code has it: `layers.*.attention.scaling`."""
        return tuple(f"{path}.{self.name}".removeprefix(".") for path in self.paths)

    def to_dict(self) -> dict[str, Any]:
        factor = {name: str(power) for name, power in self.powers.items()}
        return {"places": list(self.places), "factor": factor, "span": self.span.to_dict()}


class InitialPlace(Record):
    """A line that makes initial values, what they are, and the tensors that have them.

    `field` is the number of the model's config that they follow, empty where none is known.
    """

    place: tuple[str, int]
    scale: str
    field: str
    paths: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        file, line = self.place
        at = {"file": file, "line": line, "field": self.field}
        return {**at, "scale": self.scale, "tensors": list(self.paths)}


class Remedy(Record):
    """The program as it should be, its verdict, and what changes.

    Factors that the forward has to have are numbers of the model's own, `knobs`, or `missing`.
    Where it is maximal-update only as parts are held back, it is not `complete`: `narrow` are then
    the places of norms behind a map to a length that does not grow, which leave no other way.
    """

    program: Program = field(repr=False)
    verdict: str | None
    complete: bool
    changes: tuple[TensorChange, ...]
    missing: tuple[MissingFactor, ...]
    narrow: tuple[Span, ...] = ()
    knobs: tuple[Knob, ...] = ()
    initial: tuple[InitialPlace, ...] = ()  # where initial scales that change are made
    missing_sums: bool = False  # whether some that are missing may be of sums over growing axes

    @property
    def reaches(self) -> bool:
        """Whether it makes the model maximal-update, and holds nothing back."""
        return self.verdict == "maximal-update" and self.complete

    def to_dict(self) -> dict[str, Any]:
        """The JSON: the verdict that is reached, changes by tensor, factors that are missing."""
        return {
            "verdict": self.verdict,
            "complete": self.complete,
            "changes": [change.to_dict() for change in self.changes if any(change.key)],
            "initial": [place.to_dict() for place in self.initial],
            "knobs": [knob.to_dict() for knob in self.knobs],
            "forward": [
                {
                    "factor": {d: str(p) for d, p in missing.powers.items()},
                    "span": missing.span.to_dict(),
                    "reasons": list(missing.reasons),
                }
                for missing in self.missing
            ],
        }


def remedy_of(report: Report, read: Read, linear: Container[str] = ()) -> Remedy:
    """What makes the model of a report maximal-update.

    `linear` are the paths of its modules that are `nn.Linear`: factors are before their biases.
    Scores of pairs and other sums over the width get a factor where there is no way without, in
    tensors if these can have it: a ReLU between would take inputs that vanish. What is frozen
    starts otherwise where there is no way without.
    """
    first = _remedy(report, read, linear, wanted(report.program))
    if first.reaches:
        return first
    if any(tensor.frozen for tensor in report.program.tensors.values()):
        first = _remedy(report, read, linear, wanted(report.program, frozen=True))
        if first.reaches:
            return first
    made = wanted(report.program, sums=True, frozen=True)
    others = (_remedy(report, read, linear, made, kept) for kept in (False, True))
    found = next((other for other in others if other.reaches), None)
    return first if found is None else replace(found, missing_sums=bool(found.missing))


def _remedy(
    report: Report, read: Read, linear: Container[str], made: Wanted, kept: bool = False
) -> Remedy:
    """With the factors that are wanted in tensors, where these can have them, or `kept` as such."""
    dropped = left_out(made.lacking)
    folded = fold(made.program, dropped, keep=lambda path: kept)
    after = judged(folded.program)
    names = _names(read)
    changes = tuple(_changes(report.judgement, after.judgement, names))
    missing = tuple(_missing(x, dropped(x.factor.call), read, linear) for x in folded.kept)
    if kept:
        missing = tuple(replace(x, reasons=()) for x in missing)
    complete = bool(after.complete)
    narrow = () if complete else tuple(_narrow(after.graph))
    return Remedy(folded.program, after.verdict, complete, changes, missing, narrow)


def _narrow(graph: Graph) -> Iterator[Span]:
    """Norms of what is smaller than 1 at init: a map to few numbers made it, as a readout does."""
    one, found = graph.context.one, set[Span]()
    for node in graph.nodes:
        if isinstance(node, NormNode) and node.span not in found:
            size = node.inputs[0].s0
            if size < one and not size.is_zero:
                found.add(node.span)
                yield node.span


def _names(read: Read) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, (path, _) in read.paths.items():
        found[path] = (*found.get(path, ()), name)
    return found


def _missing(
    kept: Kept, powers: bool | DimPowers, read: Read, linear: Container[str]
) -> MissingFactor:
    by, span = powers if isinstance(powers, Mapping) else {}, kept.factor.call.span
    return MissingFactor(dict(by), span, kept.reasons, _module(read, span, linear))


def _module(read: Read, span: Span, linear: Container[str]) -> str:
    """The module that is one map of this line, `nn.Linear` or without a bias."""
    found = [
        step.modules[-1]
        for step in read.names.steps.values()
        if step.span == span and step.modules and step.target == "aten.linear.default"
        if step.modules[-1] in linear
        or len(step.arguments) < BIAS + 1
        or step.arguments[BIAS] is None
    ]
    return found[0] if len(found) == 1 else ""


def _changes(
    before: Judgement, after: Judgement, names: Mapping[str, tuple[str, ...]]
) -> Iterator[TensorChange]:
    laws: dict[str, TensorLaw] = {law.path: law for law in after.tensors}
    for law in before.tensors:
        old, new = law.parameter, laws[law.path].parameter
        init = {} if old.tensor.init.kind == "zeros" else _difference(old, new, "b")
        yield TensorChange(
            law.path,
            names.get(law.path, (law.path,)),
            init,
            _difference(old, new, "c"),
            {d: -p for d, p in _difference(old, new, "decay").items()},
            _difference(old, new, "d"),
        )


def _difference(old: Parameter, new: Parameter, letter: str) -> DimPowers:
    """The power of a ratio of sizes that takes `n^-old` to `n^-new`."""
    sizes = [numeric(getattr(p, letter)) for p in (old, new)]
    if not all(size.vectors for size in sizes):
        return {}
    before, after = (size.exponents() for size in sizes)
    found = {name: before.get(name, Fraction(0)) - after.get(name, Fraction(0)) for name in after}
    return {name: power for name, power in found.items() if power}
