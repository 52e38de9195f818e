"""Calls of PyTorch over space: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import product
from abcparam.algebra.record import replace
from abcparam.imports.alike import Numbers
from abcparam.imports.seen import Seen, local
from abcparam.imports.text.layout import Laid
from abcparam.imports.text.values import Unspelled, WrittenValue
from abcparam.imports.text.writer import StepHandler, TextWriter, call_of, in_order
from abcparam.imports.traced import Ref, Weight
from abcparam.language import syntax


def convolution(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`conv1d` and `conv2d`; of patches of an input, a map of what `unfold` gives."""
    space, weight = len(see.result) - 2, see.get(1)
    x = image(writer, see)
    if isinstance(x, Unspelled):
        return x
    if not isinstance(weight, Weight) or space > 2 or "padding" in see.step.target.split(".")[-1]:
        return writer.refused("a convolution with weights or padding that are computed")
    stride, padding = (one_number(see, i, default) for i, default in ((3, 1), (4, 0)))
    if stride is None or padding is None or one_number(see, 5, 1) != 1:
        return writer.refused("strides that differ from axis to axis, or a dilation")
    shape = see.shape(weight)
    path = writer.names.paths[weight.name]
    sizes = {writer.lengths.whole(n) for n in shape[2:]}
    is_patch = sizes == {stride} and stride > 1 and not padding and space == 2
    is_input = x.code in [syntax.Name(i.name) for i in writer.inputs.values()]
    if is_patch and is_input and is_counted_on(writer, see):
        return patches(writer, see, x, stride)
    writer.use(path, tuple(map(writer.formulas.written, shape)), False)
    named: dict[str, syntax.Expression] = {}
    if stride != 1:
        named["stride"] = whole(stride)
    if padding:
        named["padding"] = whole(padding)
    groups = see.whole_or_length(6, "groups")
    if groups.constant != 1:
        named["groups"] = writer.formulas.written(groups)
    code: syntax.Expression = call_of(f"conv{space}d", syntax.Name(f"@{path}"), x.code, **named)
    axes = writer.lengths.axes(see.result[1:])
    ones = (syntax.Number(Fraction(1)),) * space
    return Laid(with_bias(writer, see, code, ones), axes, (x.graph[0], *axes))


def transposed(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`conv_transpose1d` and `conv_transpose2d`, whose weights are (in, out, …)."""
    space, weight = len(see.result) - 2, see.get(1)
    x = image(writer, see)
    if isinstance(x, Unspelled):
        return x
    options = {"stride": (3, 1), "padding": (4, 0), "output_padding": (5, 0)}
    given = {name: one_number(see, *place) for name, place in options.items()}
    plain = one_number(see, 6, 1) == 1 and one_number(see, 7, 1) == 1
    if not isinstance(weight, Weight) or not plain or None in given.values():
        return writer.refused("groups, a dilation, or strides that differ from axis to axis")
    inner, out, *kernel = see.shape(weight)
    path = writer.names.paths[weight.name]
    writer.use(path, tuple(map(writer.formulas.written, (out, inner, *kernel))), True)
    named: dict[str, syntax.Expression] = {
        name: whole(value)
        for name, value in given.items()
        if value is not None and value != options[name][1]
    }
    name = f"conv_transpose{space}d"
    code: syntax.Expression = call_of(name, syntax.Name(f"@{path}"), x.code, **named)
    axes = writer.lengths.axes(see.result[1:])
    ones = (syntax.Number(Fraction(1)),) * space
    return Laid(with_bias(writer, see, code, ones), axes, (x.graph[0], *axes))


def upsampled(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`upsample(x, factor)`: the nearest place of a coarser image, or what lies between two."""
    x, shape = image(writer, see), see.shape(see.get(0))
    if isinstance(x, Unspelled):
        return x
    ratios = zip(see.result[2:], shape[2:], strict=True)
    factors = {writer.lengths.whole(large / small) for large, small in ratios}
    factor = factors.pop()
    if factors or factor is None:
        return writer.refused("an image made larger by what is no whole number")
    axes = writer.lengths.axes(see.result[1:])
    named: dict[str, syntax.Expression] = {"factor": whole(factor)}
    if see.call in BETWEEN:
        if see.get(2, "align_corners") == 1:
            return writer.refused("an image made larger whose corners stay where they are")
        named["linear"] = syntax.Name("true")
    code = call_of("upsample", x.code, **named)
    return Laid(code, axes, (x.graph[0], *axes))


def is_counted_on(writer: TextWriter, see: Seen) -> bool:
    """Whether what a call gives is at once counted along fewer axes, rows by columns."""
    this, rank = Ref(see.step.name), len(see.result)
    takers = [s for s in writer.names.steps.values() if s.arguments[:1] == (this,)]
    return all(len(s.shapes[0]) < rank for s in takers)


def patches(writer: TextWriter, see: Seen, x: Laid, size: int) -> Laid:
    """`W @ unfold(image, size)`: patches in a row, channels last."""
    weight = see.get(1)
    assert isinstance(weight, Weight)
    path, shape = writer.names.paths[weight.name], see.shape(weight)
    rows = (shape[0], product(shape[1:]))
    writer.use(path, tuple(map(writer.formulas.written, rows)), False)
    unfolded = call_of("unfold", x.code, size=whole(size))
    code = syntax.Binary("@", syntax.Name(f"@{path}"), unfolded)
    out, *space = writer.lengths.axes(see.result[1:])
    text = (tuple(factor for axis in space for factor in axis), out)
    return Laid(with_bias(writer, see, code, ()), text, (x.graph[0], out, *space))


def with_bias(
    writer: TextWriter,
    see: Seen,
    code: syntax.Expression,
    ones: tuple[syntax.Expression, ...],
) -> syntax.Expression:
    bias = see.get(2, "bias")
    if not isinstance(bias, Weight):
        return code
    path, (channels,) = writer.names.paths[bias.name], see.shape(bias)
    writer.use(path, (writer.formulas.written(channels), *ones), False)
    return syntax.Binary("+", code, syntax.Name(f"@{path}"))


def image(writer: TextWriter, see: Seen) -> Laid | Unspelled:
    """What a call over space takes: channels first, then space."""
    operand = see.get(0)
    x: WrittenValue | None
    if isinstance(operand, Ref):
        x = writer.values.get(local(operand))
    else:
        x = writer.known(operand) if operand in writer.data else None  # type: ignore[arg-type]
    if isinstance(x, Unspelled):
        return x
    x = in_order(x) if isinstance(x, Laid) else x
    if not isinstance(x, Laid) or x.text != x.graph[1:]:
        return writer.refused("channels and space that lie otherwise in the language")
    return x


def pooled(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`maxpool` and `avgpool`."""
    x = image(writer, see)
    if isinstance(x, Unspelled):
        return x
    size = one_number(see, 1, 0)
    stride, padding = one_number(see, 2, size or 0), one_number(see, 3, 0)
    is_largest = "max" in see.step.target
    if not size or stride is None or padding is None or (padding and not is_largest):
        return writer.refused("pooling that differs from axis to axis, or averages of padding")
    named = {"size": whole(size)}
    if stride != size:
        named["stride"] = whole(stride)
    if padding:
        named["padding"] = whole(padding)
    code = call_of("maxpool" if is_largest else "avgpool", x.code, **named)
    axes = writer.lengths.axes(see.result[1:])
    return Laid(code, axes, (x.graph[0], *axes))


def averaged(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`adaptive_avg_pool2d` to one place: a mean over space."""
    x = image(writer, see)
    if isinstance(x, Unspelled):
        return x
    if not all(map(writer.lengths.is_one, see.result[2:])):
        return writer.refused("averages of windows of different sizes")
    places = [place - len(x.text) for place in range(1, len(x.text))]
    signed = [syntax.Negative(whole(-place)) for place in places]
    if not signed:
        return replace(x, text=x.text[:1])
    along: syntax.Expression = signed[0] if len(signed) == 1 else syntax.Tuple(tuple(signed))
    graph = (*x.graph[:2], *((),) * (len(x.graph) - 2))
    return Laid(call_of("mean", x.code, axis=along), x.text[:1], graph)


def one_number(see: Seen, index: int, default: int) -> int | None:
    """A whole number that all axes share; None where they differ."""
    found = see.get(index)
    items = found if isinstance(found, tuple) else (found,)
    values = {int(x.first) for x in items if isinstance(x, Numbers)}
    return default if not values else values.pop() if len(values) == 1 else None


def whole(value: int) -> syntax.Number:
    return syntax.Number(Fraction(value))


BETWEEN = ("upsample_linear1d", "upsample_bilinear2d")
SPACE: Mapping[str, StepHandler] = {
    **dict.fromkeys(("conv1d", "conv2d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), transposed),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d", *BETWEEN), upsampled),
    **dict.fromkeys(("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"), pooled),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), averaged),
}
