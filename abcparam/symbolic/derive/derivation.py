"""Laws of a program whose exponents hold symbols, and what stability asks of the symbols.

The same rounds run as for numbers. What stability asks is assumed as it comes up, so that what it
excludes is dropped at once; the laws then hold wherever the conditions do, and nowhere else is the
program stable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import chain

from abcparam.algebra.record import Record, field
from abcparam.algebra.sizes import Number, Size
from abcparam.analysis.build import build_graph
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import Evaluator
from abcparam.analysis.laws import Laws
from abcparam.analysis.rounds import backward, forward, turns, update
from abcparam.analysis.trace import label
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.program.model import Program
from abcparam.symbolic.constraints import (
    NEVER,
    All,
    Form,
    Forms,
    LinearConstraint,
    Some,
    SymbolCondition,
    negation,
    opposite,
    subtract,
)
from abcparam.symbolic.sizes import (
    CaseSplitError,
    SymbolicSize,
    SymbolicSpace,
    UnsettledError,
    symbolic,
)
from abcparam.symbolic.solver import ContradictionError, Premises


class Requirement(Record):
    """`size <= 0` or `= 0`, and of which activation or tensor it is asked, in words.

    Where there is an `other` size, that may be so in its place.
    """

    size: SymbolicSize = field(repr=False)
    relation: str  # "<=", "=", ">="
    reason: str
    node: Node | None = field(default=None, repr=False, compare=False)
    parameter: Parameter | None = field(default=None, repr=False, compare=False)
    other: SymbolicSize | None = field(default=None, repr=False)

    @cached_property
    def condition(self) -> SymbolCondition:
        """What it asks of the symbols."""
        if self.other is None:
            return self._asks(self.size)
        return Some((self._asks(self.size), self._asks(self.other)))

    def _asks(self, size: SymbolicSize) -> SymbolCondition:
        if self.relation == "<=":
            return size.at_most_one()
        if self.relation == ">=":
            return size.at_least_one()
        return All((size.at_most_one(), size.at_least_one()))


class Derivation(Record):
    """Laws in symbols, valid where `at_init` and `stable` hold.

    `case` tells it from other derivations of the same program: none of these forms is negative.
    """

    laws: Laws = field(repr=False)
    space: SymbolicSpace = field(repr=False)
    case: tuple[Form, ...]
    at_init: tuple[Requirement, ...]
    stable: tuple[Requirement, ...]

    @property
    def graph(self) -> Graph:
        """The graph that holds the laws."""
        return self.laws.graph

    @property
    def program(self) -> Program:
        return self.laws.program

    @property
    def premises(self) -> Premises:
        return self.space.premises

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.space.symbols

    @property
    def within(self) -> SymbolCondition:
        """The case, as a condition."""
        return within(self.premises, self.case)

    @property
    def sound_at_init(self) -> SymbolCondition:
        return each(self.at_init)

    @property
    def condition(self) -> SymbolCondition:
        """Where it is stable, at initialization and in training."""
        return All((self.within, self.sound_at_init, each(self.stable)))


def each(requirements: tuple[Requirement, ...]) -> SymbolCondition:
    """That all of them hold."""
    return All(tuple(r.condition for r in requirements))


def within(premises: Premises, case: tuple[Form, ...]) -> SymbolCondition:
    return All(tuple(premises.order.nonnegative(form) for form in case))


class NeverStable(Record):
    """A case that is stable for no values of the symbols.

    `requirements` contradict each other; `sound` is what is asked at initialization, None where
    that alone is impossible. `follows`: whether directions of changes were followed.
    """

    requirements: tuple[Requirement, ...]
    within: SymbolCondition
    sound: tuple[Requirement, ...] | None
    follows: bool = True

    @property
    def sound_at_init(self) -> SymbolCondition:
        return NEVER if self.sound is None else each(self.sound)

    def condition(self, verdict: str) -> SymbolCondition:
        """Where in the case a verdict holds."""
        if verdict == "unstable-at-init":
            return All((self.within, negation(self.sound_at_init)))
        return All((self.within, self.sound_at_init)) if verdict == "unstable" else NEVER


class ImpossibleError(Exception):
    """Stable for no values of the symbols, in none of the `cases`."""

    def __init__(self, cases: tuple[NeverStable, ...]) -> None:
        super().__init__("stable for no values of the symbols")
        self.cases = cases

    @property
    def reasons(self) -> tuple[str, ...]:
        """What contradicts itself, in words; training where initialization is possible."""
        found = min(self.cases, key=lambda case: case.sound is None)
        return tuple(dict.fromkeys(r.reason for r in found.requirements))


def derive_laws(program: Program, symbols: tuple[str, ...]) -> tuple[Derivation, ...]:
    """The laws of a program in the symbols.

    There is one derivation for each case where a size that is divided by depends on them. Raises
    `ImpossibleError` where the program is stable for no values of the symbols, `UnprovedError`
    where no law is found.
    """
    cases = tuple(derive_cases(program, symbols))
    derivations = tuple(case for case in cases if isinstance(case, Derivation))
    if not derivations:
        raise ImpossibleError(tuple(case for case in cases if isinstance(case, NeverStable)))
    return derivations


def derive_cases(program: Program, symbols: tuple[str, ...]) -> Iterator[Derivation | NeverStable]:
    """The same, with the cases that are never stable, one by one.

    Directions of changes are followed where that comes to an end; where each round, or each layer,
    turns them a little further, by a power that may be as small as one likes, all of a change is
    taken to point along what reads it.
    """
    todo: list[tuple[CaseForms, bool]] = [((), True)]
    numbers = Evaluator(program)
    while todo:
        case, follows = todo.pop(0)
        run = _CaseRun(numbers, symbols, case, follows)
        try:
            yield run.derivation()
        except UnsettledError:
            if not follows:
                raise
            todo.insert(0, (case, False))
        except CaseSplitError as split:
            todo += [((*case, *_largest(form, split.cases)), follows) for form in split.cases]
        except ContradictionError as found:
            if requirements := tuple(run.asked[i] for i in found.labels if i >= 0):
                sound = tuple(run.sound) if run.trained else None
                yield NeverStable(requirements, run.within, sound, follows)


CaseForms = tuple[Form, ...]  # forms that are not negative


def _largest(form: Form, cases: Forms) -> CaseForms:
    return tuple(subtract(form, other) for other in cases if other != form)


class _CaseRun:
    """One case: from the graph to the laws."""

    def __init__(
        self, numbers: Evaluator, symbols: tuple[str, ...], case: CaseForms, follows: bool
    ) -> None:
        program = numbers.program
        dims = {dim.name: (dim.group, dim.rate) for dim in program.growing}
        self.case = case
        self.space = SymbolicSpace(dims, symbols, follows)
        self.premises = self.space.premises
        self.within = within(self.premises, case)
        for form in case:
            self.premises.assume(self.premises.order.nonnegative(form))
        self.program = program
        self.numbers = numbers
        self.symbols = symbols
        self.asked: list[Requirement] = []
        self.changes: list[Requirement] = []
        self.trained = False  # whether sizes at initialization are done with
        self.sound: list[Requirement] = []  # what is asked at initialization

    def derivation(self) -> Derivation:
        self.graph = build_graph(self.program, self.space)
        self.sound = self._start()
        self.trained = True
        laws = Laws(self.graph, self._rounds())
        self.space.splits = False
        return Derivation(laws, self.space, self.case, tuple(self.sound), tuple(self.changes))

    # Initialization

    def _start(self) -> list[Requirement]:
        """Sizes at initialization, each simplified by what the ones before have to be."""
        for _ in self.graph.passes()[1:]:  # sizes that go round in infinite repeats
            for node in self.graph.nodes:
                node.begin()
        found: list[Requirement] = []
        for node in self.graph.nodes:
            node.begin()
            found += [r for r in self._at_init(node) if self._assume(r)]
        for output in self.graph.outputs:
            required = Requirement(symbolic(output.s0), "<=", "outputs must be O(1)", output)
            if self._assume(required):
                found.append(required)
        for stream in self.graph.streams:
            growth = symbolic(stream.initial()).less(symbolic(stream.s0))
            required = Requirement(growth, "<=", "what a copy adds must vanish", stream)
            if self._assume(required):
                found.append(required)
        self.premises.check()
        for node in self.graph.nodes:
            node.begin()
        return found

    def _at_init(self, node: Node) -> list[Requirement]:
        found = []
        for index, limit in node.limits():
            x = node.inputs[index]
            if x.s0.is_zero or limit.kind not in {"softmax", "logarithm", "pointwise"}:
                continue
            if limit.kind == "softmax":
                found.append(Requirement(symbolic(x.s0), "<=", "softmax logits must be O(1)", x))
            elif limit.kind == "logarithm":
                found.append(Requirement(symbolic(x.s0), "=", "the input of log must be Θ(1)", x))
            else:
                found += self._of_function(node, x)
        return found

    def _of_function(self, node: Node, x: Node) -> list[Requirement]:
        """What the input of a function has to be: Θ(1), or as small as few numbers make it."""
        released = None if x.comes_from_contraction else x.released
        if released is not None:
            reason = f"maps from few numbers to the input of {node.title} must keep their size"
            size, other = symbolic(released), symbolic(x.s0)
            return [Requirement(size, "=", reason, x, other=None if size is other else other)]
        reason = f"the input of {node.title} must be Θ(1)"
        relation = "<=" if x.comes_from_contraction else "="
        return [Requirement(symbolic(x.s0), relation, reason, x)]

    def _assume(self, required: Requirement) -> bool:
        """Adds what is required to the premises unless it holds; says whether it was new."""
        size = required.size
        if not size.vectors or self._holds(required):
            return False
        label = len(self.asked)
        self.asked.append(required)
        written = size.quotient
        alone = required.other is None and len(written.top) == len(written.bottom) == 1
        if required.relation == "=" and alone:
            self.premises.assume_equation(written.top[0], label)
        else:
            self.premises.assume(required.condition, label)
        return True

    def _holds(self, required: Requirement) -> bool:
        sizes, one = (required.size, required.other or required.size), self.space.one
        return any(x <= one and (required.relation == "<=" or one <= x) for x in sizes)

    # Rounds

    def _rounds(self) -> int:
        backward(self.graph)
        limit = 3 + sum(not p.tensor.frozen for p in self.graph.parameters)
        shifts: list[dict[int, set[Form]]] = []
        for count in range(1, limit + 1):
            before = {id(p): symbolic(p.u).vectors for p in self.graph.parameters}
            turning = turns(self.graph)
            grown = update(self.graph)
            if not grown and not turning:
                return count
            shifts.append({id(p): _shifts(symbolic(p.u).vectors, before[id(p)]) for p in grown})
            if len(shifts) >= 3:
                self._recurring(grown, shifts[-3:])
            self._forward()
            backward(self.graph)
        raise UnsettledError

    def _recurring(
        self, grown: Sequence[Parameter], shifts: Sequence[Mapping[int, set[Form]]]
    ) -> None:
        """Forbids what an update would grow by at every step.

        That is a shift by which it exceeds the one before, three times in a row: it may not be
        positive. (Our own evaluation has to agree at examples.)
        """
        of: dict[Form, Parameter] = {}
        for parameter in grown:
            for shift in set.intersection(*(found.get(id(parameter), set()) for found in shifts)):
                of.setdefault(shift, parameter)
        for shift in self._diverging(sorted(of)):
            reason = f"the update of {of[shift].tensor.path} must not grow from step to step"
            size = self.space.made((shift,))
            self._changes_must(Requirement(size, "<=", reason, None, of[shift]))

    def _diverging(self, shifts: Sequence[Form]) -> list[Form]:
        """The shifts that growth comes from, wherever they are positive.

        A cycle that grows shifts whatever is parallel to it too: of two forms that it takes in
        turns, each is the other by a shift that says nothing. So each is asked for where no other
        one is positive.
        """
        left = list(shifts)
        for shift in shifts:
            others = [other for other in left if other != shift]
            if not self._diverges(shift, others):
                left = others
        return left

    def _diverges(self, shift: Form, others: Sequence[Form]) -> bool:
        """Whether numbers say so at every example; where there is none, others say it all."""
        order = self.premises.order
        alone = All(tuple(order.nonnegative(opposite(other)) for other in others))
        where = All((order.positive(shift), alone))
        first = self.premises.example(where)
        if first is None:
            return bool(others) and self._diverges(shift, ())
        examples = (self.premises.example(All((where, away))) for away in self._away(first))
        return all(
            self.numbers.verdict(values).startswith("unstable")
            for values in chain([first], examples)
            if values is not None
        )

    def _away(self, values: Mapping[str, Fraction]) -> Iterator[SymbolCondition]:
        """Half spaces that the values are outside of."""
        for index, symbol in enumerate(self.symbols):
            for sign in (1, -1):
                row: list[Number] = [-sign * values[symbol] - 1, *[0] * len(self.symbols)]
                row[1 + index] = sign
                yield LinearConstraint(tuple(row), ">=")

    def _forward(self) -> None:
        """Changes of every activation, each simplified by what stability asks of those before."""
        before = len(self.asked)
        for _ in self.graph.passes():
            for node in self.graph.nodes:
                for required in self._limits(node):
                    if self._changes_must(required):
                        self._simplify(required)
                node.move()
        for output in self.graph.outputs:
            reason = "outputs may change by Θ(1)"
            required = Requirement(symbolic(output.d), "<=", reason, output)
            self._changes_must(required)
        if len(self.asked) > before:
            self.premises.check()
            for parameter in self.graph.parameters:
                parameter.u = _again(parameter.u)
            forward(self.graph)

    def _changes_must(self, required: Requirement) -> bool:
        if not self._assume(required):
            return False
        self.changes.append(required)
        return True

    def _simplify(self, required: Requirement) -> None:
        """Drops what a new premise dominates from the activation that it is about."""
        node = required.node
        if node is not None:
            node.dc, node.dr = _again(node.dc), _again(node.dr)

    def _limits(self, node: Node) -> list[Requirement]:
        found = []
        for index, limit in node.limits():
            x = node.inputs[index]
            if x.d.vectors:
                reason = f"the change of {label(self.program, x)} must be bounded"
                excess = symbolic(x.d).less(symbolic(limit.bound))
                found.append(Requirement(excess, "<=", reason, x))
        return found


def _shifts(now: Forms, before: Forms) -> set[Form]:
    return {subtract(f, g) for f in now if f not in before for g in before}


def _again(size: Size) -> SymbolicSize:
    """The size with its forms pruned anew."""
    found = symbolic(size)
    return found.space.pruned(found.vectors, found.bottom) if found.vectors else found
