"""Sums of products by letters."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from abcparam.algebra.polynomials import ONE, product
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import Operand
from abcparam.imports.aten.pairs import pairs_by_letters
from abcparam.imports.letters import Letters, equation_of
from abcparam.imports.operations import CONTRACT
from abcparam.imports.seen import Law, Matrix, Seen, amount
from abcparam.imports.traced import Ref
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Expression


def einsum(see: Seen) -> Expression:
    """`einsum` of one operand or two, or a map of pairs."""
    text, operands = see.get(0), see.get(1)
    assert isinstance(text, str) and isinstance(operands, tuple)
    equation = equation_of(see, text, operands)
    if len(operands) == 1:
        return _of_one(see, equation, operands[0])
    pairs = pairs_by_letters(see, equation, operands)
    if pairs is not None:
        return pairs
    if len(operands) > 2 or any(len(set(x)) < len(x) for x in equation.operands):
        see.refuse(rules.NoLaw, operation=see.step.target, what=f"`{text}`")
    for index in (1, 0):
        matrix = see.weight(operands[index])
        if matrix is not None and see.weight(operands[1 - index]) is None:
            made = _mapped(see, equation, index, matrix, operands[1 - index])
            if made is not None:
                return made
    return _contracted(see, equation, operands)


class WeighedSum(NamedTuple):
    """A sum of what a parameter weighs, coordinate by coordinate, as `einsum` would have it."""

    equation: Letters
    place: int  # of the parameter, among the operands
    matrix: Matrix
    other: Operand


def weighed_sum(see: Seen, axes: Sequence[int]) -> WeighedSum | None:
    """`(x * w).sum(axes)`; None where no parameter weighs all that is summed.

    Axes of length 1 have no letter where the other operand has the axis.
    """
    step = see.definition(see.get(0))
    if step is None or step.target != "aten.mul.Tensor":
        return None
    for index, (weight, other) in enumerate((step.arguments[:2], step.arguments[1::-1])):
        matrix = see.weight(weight)
        if matrix is None or see.weight(other) is not None or not isinstance(other, Ref):
            continue
        return _weighed(see, matrix, other, index, step.shapes[0], axes)
    return None


def _weighed(
    see: Seen, matrix: Matrix, other: Operand, index: int, shape: Shape, axes: Sequence[int]
) -> WeighedSum | None:
    rank = len(shape)
    letters = ascii_lowercase[:rank]
    over = {letters[axis % rank] for axis in axes or range(rank)}
    mine, its = matrix.shape, see.shape(other)
    own = "".join(x for x, n in zip(letters[rank - len(mine) :], mine, strict=True) if n != ONE)
    wide = zip(letters[rank - len(its) :], its, strict=True)
    given = "".join(x for x, n in wide if n != ONE or x not in own)
    if rank > len(ascii_lowercase) or not over <= set(own) & set(given):
        return None
    terms = (own, given) if index == 0 else (given, own)
    result = "".join(x for x in letters if x not in over)
    equation = Letters(terms, result, dict(zip(letters, shape, strict=True)))
    return WeighedSum(equation, index, matrix, other)


def with_vector(see: Seen) -> WeighedSum | None:
    """`x @ v` and `v @ x` of a parameter of one axis."""
    x, y = see.get(0), see.get(1)
    for index, weight, other in ((1, y, x), (0, x, y)):
        matrix, shape = see.weight(weight), see.shape(other)
        if matrix is None or len(matrix.shape) != 1 or see.weight(other) is not None:
            continue
        letters = ascii_lowercase[: len(shape)]
        over = letters[-1] if index else letters[-2:][0]
        terms = (letters, over) if index else (over, letters)
        lengths = dict(zip(letters, shape, strict=True))
        equation = Letters(terms, letters.replace(over, ""), lengths)
        return WeighedSum(equation, index, matrix, other)
    return None


def by_vector(see: Seen) -> Expression | None:
    """A product with a parameter of one axis, as a map."""
    found = with_vector(see)
    return None if found is None else _mapped(see, *found)


def summed(see: Seen, axes: Sequence[int]) -> Expression | None:
    """A sum over axes as a map, where it is one."""
    found = weighed_sum(see, axes)
    return None if found is None else _mapped(see, *found)


def _of_one(see: Seen, equation: Letters, x: Operand) -> Expression:
    """A transposition, and a sum over what is left out: a mean times how many there are."""
    (own,) = equation.operands
    if len(set(own)) < len(own):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a diagonal")
    axes = [axis for axis, letter in enumerate(own) if letter not in equation.result]
    value = see.rearranged(x) if not axes else see.mean(x, axes)
    count = product(equation.of([own[axis] for axis in axes]))
    return value if not axes else see.apply("scale", (value,), {"by": amount(count)})


def _mapped(
    see: Seen, equation: Letters, index: int, matrix: Matrix, x: Operand
) -> Expression | None:
    """A parameter on a value; None where it is not summed over with it."""
    own, other = equation.operands[index], equation.operands[1 - index]
    result = equation.result
    summed = [a for a in own if a not in result]
    if not summed or any(a not in other for a in summed) or _alone(equation):
        return None
    fan_out = [a for a in own if a in result and a not in other]
    shared = [a for a in other if a in result and a not in own]
    return see.packed(matrix, x, (equation.of(summed), equation.of(fan_out)), equation.of(shared))


def _alone(equation: Letters) -> bool:
    """Whether something is summed over that only one of two operands has."""
    left, right = map(set, equation.operands)
    return bool((left ^ right) - set(equation.result))


def _contracted(see: Seen, equation: Letters, operands: Sequence[Operand]) -> Expression:
    if _alone(equation):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a sum over one operand alone")
    (left, right), result = equation.operands, equation.result
    summed = [a for a in left if a not in result]
    letters = {
        "over": summed,
        "x_lacks": [a for a in result if a not in left],
        "y_lacks": [a for a in result if a not in right],
    }
    settings = {name: tuple(map(amount, equation.of(found))) for name, found in letters.items()}
    return see.apply(CONTRACT, [see.value(x) for x in operands], settings)


LAWS: dict[str, Law] = {"aten.einsum.default": einsum}
