"""Gradients of a program times constants, so that they are of order 1: the same training.

What its weights start at, `regauge` says. Here the gradient of each value is multiplied by a factor
that all readers of it share, that of each tensor by one of its own, and what trains the tensor
makes up for it (arXiv 2303.11257, section 3; 2407.17465). With `g' = β g`

* an update is `β^(gauge - 1)` times as large: the learning rate is divided by that;
* epsilon is multiplied by β, and coupled weight decay;
* decoupled weight decay multiplies w by `1 - lr λ`: `lr λ` stays.

Factors are powers of two, times powers of what grows, times one of the number of examples in a
batch, which `Config` says. They come from sizes at init that are estimated at base.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.dims import Hyper
from abcparam.program.model import GradientScales, Program
from abcparam.program.signature import OptimizerSignature
from abcparam.program.tensors import Tensor
from abcparam.verdict.magnitudes import (
    STEPS,
    attended_nodes,
    flows_at_base,
    middle_gradients_at_base,
)

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
    name = _fresh(program)
    examples = Amount(syntax.Name(name), atom(name))
    laws, flows = _Laws(program), flows_at_base(program, batch)
    sizes = middle_gradients_at_base(program, batch)
    scales = {
        kind: Scale(
            times(_power_of_two(getattr(flows, kind, 1 / batch) * batch), examples),
            laws.of_values(kind),
        ).amount(program)
        for kind in ("outputs", "attended", "hidden")
    }
    root = power(examples, Fraction(1, 2))
    tensors = {
        path: _graded(
            program,
            tensor,
            Scale(
                times(_power_of_two(sizes.get(path, batch**-0.5) * batch**0.5), root),
                laws.of_tensor(path),
            ),
        )
        for path, tensor in program.tensors.items()
    }
    mixed = _power_of_two(flows.mixed if flows else 1.0)
    hypers = {**program.hypers, name: Hyper(name, Fraction(batch))}
    return replace(
        program,
        tensors=tensors,
        hypers=hypers,
        gradients=GradientScales(batch=name, mixed=mixed, **scales),
    )


def _fresh(program: Program) -> str:
    taken, name = {*program.dims, *program.hypers, *program.symbols}, BATCH
    while name in taken:
        name += "_"
    return name


def _power_of_two(size: float) -> Amount:
    """What makes a size of about 1."""
    value = Fraction(2) ** round(-log2(size)) if size > 0 else Fraction(1)
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


def _graded(program: Program, tensor: Tensor, scale: Scale) -> Tensor:
    """A tensor whose gradient is scaled, and what trains it."""
    if tensor.frozen:
        return tensor
    rule: OptimizerSignature = program.optimizers[tensor.optimizer].rule
    more = int(rule.gauge == 2)  # else its updates do not see how large gradients are
    decay = tensor.weight_decay
    if decay is not None and decay.value.terms:
        decay = times(decay, power(scale.amount(program), more if rule.decoupled else 1))
    exponents = tensor.exponents
    return replace(
        tensor,
        gradient=scale.amount(program),
        exponents={
            **exponents,
            "c": shifted_by(exponents.get("c", {}), scale.powers, more),
            "d": shifted_by(exponents.get("d", {}), scale.powers, -1),
        },
        lr=times(tensor.lr, power(scale.constant, -more)) if more else tensor.lr,
        epsilon=tensor.epsilon and times(tensor.epsilon, scale.constant),
        weight_decay=decay,
    )
