"""The letters of an `einsum`, and its equation as they have it."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.algebra.record import NamedTuple
from abcparam.imports.alike import Operand
from abcparam.imports.seen import Seen

OTHERS = "ZYXWVUTS"  # stand for the axes of an ellipsis, the last one first


class Letters(NamedTuple):
    """Which letters the axes of operands and result have, and their lengths."""

    operands: tuple[str, ...]
    result: str
    lengths: dict[str, Polynomial]

    def of(self, letters: Sequence[str]) -> tuple[Polynomial, ...]:
        """The lengths of axes."""
        return tuple(self.lengths[letter] for letter in letters)


def equation_of(see: Seen, text: str, operands: Sequence[Operand]) -> Letters:
    """The equation with letters for every axis."""
    inputs, arrow, result = text.replace(" ", "").partition("->")
    terms, lengths = [], dict[str, Polynomial]()
    longest = ""
    for term, operand in zip(inputs.split(","), operands, strict=True):
        shape = see.shape(operand)
        others = OTHERS[: len(shape) - len(term.replace("...", ""))][::-1] if "." in term else ""
        longest = max(longest, others, key=len)
        terms.append(term.replace("...", others))
        for letter, length in zip(terms[-1], shape, strict=True):
            lengths[letter] = length if lengths.get(letter, ONE) == ONE else lengths[letter]
    if not arrow:
        every = "".join(terms).replace(longest, "")
        result = "..." + "".join(sorted(x for x in set(every) if every.count(x) == 1))
    return Letters(tuple(terms), result.replace("...", longest), lengths)
