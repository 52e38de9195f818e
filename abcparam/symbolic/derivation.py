"""Laws and verdict regions of a program whose exponents hold symbols.

The same rounds run as for numbers. What stability asks of the symbols is assumed as it comes up, so
that what it excludes is dropped at once; the laws then hold wherever the region `stable` does, and
nowhere else is it stable.
"""

from __future__ import annotations

from typing import Any

from abcparam.calculus.graph import Graph, build_graph
from abcparam.calculus.linear import Linear
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.rounds import backward, forward, update
from abcparam.calculus.trace import label
from abcparam.judge import bound, features_of
from abcparam.program import Program
from abcparam.record import Record, field
from abcparam.symbolic.forms import Forms, Split, SymbolicSize, SymbolicSpace
from abcparam.symbolic.premises import Contradiction, Form, Premises, subtract


class Unsettled(Exception):
    """The laws did not settle: no law is claimed."""


class Condition(Record):
    """`size <= 0` (or `= 0`, or `>= 0`): what is asked of the symbols, and of which activation or
    tensor.
    """

    size: SymbolicSize = field(repr=False)
    relation: str  # "<=", "=", ">=", "<"
    reason: str
    node: Node | None = field(default=None, repr=False, compare=False)
    parameter: Parameter | None = field(default=None, repr=False, compare=False)


class Derivation(Record):
    """Laws of every node and parameter of `graph`, valid where `stable` holds."""

    program: Program
    graph: Graph = field(repr=False)
    premises: Premises = field(repr=False)
    case: tuple[
        Form, ...
    ]  # what was assumed to tell the case from others: none of these is negative
    at_init: tuple[Condition, ...]
    stable: tuple[Condition, ...]
    rounds: int


def derive_laws(program: Program, symbols: tuple[str, ...]) -> tuple[Derivation, ...]:
    """The laws of a program in the symbols, one derivation per case where sizes are divided by.

    Raises `Contradiction` where it is stable for no values of the symbols, `Unsettled` where no law
    is found.
    """
    done: list[Derivation] = []
    contradiction: Contradiction | None = None
    todo: list[Case] = [()]
    while todo:
        case = todo.pop(0)
        try:
            done.append(_derive_case(program, symbols, case))
        except Split as split:
            todo += [(*case, *_largest(form, split.cases)) for form in split.cases]
        except Contradiction as found:
            contradiction = contradiction or found
    if not done:
        assert contradiction is not None
        raise contradiction
    return tuple(done)


Case = tuple[Form, ...]  # forms that are not negative


def _largest(form: Form, cases: Forms) -> Case:
    return tuple(subtract(form, other) for other in cases if other != form)


def _derive_case(program: Program, symbols: tuple[str, ...], case: Case) -> Derivation:
    premises = Premises(symbols)
    for form in case:
        premises.assume(premises.term(form) >= 0)
    rates = {d.name: d.rate for d in program.dims.values() if d.infinite and not d.derived}
    space = SymbolicSpace(rates, premises)
    graph = build_graph(program, space)  # type: ignore[arg-type]
    run = _Run(graph, premises)
    at_init = run.start()
    rounds = run.rounds()
    space.splits = False
    return Derivation(program, graph, premises, case, tuple(at_init), tuple(run.changes), rounds)


class _Run:
    def __init__(self, graph: Graph, premises: Premises) -> None:
        self.graph = graph
        self.premises = premises
        self.conditions: list[Condition] = []
        self.changes: list[Condition] = []

    def start(self) -> list[Condition]:
        """Sizes at initialization, each simplified by what the ones before have to be."""
        found: list[Condition] = []
        for _ in self.graph.passes():
            for node in self.graph.nodes:
                node.s0 = node.initial()
                for condition in self._at_init(node):
                    if self._assume(condition):
                        found.append(condition)
        for output in self.graph.outputs:
            condition = Condition(_symbolic(output.s0), "<=", "outputs must be O(1)", output)
            if self._assume(condition):
                found.append(condition)
        self._check()
        for node in self.graph.nodes:
            node.s0 = node.initial()
        return found

    def _at_init(self, node: Node) -> list[Condition]:
        found = []
        for index, limit in node.limits():
            x = node.inputs[index]
            if x.s0.is_zero:
                continue
            if limit.kind == "softmax":
                found.append(Condition(_symbolic(x.s0), "<=", "softmax logits must be O(1)", x))
            elif limit.kind == "pointwise":
                reason = f"the input of {node.title} must be Θ(1)"
                found.append(
                    Condition(_symbolic(x.s0), "<=" if x.comes_from_contraction else "=", reason, x)
                )
        return found

    def _assume(self, condition: Condition) -> bool:
        """Adds a condition to the premises unless it holds already; says whether it was new."""
        size = condition.size
        if not size.vectors:
            return False
        if self._holds(condition):
            return False
        label = len(self.conditions)
        self.conditions.append(condition)
        plain = len(size.vectors) == len(size.bottom) == 1
        if condition.relation == "=" and plain:
            self.premises.assume_nought(size.vectors[0], label)
        else:
            self.premises.assume(formula(self.premises, condition), label)
        return True

    def _holds(self, condition: Condition) -> bool:
        size, nought = condition.size, condition.size.space.nought
        if condition.relation == "=":
            return size <= nought and nought <= size
        return size <= nought

    def _check(self) -> None:
        """Fails with the conditions that contradict each other, if the premises do."""
        self.premises.check()

    def rounds(self) -> int:
        backward(self.graph)
        limit = 3 + sum(not p.tensor.frozen for p in self.graph.parameters)
        for count in range(1, limit + 1):
            if not update(self.graph):
                return count
            self._forward()
            backward(self.graph)
        raise Unsettled

    def _forward(self) -> None:
        """Changes of every activation, each simplified by what stability asks of those before."""
        before = len(self.conditions)
        for _ in self.graph.passes():
            for node in self.graph.nodes:
                for condition in self._limits(node):
                    if self._assume(condition):
                        self.changes.append(condition)
                        self._simplify(condition)
                node.dc, node.dr = node.change()
        for output in self.graph.outputs:
            condition = Condition(_symbolic(output.d), "<=", "outputs may change by Θ(1)", output)
            if output.d.vectors and self._assume(condition):
                self.changes.append(condition)
        if len(self.conditions) > before:
            self._check()
            for parameter in self.graph.parameters:
                parameter.u = _again(parameter.u)
            forward(self.graph)

    def _simplify(self, condition: Condition) -> None:
        """Drops what a new premise dominates from the activation that it is about."""
        node = condition.node
        if node is not None:
            node.dc, node.dr = _again(node.dc), _again(node.dr)

    def _limits(self, node: Node) -> list[Condition]:
        found = []
        for index, limit in node.limits():
            x = node.inputs[index]
            if x.d.vectors:
                reason = f"the change of {label(self.graph.program, x)} must be bounded"
                found.append(Condition(_symbolic(x.d - limit.bound), "<=", reason, x))
        return found


def _symbolic(size: Any) -> SymbolicSize:
    assert isinstance(size, SymbolicSize)
    return size


def _again(size: Any) -> Any:
    """The size with its forms pruned anew."""
    symbolic = _symbolic(size)
    prune = symbolic.space.prune
    if not symbolic.vectors:
        return symbolic
    return SymbolicSize(symbolic.space, prune(symbolic.vectors), prune(symbolic.bottom))


def formula(premises: Premises, condition: Condition) -> Any:
    """A condition as the solver reads it."""
    z3 = _z3()
    size = condition.size
    if not size.vectors:
        below = size.is_zero
        return z3.BoolVal(below if condition.relation in {"<=", "<"} else not below)
    at_most = premises.at_most(size.vectors, size.bottom)
    at_least = premises.at_most(size.bottom, size.vectors)
    if condition.relation == "<=":
        return at_most
    if condition.relation == ">=":
        return at_least
    return z3.And(at_most, at_least) if condition.relation == "=" else z3.Not(at_least)


def _z3() -> Any:
    from abcparam.symbolic.premises import z3

    return z3()


class Verdicts(Record):
    """The conditions behind each verdict, beyond those of stability; `moving` has one condition per
    output.
    """

    moving: tuple[Condition, ...]  # at least one of them: an output moves
    features: tuple[Condition, ...]  # each: a feature moves by its own size
    slack: tuple[Condition, ...]  # each: a tensor's update is as large as it may be
    passed: tuple[
        Condition, ...
    ]  # each: an output-role map passes the change of its input on in full
    stuck: tuple[Parameter, ...]  # trained tensors that never move


def verdict_conditions(derivation: Derivation) -> Verdicts:
    """What each verdict asks of the symbols."""
    graph = derivation.graph
    bound(graph)
    moving = [Condition(_symbolic(o.d), ">=", "the output moves", o) for o in graph.outputs]
    features = []
    for node in dict.fromkeys(f for output in graph.outputs for f in features_of(output)):
        size = _symbolic(node.d - node.s) if node.d.vectors else _symbolic(graph.context.zero)
        reason = f"the feature {label(derivation.program, node)} moves by its own size"
        features.append(Condition(size, ">=", reason, node))
    slack, stuck = _slack(graph)
    maps = [node for node in graph.nodes if isinstance(node, Linear) and node.reads_out]
    passed = [_passed(node) for node in maps if not node.inputs[0].d.is_zero]
    return Verdicts(tuple(moving), tuple(features), tuple(slack), tuple(passed), tuple(stuck))


def _slack(graph: Graph) -> tuple[list[Condition], list[Parameter]]:
    left: dict[str, SymbolicSize] = {}
    parameters: dict[str, Parameter] = {}
    for node in graph.nodes:
        p = node.parameter
        if p is None or p.tensor.frozen:
            continue
        parameters.setdefault(p.tensor.path, p)
        contribution = node.update()
        if contribution.vectors:
            slack = _symbolic(node.bc - contribution)
            path = p.tensor.path
            left[path] = left[path] & slack if path in left else slack
    found = [
        Condition(
            size, "=", f"the update of {path} is as large as it may be", None, parameters[path]
        )
        for path, size in left.items()
    ]
    return found, [p for path, p in parameters.items() if path not in left]


def _passed(node: Linear) -> Condition:
    passed = node.gains()[0] + node.inputs[0].d - node.bc
    reason = (
        f"the initial weights of {node.parameter.tensor.path} pass the change of their input "
        f"on in full"
    )
    return Condition(_symbolic(passed), ">=", reason, node, node.parameter)


def verdict_formula(derivation: Derivation, verdict: str) -> Any:
    """The region of a verdict inside the stable region, as the solver reads it."""
    z3, premises = _z3(), derivation.premises
    v = verdict_conditions(derivation)
    moves = z3.Or([formula(premises, c) for c in v.moving])
    features = [formula(premises, c) for c in v.features]
    everything = [formula(premises, c) for c in (*v.features, *v.slack, *v.passed)]
    maximal = z3.And(moves, z3.BoolVal(not v.stuck), *everything)
    any_feature = z3.Or(features) if features else z3.BoolVal(True)
    regions = {
        "stable": z3.BoolVal(True),
        "trivial": z3.Not(moves),
        "kernel": z3.And(moves, z3.Not(any_feature)),
        "maximal-update": maximal,
        "feature-learning": z3.And(moves, any_feature, z3.Not(maximal)),
    }
    return regions[verdict]


__all__ = ["Contradiction", "Derivation", "derive_laws", "verdict_conditions", "verdict_formula"]
