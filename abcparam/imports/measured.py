"""Sizes at init as they were measured, beside what the laws make of them.

Every law is evaluated with numbers for lengths, at each setting, on what was measured of the call's
operands; as a size grows, what was measured of its result has to grow like that. So each call is
held to its own law: where one share of a sum overtakes another, or a map is too narrow yet for its
exponent, the operands' measured sizes say so, and nothing is found twice.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from math import exp, inf, isnan, log, log1p, sqrt

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial, leading_growth, product
from abcparam.algebra.record import NamedTuple, Record
from abcparam.algebra.sizes import Size, Vector
from abcparam.analysis.build import Builder
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import ConcatNode
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import Span
from abcparam.imports.alike import Model, Part, Repeated, TracedStep
from abcparam.imports.numbers import Sizes, as_fractions, chains_of
from abcparam.imports.seen import TAKES, local
from abcparam.imports.stream_sizes import StreamPowers, powers_of_streams
from abcparam.imports.traced import Ref, Weight
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply
from abcparam.program.model import Module, Program
from abcparam.program.tensors import Tensor
from abcparam.verdict.magnitudes import evaluate

TOLERANCE = 0.2  # of exponents: what finite widths leave
SIGMAS = 3.0  # and what chance does
SEEDS = 4  # of what is measured


class Disagreement(Record):
    """A value that does not grow with a size as its law says."""

    value: str
    operation: str
    size: str
    measured: float  # exponent of its root mean square; -inf where that is zero
    derived: float
    span: Span

    @property
    def diagnostic(self) -> Diagnostic:
        """The finding, at the user's line."""
        return rules.NotAsMeasured.at(
            self.span,
            operation=self.operation,
            measured=_power(self.size, self.measured),
            derived=_power(self.size, self.derived),
        )


def _power(name: str, exponent: float) -> str:
    return "0" if exponent == -inf else f"{name}^{exponent:.2f}"


def disagreements(
    program: Program, model: Model, settings: Sequence[Sizes], grow: frozenset[str]
) -> tuple[Disagreement, ...]:
    """The values whose measured sizes at init are not as the laws have them, in order.

    The program is that of `reading.read(..., inline=False,
    entitled=False)`, where every value has the name of its step;
    `settings` are those of `alike.together`. Traces are to be of `SEEDS` examples each; those
    whose sizes are not numbers are left out.
    """
    results = {local(ref): found for ref, found in _results(model.parts)}
    measured = sorted({i for x in results.values() for i in x.measured})
    last = {local(ref): sizes for ref, sizes in _last_copies(model.parts)}
    beside = {
        i: _beside(program, settings[i], i, results, {n: x[i] for n, x in last.items()})
        for i in measured
    }
    ends = list(_ends(settings, grow, measured))
    zero, powers = _zero_parts(results), powers_of_streams(program)
    found = (
        _disagreement(
            name,
            result,
            {i: x[name] for i, x in beside.items()},
            settings,
            ends,
            powers.get(name, {}),
        )
        for name, result in results.items()
        if name not in zero and all(name in x for x in beside.values())
    )
    return tuple(x for x in found if x is not None)


class _Result(NamedTuple):
    """What a call gives."""

    step: TracedStep
    shape: Shape
    sizes: tuple[float, ...]  # its RMS at each setting

    @property
    def measured(self) -> list[int]:
        """The settings at which it was measured."""
        return [i for i, size in enumerate(self.sizes) if not isnan(size)]


def _results(parts: Sequence[Part]) -> Iterator[tuple[Ref, _Result]]:
    """What all calls give that has a size; of layers that repeat, those of the first."""
    for part in parts:
        if isinstance(part, Repeated):
            yield from _results(part.body)
        else:
            for index, sizes in enumerate(part.sizes):
                shape = part.shapes[index]
                found = _Result(part, shape, sizes)
                if all(length.terms for length in shape) and found.measured:
                    yield Ref(part.name, index), found


def _last_copies(parts: Sequence[Part]) -> Iterator[tuple[Ref, tuple[float, ...]]]:
    """What the last of layers that repeat gives on, measured at each setting."""
    for part in parts:
        if isinstance(part, Repeated):
            yield from zip(part.results, part.sizes, strict=True)
            yield from _last_copies(part.body)


def zero_parts(model: Model) -> set[str]:
    """The values of a model that are zero at init by parts of parameters that start so."""
    return _zero_parts({local(ref): found for ref, found in _results(model.parts)})


def _zero_parts(results: Mapping[str, _Result]) -> set[str]:
    """Parts of parameters that start at zero where others do not, and what is zero by them.

    A law is of all entries: `1` and `0` that two values are weighed by are both of Θ(1), which
    they are after a step.
    """
    found: set[str] = set()
    for name, result in results.items():
        operands = [x for x in result.step.arguments if isinstance(x, (Ref, Weight))]
        is_part = result.step.target in TAKES and isinstance(operands[0], Weight)
        behind = any(isinstance(x, Ref) and local(x) in found for x in operands)
        if (is_part or behind) and not any(result.sizes[i] for i in result.measured):
            found.add(name)
    return found


class _Ends(NamedTuple):
    """Two settings between which a size alone changes."""

    size: str
    small: int
    large: int


def _ends(
    settings: Sequence[Sizes], grow: frozenset[str], measured: Sequence[int]
) -> Iterator[tuple[_Ends, ...]]:
    """For each size that grows, and all others as they are: the largest change, and the last."""
    for name in sorted(grow):
        for *before, last in chains_of(settings, name, measured):
            yield tuple(_Ends(name, small, last) for small in {before[0], before[-1]})


class _Beside(NamedTuple):
    """A value at a setting, as logarithms: measured, and the least and most that its law says.

    `of` is what was measured of the input of a function of one value, of others zero.
    """

    measured: float
    least: float
    most: float
    of: float


class _Growth(NamedTuple):
    """Exponents of a value; -inf of one that is zero."""

    measured: float
    derived: float
    apart: float  # how far, in tolerances


def _disagreement(
    name: str,
    result: _Result,
    values: Mapping[int, _Beside],
    settings: Sequence[Sizes],
    chains: Sequence[tuple[_Ends, ...]],
    powers: StreamPowers,
) -> Disagreement | None:
    """What is wrong with a value, if anything is, over all of a size's range and at its end.

    `powers` are those that streams give it, which it is between and what copies at random give.
    """
    worst: Disagreement | None = None
    least = 1.0
    for ends in chains:
        power = powers.get(ends[0].size, -inf)
        if power is None:
            continue
        found = [(e, _growth(e, result, values, settings, power)) for e in ends]
        end, growth = min(found, key=lambda x: x[1].apart)
        if growth.apart > least:
            least, step = growth.apart, result.step
            worst = Disagreement(
                name, step.target, end.size, growth.measured, growth.derived, step.span
            )
    return worst


def _growth(
    ends: _Ends,
    result: _Result,
    values: Mapping[int, _Beside],
    settings: Sequence[Sizes],
    power: float,
) -> _Growth:
    """How a value grows between two settings; a `power` above -inf is what it may be too."""
    small, large = values[ends.small], values[ends.large]
    range_ = log(settings[ends.large][ends.size] / settings[ends.small][ends.size])
    measured, least, most, of = (_slope(*x, range_) for x in zip(small, large, strict=True))
    if of > TOLERANCE:  # a function may be at an end of it, where it is flat
        least = -inf
    if power > -inf:
        least, most = min(least, power), max(most, power)
    derived = min((least, most), key=lambda x: abs(x - measured) if x > -inf else inf)
    if least < measured < most:
        derived = measured
    if measured == derived:
        return _Growth(measured, derived, 0.0)
    if -inf in (measured, derived):
        return _Growth(measured, derived, inf)
    chance = (
        SIGMAS * _noise([_drawn(result, settings[i]) for i in (ends.small, ends.large)]) / range_
    )
    return _Growth(measured, derived, abs(measured - derived) / (TOLERANCE + chance))


def _slope(small: float, large: float, range_: float) -> float:
    """Zero at either end is zero, of exponent -inf."""
    return -inf if -inf in (small, large) else (large - small) / range_


def _noise(counts: Sequence[float]) -> float:
    """The standard deviation of the logarithm of a quotient of root mean squares, of so many draws.

    Half the logarithm of a chi-squared variable of 2 x degrees of freedom has variance
    trigamma(x) / 4.
    """
    halves = [SEEDS * count / 2 for count in counts]
    return sqrt(sum(1 / x + 1 / (2 * x**2) + 1 / (6 * x**3) for x in halves)) / 2


def _drawn(result: _Result, sizes: Sizes) -> float:
    """How many coordinates were drawn independently: examples may differ but little.

    So may tokens: of what a map gives, each feature is drawn, and no more.
    """
    known = as_fractions(sizes)
    lengths = [float(length.evaluate(known)) for length in result.shape]
    if result.step.target == "aten.linear.default":
        lengths = lengths[-1:]
    return max([1.0, *(lengths[1:] or lengths)])


def _beside(
    program: Program,
    sizes: Sizes,
    index: int,
    results: Mapping[str, _Result],
    last: Mapping[str, float],
) -> dict[str, _Beside]:
    """Each value at a setting: measured, and by its law from what was measured of its operands.

    What layers give on is as it was measured of the `last` ones.
    """
    builder = _AtSetting(program, sizes)
    graph = builder.run()
    names: dict[int, list[str]] = {}
    given: dict[int, float] = {}
    for (path, copy), node in graph.copies.items():
        name = path.rpartition(".")[2]
        if name in results and not any(copy):
            names.setdefault(id(node), []).append(name)
        if name in last and not any(copy):
            given[id(node)] = last[name]
    found = {}
    for node in graph.nodes:
        node.s0 = builder.initial(node)
        for name in names.get(id(node), ()):
            measured = builder.measured(results[name].sizes[index])
            most = builder.log(node.s0)
            of = builder.log(node.inputs[0].s0) if isinstance(node, PointwiseNode) else 0.0
            found[name] = _Beside(measured.log, min(most, builder.log(_least(node))), most, of)
            node.s0 = measured
        if id(node) in given:
            node.s0 = builder.measured(given[id(node)])
    return found


def _least(node: Node) -> Size:
    """What a value is at least: the transpose of a map need not meet what that map gave alone."""
    if isinstance(node, LinearNode) and node.tied:
        return node.parameter.sigma + node.rho_in.half() + node.inputs[0].s0
    return node.s0


class Magnitude:
    """A size as a number, by its logarithm: laws of sizes become estimates of magnitudes."""

    __slots__ = ("log", "space")

    def __init__(self, space: Magnitudes, logarithm: float) -> None:
        self.space = space
        self.log = logarithm

    @property
    def vectors(self) -> tuple[Vector, ...]:
        return () if self.is_zero or not self.is_bound else ((0,),)

    @property
    def is_zero(self) -> bool:
        return self.log == -inf

    @property
    def is_bound(self) -> bool:
        return self.log != inf

    def __add__(self, other: Magnitude) -> Magnitude:
        zero = self.is_zero or other.is_zero
        return self.space.of(-inf if zero else self.log + other.log)

    def __neg__(self) -> Magnitude:
        return self.space.of(-self.log)

    def __sub__(self, other: Magnitude) -> Magnitude:
        return self + -other

    def less(self, other: Magnitude) -> Magnitude:
        return self - other

    def __or__(self, other: Magnitude) -> Magnitude:
        """The size of a sum of independent values: squares add."""
        small, large = sorted((self.log, other.log))
        if small == -inf:
            return self.space.of(large)
        return self.space.of(large + log1p(exp(2 * (small - large))) / 2)

    def __and__(self, other: Magnitude) -> Magnitude:
        return self.space.of(min(self.log, other.log))

    def half(self) -> Magnitude:
        return self.space.of(self.log / 2)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Magnitude) and self.log == other.log

    def __hash__(self) -> int:
        return hash(self.log)

    def __lt__(self, other: Magnitude) -> bool:
        return self.log < other.log

    def __le__(self, other: Magnitude) -> bool:
        return self.log <= other.log

    def __gt__(self, other: Magnitude) -> bool:
        return self.log > other.log

    def __ge__(self, other: Magnitude) -> bool:
        return self.log >= other.log

    def exponents(self) -> dict[str, object]:
        return {}

    def to_dict(self) -> dict[str, str | None]:
        return {}

    def law(self) -> str:
        return f"{exp(self.log):g}"


class Magnitudes:
    """The space of magnitudes."""

    names: tuple[str, ...] = ()
    follows = False

    def __init__(self) -> None:
        self.one, self.zero, self.unbounded = self.of(0.0), self.of(-inf), self.of(inf)

    def of(self, logarithm: float) -> Magnitude:
        """The size of this logarithm."""
        return Magnitude(self, logarithm)

    def size(self, exponents: Mapping[str, Fraction]) -> Size:
        raise NotImplementedError

    def exponent(self, exponents: Mapping[str, Affine]) -> Size:
        raise NotImplementedError


class _AtSetting(Builder):
    """Builds the graph with magnitudes at a setting for sizes; every loop is unrolled."""

    def __init__(self, program: Program, sizes: Sizes) -> None:
        self.values = as_fractions(sizes)
        self.magnitudes = Magnitudes()
        self.epsilons: dict[int, Polynomial] = {}  # of norms, by the node
        self.counts: dict[int, list[Polynomial]] = {}  # of what is put together, by the node
        super().__init__(program, self.magnitudes)
        self.context = self.context._replace(at_setting=True)
        self.build = self.build._replace(context=self.context)

    def apply(
        self, call: Apply, module: Module, names: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        first = len(self.nodes)
        made = super().apply(call, module, names, copy)
        epsilon = call.settings.get("eps")
        if isinstance(epsilon, Amount):
            self.epsilons |= {id(node): epsilon.value for node in self.nodes[first:]}
        for node in made:
            if isinstance(node, ConcatNode):
                shapes = self.call(call).shapes
                self.counts[id(node)] = [product(shape) for shape in shapes if shape is not None]
        return made

    def initial(self, node: Node) -> Size:
        """The size of a node by its law; a norm divides by no less than its epsilon.

        Of values side by side each counts by its share of the coordinates: a part that does not
        grow is most of a narrow model.
        """
        if node.exact == 0:
            return self.context.zero
        size = node.initial()
        if isinstance(node, ConcatNode):
            shares = self._shares(node)
            parts = (self._part(x.s0, share) for x, share in zip(node.inputs, shares, strict=True))
            return reduce(operator.or_, parts)
        if isinstance(node, NormNode) and id(node) in self.epsilons:
            x = node.inputs[0].s0
            return x - (x | self._rho(self.epsilons[id(node)]).half())
        return size

    def _shares(self, node: ConcatNode) -> list[float]:
        """How much of the coordinates each of the values side by side is."""
        counts = [float(evaluate(x, self.values)) for x in self.counts[id(node)]]
        if len(counts) != len(node.inputs):  # states of a recurrence, all of a length
            return [1 / len(node.inputs)] * len(node.inputs)
        return [count / sum(counts) for count in counts]

    def _part(self, size: Size, share: float) -> Size:
        return size + self.magnitudes.of(log(share) / 2 if share else -inf)

    def measured(self, size: float) -> Magnitude:
        """A root mean square as a size of its graph."""
        return self.magnitudes.of(log(size) if size else -inf)

    def log(self, size: Size) -> float:
        """The logarithm of a size of its graph."""
        assert isinstance(size, Magnitude)
        return size.log

    def _rho(self, length: Polynomial) -> Magnitude:
        value = abs(evaluate(length, self.values))
        return self.magnitudes.of(log(value) if value else -inf)

    def _stretched(self, shape: Shape) -> Size:
        """A value that is the same all along finitely many tokens has no mean by that."""
        program = self.program
        powers = leading_growth(product(shape), program.growth_of, program.growth_order)
        return super()._stretched(shape) if powers else self.context.one

    def grows(self, length: Polynomial) -> bool:
        return False

    def count(self, count: Amount) -> int:
        return int(count.value.evaluate(self.values))

    def _exponent(self, tensor: Tensor, letter: str) -> Size:
        """That of `n^exponent`; `b` has the number in it that an init begins with."""
        powers = tensor.exponents[letter].items()
        total = self.magnitudes.of(
            sum(float(p.constant) * log(self.values[dim]) for dim, p in powers)
        )
        if letter == "b" and tensor.init.argument is not None:
            total = total - self._rho(tensor.init.argument.value)
        uniform = letter == "b" and tensor.init.kind == "uniform"  # from minus its bound to it
        return total + self.magnitudes.of(log(3) / 2) if uniform else total
