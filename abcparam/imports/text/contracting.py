"""Sums of products by letters, and products of values, as maps, attention and similarities."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.polynomials import ONE, product
from abcparam.algebra.record import replace
from abcparam.imports.alike import Operand
from abcparam.imports.aten.einsum import weighed_sum, with_vector
from abcparam.imports.letters import Letters, equation_of
from abcparam.imports.seen import WHOLE, Matrix, Seen
from abcparam.imports.text.layout import FactorAxis, Laid, turned
from abcparam.imports.text.multihead import attended, heads_of
from abcparam.imports.text.operands import laid_or, value_of
from abcparam.imports.text.routing import batched
from abcparam.imports.text.values import AttentionLogits, Unspelled, WrittenValue
from abcparam.imports.text.writer import StepHandler, TextWriter, call_of, in_order
from abcparam.language import syntax


def einsum(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`einsum` of one operand or two, of which one may be a tensor."""
    text, operands = see.get(0), see.get(1)
    assert isinstance(text, str) and isinstance(operands, tuple)
    equation = equation_of(see, text, operands)
    if len(operands) == 1:
        return _of_one(writer, see, equation, operands[0])
    for index in (1, 0):
        matrix = see.weight(operands[index])
        if matrix is not None and see.weight(operands[1 - index]) is None:
            return _mapped(writer, see, equation, index, matrix, operands[1 - index])
    left, right = (value_of(writer, see, x) for x in operands)
    return _contracted(writer, equation, left, right)


def summed(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """A sum or mean of what a tensor weighs: a map."""
    axes = see.wholes(1, "dim")
    found = weighed_sum(see, axes)
    if found is None:
        return writer.by_law()
    made = _mapped(writer, see, *found)
    kept, lengths = found.equation.result, found.equation.lengths
    if isinstance(made, Laid) and len(see.result) > len(made.graph):
        shown = iter(made.graph)
        made = replace(made, graph=tuple(next(shown) if x in kept else () for x in lengths))
    if isinstance(made, Laid) and see.call == "mean":
        count = product(
            n for x, n in found.equation.lengths.items() if x not in found.equation.result
        )
        made = replace(made, code=writer.scaled(made.code, ONE / count))
    return made


def _of_one(writer: TextWriter, see: Seen, equation: Letters, operand: Operand) -> WrittenValue:
    """Axes in another order."""
    (own,) = equation.operands
    x = laid_or(writer, value_of(writer, see, operand))
    if isinstance(x, Unspelled):
        return x
    if sorted(own) != sorted(equation.result):
        return writer.by_law()
    return turned(x, [own.index(letter) for letter in equation.result])


def _mapped(
    writer: TextWriter, see: Seen, equation: Letters, index: int, matrix: Matrix, other: Operand
) -> WrittenValue:
    """`W @ x`, of a tensor whose axes are those of what it gives, and those it sums over."""
    own, letters = equation.operands[index], equation.operands[1 - index]
    x = laid_or(writer, value_of(writer, see, other))
    if isinstance(x, Unspelled):
        return x
    made = [a for a in own if a not in letters]
    summed = [a for a in own if a not in equation.result]
    if len(letters) != len(x.graph):
        return writer.refused("a tensor along an axis that what it weighs has not")
    if not _is_plain(see, matrix) or sorted((*made, *summed)) != sorted(own):
        return writer.refused("a tensor that is multiplied coordinate by coordinate")
    stored = "".join(own)
    if stored not in ("".join((*made, *summed)), "".join((*summed, *made))):
        return writer.refused("a tensor whose axes to sum over are not next to each other")
    kept = [a for a in letters if a not in summed]
    inner = tuple(factor for a in summed for factor in x.graph[letters.index(a)])
    axes = (*(x.graph[letters.index(a)] for a in kept), inner)
    x = in_order(replace(x, graph=axes))
    if not x.text or x.text[-1] != inner:
        return writer.refused("a map of what is not the last axis")
    path = writer.names.paths[matrix.source.name]
    fans = (product(equation.of(made)), product(equation.of(summed)))
    written = tuple(map(writer.formulas.written, fans))
    writer.use(path, written, stored != "".join((*made, *summed)))
    outer = {a: writer.lengths.axis(equation.lengths[a]) for a in made}
    by_letter = {**dict(zip(kept, axes, strict=False)), **outer}
    text = (*x.text[:-1], tuple(factor for axis in outer.values() for factor in axis))
    code = syntax.Binary("@", syntax.Name(f"@{path}"), x.code)
    return Laid(code, text, tuple(by_letter[a] for a in equation.result))


def _is_plain(see: Seen, matrix: Matrix) -> bool:
    """Whether all of a tensor is used as it lies, but for axes of length 1."""
    stored = see.names.weights[matrix.source.name]
    if matrix.order not in (None, tuple(range(len(stored)))) or matrix.part != WHOLE:
        return False
    long, whole = ([n for n in shape if n != ONE] for shape in (matrix.shape, stored))
    return long == whole


def _contracted(
    writer: TextWriter, equation: Letters, left: WrittenValue, right: WrittenValue
) -> WrittenValue:
    """A sum over one axis that two values share, as a product of matrices has it."""
    one, other = equation.operands
    summed = [a for a in one if a not in equation.result]
    rows = [a for a in one if a in equation.result and a not in other]
    columns = [a for a in other if a in equation.result and a not in one]
    if [len(summed), len(rows), len(columns)] != [1, 1, 1] or summed[0] not in other:
        return writer.refused("a sum that is no product of matrices")
    shared = [a for a in equation.result if a in one and a in other]
    left = left if isinstance(left, AttentionLogits) else laid_or(writer, left)
    right = laid_or(writer, right)
    if isinstance(left, Unspelled) or isinstance(right, Unspelled):
        return left if isinstance(left, Unspelled) else right
    right = turned(right, [other.index(a) for a in (*shared, *columns, *summed)])
    wanted = (*shared, *rows, *summed)
    if isinstance(left, AttentionLogits):
        if tuple(one) != wanted or not left.are_chances:
            return writer.refused("attention that is put together in another way")
        order = [*range(len(shared)), len(shared) + 1, len(shared)]
        found: WrittenValue = attended(writer, left, turned(right, order))
    else:
        left = turned(left, [one.index(a) for a in wanted])
        found = products_of_rows(writer, left, right)
    made = (*shared, *rows, *columns)
    if isinstance(found, Laid):
        return turned(found, [made.index(a) for a in equation.result])
    if made != tuple(equation.result) and isinstance(found, AttentionLogits):
        return writer.refused("attention that is put together in another way")
    return found


def product_of_values(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`q @ k.T`, and what attention weighs by times values; else a map."""
    x, y = see.get(0), see.get(1)
    of_experts = batched(writer, see)
    if of_experts is not None:
        return of_experts
    vector = with_vector(see)
    if vector is not None:
        return _mapped(writer, see, *vector)
    if see.weight(x) is not None or see.weight(y) is not None:
        return writer.by_law()
    left, right = value_of(writer, see, x), laid_or(writer, value_of(writer, see, y))
    left = left if isinstance(left, AttentionLogits) else laid_or(writer, left)
    if isinstance(left, Unspelled) or isinstance(right, Unspelled):
        return left if isinstance(left, Unspelled) else right
    if isinstance(left, AttentionLogits):
        if not left.are_chances:
            return writer.refused("attention without a softmax")
        return attended(writer, left, right)
    if len(right.graph) < 2:
        return writer.refused("a product with one vector")
    order = [*range(len(right.graph) - 2), len(right.graph) - 1, len(right.graph) - 2]
    return products_of_rows(writer, left, turned(right, order))


def products_of_rows(writer: TextWriter, left: Laid, right: Laid) -> WrittenValue:
    """Each row of one value times each of another: logits of attention, or similarities."""
    if heads_of(left) is not None and heads_of(right) is not None:
        return AttentionLogits(left, right)
    left, right = in_order(left), in_order(right)
    shared, rows, columns = left.graph[:-2], left.graph[-2], right.graph[-2]
    last = left.graph[-1] == left.text[-1:][0] if left.text else False
    if not last or right.text[-1:] != (right.graph[-1],):
        return writer.refused("a product of values that is none of queries and keys")
    samples = len(left.text) == len(right.text) == 1
    among = left.text[-2:-1] == (rows,) and right.text[-2:-1] == (columns,)
    if not samples and not (among and len(left.text) == len(right.text)):
        return writer.refused("a product of values that is none of queries and keys")
    text: tuple[FactorAxis, ...] = () if samples else (*left.text[:-1], columns)
    if samples:
        columns = tuple(replace(factor, kind="others") for factor in columns)
    code = call_of("similarity", left.code, right.code)
    return Laid(code, text, (*shared, rows, columns))


CONTRACTIONS: Mapping[str, StepHandler] = {
    "einsum": einsum,
    **dict.fromkeys(("sum", "mean"), summed),
    **dict.fromkeys(("matmul", "bmm", "mm"), product_of_values),
}
