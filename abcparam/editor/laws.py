"""What a report says of the places of a spec: laws by declaration, sizes by expression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from abcparam.algebra.record import Record
from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import TensorLaw, sizes_text
from abcparam.analysis.trace import why_change, why_initial, why_update
from abcparam.calculus.node import Node
from abcparam.diagnostics.source import Span
from abcparam.editor.tree import BodyPlace, assignments, tensors
from abcparam.language import syntax
from abcparam.program.expressions import Assign
from abcparam.program.tensors import exponents_by_key
from abcparam.verdict.causes import suffering
from abcparam.verdict.report import Report
from abcparam.verdict.tensor_table import SUFFERS, status_lines

WORST = ("over", SUFFERS, "under", "frozen", "maximal")
MOST_COPIES = 4  # instances of a tensor that are told of one by one


class TensorHint(Record):
    """`W·x ~ 1, ΔW·x ~ width, over`: the largest, and the worst, of all instances of a tensor."""

    sizes: str
    status: str

    @property
    def wrong(self) -> bool:
        return self.status in WORST[:-1]

    def __str__(self) -> str:
        return self.sizes if self.status == "maximal" else f"{self.sizes}, {self.status}"


class KnownLaws(Record):
    """The laws of a text: hints of each tensor and assignment, by place, and the whole report."""

    report: Report
    tensors: dict[BodyPlace, TensorHint]
    values: dict[BodyPlace, str]
    of_tensors: dict[BodyPlace, tuple[TensorLaw, ...]]


def laws_of(spec: syntax.Spec, report: Report) -> KnownLaws:
    """The laws of a spec that was judged."""
    by_span: dict[Span, list[TensorLaw]] = {}
    for law in report.judgement.tensors:
        by_span.setdefault(law.parameter.tensor.span, []).append(law)
    found = {place: tuple(by_span.get(name.span, ())) for place, name, _ in tensors(spec)}
    only = {law.path for law in suffering(report.judgement)}
    assigned = _assigned(report)
    nodes = {place: assigned.get(a.value.span, []) for place, a in assignments(spec)}
    return KnownLaws(
        report,
        {place: _hint(laws, only) for place, laws in found.items() if laws},
        {place: f"~ {sizes(made)}" for place, made in nodes.items() if made},
        found,
    )


def _hint(laws: Iterable[TensorLaw], only: set[str]) -> TensorHint:
    laws = tuple(laws)
    statuses = {SUFFERS if law.path in only else law.status or "depends" for law in laws}
    worst = next((status for status in WORST if status in statuses), "depends")
    sizes = sizes_text(_most(law.at_init for law in laws), _most(law.update for law in laws))
    return TensorHint(sizes, worst)


def sizes(nodes: Iterable[Node]) -> str:
    """`1, Δ ~ width`: at initialization, and of the change."""
    nodes = tuple(nodes)
    return f"{_most(n.s0 for n in nodes)}, Δ ~ {_most(n.d for n in nodes)}"


def _most(found: Iterable[Size]) -> Size:
    first, *others = found
    for size in others:
        first = first | size
    return first


def _assigned(report: Report) -> dict[Span, list[Node]]:
    """What assignments compute, in all instances and copies, by the place of their values."""
    named: dict[str, dict[Span, list[Node]]] = {}
    for node in report.graph.nodes:
        if node.name:
            named.setdefault(node.name, {}).setdefault(node.span, []).append(node)
    found: dict[Span, list[Node]] = {}
    for module in report.program.root.walk():
        statements = [s for s in module.body if isinstance(s, Assign)]
        counts = Counter(target for statement in statements for target in statement.targets)
        for statement in statements:
            for target in statement.targets:
                places = named.get(f"{module.path}.{target}" if module.path else target, {})
                at = places.get(statement.value.span, [])
                once = chain.from_iterable(places.values()) if counts[target] == 1 else []
                found.setdefault(statement.value.span, []).extend(at or once)
    return found


def nodes_at(report: Report, value: syntax.Expression) -> list[Node]:
    """What an expression computes, in all instances and copies; nothing where it names a value."""
    found = [node for node in report.graph.nodes if node.span == value.span]
    inner = {id(x) for node in found for x in node.inputs}
    return [node for node in found if id(node) not in inner]


def told_of_tensor(report: Report, laws: Iterable[TensorLaw]) -> Iterator[str]:
    """Lines on a tensor: its exponents, its law and where its update comes from."""
    laws, only = tuple(laws), {law.path for law in suffering(report.judgement)}
    for law in laws[:MOST_COPIES]:
        written = exponents_by_key(law.parameter.tensor)
        exponents = ", ".join(f"{key} = {value}" for key, value in written.items())
        yield f"`{law.path}`: {exponents}"
        yield law.sizes
        yield from status_lines(law, law.path in only)
        yield f"update: {why_update(report.program, law.parameter)}"
    if len(laws) > MOST_COPIES:
        yield f"and {len(laws) - MOST_COPIES} more instances"


def told_of_value(report: Report, nodes: Iterable[Node]) -> Iterator[str]:
    """Lines on a value: its sizes, and the path of what made them."""
    nodes = tuple(nodes)
    yield f"~ {sizes(nodes)}"
    first, *_ = nodes
    program = report.program
    for head, steps in (
        ("at initialization", why_initial(program, first)),
        ("its change", why_change(program, first)),
    ):
        for step in steps:
            yield f"{head}: {step.text}"
            head = "and that"
