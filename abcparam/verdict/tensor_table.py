"""What a report says of each tensor, as a table: its rows, what its words mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from abcparam.algebra.sizes import NumericSize, Size
from abcparam.analysis.judge import Judgement, TensorLaw
from abcparam.analysis.limits import Powerless
from abcparam.analysis.rows import shape_text
from abcparam.verdict.causes import suffering

SUFFERS = "suffers"
NO_POWER = "no power"  # of what grows or fades exponentially
SLACK_IS = "the power of a growing dim by which the update of a tensor may still grow"
SLACK = f"slack: {SLACK_IS}"
LEGEND = {
    "under": "under: it could learn faster; its update vanishes beside what it may be",
    "over": "over: it learns too fast, by the slack",
    SUFFERS: "suffers: it is over only because of what is wrong elsewhere",
}
SAID = {  # of one tensor
    **LEGEND,
    "maximal": "maximal: its update is as large as it may be",
    "frozen": "frozen: it is not trained",
    "depends": "its status depends on symbols",
}
HEADER = ("tensor", "role", "shape", "a", "b", "c", "W·x at init", "ΔW·x", "slack", "status")


def tensor_rows(judgement: Judgement) -> list[tuple[str, ...]]:
    """A row for each tensor, in the order of the program, below `HEADER`."""
    only = {law.path for law in suffering(judgement)} if judgement.verdict else set()
    none = judgement.powerless
    return [_row(judgement, law, law.path in only, none) for law in judgement.tensors]


def legend(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """What the words of the table mean, where not all is as it should be."""
    statuses = {row[-1] for row in rows}
    lines = [line for status, line in LEGEND.items() if status in statuses]
    return [SLACK, *lines] if lines else []


def activation_rows(judgement: Judgement) -> list[tuple[str, str, str]]:
    """Each named activation and output, its size at initialization and its change."""
    graph = judgement.laws.graph
    outputs = zip(graph.program.outputs, graph.outputs, strict=True)
    named = graph.activations | {n: x for n, x in outputs if n not in graph.activations}
    none = judgement.powerless
    return [
        (name, size_text(x.s0, x in none.at_init), size_text(x.d, x in none.changes))
        for name, x in named.items()
    ]


def size_text(size: Size, none: bool) -> str:
    """A size, or that no power is it."""
    return NO_POWER if none else str(size)


def status_lines(law: TensorLaw, suffers: bool) -> Iterator[str]:
    """What the status and the slack of a tensor mean, in the words of the table's legend."""
    yield SAID[SUFFERS if suffers else law.status or "depends"]
    if law.slack is not None and law.node is not None and law.status in {"over", "under"}:
        size = law.node.update()
        yield f"its update contributes {size} where {size + law.slack} is possible"
        below = "; below 0, that by which it is over" if law.status == "over" else ""
        yield f"slack {slack_text(law.slack)}: {SLACK_IS}{below}"


def _row(judgement: Judgement, law: TensorLaw, suffers: bool, none: Powerless) -> tuple[str, ...]:
    runs = law.node in none.changes
    slack = "-"
    if law.slack is not None and not none.hides(law.slack):
        slack = slack_text(law.slack)
    parameter = law.parameter
    tensor = parameter.tensor
    return (
        law.path,
        tensor.role or "",
        f"[{', '.join(shape_text(judgement.laws.program, tensor))}]",
        *(exponent_text(getattr(parameter, letter).exponents()) for letter in "abc"),
        size_text(law.at_init, law.node in none.at_init),
        size_text(law.update, runs),
        f"({slack})" if suffers else slack,
        SUFFERS if suffers else law.status or "depends",
    )


def slack_text(slack: Size) -> str:
    """The exponents of a slack; those that tie are joined by `~`, of numbers."""
    tied = slack.one_by_one if isinstance(slack, NumericSize) else (slack,)
    return " ~ ".join(exponent_text(size.exponents()) for size in tied)


def exponent_text(exponents: Mapping[str, object]) -> str:
    """`1/2`, or by dim where there are several: `1/2 width, 1 depth`."""
    if len(exponents) == 1:
        return str(next(iter(exponents.values())))
    parts = [f"{value} {name}" for name, value in exponents.items() if str(value) != "0"]
    return ", ".join(parts) or "0"
