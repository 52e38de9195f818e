"""What each verdict asks of the symbols."""

from __future__ import annotations

from collections.abc import Collection

from abcparam.algebra.record import Record, field
from abcparam.analysis.bounds import Bounds, bound
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import features_of, nonlinear_inputs
from abcparam.analysis.trace import label
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.symbolic.constraints import ALWAYS, NEVER, All, Some, SymbolCondition, negation
from abcparam.symbolic.derive.derivation import Derivation, Requirement, each
from abcparam.symbolic.sizes import symbolic


class Verdicts(Record):
    """The requirements behind the verdicts of a derivation, beyond those of stability."""

    derivation: Derivation
    stable: SymbolCondition  # where it is stable
    bounds: Bounds = field(repr=False)
    moving: tuple[Requirement, ...]  # at least one of them: an output moves
    features: tuple[Requirement, ...]  # each: a feature moves by its own size
    slack: tuple[Requirement, ...]  # each: a tensor's update is as large as it may be
    passed: tuple[Requirement, ...]  # each: a map passes a change of its input on in full
    within: tuple[Requirement, ...]  # each: the input of a nonlinearity moves by its own size
    stuck: tuple[str, ...]  # trained tensors that never move, by path

    @property
    def maximal(self) -> SymbolCondition:
        """Maximal updates, where it is stable."""
        moves = _any(self.moving)
        rest = each((*self.features, *self.slack, *self.passed))
        return NEVER if self.stuck else All((moves, rest))

    def largest(self, paths: Collection[str]) -> SymbolCondition:
        """The update of one of these tensors is as large as it may be.

        They share a learning rate. It holds anywhere where none of them moves.
        """
        theirs = [r for r in self.slack if r.parameter and r.parameter.tensor.path in paths]
        return Some(tuple(r.condition for r in theirs)) if theirs else ALWAYS

    def condition(
        self,
        verdict: str,
        maximal: SymbolCondition | None = None,
        sound: SymbolCondition | None = None,
    ) -> SymbolCondition:
        """What a verdict asks of the symbols.

        `stable` and `complete` are no verdicts, but may be asked for too. `maximal` is the region
        of maximal updates and `sound` that of sizes at initialization, where they are in lowest
        terms.
        """
        moves = _any(self.moving)
        moving_features = _any(self.features) if self.features else ALWAYS
        case, sound = self.derivation.within, sound or self.derivation.sound_at_init
        further = {
            "stable": ALWAYS,
            "complete": each(self.within),
            "trivial": negation(moves),
            "kernel": All((moves, negation(moving_features))),
            "feature-learning": All((moves, moving_features, negation(maximal or self.maximal))),
            "maximal-update": self.maximal,
        }
        if verdict in further:
            return All((self.stable, further[verdict]))
        if verdict == "unstable":
            return All((case, sound, negation(self.stable)))
        return All((case, negation(sound)))


def _any(requirements: tuple[Requirement, ...]) -> SymbolCondition:
    return Some(tuple(r.condition for r in requirements))


def verdicts_of(derivation: Derivation, stable: SymbolCondition | None = None) -> Verdicts:
    """What each verdict asks of the symbols, from the bounds on every change.

    `stable`: where it is stable, in lowest terms, which then is all that is assumed.
    """
    if stable is not None:
        derivation.premises.restate(stable)
    graph, bounds = derivation.graph, bound(derivation.laws)
    moving = tuple(Requirement(symbolic(o.d), ">=", "the output moves", o) for o in graph.outputs)
    slack, stuck = _slack(graph, bounds)
    maps = [node for node in graph.nodes if isinstance(node, LinearNode) and node.passes_on]
    return Verdicts(
        derivation,
        derivation.condition if stable is None else stable,
        bounds,
        moving,
        tuple(_moves(derivation, node, "the feature") for node in features_of(graph)),
        slack,
        tuple(_passed(node, bounds) for node in maps if not node.inputs[0].d.is_zero),
        tuple(_moves(derivation, node, "the input") for node in nonlinear_inputs(graph)),
        stuck,
    )


def _moves(derivation: Derivation, node: Node, what: str) -> Requirement:
    change, total = symbolic(node.dc), symbolic(node.s)
    size = change.less(total) if change.vectors else derivation.space.zero
    reason = f"{what} {label(derivation.program, node)} moves by its own size"
    return Requirement(size, ">=", reason, node)


def _slack(graph: Graph, bounds: Bounds) -> tuple[tuple[Requirement, ...], tuple[str, ...]]:
    left: dict[str, Requirement] = {}
    trained = {p.tensor.path: p for p in graph.parameters if not p.tensor.frozen}
    for node in graph.nodes:
        parameter = node.parameter
        if parameter is None:
            continue
        for update, limit in bounds.of_updates(node):
            contribution, most = symbolic(update), symbolic(limit)
            if not contribution.vectors or not most.is_bound:
                continue
            path = parameter.tensor.path
            slack = most.less(contribution)
            if path in left:
                slack = left[path].size & slack
            reason = f"the update of {path} is as large as it may be"
            left[path] = Requirement(slack, "=", reason, node, parameter)
    return tuple(left.values()), tuple(path for path in trained if path not in left)


def _passed(node: LinearNode, bounds: Bounds) -> Requirement:
    passed = symbolic(node.gains()[0] + node.inputs[0].s).less(symbolic(bounds.coherent[node]))
    reason = (
        f"the initial weights of {node.parameter.tensor.path} pass the change of their input "
        f"on in full"
    )
    return Requirement(passed, ">=", reason, node, node.parameter)
