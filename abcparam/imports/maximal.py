"""The exponents that make a model that was read maximal-update, from its own graph.

Initial scales follow from what a tensor sums over; each learning rate is as large as the bounds of
the calculus allow. Where the forward would need another factor (a tied readout, attention over
heads that grow), the factor is written into the program, as one that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import NamedTuple, replace
from abcparam.analysis.judge import judgement_of
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.structure import SameNode, SumNode
from abcparam.comparison.degrees import DimPowers
from abcparam.imports.operations import HEADS
from abcparam.imports.seen import amount, power
from abcparam.operations.arithmetic import Factor
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Expression, with_operands, with_values
from abcparam.program.model import Module, Program
from abcparam.program.signature import is_vector
from abcparam.program.tensors import Tensor
from abcparam.verdict.forward_factors import CallRecorder, ForwardFactors, largest, powers_of

WANTED = Factor()  # a factor that the model's forward has not
MOST_ROUNDS = 6


class Wanted(NamedTuple):
    """A program with the exponents and factors that it should have.

    `lacking` are the calls whose result has a factor that the model's own forward lacks, with the
    powers of it.
    """

    program: Program
    lacking: Mapping[int, DimPowers]  # by the id of a call of `program`


def wanted(program: Program, sums: bool = False, frozen: bool = False) -> Wanted:
    """The program in the maximal update parametrization.

    With factors behind tied readouts and the logits of a softmax, and `sums` over growing axes.
    What is `frozen` starts as it does, unless that is asked for too.
    """
    recorder = CallRecorder(program)
    found = ForwardFactors(recorder.run(), recorder.calls)
    behind = {
        id(recorder.calls[id(node)]): powers_of(size)
        for node, size in (*found.tied(), *found.logits(), *(found.sums() if sums else ()))
    }
    lacking: dict[int, DimPowers] = {}
    made = replace(
        program,
        tensors=_with_exponents(program, found, frozen),
        root=_with_factors(program.root, behind, lacking),
    )
    settled = _settled(made)
    kept = {path: _decaying(settled, tensor) for path, tensor in settled.tensors.items()}
    return Wanted(replace(settled, tensors=kept), lacking)


def _with_exponents(program: Program, factors: ForwardFactors, frozen: bool) -> dict[str, Tensor]:
    """Tensors with the initial scales that they should have, and the rates of Adam."""
    added, found = _added(factors), dict(program.tensors)
    for path, nodes in factors.uses.items():
        tensor = found[path]
        exponents = dict(tensor.exponents)
        if tensor.init.kind not in {"zeros", "ones"} and (frozen or not tensor.frozen):
            exponents |= {"a": {}, "b": _exponents(_scale(nodes, factors, added))}
        if not tensor.frozen:
            exponents["c"] = _exponents(_rate(nodes))
        found[path] = replace(tensor, exponents=exponents)
    return found


def _decaying(program: Program, tensor: Tensor) -> Tensor:
    """With the decay that keeps its product with the learning rate, where the two are multiplied.

    arXiv 2405.13698, section 4.
    """
    decay, rule = tensor.weight_decay, program.optimizers[tensor.optimizer].rule
    if decay is None or not decay.value.terms or not rule.decoupled:
        return tensor
    by = {name: value.constant for name, value in tensor.exponents["c"].items()}
    return replace(tensor, weight_decay=amount(decay.value * power(by)))


def _exponents(of: DimPowers) -> dict[str, Affine]:
    """A size as the exponents of a tensor: `n^-b`."""
    return {name: Affine(-p) for name, p in of.items()}


# Initial scales


def _scale(
    nodes: Sequence[LinearNode | ValueNode], factors: ForwardFactors, added: set[int]
) -> DimPowers:
    """The size of an entry at init, from its uses: of Θ(1) as a value, or the largest of maps.

    What is looked up is of Θ(1) behind the factors that a forward has for it, `sqrt(width)` say.
    What norms alone read is of any size.
    """
    maps = [node for node in nodes if isinstance(node, LinearNode)]
    if len(maps) == len(nodes):
        return powers_of(largest(factors.of_map(node) for node in maps))
    values = [node for node in nodes if isinstance(node, ValueNode)]
    if all(node.lookup for node in values):  # a stream begins with Θ(1)
        return powers_of(-largest(factors.behind(node) for node in values))
    if not maps and all(factors.is_normed(node) for node in nodes):
        return powers_of(nodes[0].parameter.sigma)
    if not maps and all(id(node) in added for node in nodes):
        return powers_of(nodes[0].parameter.sigma & factors.one)
    return {}


def _rate(nodes: Sequence[LinearNode | ValueNode]) -> DimPowers:
    """Where the search for a learning rate starts: that of Adam."""
    maps = [node for node in nodes if isinstance(node, LinearNode)]
    if len(maps) < len(nodes):
        return {}
    return powers_of(largest(-node.rho_in for node in maps))


def _added(factors: ForwardFactors) -> set[int]:
    """The vectors that are added to others and used in no other way: biases may start small."""

    def is_added(node: Node) -> bool:
        users = factors.users.get(id(node), [])
        return bool(users) and all(
            is_added(user) if isinstance(user, SameNode) else type(user) is SumNode
            for user in users
        )

    values = (node for nodes in factors.uses.values() for node in nodes)
    return {
        id(node)
        for node in values
        if isinstance(node, ValueNode) and not node.lookup
        if is_vector(node.parameter.tensor.shape) and is_added(node)
    }


# Factors


def _with_factors(
    module: Module, factors: Mapping[int, DimPowers], lacking: dict[int, DimPowers]
) -> Module:
    """The module with factors behind some of its calls; they are entered in `lacking`."""

    def value(found: Expression) -> Expression:
        made, by = with_operands(found, value), factors.get(id(found))
        return made if by is None or not isinstance(made, Apply) else _scaled(made, by, lacking)

    return replace(
        module,
        body=tuple(with_values(statement, value) for statement in module.body),
        children=tuple(_with_factors(child, factors, lacking) for child in module.children),
    )


def _scaled(call: Apply, by: DimPowers, lacking: dict[int, DimPowers]) -> Expression:
    if call.operation is HEADS:
        scale = call.settings["scale"]
        assert isinstance(scale, Amount)
        settings = {**call.settings, "scale": amount(scale.value * power(by))}
        made = replace(call, settings=settings)
    else:
        settings = {"by": amount(power(by))}
        made = Apply(WANTED, (call,), settings, call.shapes, call.span)
    lacking[id(made)] = by
    return made


# Learning rates


def _settled(program: Program) -> Program:
    """The program with every learning rate as large as its bound, round by round.

    As it is where rounds lead ever further away.
    """
    given, far = program, list[Fraction]()
    for _ in range(MOST_ROUNDS):
        found = judgement_of(program)
        one = found.laws.graph.context.one
        slack = {
            law.path: powers_of(law.slack)
            for law in found.tensors
            if law.slack not in (None, one) and powers_of(law.slack)  # nor what ties with one
        }
        if not slack:
            return program
        far.append(max(abs(p) for powers in slack.values() for p in powers.values()))
        tensors = {
            path: _slower(tensor, slack[path]) if path in slack else tensor
            for path, tensor in program.tensors.items()
        }
        program = replace(program, tensors=tensors)
    return given if far[-1] > far[0] else program


def _slower(tensor: Tensor, slack: DimPowers) -> Tensor:
    before = tensor.exponents["c"]
    names = {**before, **slack}
    after = {
        name: before.get(name, Affine(Fraction(0))) + Affine(-slack.get(name, Fraction(0)))
        for name in names
    }
    return replace(tensor, exponents={**tensor.exponents, "c": after})


def left_out(lacking: Mapping[int, DimPowers]) -> Callable[[Apply], bool | DimPowers]:
    """What the model's forward lacks of the factors of the program that is wanted."""

    def dropped(call: Apply) -> bool | DimPowers:
        return lacking.get(id(call), False)

    return dropped
