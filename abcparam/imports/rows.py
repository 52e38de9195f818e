"""Which axis of a value the rows of a map lie along.

Packed queries, keys and values are one map whose result is viewed and taken apart. An axis is a
product of factors; a view or transpose moves the factors about, and a part along an axis that is
one factor of the map's rows takes some of its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, product
from abcparam.imports.alike import Operand
from abcparam.imports.seen import Seen
from abcparam.imports.traced import Ref

MAPS = frozenset({"aten.linear.default", "aten.addmm.default", "aten.mm.default"})
MOVES = frozenset({"aten.transpose.int", "aten.permute.default"})
RESHAPES = frozenset(
    {
        "aten.view.default",
        "aten.reshape.default",
        "aten._unsafe_view.default",
        "aten.unflatten.int",
        "aten.unsqueeze.default",
        "aten.flatten.using_ints",
    }
)
TAKES = frozenset({"aten.split.Tensor", "aten.split_with_sizes.default", "aten.chunk.default"})


def row_axis(see: Seen, x: Operand, axis: int) -> bool:
    """Whether an axis of a value holds rows of the map that made it, and nothing else."""
    found = _rows(see, see.origin(x))
    return found is not None and axis % len(found) in {i for i, rows in enumerate(found) if rows}


def share_of(see: Seen, x: Operand, axis: int) -> Callable[[Polynomial], Fraction]:
    """What part of an axis a length is, at the first sizes."""
    whole = see.at_first(see.shape(x)[axis])
    return lambda length: Fraction(see.at_first(length), whole)


def _rows(see: Seen, x: Operand) -> tuple[bool, ...] | None:
    """For each axis, whether it holds rows of one map; None where no map made the value."""
    step = see.names.step_of(x)
    if step is None or not isinstance(x, Ref):
        return None
    shape = step.shapes[x.result]
    if step.target in MAPS:
        return (*[False] * (len(shape) - 1), True)
    inner = see.with_step(step)
    source = see.origin(step.arguments[0]) if step.arguments else None
    rows = _rows(see, source)
    if rows is None:
        return None
    if step.target in TAKES:
        return rows
    if step.target == "aten.transpose.int":
        return _moved(rows, _swap(inner, len(rows)))
    if step.target == "aten.permute.default":
        return _moved(rows, tuple(i % len(rows) for i in inner.wholes(1, "dims")))
    if step.target in RESHAPES:
        return _reshaped(see.shape(source), rows, shape)
    return None


def _swap(see: Seen, rank: int) -> tuple[int, ...]:
    order = list(range(rank))
    i, j = see.whole(1, "dim0"), see.whole(2, "dim1")
    order[i], order[j] = order[j], order[i]
    return tuple(order)


def _moved(rows: tuple[bool, ...], order: tuple[int, ...]) -> tuple[bool, ...]:
    return tuple(rows[i] for i in order)


def _reshaped(
    old: tuple[Polynomial, ...], rows: tuple[bool, ...], new: tuple[Polynomial, ...]
) -> tuple[bool, ...] | None:
    """Rows after a view: of axes whose product on the left is that of others on the right."""
    found: list[bool] = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = i + 1, j + 1
        while left <= len(old) and right <= len(new):
            if product(old[i:left]) == product(new[j:right]):
                break
            longer = product(old[i:left]) / product(new[j:right])
            constant = longer.constant
            if constant is not None and constant > 1:
                right += 1
            elif constant is not None:
                left += 1
            elif right < len(new):
                right += 1
            else:
                left += 1
        if left > len(old) or right > len(new):
            rest = [*old[i:], *new[j:]]
            if all(n == ONE for n in rest):
                found += [False] * (len(new) - j)
                return tuple(found)
            return None
        group = rows[i:left]
        whole = all(r or n == ONE for r, n in zip(group, old[i:left], strict=True))
        found += [whole and any(group) and n != ONE for n in new[j:right]]
        i, j = left, right
    return tuple(found)
