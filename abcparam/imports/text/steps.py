"""Calls of PyTorch that move coordinates about; with those of other files, all that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, atom, number
from abcparam.algebra.record import replace
from abcparam.imports.alike import KnownData, Numbers
from abcparam.imports.seen import LAST_TWO, Seen, local
from abcparam.imports.text.contracting import CONTRACTIONS
from abcparam.imports.text.layout import (
    FactorAxis,
    Laid,
    stretched,
    turned,
    viewed,
)
from abcparam.imports.text.multihead import ATTENTION, heads_of
from abcparam.imports.text.operands import first, laid_or, value_of
from abcparam.imports.text.routing import ROUTED
from abcparam.imports.text.space import SPACE
from abcparam.imports.text.values import (
    UnfinishedValue,
    Unspelled,
    WrittenLine,
    WrittenValue,
)
from abcparam.imports.text.writer import StepHandler, TextWriter, call_of, in_order
from abcparam.imports.traced import Ref, Weight
from abcparam.language import syntax
from abcparam.language.printer import written

# What moves coordinates


def same(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    return first(writer, see)


def stopped(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`rescale(x, backward = 0)`."""
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    return replace(x, code=call_of("rescale", x.code, backward=syntax.Number(Fraction(0))))


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
    elif see.step.target in LAST_TWO:
        order[-2:] = order[:-3:-1]
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
    if isinstance(x, UnfinishedValue):
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
    if not all(writer.lengths.same(length, lengths[0]) for length in lengths):
        return of_lengths(writer, x, axis, lengths, result)
    before = [writer.lengths.values(length) for length in lengths[:result]]
    starts = tuple(map(sum, zip(*before, strict=True))) if before else None
    return one_of_equal(writer, x, axis, lengths[result], starts)


def of_lengths(
    writer: TextWriter, x: Laid, axis: int, lengths: Sequence[Polynomial], index: int
) -> WrittenValue:
    """The index-th of parts of these lengths, of a whole axis of the language or of each head."""
    wanted = x.graph[axis]
    found = next((i for i, a in enumerate(x.text) if a[len(a) - len(wanted) :] == wanted), None)
    heads = () if found is None else x.text[found][: len(x.text[found]) - len(wanted)]
    if found is None or not wanted or (heads and found != len(x.text) - 1):
        return writer.refused("parts that are not next to each other in the language")
    names = splits(writer, x, found, lengths, writer.lengths.length(heads) if heads else None)
    made = writer.made_parts.setdefault(names[index], writer.lengths.axis(lengths[index]))
    text = (*x.text[:found], (*heads, *made), *x.text[found + 1 :])
    return Laid(syntax.Name(names[index]), text, (*x.graph[:axis], made, *x.graph[axis + 1 :]))


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
        return writer.refused("a part of an axis that others of its length do not make up")
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
    if see.whole(4, "step", 1) != 1:
        return writer.refused("every second place, or the like")
    if writer.lengths.same(whole, length):
        return x
    if isinstance(x, UnfinishedValue):
        return writer.unfinished(x)
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
    found = next(((i, k) for i, a in enumerate(apart.text) for k in starts_of(a, rows)), None)
    if found is None or (found[1] and found[0] != len(apart.text) - 1):
        return writer.refused("parts that are not next to each other in the language")
    place, before = found
    heads = apart.text[place][:before]
    within = writer.lengths.length(heads) if heads else None
    names = splits(writer, apart, place, [inner] * whole, within)
    text = tuple(
        (*heads, *a[before + len(rows) :]) if i == place else a for i, a in enumerate(apart.text)
    )
    middle: tuple[FactorAxis, ...] = (rest,) if keep else ()
    graph = (*apart.graph[:axis], *middle, *apart.graph[axis + 2 :])
    return Laid(syntax.Name(names[index]), text, graph)


def starts_of(axis: FactorAxis, rows: FactorAxis) -> list[int]:
    """Where factors stand in an axis, one behind the other."""
    return [k for k in range(len(axis)) if rows and axis[k : k + len(rows)] == rows]


def without(graph: Sequence[FactorAxis], axis: int) -> tuple[FactorAxis, ...]:
    return (*graph[:axis], *graph[axis + 1 :])


def splits(
    writer: TextWriter,
    x: Laid,
    place: int,
    lengths: Sequence[Polynomial],
    heads: Polynomial | None,
) -> tuple[str, ...]:
    """The names of the parts of a value, or of its heads, in one line of the text."""
    assert writer.step is not None
    x = writer.bound(f"{local(Ref(writer.step.step.name))}_whole", x)
    assert isinstance(x.code, syntax.Name)
    within = None if heads is None else writer.heads(heads)
    count: syntax.Expression = syntax.Number(Fraction(len(lengths)))
    if not all(writer.lengths.same(length, lengths[0]) for length in lengths):
        count = syntax.Tuple(tuple(map(writer.formulas.written, lengths)))
    key = x.code.id, place - len(x.text), count, within
    if key not in writer.splits:
        each = "" if within is None else "/heads"
        several = written(count)
        names = tuple(f"{x.code.id}/{key[1]}{each}/{several}/{i}" for i in range(len(lengths)))
        arguments = [syntax.Argument(x.code), syntax.Argument(count)]
        if key[1] != -1:
            axis = syntax.Negative(syntax.Number(Fraction(-key[1])))
            arguments.append(syntax.Argument(axis, "axis"))
        if within is not None:
            arguments.append(syntax.Argument(within, "heads"))
        call = syntax.Call(syntax.Name("split"), tuple(arguments))
        titles = part_titles(writer, len(lengths))
        writer.parts.append(WrittenLine(names, call, writer.step.step.modules, titles))
        writer.splits[key] = names
    return writer.splits[key]


def part_titles(writer: TextWriter, count: int) -> tuple[str, ...]:
    """What the user's code calls the parts."""
    from abcparam.imports.text.names import titles_of_line

    assert writer.step is not None
    found = titles_of_line(writer.step.step)
    return found if len(found) == count else ("",) * count


def indexed(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`x[arange(batch), at]`: of each sample the place that whole numbers name."""
    where = see.get(1)
    if isinstance(see.get(0), Weight) or not isinstance(where, tuple):
        return writer.by_law()
    x = laid_or(writer, first(writer, see))
    if isinstance(x, Unspelled):
        return x
    if len(where) != 2 or not all(isinstance(k, KnownData) and k.integer for k in where):
        return writer.refused("places that are chosen otherwise than one for each sample")
    rows, at = where
    assert isinstance(rows, KnownData) and isinstance(at, KnownData)
    place = writer.known(at)
    if not isinstance(place, Laid) or not writer.model.counts(rows.node):
        return place
    x = in_order(x)
    if place.text or not x.text or x.text[0] != x.graph[1]:
        return writer.refused("places that are chosen otherwise than one for each sample")
    length = writer.lengths.length(x.graph[1])
    if writer.is_place(length):
        name = writer.formulas.place(length)
        assert isinstance(name, syntax.Name)
        length = atom(name.id)
    writer.named_rows(at, length)
    code = call_of("take", x.code, place.code)
    return Laid(code, x.text[1:], (x.graph[0], *x.graph[2:]))


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
    return joined(writer, see, found, axis)


def scattered(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`slice_scatter` of parts that make up an axis, one call for each, as `concat`."""
    axis, parts, step = see.whole(2, "dim") % len(see.result), list[Laid](), see
    end = writer.lengths.values(see.result[axis])
    while any(end):
        if step.call != "slice_scatter" or step.whole(2, "dim") % len(see.result) != axis:
            return writer.refused("a value with others in some of its places")
        value, start = laid_or(writer, first(writer, step, 1)), step.get(3, "start")
        if isinstance(value, Unspelled):
            return value
        length = writer.lengths.values(step.shape(step.get(1))[axis])
        begin = tuple(start.values) if isinstance(start, Numbers) else (0.0,) * len(length)
        if tuple(a + n for a, n in zip(begin, length, strict=True)) != end:
            return writer.refused("a value with others in some of its places")
        parts.insert(0, value)
        end = tuple(map(Fraction, begin))
        before = see.names.step_of(step.get(0))
        if before is not None:
            step = see.with_step(before)
        elif any(end):
            return writer.refused("a value with others in some of its places")
    return joined(writer, see, parts, axis)


def joined(writer: TextWriter, see: Seen, found: list[Laid], axis: int) -> WrittenValue:
    """Values one behind the other along an axis of the graph, or in each head."""
    by_heads = joined_heads(writer, see, found, axis)
    if by_heads is not None:
        return by_heads
    base = next((x for x in found if x.batched), found[0])
    wanted = base.graph[axis]
    if wanted not in base.text:
        return writer.refused("values put together along a part of an axis")
    place = base.text.index(wanted)
    found = [of_rank(value, base) for value in found]
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


def joined_heads(writer: TextWriter, see: Seen, found: list[Laid], axis: int) -> Laid | None:
    """Values that are put together in each head; those that all heads share are repeated."""
    base = next((x for x in found if x.text and heads_of(x) is not None), found[0])
    if axis != len(see.result) - 1 or not base.text:
        return None
    heads = base.text[-1][: len(base.text[-1]) - len(base.graph[-1])]
    if not heads or base.text[-1] != (*heads, *base.graph[-1]):
        return None
    codes = []
    for x in found:
        if x.text[:-1] != base.text[:-1]:
            return None
        code = x.code
        if x.text[-1] == x.graph[-1] and x.graph[-3] and not any(f.kind == "" for f in x.graph[-3]):
            code = call_of("tile", code, writer.heads(writer.lengths.length(heads)))
        elif x.text[-1] != (*heads, *x.graph[-1]):
            return None
        codes.append(code)
    made = writer.lengths.axis(see.result[axis])
    count = writer.heads(writer.lengths.length(heads))
    text = (*base.text[:-1], (*heads, *made))
    return Laid(call_of("concat", *codes, heads=count), text, (*base.graph[:-1], made))


def of_rank(x: Laid, base: Laid) -> Laid:
    """A value with an axis of 1 in the language for each that another one has and it lacks."""
    places = [base.graph.index(axis) if axis else -1 for axis in base.text]
    if len(x.text) >= len(base.text) or len(x.graph) != len(base.graph) or -1 in places:
        return x
    axes = [x.graph[i] if x.graph[i] in x.text else () for i in places]
    if tuple(axis for axis in axes if axis) != x.text:
        return x
    lacking = [i - len(axes) for i, axis in enumerate(axes) if not axis]
    signed = [syntax.Negative(syntax.Number(Fraction(-i))) for i in lacking]
    along: syntax.Expression = signed[0] if len(signed) == 1 else syntax.Tuple(tuple(signed))
    return replace(x, code=call_of("unsqueeze", x.code, axis=along), text=tuple(axes))


HANDLERS: Mapping[str, StepHandler] = {
    **SPACE,
    **ATTENTION,
    **CONTRACTIONS,
    **ROUTED,
    **dict.fromkeys(
        ("to", "type_as", "contiguous", "clone", "alias", "float", "_to_copy", "positive"), same
    ),
    "detach": stopped,
    **dict.fromkeys(("dropout", "feature_dropout"), dropped),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "view_as", "flatten", "unflatten"), view),
    **dict.fromkeys(("squeeze", "unsqueeze"), view),
    **dict.fromkeys(("transpose", "permute", "t", "numpy_T", "movedim", "swapaxes"), transposed),
    **dict.fromkeys(("mT", "mH", "adjoint", "swapdims"), transposed),
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expanded),
    **dict.fromkeys(("repeat", "repeat_interleave"), repeated),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), cut),
    "unbind": unbound,
    "select": selected,
    **dict.fromkeys(("slice", "narrow"), sliced),
    "index": indexed,
    "cat": concatenated,
    "slice_scatter": scattered,
}
