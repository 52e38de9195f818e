"""The forward graph as people think of it: a box for each place, copies of repeats joined."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from abcparam.algebra.polynomials import leading_growth
from abcparam.algebra.record import NamedTuple, Record, field
from abcparam.analysis.graph import Home
from abcparam.analysis.judge import Judgement
from abcparam.analysis.trace import TraceStep, label, why_change, why_initial
from abcparam.calculus.linear import ValueNode
from abcparam.calculus.node import ConstantNode, InputNode, Node
from abcparam.calculus.structure import SameNode
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules.findings import ChangeTooLarge, WrongSizeAtInit
from abcparam.diagnostics.source import START, Span
from abcparam.language.printer import written
from abcparam.program.model import Module, Program
from abcparam.verdict.tensor_table import size_text

AT_INIT = "unstable-at-init"
OF_VALUES = {
    WrongSizeAtInit.code,
    ChangeTooLarge.code,
}  # of one step of an operation at their place


class Box(Record):
    """A place of the forward: its nodes, copy by copy, and what is said of it."""

    nodes: tuple[Node, ...] = field(repr=False)
    home: Home = field(repr=False)
    name: str
    tensors: tuple[str, ...]  # that it applies, or that are applied to nothing else
    span: Span
    at_init: str
    change: str
    numbers: tuple[int, ...]  # of the findings that it is the cause of, from 1
    follows: bool  # whether it is only wrong because of a cause
    trace: tuple[str, ...]


class RepeatOfBoxes(NamedTuple):
    """The boxes of a repeat: the first and last number, how often, how deep inside of others."""

    title: str
    boxes: tuple[int, ...]
    depth: int


class JoinedGraph(NamedTuple):
    """Boxes in order, arrows forward between their numbers, repeats, which boxes are outputs."""

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int], ...]
    repeats: tuple[RepeatOfBoxes, ...]
    outputs: tuple[int, ...]


def flow(judgement: Judgement, found: Sequence[Diagnostic]) -> JoinedGraph:
    """The boxes of a judgement, with the numbers of what was found."""
    return _Joining(judgement, found).flow()


class _Joining:
    def __init__(self, judgement: Judgement, found: Sequence[Diagnostic]) -> None:
        self.judgement = judgement
        self.graph = judgement.laws.graph
        self.program = self.graph.program
        self.found = found
        self.places: dict[object, list[Node]] = {}
        self.homes: dict[object, Home] = {}
        self.place_of: dict[Node, object] = {}
        self.readers: dict[object, set[object]] = defaultdict(set)
        self.last: dict[tuple[object, ...], object] = {}  # of what one operation makes
        self.powerless = judgement.powerless
        self.wrong = {id(v.node) for v in (*judgement.at_init, *judgement.changes)}

    def flow(self) -> JoinedGraph:
        self._join()
        folded = self._folded()
        kept = [x for x in self.places if x not in folded and not self._is_unread(x)]
        number = {place: i for i, place in enumerate(kept)}
        tensors: dict[object, list[str]] = defaultdict(list)
        for place, reader in folded.items():
            if (tensor := self.places[place][0].parameter) is not None:
                tensors[reader].append(tensor.tensor.path)
            number[place] = number[reader]
        boxes = tuple(self._box(place, tensors[place]) for place in kept)
        arrows = {
            (number[self.place_of[x]], number[place])
            for place, nodes in self.places.items()
            for node in nodes
            for x in node.inputs
            if self.place_of[x] in number and place in number
        }
        outputs = {number[self.place_of[x]] for x in self.graph.outputs}
        forward = tuple(sorted((a, b) for a, b in arrows if a < b))
        return JoinedGraph(boxes, forward, tuple(self._repeats(boxes)), tuple(sorted(outputs)))

    def _join(self) -> None:
        """Gathers the nodes that one place of the text makes, whatever the copy."""
        seen: Counter[object] = Counter()
        for node, home in zip(self.graph.nodes, self.graph.homes, strict=True):
            repeats = tuple(body.path for body in home.repeats)
            parameter = node.parameter.tensor.path if node.parameter is not None else node.title
            what = home.calls, repeats, node.span, type(node), parameter
            count = seen[what, home.copies]
            seen[what, home.copies] += 1
            place = *what, count
            self.places.setdefault(place, []).append(node)
            self.homes.setdefault(place, home)
            self.place_of[node] = place
            self.last[home.calls, repeats, node.span] = place
            for x in node.inputs:
                self.readers[self.place_of[x]].add(place)

    def _is_unread(self, place: object) -> bool:
        """Whether an input passes no size on, as tokens do not, or is only a number."""
        node = self.places[place][0]
        return isinstance(node, ConstantNode) or (
            isinstance(node, InputNode) and not self.readers[place]
        )

    def _folded(self) -> Mapping[object, object]:
        """Places that have no box of their own, by the one whose box tells of them.

        A tensor that is an operand is told of where it is used, and what only arranges values
        anew with what made them.
        """
        folded: dict[object, object] = {}
        for place, nodes in self.places.items():
            readers, first = self.readers[place], nodes[0]
            if self._numbers(nodes) or first in self.graph.outputs:
                continue
            if isinstance(first, ValueNode) and len(readers) == 1 and not first.name:
                (reader,) = readers
                others = [x for x in self.places[reader][0].inputs if not isinstance(x, ValueNode)]
                if others:
                    folded[place] = reader
            elif isinstance(first, SameNode) and len(first.inputs) == 1 and not first.name:
                source = self.place_of.get(first.inputs[0])
                if source is not None and source not in folded:
                    folded[place] = source
        return folded

    def _numbers(self, nodes: Sequence[Node]) -> tuple[int, ...]:
        """Of the findings that are about one of these nodes."""
        spans = {self._span(node) for node in nodes}
        tensors = [node.parameter.tensor for node in nodes if node.parameter is not None]
        own = {(tensor.span, f"`{tensor.path}`") for tensor in tensors}
        is_wrong = not self.wrong or any(id(node) in self.wrong for node in nodes)
        return tuple(
            number
            for number, finding in enumerate(self.found, 1)
            if (finding.span in spans and (is_wrong or finding.code not in OF_VALUES))
            or any(finding.span == span and name in finding.message for span, name in own)
        )

    def _span(self, node: Node) -> Span:
        given = {x.name: x.span for x in self.program.inputs}
        if isinstance(node, InputNode) and node.name in given:
            return given[node.name]
        return node.span if node.span != START else self.program.output_span

    def _box(self, place: object, tensors: Sequence[str]) -> Box:
        nodes = tuple(self.places[place])
        numeric = bool(self.judgement.verdict)
        node = max(nodes, key=self._most) if numeric else nodes[0]
        at_init, change = node.s0, node.d
        if numeric:
            for other in nodes:
                at_init, change = at_init | other.s0, change | other.d
        numbers = self._numbers(nodes)
        own = [node.parameter.tensor.path] if node.parameter is not None else []
        return Box(
            nodes=nodes,
            home=self.homes[place],
            name=self._name(place, node),
            tensors=(*own, *tensors),
            span=self._span(node),
            at_init=size_text(at_init, node in self.powerless.at_init),
            change=size_text(change, node in self.powerless.changes),
            numbers=numbers,
            follows=not numbers and numeric and self._follows(nodes),
            trace=self._trace(node) if numeric else (),
        )

    def _name(self, place: object, node: Node) -> str:
        """Its name or text; of the steps of an operation all but the last say what they do."""
        home = self.homes[place]
        repeats = tuple(body.path for body in home.repeats)
        is_last = self.last[home.calls, repeats, node.span] == place
        return label(self.program, node) if is_last else node.name or node.title

    def _most(self, node: Node) -> tuple[bool, bool]:
        return id(node) in self.wrong, node.d > node.context.one

    def _follows(self, nodes: Iterable[Node]) -> bool:
        """Whether a size is more than it may be, here as in what it came from."""
        if self.judgement.verdict == AT_INIT:
            return any(id(node) in self.wrong or node.s0 > node.context.one for node in nodes)
        if not self.judgement.changes:
            return False
        return any(node.d > (node.s0 | node.context.one) for node in nodes)

    def _trace(self, node: Node) -> tuple[str, ...]:
        """How its size came to be what it is, outermost first."""
        at_init = self.judgement.verdict == AT_INIT
        steps = why_initial(self.program, node) if at_init else why_change(self.program, node)
        return tuple(dict.fromkeys(self._step(step, at_init) for step in steps))

    def _step(self, step: TraceStep, at_init: bool) -> str:
        size = step.node.s0 if at_init else step.node.d
        return f"{label(self.program, step.node)} ({size}): {step.text}"

    def _repeats(self, boxes: Sequence[Box]) -> Iterable[RepeatOfBoxes]:
        inside: dict[tuple[str, int], list[int]] = defaultdict(list)
        bodies: dict[tuple[str, int], Module] = {}
        for number, box in enumerate(boxes):
            for depth, body in enumerate(box.home.repeats):
                inside[body.path, depth].append(number)
                bodies[body.path, depth] = body
        for (path, depth), numbers in inside.items():
            yield RepeatOfBoxes(_title(self.program, bodies[path, depth]), tuple(numbers), depth)


def _title(program: Program, body: Module) -> str:
    """`layers × depth (12)`."""
    assert body.count is not None
    value, text = body.count.value, written(body.count.written)
    if leading_growth(value, program.growth_of, program.growth_order):
        return f"{body.path} × {text}"
    times = str(value.evaluate(program.base_values()))
    return f"{body.path} × {text}" if text == times else f"{body.path} × {text} ({times})"
