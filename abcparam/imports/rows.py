"""Which axis of a value the rows of a map lie along.

Packed queries, keys and values are one map whose result is viewed and taken apart. An axis is a
product of factors; a view or transpose moves the factors about, and a part along an axis that is
one factor of the map's rows takes some of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, product
from abcparam.imports.alike import KnownData, Numbers, Operand, TracedStep
from abcparam.imports.functions import ONE_VALUE
from abcparam.imports.seen import CUTS, RESHAPES, Seen
from abcparam.imports.traced import Ref, Weight

MAPS = {  # the axis of rows, from the end
    "aten.linear.default": 1,
    "aten.addmm.default": 1,
    "aten.mm.default": 1,
    "aten.matmul.default": 1,
    "aten.conv1d.default": 2,
    "aten.conv2d.default": 3,
}
SUMS = frozenset({"add", "sub", "mul", "div"})
KEEPS = CUTS | {"aten.slice.Tensor"}
DROPS = frozenset({"aten.unbind.int", "aten.select.int"})


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
    shape, inner = step.shapes[x.result], see.with_step(step)
    if step.target in MAPS:
        return _of_map(inner, len(shape))
    source = see.origin(step.arguments[0]) if step.arguments else None
    rows = _rows(see, source)
    if rows is None:
        return None
    if step.target in KEEPS or _is_elementwise(step, shape):
        return rows
    if step.target in DROPS:
        axis = inner.whole(1, "dim") % len(rows)
        return (*rows[:axis], *rows[axis + 1 :])
    if step.target == "aten.transpose.int":
        return _moved(rows, _swap(inner, len(rows)))
    if step.target == "aten.permute.default":
        return _moved(rows, tuple(i % len(rows) for i in inner.wholes(1, "dims")))
    if step.target in RESHAPES:
        return _reshaped(see.shape(source), rows, shape)
    return None


def _of_map(see: Seen, rank: int) -> tuple[bool, ...] | None:
    """The axis that a map's rows are along, where its right operand is a parameter."""
    target = see.step.target
    if target in {"aten.mm.default", "aten.matmul.default"}:
        matrix = see.weight(see.get(1))
        if matrix is None or len(matrix.shape) != 2 or see.weight(see.get(0)) is not None:
            return None
    return tuple(rank - axis == MAPS[target] for axis in range(rank))


def _is_elementwise(step: TracedStep, shape: Sequence[Polynomial]) -> bool:
    """Whether each coordinate is computed from one, and from a gain or a bias beside it."""
    name = step.target.removeprefix("aten.").partition(".")[0].rstrip("_")
    if name in ONE_VALUE:
        return True
    beside = step.arguments[1] if name in SUMS and len(step.arguments) > 1 else None
    return isinstance(beside, (KnownData, Numbers)) or (
        isinstance(beside, Weight) and len(shape) > 1
    )


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
