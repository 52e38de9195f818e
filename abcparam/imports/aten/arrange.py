"""What moves coordinates about: views, transposes, parts, copies, masks, the largest."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, number
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.operations import LARGER, LARGEST
from abcparam.imports.rows import row_axis, share_of
from abcparam.imports.seen import CASTS, Law, Seen
from abcparam.imports.traced import Ref, Weight
from abcparam.program.expressions import Expression

VIEWS = (
    "view.default",
    "reshape.default",
    "_unsafe_view.default",
    "view_as.default",
    "flatten.using_ints",
    "unflatten.int",
    "squeeze.default",
    "squeeze.dim",
    "squeeze.dims",
    "unsqueeze.default",
    "transpose.int",
    "permute.default",
    "t.default",
    "numpy_T.default",
    "mT.default",
    "mH.default",
    "adjoint.default",
    "swapdims.default",
    "movedim.int",
    "movedim.intlist",
    "swapaxes.default",
    "roll.default",
    "flip.default",
    "constant_pad_nd.default",
    "pad.default",
    "pixel_shuffle.default",
    "pixel_unshuffle.default",
    "im2col.default",
    "unfold.default",
    "upsample_nearest2d.vec",
    "upsample_bilinear2d.vec",
    "upsample_nearest1d.vec",
    "upsample_linear1d.vec",
    "upsample_bicubic2d.vec",
    "upsample_nearest3d.vec",
    "upsample_trilinear3d.vec",
    "tril.default",
    "triu.default",
    "gather.default",
    "sort.default",
    "topk.default",
    "adaptive_avg_pool1d.default",
    "adaptive_avg_pool2d.default",
    "avg_pool1d.default",
    "avg_pool2d.default",
    "avg_pool3d.default",
    "adaptive_avg_pool3d.default",
    "channel_shuffle.default",
    "narrow.default",
)


def unchanged(see: Seen) -> Expression | tuple[Expression, ...]:
    """Each coordinate is one of the first operand's."""
    made = tuple(see.rearranged(see.get(0), shape) for shape in see.step.shapes)
    return made if len(made) > 1 else made[0]


def cast(see: Seen) -> Expression:
    return see.value(see.get(0))


def expand(see: Seen) -> Expression:
    return see.stretched(see.value(see.get(0)), see.result)


def parts(see: Seen) -> Expression | tuple[Expression, ...]:
    """`split`, `chunk`, `unbind`: rows of a map are told apart where they are its rows."""
    x = see.get(0)
    axis = see.whole(2 if see.step.target != "aten.unbind.int" else 1, "dim")
    share = share_of(see, x, axis)
    if see.step.target == "aten.unbind.int":
        lengths = [number(1)] * len(see.step.shapes)
    else:
        lengths = [shape[axis] for shape in see.step.shapes]
    made, start = [], Fraction(0)
    for shape, length in zip(see.step.shapes, lengths, strict=True):
        end = start + share(length)
        made.append(_part(see, x, axis, (start, end), shape))
        start = end
    return tuple(made) if len(made) > 1 else made[0]


def sliced(see: Seen) -> Expression:
    x, axis = see.get(0), see.whole(1, "dim")
    start = see.get(2, "start")
    begin = start.first if isinstance(start, Numbers) else 0
    length = see.result[axis]
    if length == see.shape(x)[axis]:
        return see.rearranged(x)
    return _part(see, x, axis, _range(see, x, axis, begin, length), see.result)


def selected(see: Seen) -> Expression:
    x, axis, index = see.get(0), see.whole(1, "dim"), see.get(2, "index")
    begin = index.first if isinstance(index, Numbers) else 0
    return _part(see, x, axis, _range(see, x, axis, begin, number(1)), see.result)


def _range(
    see: Seen, x: Operand, axis: int, begin: float, length: Polynomial
) -> tuple[Fraction, Fraction]:
    share = share_of(see, x, axis)
    whole = see.at_first(see.shape(x)[axis])
    at = Fraction(int(begin if begin >= 0 else begin + whole)) / whole
    return at, at + share(length)


def _part(
    see: Seen,
    x: Operand,
    axis: int,
    where: tuple[Fraction, Fraction],
    shape: tuple[Polynomial, ...],
) -> Expression:
    if not row_axis(see, x, axis):
        return see.rearranged(x, shape)
    return see.part(see.value(x), *where, shape)


def masked(see: Seen) -> Expression:
    """`masked_fill` and `where`: a constant in some places, or one of two values in each."""
    given = see.step.arguments[:1] if see.call == "masked_fill" else see.step.arguments[1:3]
    values = [x for x in given if _is_value(see, x)]
    if len(values) == 1 or see.call == "masked_fill":
        return see.rearranged(values[0])
    return see.apply("concat", [_as_wide(see, x) for x in values])


def _is_value(see: Seen, operand: Operand) -> bool:
    return isinstance(operand, (Ref, Weight)) or (
        isinstance(operand, KnownData) and see.scalar(operand) is None
    )


def _as_wide(see: Seen, x: Operand) -> Expression:
    """A value of the result's shape."""
    value = see.value(x)
    return value if see.shape(x) == see.result else see.stretched(value, see.result)


def larger(see: Seen) -> Expression:
    """`maximum` and `minimum` of two values."""
    values = [_as_wide(see, x) for x in see.step.arguments[:2]]
    return see.apply(LARGER, values)


def concat(see: Seen) -> Expression:
    """`cat` and `stack`."""
    items = see.get(0)
    assert isinstance(items, tuple)
    values = [
        x for x in items if not (isinstance(x, KnownData) and 0 in map(see.at_first, x.shape))
    ]
    return see.apply("concat", [see.value(x) for x in values])


def scattered(see: Seen) -> Expression:
    """`slice_scatter`, `index_add`, …: a value with another one in some of its places."""
    x = see.get(0)
    source = next(see.get(i) for i in (1, 2, 3) if not _is_index(see.get(i)))
    if isinstance(x, KnownData) and x.size is not None and not x.size.coefficient:
        return see.rearranged(source)
    return see.apply("concat", (see.value(x), see.value(source)))


def _is_index(operand: Operand) -> bool:
    """Whether it says where, not what."""
    return isinstance(operand, (Numbers, tuple)) or (
        isinstance(operand, KnownData) and operand.integer
    )


def largest(see: Seen) -> Expression | tuple[Expression, ...]:
    made = tuple(see.apply(LARGEST, (see.value(see.get(0)),), shape=s) for s in see.step.shapes)
    return made if len(made) > 1 else made[0]


LAWS: dict[str, Law] = {
    **{f"aten.{name}": unchanged for name in VIEWS},
    **dict.fromkeys(CASTS, cast),
    "aten.expand.default": expand,
    "aten.expand_as.default": expand,
    "aten.repeat.default": expand,
    "aten.repeat_interleave.self_int": expand,
    "aten.broadcast_to.default": expand,
    "aten.split.Tensor": parts,
    "aten.split_with_sizes.default": parts,
    "aten.split.sizes": parts,
    "aten.chunk.default": parts,
    "aten.unbind.int": parts,
    "aten.slice.Tensor": sliced,
    "aten.select.int": selected,
    "aten.masked_fill.Scalar": masked,
    "aten.masked_fill.Tensor": masked,
    "aten.where.self": masked,
    "aten.where.ScalarSelf": masked,
    "aten.where.ScalarOther": masked,
    "aten.cat.default": concat,
    "aten.stack.default": concat,
    "aten.slice_scatter.default": scattered,
    "aten.select_scatter.default": scattered,
    "aten.index_add.default": scattered,
    "aten.index_copy.default": scattered,
    "aten.index_put.default": scattered,
    "aten.scatter.src": scattered,
    "aten.scatter_add.default": scattered,
    "aten.max_pool2d.default": largest,
    "aten.max_pool1d.default": largest,
    "aten.max_pool3d.default": largest,
    "aten.adaptive_max_pool1d.default": largest,
    "aten.adaptive_max_pool2d.default": largest,
    "aten.adaptive_max_pool3d.default": largest,
    "aten.amax.default": largest,
    "aten.max.dim": largest,
    "aten.min.dim": largest,
    "aten.amin.default": largest,
    **{f"aten.{name}.default": larger for name in ("maximum", "minimum", "fmax", "fmin")},
    "aten.max.other": larger,
    "aten.min.other": larger,
}
