"""What may change of a program so that it is maximal-update, for all that searches or proves it.

That is each exponent, at the role or the declaration that it is written at or of one tensor by
itself, `d` where an epsilon is taken strictly; and each constant factor of the code, with one where
a published parametrization has one: the scale of attention, the readout of a table, a branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.program.expressions import Apply, Invoke
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, Tensor, exponents_by_key, key_of, letter_and_dim
from abcparam.verdict.changes import Change, ExponentChange, FactorChange, applied
from abcparam.verdict.factors import FactorPlace, factor_change, factor_place, written_factors
from abcparam.verdict.places import Places
from abcparam.verdict.wanted import KeyShifts, PowersByDim, Wish, wanted

if TYPE_CHECKING:
    from abcparam.symbolic.symbols import ExponentPlace, OpenPower

LETTERS = "abc"
STRICT_LETTERS = "abcd"


class SearchSpace:
    """The exponents and factors of a program that may change."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.letters = STRICT_LETTERS if program.strict_epsilon else LETTERS
        self.places = Places(program)

    # Changes

    def exponents(self, shifts: KeyShifts) -> list[ExponentChange]:
        """Shifts of tensors as the fewest changes of places."""
        return self.places.changes(shifts)

    def factor(self, call: Apply | Invoke, powers: PowersByDim) -> FactorChange | None:
        """The change by which the result of a call is multiplied; None where it has no place."""
        place = factor_place(self.program, call)
        return factor_change(self.program, place, powers) if place else None

    # All of it

    @cached_property
    def factors(self) -> dict[str, FactorPlace]:
        """The factors that are written or usual, by the names of what they are multiplied by."""
        found = {(p.call.span, p.setting): p for p in written_factors(self.program)}
        for complete in (False, True):
            for call, _ in wanted(self.program, Wish(complete=complete)).factors:
                place = factor_place(self.program, call)
                if place is not None:
                    found.setdefault((place.call.span, place.setting), place)
        return {f"factor_{number}": place for number, place in enumerate(found.values(), 1)}

    def _keys(self) -> Iterator[str]:
        dims = [dim.name for dim in self.program.growing]
        for letter in self.letters:
            yield from (key_of(letter, dim) for dim in (OWN, *dims))

    def _groups(self) -> Iterator[tuple[str, str, list[Tensor]]]:
        """Each place of an exponent; none about a dim of a tensor's own width by name."""
        for key, owner, tensors in self.places.groups(self._keys()):
            dim = letter_and_dim(key)[1]
            free = [t for t in tensors if key in exponents_by_key(t) or not _is_own(t, dim)]
            if free:
                yield key, owner, free

    def wide(self) -> Iterator[ExponentPlace]:
        """The exponents of roles and declarations."""
        from abcparam.symbolic.symbols import ExponentPlace

        for key, owner, tensors in self._groups():
            yield ExponentPlace(owner, key, tuple(tensor.path for tensor in tensors))

    def apart(self) -> Iterator[ExponentPlace]:
        """The exponents of each declared name that shares its place with others."""
        from abcparam.symbolic.symbols import ExponentPlace

        for key, _, tensors in self._groups():
            declared: dict[object, list[Tensor]] = {}
            for tensor in tensors:
                declared.setdefault(tensor.span, []).append(tensor)
            for same in declared.values() if len(declared) > 1 else ():
                yield ExponentPlace(same[0].name, key, tuple(tensor.path for tensor in same))

    def powers(self) -> Iterator[OpenPower]:
        """The powers of growing dims in the factors."""
        from abcparam.symbolic.symbols import OpenPower

        for name in self.factors:
            for dim in self.program.growing:
                yield OpenPower(name, dim.name)

    def opened(self) -> Program:
        """The program with a power of each growing dim, zero so far, in each factor."""
        changes = [place.times(name) for name, place in self.factors.items()]
        zero = {dim.name: Affine(Fraction(0)) for dim in self.program.growing}
        return replace(
            applied(self.program, changes), open_powers=dict.fromkeys(self.factors, zero)
        )

    def holds(self, change: Change) -> bool:
        """Whether a change is one that may be made."""
        if isinstance(change, FactorChange):
            sites = {(p.call.span, p.setting) for p in self.factors.values()}
            return (change.place, change.setting) in sites
        places = [*self.wide(), *self.apart()]
        return isinstance(change, ExponentChange) and any(
            set(place.paths) <= set(change.paths) for place in places if place.key == change.key
        )


def _is_own(tensor: Tensor, dim: str) -> bool:
    """Whether an exponent about a dim is about the tensor's own width, in another key."""
    return dim != OWN and tensor.own is not None and dim in tensor.own.names
