"""Maps of all products of a coordinate of one value and one of another, however they are written.

`nn.Bilinear`, a linear map of flattened outer products, and `einsum` with three operands.
"""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.polynomials import ONE, Polynomial, product
from abcparam.algebra.record import NamedTuple
from abcparam.imports.alike import Operand, TracedStep
from abcparam.imports.letters import Letters, equation_of
from abcparam.imports.operations import PAIRS_MAP
from abcparam.imports.seen import Matrix, Seen, amount
from abcparam.program.amounts import Setting, Shape
from abcparam.program.expressions import Expression

FLATTENS = frozenset({"aten.flatten.using_ints", "aten.view.default", "aten.reshape.default"})
PRODUCTS = frozenset({"aten.mul.Tensor", "aten.matmul.default", "aten.bmm.default"})


class PairedValue(NamedTuple):
    """One of two values: the axes that a map sums over, and those of the result that it lacks."""

    value: Operand
    summed: Shape
    lacks: Shape


def flattened_pairs(see: Seen, matrix: Matrix, axis: int, x: Operand) -> Expression | None:
    """A map by an axis of a parameter of the outer products of two values; None of others."""
    flat = see.definition(x)
    if flat is None or flat.target not in FLATTENS or len(matrix.shape) != 2:
        return None
    inner, shape = flat.arguments[0], see.shape(see.origin(x))
    step, square = see.definition(inner), see.shape(inner)
    if step is None or len(square) < 2 or (*square[:-2], square[-2] * square[-1]) != shape:
        return None
    factors = _factors(see, step, square)
    if factors is None or not all(see.grows(product(f.summed)) for f in factors):
        return None
    return _mapped(see, matrix, factors, matrix.shape[1 - axis :][:1], shape[:-1])


def _factors(see: Seen, step: TracedStep, square: Shape) -> tuple[PairedValue, PairedValue] | None:
    """The two values of an outer product over the last two axes."""
    rows, columns = square[-2:]
    if step.target == "aten.einsum.default":
        return _factors_by_letters(see, step)
    if step.target not in PRODUCTS or not all(len(see.shape(x)) > 1 for x in step.arguments[:2]):
        return None
    found = []
    for x in step.arguments[:2]:
        ends = see.shape(x)[-2:]
        if ends not in ((rows, ONE), (ONE, columns)):
            return None
        summed = rows if ends == (rows, ONE) else columns
        found.append(PairedValue(x, (summed,), _missing(square[:-2], see.shape(x)[:-2])))
    one, other = found
    return (one, other) if product((*one.summed, *other.summed)) == rows * columns else None


def _factors_by_letters(see: Seen, step: TracedStep) -> tuple[PairedValue, PairedValue] | None:
    """Those of `bi,bj->bij`."""
    text, operands = step.arguments[:2]
    assert isinstance(text, str) and isinstance(operands, tuple)
    if len(operands) != 2 or "." in text or "->" not in text:
        return None
    equation = equation_of(see, text, operands)
    result = equation.result
    ends = [(term[-1:], x, term) for term, x in zip(equation.operands, operands, strict=True)]
    if {end for end, _, _ in ends} != set(result[-2:]) or any(
        len(set(term) & set(result[-2:])) > 1 for _, _, term in ends
    ):
        return None
    one, other = (
        PairedValue(x, equation.of(end), equation.of([a for a in result[:-2] if a not in term]))
        for end, x, term in ends
    )
    return one, other


def _missing(batch: Shape, have: Shape) -> Shape:
    padded: list[Polynomial] = [*[ONE] * (len(batch) - len(have)), *have]
    return tuple(n for n, m in zip(batch, padded, strict=True) if n != m)


def pairs_by_letters(
    see: Seen, equation: Letters, operands: Sequence[Operand]
) -> Expression | None:
    """`bi,kij,bj->bk`: None where the operands are not a parameter and two values like that."""
    matrices = [see.weight(x) for x in operands]
    if len(operands) != 3 or sum(matrix is not None for matrix in matrices) != 1:
        return None
    place = next(i for i, matrix in enumerate(matrices) if matrix is not None)
    matrix, own = matrices[place], equation.operands[place]
    values = [i for i in range(3) if i != place]
    terms = [equation.operands[i] for i in values]
    summed = {a for term in equation.operands for a in term} - set(equation.result)
    if matrix is None or any(a not in own or sum(a in term for term in terms) != 1 for a in summed):
        return None
    beside = [a for a in equation.result if a not in own]
    factors = [
        PairedValue(
            operands[i],
            equation.of([a for a in term if a in summed]),
            equation.of([a for a in equation.result if a not in term and a not in own]),
        )
        for i, term in zip(values, terms, strict=True)
    ]
    if not all(factor.summed for factor in factors):
        return None
    out = equation.of([a for a in own if a in equation.result and not any(a in t for t in terms)])
    return _mapped(see, matrix, (factors[0], factors[1]), out, equation.of(beside))


def _mapped(
    see: Seen, matrix: Matrix, factors: tuple[PairedValue, PairedValue], out: Shape, shared: Shape
) -> Expression:
    one, other = factors
    fan_in = product((*one.summed, *other.summed))
    name = matrix.source.name
    see.names.fans.setdefault(name, (fan_in, product(out)))
    settings: dict[str, Setting] = {
        "x_fan": amount(product(one.summed)),
        "y_fan": amount(product(other.summed)),
        "fan_out": amount(product(out)),
        "x_lacks": tuple(map(amount, one.lacks)),
        "y_lacks": tuple(map(amount, other.lacks)),
        "shared": tuple(map(amount, shared)),
    }
    values = [see.value(matrix.source), see.value(one.value), see.value(other.value)]
    return see.apply(PAIRS_MAP, values, settings)
