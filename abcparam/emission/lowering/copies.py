"""Factors of gradients that the copies of a repeat have each of their own.

A class of a copy is made with its number. What is carried from copy to copy has the factor of the
copy that gave it, and before the first one that of what is outside.
"""

from __future__ import annotations

from abcparam.algebra.polynomials import atom
from abcparam.algebra.record import Record
from abcparam.emission.lowering.gradients import HIDDEN
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.by_copy import CopyPowers
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.python_code.formula import ONE, Argument, Formula, by_copy, of

CHOOSE = '''\
def _by_copy(copy: int, *sizes: tuple[int, float]) -> float:
    """Of numbers of copies, each with a size, that of the last up to this copy."""
    return [size for first, size in sizes if first <= copy][-1]'''


class CopyFactors(Record):
    """Those of the modules in one repeat; none outside of such."""

    program: Program
    repeat: str | None

    @staticmethod
    def of(program: Program, path: str) -> CopyFactors:
        """Of what the module at a path is in."""
        gradients = program.gradients
        return CopyFactors(program, gradients.repeat_of(path) if gradients else None)

    @property
    def argument(self) -> dict[str, Amount]:
        """What a class of a copy is made with."""
        if self.repeat is None:
            return {}
        return {self._name: Amount(syntax.Name(self._name), atom(self._name))}

    @staticmethod
    def number_in(program: Program, path: str) -> str | None:
        """What the number of a copy is called where the copies of this module are made."""
        found = CopyFactors.of(program, path)
        return found._name if found.repeat == path and path else None

    @property
    def _name(self) -> str:
        assert self.program.gradients is not None
        return self.program.gradients.copy

    def of_region(self, region: str) -> Formula:
        """By how much more gradients of values of a kind are multiplied here."""
        return self._at(self._powers(region))

    def of_tensor(self, tensor: Tensor) -> Formula:
        return self._at(tuple((run.first, run.power) for run in tensor.by_copy))

    def entering(self, carried: bool) -> Formula:
        """What takes the factor of the copy before, or of what is outside, to that of this one."""
        powers = self._powers(HIDDEN)
        runs = {first: -power for first, power in powers}
        if carried:
            steps = dict(powers)
            before = {first + 1: power for first, power in powers}
            now, last = 0, 0
            for first in sorted({*steps, *before}):
                now, last = steps.get(first, now), before.get(first, last)
                runs[first] = last - now
        return self._at(tuple(sorted(runs.items())))

    def leaving(self, count: Formula) -> Formula:
        """What takes the factor of what is outside to that of the last of so many copies."""
        powers = ((first + 1, power) for first, power in self._powers(HIDDEN))
        return by_copy(count, ((0, 0), *powers))  # of none, of one, …

    def _powers(self, region: str) -> CopyPowers:
        if self.repeat is None or self.program.gradients is None:
            return ((0, 0),)
        return self.program.gradients.copies[self.repeat].get(region, ((0, 0),))

    def _at(self, powers: CopyPowers) -> Formula:
        if self.repeat is None or not powers:
            return ONE
        return by_copy(of(Argument(self._name)), powers)
