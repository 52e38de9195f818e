"""The factors in the graph of a program, which are its forward's and no tensor's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from abcparam.algebra.record import Record
from abcparam.language.printer import written
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply
from abcparam.program.model import Program


class GraphFactor(Record):
    """A factor, by the line of the spec that has it."""

    line: int
    text: str

    @classmethod
    def of(cls, value: Apply, name: str, amount: Amount) -> GraphFactor:
        return cls(value.span.line, _text(value, name, amount))


FactorReasons = Mapping[
    GraphFactor, tuple[str, ...]
]  # what would not stay as it is without a factor


def with_reasons(factor: GraphFactor, not_folded: FactorReasons) -> str:
    """The factor, and why it is not in tensors, if that was tried."""
    reasons = ", ".join(not_folded.get(factor, ()))
    return f"{factor.text}; without it would change: {reasons}" if reasons else factor.text


def factors_of(program: Program) -> tuple[GraphFactor, ...]:
    """The factors other than 1 and -1, in the order of the spec."""
    found = {
        GraphFactor.of(value, name, amount)
        for value in program.expressions()
        if isinstance(value, Apply)
        for name, amount in _factors(value)
    }
    return tuple(sorted(found, key=lambda factor: (factor.line, factor.text)))


def _factors(value: Apply) -> Iterator[tuple[str, Amount]]:
    for name in value.operation.factors:
        amount = value.settings[name]
        if isinstance(amount, Amount) and amount.value.constant not in (1, -1):
            yield name, amount


def _text(value: Apply, name: str, amount: Amount) -> str:
    factor = written(amount.written)
    operation = value.operation
    return f"times {factor}" if operation.hidden else f"{operation.name}, {name} = {factor}"
