"""Which rows of a tensor a value holds, where `split` has parted them: plainly, or head by head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, number

Range = tuple[Fraction, Fraction]
Rows = Mapping[Polynomial, Range]  # by a number of heads: of each of so many, from where to where
Parts = Mapping[int, Rows]  # of tensors, by their bits

ALL_OF_IT = Fraction(0), Fraction(1)
ALL_ROWS: Rows = {}
NO_PARTS: Parts = {}


def are_apart(x: Rows, y: Rows) -> bool:
    """Whether no row is in both, as far as they are parted by one number of heads."""
    return any(
        max(x[heads][0], y[heads][0]) >= min(x[heads][1], y[heads][1]) for heads in x.keys() & y
    )


def around(several: Sequence[Rows]) -> Rows:
    """Rows among which are all of theirs."""
    first, *others = several
    common = [heads for heads in first if all(heads in rows for rows in others)]
    return {
        heads: (min(rows[heads][0] for rows in several), max(rows[heads][1] for rows in several))
        for heads in common
    }


def part(
    rows: Rows, share: Range, heads: Polynomial, is_whole: Callable[[Polynomial], bool]
) -> Rows:
    """Those of a part of each head, from where to where, of a value that holds these rows.

    All of them where a part may begin within a head of another number of heads.
    """
    start, end = rows.get(ONE, ALL_OF_IT)
    scale = ONE if heads == ONE else heads / number(end - start)  # of as many heads in all rows
    others = [known for known in rows if known not in (ONE, scale)]
    if heads == ONE:
        fits = all(is_whole(h * number((end - start) * at)) for h in others for at in share if at)
    else:
        fits = not others and (start / (end - start)).denominator == 1
    if not fits:
        return rows
    low, high = rows.get(scale, ALL_OF_IT)
    first, last = (low + at * (high - low) for at in share)
    return {**rows, scale: (first, last)}


def parts_of(inputs: Sequence[tuple[int, Parts]]) -> Parts:
    """What a value holds of each tensor of which every input holds a part, if it has any of it.

    Inputs are given by the tensors that they come from, a bit for each, and the parts of these.
    """
    if not any(parts for _, parts in inputs):
        return NO_PARTS
    return dict(_parts_of(inputs))


def _parts_of(inputs: Sequence[tuple[int, Parts]]) -> Iterator[tuple[int, Rows]]:
    for bit in {bit for _, parts in inputs for bit in parts}:
        found = [parts.get(bit) for maps, parts in inputs if maps & bit]
        kept = [rows for rows in found if rows is not None]
        if len(kept) == len(found):
            yield bit, around(kept)
