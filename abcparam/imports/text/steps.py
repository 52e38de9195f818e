"""Calls of PyTorch that move coordinates about, and attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, number
from abcparam.algebra.record import replace
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.seen import Seen, local
from abcparam.imports.text.layout import (
    FactorAxis,
    Laid,
    stretched,
    turned,
    viewed,
)
from abcparam.imports.text.space import SPACE
from abcparam.imports.text.values import (
    AttentionLogits,
    Unspelled,
    WrittenLine,
    WrittenValue,
)
from abcparam.imports.text.writer import StepHandler, TextWriter
from abcparam.imports.traced import Ref, Weight
from abcparam.language import syntax
from abcparam.program.expressions import TensorRef


def first(writer: TextWriter, see: Seen, index: int = 0, name: str = "") -> WrittenValue:
    """An operand of a call."""
    return value_of(writer, see, see.get(index, name))


def value_of(writer: TextWriter, see: Seen, operand: Operand) -> WrittenValue:
    match operand:
        case Ref():
            found = writer.values.get(local(operand))
            return found if found is not None else writer.refused("a value that is left out")
        case Weight():
            value = see.value(operand)
            assert isinstance(value, TensorRef)
            return writer.tensor(value)
        case KnownData():
            return writer.known(operand)
    return writer.refused("what is no tensor")


def laid_or(writer: TextWriter, value: WrittenValue) -> Laid | Unspelled:
    """A value with a layout; else the reason why it has none."""
    if isinstance(value, AttentionLogits):
        return writer.refused("attention that is put together in another way")
    return value


# What moves coordinates


def same(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    return first(writer, see)


def view(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    made = viewed(x, see.result, writer.lengths)
    return made or writer.refused("axes that are not taken apart or put together as factors")


def transposed(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    rank = len(x.graph)
    order = list(range(rank))
    name = see.step.target.removeprefix("aten.").partition(".")[0]
    if name in {"permute"}:
        order = [axis % rank for axis in see.wholes(1, "dims")]
    elif name in {"t", "numpy_T"}:
        order.reverse()
    elif name == "movedim":
        i, j = see.whole(1) % rank, see.whole(2) % rank
        order.insert(j, order.pop(i))
    else:
        i, j = see.whole(1, "dim0") % rank, see.whole(2, "dim1") % rank
        order[i], order[j] = order[j], order[i]
    return turned(x, order)


def expanded(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    x = laid_or(writer, first(writer, see))
    return x if isinstance(x, Unspelled) else stretched(x, see.result, writer.lengths)


def repeated(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`repeat_interleave`: each coordinate several times, one behind the other."""
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    if see.step.target != "aten.repeat_interleave.self_int":
        return writer.refused("copies along an axis")
    axis = see.whole(2, "dim") % len(x.graph)
    times = see.result[axis] / writer.lengths.length(x.graph[axis])
    copies = writer.lengths.axis(times, "copies")
    graph = (*x.graph[:axis], (*x.graph[axis], *copies), *x.graph[axis + 1 :])
    return replace(x, graph=graph)


def dropped(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`dropout(x, p)`, nothing where p is zero."""
    x, p = first(writer, see), see.get(1, "p")
    chance = p.first if isinstance(p, Numbers) else 0.0
    if not chance or isinstance(x, Unspelled):
        return x
    if isinstance(x, AttentionLogits):
        return writer.refused("dropout of what attention weighs by: set it to zero")
    by = syntax.Number(Fraction(repr(chance)))
    arguments = (syntax.Argument(x.code), syntax.Argument(by))
    return replace(x, code=syntax.Call(syntax.Name("dropout"), arguments))


# Parts


def cut(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`split`, `chunk`: equal parts."""
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    axis = see.whole(2, "dim") % len(x.graph)
    lengths = [shape[axis] for shape in see.step.shapes]
    before = [writer.lengths.values(length) for length in lengths[:result]]
    starts = tuple(map(sum, zip(*before, strict=True))) if before else None
    return one_of_equal(writer, x, axis, lengths[result], starts)


def one_of_equal(
    writer: TextWriter,
    x: Laid,
    axis: int,
    length: Polynomial,
    starts: Sequence[Fraction | int] | None,
) -> WrittenValue:
    """A part of an axis that begins at `starts`, at each setting: one of equal ones."""
    lengths = writer.lengths.values(length)
    if not all(lengths):
        return writer.refused("a part of no length")
    count = writer.lengths.whole(writer.lengths.length(x.graph[axis]) / length)
    places = {Fraction(a) / n for a, n in zip(starts or [0] * len(lengths), lengths, strict=True)}
    place = places.pop()
    if count is None or places or place.denominator != 1:
        return writer.refused("parts of different lengths: `split` makes equal ones")
    return part(writer, x, axis, number(count), int(place), keep=True)


def unbound(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    axis = see.whole(1, "dim") % len(x.graph)
    return part(writer, x, axis, number(len(see.step.shapes)), result, keep=False)


def selected(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    x, index = laid_or(writer, first(writer, see)), see.get(2, "index")
    if isinstance(x, Unspelled):
        return x
    axis = see.whole(1, "dim") % len(x.graph)
    if not isinstance(index, Numbers) or len(set(index.values)) > 1:
        return writer.refused("a place that varies")
    length = writer.lengths.length(x.graph[axis])
    count = writer.lengths.whole(length)
    at = int(index.first)
    if at < 0:
        if count is None:
            return writer.refused("a place counted from an end that varies")
        at += count
    if x.graph[axis] and x.text and x.text[0] == x.graph[axis]:
        code = syntax.Index(x.code, syntax.Number(Fraction(at)))
        graph = (*x.graph[:axis], *x.graph[axis + 1 :])
        return Laid(code, x.text[1:], graph)
    return part(writer, x, axis, length, at, keep=False)


def sliced(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """One of equal parts, or all of it."""
    x = first(writer, see)
    if isinstance(x, Unspelled):
        return x
    shape = see.shape(see.get(0))
    axis = see.whole(1, "dim") % len(shape)
    whole, length = shape[axis], see.result[axis]
    if writer.lengths.same(whole, length):
        return x
    if isinstance(x, AttentionLogits):
        return writer.refused("attention that is put together in another way")
    start = see.get(2, "start")
    if not isinstance(start, Numbers):
        return one_of_equal(writer, x, axis, length, None)
    pairs = zip(start.values, writer.lengths.values(whole), strict=True)
    return one_of_equal(
        writer, x, axis, length, [int(a) if a >= 0 else int(a) + n for a, n in pairs]
    )


def part(
    writer: TextWriter, x: Laid, axis: int, count: Polynomial, index: int, keep: bool
) -> WrittenValue:
    """The index-th of so many equal parts along an axis, of which it `keep`s the rest."""
    whole = writer.lengths.whole(count)
    shape = [writer.lengths.length(a) for a in x.graph]
    if whole is None or writer.lengths.is_one(shape[axis]):
        if writer.lengths.is_one(shape[axis]):
            return replace(x, graph=x.graph if keep else without(x.graph, axis))
        return writer.refused("parts whose number varies")
    inner = shape[axis] / count
    apart = viewed(x, (*shape[:axis], count, inner, *shape[axis + 1 :]), writer.lengths)
    if apart is None:
        return writer.refused("parts along an axis that is put together otherwise")
    rows, rest = apart.graph[axis], apart.graph[axis + 1]
    place = next((i for i, a in enumerate(apart.text) if a[: len(rows)] == rows), None)
    if place is None:
        return writer.refused("parts that are not next to each other in the language")
    names = splits(writer, apart, place, whole)
    text = tuple(a[len(rows) :] if i == place else a for i, a in enumerate(apart.text))
    middle: tuple[FactorAxis, ...] = (rest,) if keep else ()
    graph = (*apart.graph[:axis], *middle, *apart.graph[axis + 2 :])
    return Laid(syntax.Name(names[index]), text, graph)


def without(graph: Sequence[FactorAxis], axis: int) -> tuple[FactorAxis, ...]:
    return (*graph[:axis], *graph[axis + 1 :])


def splits(writer: TextWriter, x: Laid, place: int, count: int) -> tuple[str, ...]:
    """The names of the parts of a value, in one line of the text."""
    assert writer.step is not None
    x = writer.bound(f"{local(Ref(writer.step.step.name))}_whole", x)
    assert isinstance(x.code, syntax.Name)
    key = x.code.id, place - len(x.text), count
    if key not in writer.splits:
        names = tuple(f"{x.code.id}/{place - len(x.text)}/{count}/{i}" for i in range(count))
        arguments = [syntax.Argument(x.code), syntax.Argument(syntax.Number(Fraction(count)))]
        if key[1] != -1:
            axis = syntax.Negative(syntax.Number(Fraction(-key[1])))
            arguments.append(syntax.Argument(axis, "axis"))
        call = syntax.Call(syntax.Name("split"), tuple(arguments))
        titles = part_titles(writer, count)
        writer.parts.append(WrittenLine(names, call, writer.step.step.modules, titles))
        writer.splits[key] = names
    return writer.splits[key]


def part_titles(writer: TextWriter, count: int) -> tuple[str, ...]:
    """What the user's code calls the parts."""
    from abcparam.imports.text.names import titles_of_line

    assert writer.step is not None
    found = titles_of_line(writer.step.step)
    return found if len(found) == count else ("",) * count


def concatenated(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`concat(x, …)` along an axis of the language."""
    items = see.get(0)
    assert isinstance(items, tuple)
    found: list[Laid] = []
    for item in items:
        value = laid_or(writer, value_of(writer, see, item))
        if isinstance(value, Unspelled):
            return value
        found.append(value)
    axis = see.whole(1, "dim") % len(see.result)
    base = next((x for x in found if x.batched), found[0])
    wanted = base.graph[axis]
    if wanted not in base.text:
        return writer.refused("values put together along a part of an axis")
    place = base.text.index(wanted)
    for value in found:
        along = value.graph[axis]
        one = along == () and len(value.text) == len(base.text) and value.text[place] == ()
        there = along in value.text and value.text.index(along) == place
        if not (one or there) or len(value.text) != len(base.text):
            return writer.refused("values put together that lie otherwise in the language")
    made = writer.lengths.axis(see.result[axis])
    arguments = [syntax.Argument(x.code) for x in found]
    if place - len(base.text) != -1:
        at: syntax.Expression = syntax.Negative(syntax.Number(Fraction(len(base.text) - place)))
        arguments.append(syntax.Argument(at, "axis"))
    text = (*base.text[:place], made, *base.text[place + 1 :])
    graph = (*base.graph[:axis], made, *base.graph[axis + 1 :])
    return Laid(syntax.Call(syntax.Name("concat"), tuple(arguments)), text, graph)


# Attention


def attention(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`scaled_dot_product_attention`."""
    given = [
        laid_or(writer, first(writer, see, i, n)) for i, n in enumerate(("query", "key", "value"))
    ]
    for value in given:
        if isinstance(value, Unspelled):
            return value
    query, key, value = (x for x in given if isinstance(x, Laid))
    p = see.get(4, "dropout_p")
    if isinstance(p, Numbers) and p.first:
        return writer.refused("dropout of what attention weighs by: set it to zero")
    scale = see.get(6, "scale")
    by = see.shape(see.get(0))[-1].power(Fraction(-1, 2))
    if isinstance(scale, Numbers):
        found = see.scalar(scale)
        assert found is not None
        by = found.polynomial
    logits = AttentionLogits(query, key, by, causal=see.get(5, "is_causal") is True)
    mask = see.get(3, "attn_mask")
    masked_ = logits if mask is None else masked(writer, logits, mask)
    if isinstance(masked_, Unspelled):
        return masked_
    return attended(writer, masked_, value)


def masked(
    writer: TextWriter, logits: AttentionLogits, mask: Operand, hides: bool = False
) -> AttentionLogits | Unspelled:
    """Logits with a mask that is known: all is kept, what is not behind, or what is near."""
    if not isinstance(mask, KnownData):
        return writer.refused("attention with a bias that is computed")
    kept = writer.model.keeps(mask.node, hides)
    if kept is None:
        return writer.refused("a mask that is neither all nor causal nor a window")
    windows = [n for n in (logits.window, kept.window) if n]
    return replace(
        logits, causal=logits.causal or kept.causal, window=min(windows) if windows else 0
    )


def attended(writer: TextWriter, logits: AttentionLogits, value: Laid) -> WrittenValue:
    """`attention(q, k, v, …)`: heads are the outer factors of the last axis."""
    query, key = logits.query, logits.key
    heads = [heads_of(x) for x in (query, key, value)]
    if any(found is None for found in heads):
        return writer.refused("attention over heads that lie otherwise in the language")
    (q_heads, _), (k_heads, _), (v_heads, _) = (h for h in heads if h is not None)
    counts = [
        writer.lengths.length(tuple(f for f in h if f.kind != "copies"))
        for h in (q_heads, k_heads, v_heads)
    ]
    if not writer.lengths.same(counts[1], counts[2]):
        return writer.refused("keys and values of different heads")
    copies = [f.kind == "copies" for f in k_heads]
    if sorted(copies) != copies or any(f.kind == "copies" for f in q_heads):
        return writer.refused("heads of keys that are repeated in another order")
    named: dict[str, syntax.Expression] = {}
    if not writer.lengths.is_one(counts[0]):
        named["heads"] = writer.heads(counts[0])
    if not writer.lengths.same(counts[0], counts[1]):
        named["kv_heads"] = writer.heads(counts[1], "kv_heads")
    scale = logits.scale if logits.softcap is None else logits.scale * logits.softcap
    named["scale"] = writer.formulas.written(scale)
    if logits.causal:
        named["causal"] = syntax.Name("true")
    if logits.window:
        named["window"] = syntax.Number(Fraction(logits.window))
    if logits.softcap is not None:
        named["softcap"] = writer.formulas.written(logits.softcap)
    arguments = [syntax.Argument(x.code) for x in (query, key, value)]
    arguments += [syntax.Argument(x, name) for name, x in named.items()]
    inner = value.graph[-1]
    graph = (*query.graph[:-1], inner)
    text = (*query.text[:-1], (*q_heads, *inner))
    return Laid(syntax.Call(syntax.Name("attention"), tuple(arguments)), text, graph)


def heads_of(x: Laid) -> tuple[FactorAxis, FactorAxis] | None:
    """The heads and the positions of a query, key or value: `[.., heads, position, channel]`."""
    if len(x.text) < 2 or len(x.graph) < 2:
        return None
    place, head = x.graph[-2], x.graph[-1]
    inner = x.text[-1]
    if x.text[-2] != place or inner[len(inner) - len(head) :] != head:
        return None
    own = inner[: len(inner) - len(head)]
    axis = x.graph[-3] if len(x.graph) > 2 else ()
    real = tuple(f for f in axis if f.kind == "")
    if real != own:
        return None
    return tuple(f for f in axis if f.kind != "batch"), place


def product_of_values(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`q @ k.T`, and what attention weighs by times values; else a map."""
    x, y = see.get(0), see.get(1)
    if see.weight(x) is not None or see.weight(y) is not None:
        return writer.by_law()
    left, right = value_of(writer, see, x), laid_or(writer, value_of(writer, see, y))
    for value in (left, right):
        if isinstance(value, Unspelled):
            return value
    assert isinstance(right, Laid)
    if isinstance(left, AttentionLogits):
        if not left.are_chances:
            return writer.refused("attention without a softmax")
        return attended(writer, left, right)
    assert isinstance(left, Laid)
    order = [*range(len(right.graph) - 2), len(right.graph) - 1, len(right.graph) - 2]
    key = turned(right, order)
    if heads_of(left) is None or heads_of(key) is None:
        return writer.refused("a product of values that is none of queries and keys")
    return AttentionLogits(left, key)


def added(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """A sum; of logits and a mask, logits that are masked."""
    for value, other in ((see.get(0), see.get(1)), (see.get(1), see.get(0))):
        found = writer.values.get(local(value)) if isinstance(value, Ref) else None
        if isinstance(found, AttentionLogits) and isinstance(other, KnownData):
            return masked(writer, found, other)
    return writer.by_law()


def filled(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`masked_fill` and `where`, of attention's logits."""
    wheres = see.step.target.startswith("aten.where")
    mask, value = (see.get(0), see.get(1)) if wheres else (see.get(1), see.get(0))
    found = writer.values.get(local(value)) if isinstance(value, Ref) else None
    if isinstance(found, AttentionLogits):
        return masked(writer, found, mask, hides=not wheres)
    return writer.refused("a choice by a mask")


HANDLERS: Mapping[str, StepHandler] = {
    **SPACE,
    **dict.fromkeys(
        ("to", "type_as", "contiguous", "clone", "alias", "float", "_to_copy", "positive"), same
    ),
    **dict.fromkeys(("dropout", "feature_dropout"), dropped),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "view_as", "flatten", "unflatten"), view),
    **dict.fromkeys(("squeeze", "unsqueeze"), view),
    **dict.fromkeys(("transpose", "permute", "t", "numpy_T", "movedim", "swapaxes"), transposed),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expanded),
    **dict.fromkeys(("repeat", "repeat_interleave"), repeated),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), cut),
    "unbind": unbound,
    "select": selected,
    **dict.fromkeys(("slice", "narrow"), sliced),
    **dict.fromkeys(("cat",), concatenated),
    "scaled_dot_product_attention": attention,
    **dict.fromkeys(("matmul", "bmm", "mm"), product_of_values),
    "add": added,
    **dict.fromkeys(("masked_fill", "where"), filled),
}
