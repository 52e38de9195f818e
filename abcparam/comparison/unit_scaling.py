"""Gradients of a program times constants, so that they are of order 1: the same training.

What its weights start at, `regauge` says. Here the gradient of each value is multiplied by a factor
that all readers of it share, that of each tensor by one of its own, and what trains the tensor
makes up for it (arXiv 2303.11257, section 3; 2407.17465). With `g' = β g`

* an update is `β^(gauge - 1)` times as large: the learning rate is divided by that;
* epsilon is multiplied by β, and coupled weight decay;
* decoupled weight decay multiplies w by `1 - lr λ`: `lr λ` stays.

Factors are powers of two, times powers of what grows, times one of the number of examples in a
batch, which `Config` says. They come from sizes at init that are estimated at base. Copies of a
repeat have factors of their own where their gradients differ, as in residual streams that grow:
each power of two holds from some copy on, that of the last for those of a deeper model too. What is
carried from copy to copy is divided by one likewise, in the forward pass alone, where it starts
small or grows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from fractions import Fraction
from math import log2

from abcparam.algebra.polynomials import atom, number
from abcparam.algebra.record import Record, replace
from abcparam.algebra.sizes import Size, numeric
from abcparam.analysis.build import build_graph
from abcparam.analysis.graph import Graph
from abcparam.analysis.rounds import start, step
from abcparam.calculus.linear import LinearNode
from abcparam.comparison.degrees import DimPowers
from abcparam.comparison.regauge import is_clipped, power, shifted_by, times, written_ratio
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import gauges as rules
from abcparam.emission.lowering.gradients import ATTENDED, HIDDEN
from abcparam.emission.lowering.uses import integer_names, is_plain
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.by_copy import CarriedPowers, CopyPowers, CopyTraining
from abcparam.program.dims import Hyper
from abcparam.program.expressions import Invoke
from abcparam.program.model import GradientScales, Module, Program
from abcparam.program.signature import OptimizerSignature
from abcparam.program.tensors import Tensor
from abcparam.verdict.copies import (
    FlowSizes,
    attended_nodes,
    flows_at_base,
    middle,
)
from abcparam.verdict.magnitudes import STEPS

BATCH, EXAMPLES = "batch_size", 16  # the hyper, and what it is unless Config says otherwise


class Scale(Record):
    """`c r^p`, a power of two and powers of what grows."""

    constant: Amount
    powers: DimPowers

    def amount(self, program: Program) -> Amount:
        return times(self.constant, written_ratio(program, self.powers))


def scaled_gradients(program: Program, batch: int = EXAMPLES) -> Program:
    """The program with factors of gradients, from their sizes for a batch of so many examples.

    Raises `SpecError` where gradients are clipped.
    """
    clipped = (t for t in program.tensors.values() if is_clipped(program, t))
    if errors := [
        rules.Clipped.at(program.optimizers[t.optimizer].span, tensor=t.path) for t in clipped
    ]:
        raise SpecError(program.source, errors)
    taken = {*program.dims, *program.hypers, *program.symbols}
    name = _fresh(BATCH, taken)
    examples = Amount(syntax.Name(name), atom(name))
    repeats = told_apart(program)
    laws, flows = _Laws(program), flows_at_base(program, batch, repeats)
    scales = {
        kind: Scale(
            times(_power_of_two(getattr(flows, kind, 1 / batch) * batch), examples),
            laws.of_values(kind),
        ).amount(program)
        for kind in ("outputs", "attended", "hidden")
    }
    root, tensors = power(examples, Fraction(1, 2)), dict[str, Tensor]()
    for path, tensor in program.tensors.items():
        runs = _runs_of(tensor, flows, batch**0.5)
        last = runs[-1][1]
        scale = Scale(times(_two_to(last), root), laws.of_tensor(path))
        tensors[path] = _graded(program, tensor, scale, _less(runs, last))
    streams = dict(_streams(program, flows)) if flows else {}
    mixed = _power_of_two(flows.mixed if flows else 1.0)
    hypers = {**program.hypers, name: Hyper(name, Fraction(batch))}
    sizes = {size for module in program.root.walk() for size in module.sizes}
    indices = {module.index for module in program.root.walk() if module.index}
    return replace(
        program,
        tensors=tensors,
        hypers=hypers,
        gradients=GradientScales(
            batch=name,
            mixed=mixed,
            copy=_fresh("copy", {*taken, *sizes, *indices, name}),
            copies=_by_repeat(flows, batch, tensors, streams) if flows else {},
            streams=streams,
            **scales,
        ),
    )


def told_apart(program: Program) -> tuple[str, ...]:
    """The repeats whose copies have factors of their own.

    They are as many at every width, hold tensors, and are in no other, nor is another in them; and
    they call no instance that is declared outside, which all copies would share.
    """
    repeats = [m for m in program.root.walk() if m.is_repeat]
    growing = {dim.name for dim in program.growing}
    return tuple(
        body.path
        for body in repeats
        if body.count is not None
        and not growing & body.count.value.names
        and body.count.value.evaluate(program.base_values()) > 1
        and not is_plain(body)
        and not any(
            _is_in(other.path, body.path) or _is_in(body.path, other.path) for other in repeats
        )
        and all(_is_in(call.instance, body.path) for call in _outer_calls(body))
    )


def _is_in(path: str, repeat: str) -> bool:
    return path.startswith(f"{repeat}.")


def _outer_calls(body: Module) -> Iterator[Invoke]:
    for module in body.walk():
        yield from (x for x in module.expressions() if isinstance(x, Invoke) and x.outer)


def _by_repeat(
    flows: FlowSizes,
    batch: int,
    tensors: Mapping[str, Tensor],
    streams: Mapping[str, Mapping[str, CarriedPowers]],
) -> dict[str, dict[str, CopyPowers]]:
    """By repeat, the kinds of gradients that are not as outside of it, where copies differ."""
    found: dict[str, dict[str, CopyPowers]] = {
        repeat: {}
        for repeat in flows.repeats
        if repeat in streams
        or any(t.by_copy for path, t in tensors.items() if _is_in(path, repeat))
    }
    for kind, usual in ((HIDDEN, flows.hidden), (ATTENDED, flows.attended)):
        for path, sizes in flows.copies[kind].items():
            runs = _less(_runs([size * batch for size in sizes]), _nearest(usual * batch))
            if any(by for _, by in runs):
                found.setdefault(path, {})[kind] = runs
    return found


def _streams(program: Program, flows: FlowSizes) -> Iterator[tuple[str, dict[str, CarriedPowers]]]:
    """By repeat of the whole model, what its values are divided by that leave the range else."""
    for body in program.root.children:
        found: dict[str, CarriedPowers] = {}
        for name, sizes in flows.carried.get(body.path, {}).items():
            if all(sizes) and name not in integer_names(body):
                (_, before), *runs = _held(sizes)
                found[name] = CarriedPowers(before, tuple(runs))
        if not all(powers.is_one for powers in found.values()):
            yield body.path, found


def _held(sizes: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Before the first copy and from some copies on: two to what keeps sizes over it within 2."""
    power, copies = 0, len(sizes) - 1
    for copy, size in zip(range(-1, copies), sizes, strict=True):
        changed = abs(log2(size) - power) > 1
        power = -_nearest(size) if changed else power
        if copy < 1 or changed:
            yield copy, power


def _runs_of(tensor: Tensor, flows: FlowSizes | None, times: float) -> CopyPowers:
    """What makes the gradients of a tensor's copies about 1, where they are told apart."""
    sizes = flows.tensors.get(tensor.path) if flows else None
    if flows is None or not sizes:
        return ((0, 0),)
    is_told = len(tensor.copies) == 1 and any(_is_in(tensor.path, r) for r in flows.repeats)
    return _runs([size * times for size in (sizes if is_told else [middle(sizes)])])


def _runs(sizes: Sequence[float]) -> CopyPowers:
    """Powers of two that make sizes about 1; each holds for as long as it keeps them within 2."""
    runs: list[tuple[int, int]] = []
    for copy, size in enumerate(sizes):
        if not runs or abs(log2(size) + runs[-1][1]) > 1:
            runs.append((copy, _nearest(size)))
    return tuple(runs)


def _less(runs: CopyPowers, by: int) -> CopyPowers:
    return tuple((copy, power - by) for copy, power in runs)


def _fresh(name: str, taken: Set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _nearest(size: float) -> int:
    """The power of two that makes a size of about 1."""
    return round(-log2(size)) if size > 0 else 0


def _power_of_two(size: float) -> Amount:
    return _two_to(_nearest(size))


def _two_to(exponent: int) -> Amount:
    value = Fraction(2) ** exponent
    return Amount(syntax.Number(value), number(value))


class _Laws:
    """DimPowers of growing dims in gradients at init, turned over."""

    def __init__(self, program: Program) -> None:
        self.graph: Graph = build_graph(program)
        start(self.graph)
        self.tensors: dict[str, DimPowers] = {}
        self._note()
        for _ in range(STEPS):
            if len(self.tensors) == len(program.tensors):
                break
            step(self.graph)
            self._note()

    def _note(self) -> None:
        for parameter in self.graph.parameters:
            if parameter.gamma.vectors:
                self.tensors.setdefault(parameter.tensor.path, _over(parameter.gamma))

    def of_tensor(self, path: str) -> DimPowers:
        return self.tensors.get(path, {})

    def of_values(self, kind: str) -> DimPowers:
        """What most of the values of a kind have."""
        attended = attended_nodes(self.graph)
        outputs = set(self.graph.outputs)
        maps = [n for n in self.graph.nodes if isinstance(n, LinearNode) and n not in outputs]
        found = {
            "outputs": [n.g for n in outputs],
            "attended": [n.g for n in maps if n in attended],
            "hidden": [n.inputs[0].g for n in maps if n not in attended],
        }[kind]
        return _usual(size for size in found if size.vectors)


def _usual(sizes: Iterable[Size]) -> DimPowers:
    counted = Counter(tuple(sorted(_over(size).items())) for size in sizes)
    return dict(counted.most_common(1)[0][0]) if counted else {}


def _over(size: Size) -> DimPowers:
    return {name: -power for name, power in numeric(size).exponents().items() if power}


def _graded(program: Program, tensor: Tensor, scale: Scale, runs: CopyPowers) -> Tensor:
    """A tensor whose gradient is scaled, and what trains it; `runs`: by how much more in copies."""
    if tensor.frozen:
        return tensor
    rule: OptimizerSignature = program.optimizers[tensor.optimizer].rule
    more = int(rule.gauge == 2)  # else its updates do not see how large gradients are
    exponents, first = tensor.exponents, _trained(tensor, rule, scale.constant)
    decay = first.weight_decay
    if decay is not None and decay.value.terms:
        ratio = written_ratio(program, scale.powers)
        decay = times(decay, power(ratio, more if rule.decoupled else 1))
    graded = replace(
        tensor,
        gradient=scale.amount(program),
        exponents={
            **exponents,
            "c": shifted_by(exponents.get("c", {}), scale.powers, more),
            "d": shifted_by(exponents.get("d", {}), scale.powers, -1),
        },
        lr=first.lr,
        epsilon=first.epsilon,
        weight_decay=decay,
    )
    if not any(by for _, by in runs):
        return graded
    copies = (_trained(graded, rule, _two_to(by), copy, by) for copy, by in runs)
    return replace(graded, by_copy=tuple(copies))


def _trained(
    tensor: Tensor, rule: OptimizerSignature, factor: Amount, copy: int = 0, by: int = 0
) -> CopyTraining:
    """What trains a tensor whose gradient is multiplied by a constant."""
    more, decay = int(rule.gauge == 2), tensor.weight_decay
    if decay is not None and decay.value.terms:
        decay = times(decay, power(factor, more if rule.decoupled else 1))
    return CopyTraining(
        first=copy,
        power=by,
        lr=times(tensor.lr, power(factor, -more)) if more else tensor.lr,
        weight_decay=decay,
        epsilon=tensor.epsilon and times(tensor.epsilon, factor),
    )
