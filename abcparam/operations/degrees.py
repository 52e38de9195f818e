"""Degrees: by which power of a ratio values may be off, and what operations ask of them.

A tensor that is taken times `r^-θ` takes values along: a value times `r^-φ` is of degree φ. Degrees
are linear in the θ of tensors and in the powers of factors that are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Span
from abcparam.program.expressions import Apply

UNCHANGED = Affine(Fraction(0))  # the degree of what is as it was
MINUS_ONE = Fraction(-1)


class Equation(Record):
    """A degree that has to be 0, and what it is of; empty where it only ties two values."""

    degree: Affine
    what: str
    span: Span


class Equations:
    """All that is asked of the degrees of one program."""

    def __init__(self) -> None:
        self.all: list[Equation] = []
        self.unknowns = 0

    def ask(self, degree: Affine, what: str, span: Span) -> None:
        """The degree has to be 0."""
        self.all.append(Equation(degree, what, span))

    def unknown(self) -> Affine:
        """A degree that nothing is known of."""
        self.unknowns += 1
        return Affine(Fraction(0), ((f"value {self.unknowns}", Fraction(1)),))


class Degrees:
    """One use of an operation, as `Operation.degrees` sees it; operands are given by place."""

    def __init__(
        self,
        equations: Equations,
        call: Apply,
        operands: tuple[Affine | None, ...],
        factors: Mapping[str, Affine],
    ) -> None:
        self._equations = equations
        self._call = call
        self._operands = operands
        self._factors = factors

    def has(self, index: int) -> bool:
        """Whether an operand is there, and was not left out."""
        return index < len(self._operands) and self._operands[index] is not None

    def of(self, index: int) -> Affine:
        """The degree of an operand."""
        degree = self._operands[index]
        assert degree is not None
        return degree

    def left_out(self, name: str) -> Affine:
        """The power of a setting of `factors` that is left out."""
        return self._factors.get(name, UNCHANGED)

    def same(self) -> Affine:
        """The degree of all operands, which has to be one."""
        first, *others = (degree for degree in self._operands if degree is not None)
        for degree in others:
            self.tie(first, degree)
        return first

    def tie(self, left: Affine, right: Affine) -> None:
        """Both have to be the same."""
        self._equations.ask(left + right * MINUS_ONE, "", self._call.span)

    def still(self, *indices: int) -> None:
        """These operands, if they are there, have to be what they were."""
        operation = self._call.operation
        for index in indices:
            if self.has(index):
                name = operation.values[index] if index < len(operation.values) else "operands"
                self.vanish(self.of(index), f"`{name}` of {_named(self._call)}")

    def vanish(self, degree: Affine, what: str) -> None:
        """What it is of has to be what it was."""
        self._equations.ask(degree, what, self._call.span)

    def held(self) -> Affine:
        """The degree of a result that is what it was, whatever its operands are."""
        degree = self._equations.unknown()
        self.vanish(degree, f"what {_named(self._call)} gives")
        return degree

    def free(self) -> Affine:
        """The degree of a result that is exactly zero: any."""
        return self._equations.unknown()


def _named(call: Apply) -> str:
    """The operation as a spec has it."""
    written: tuple[str, ...] = getattr(call.operation, "written", ())
    return f"`{written[0] if written else call.operation.name}`"
