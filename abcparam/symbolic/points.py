"""Laws in symbols at a point of them, beside what is judged of numbers there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from operator import mul

from abcparam.algebra.sizes import NumericSize, NumericSpace, Size
from abcparam.analysis.build import space_of
from abcparam.analysis.judge import Judgement
from abcparam.symbolic.constraints import Forms, SymbolPoint, point_of
from abcparam.symbolic.sizes import PARTS, SymbolicSize, symbolic

SymbolValues = Mapping[str, Fraction]


def size_at(size: SymbolicSize, space: NumericSpace, at: SymbolValues) -> NumericSize:
    """A size in symbols as a number."""
    if not size.vectors:
        return space.zero if size.is_zero else space.unbounded
    point = point_of([at[symbol] for symbol in size.space.symbols])
    top, bottom = (_largest(size, f, space, point) for f in (size.vectors, size.bottom))
    return top - bottom


def _largest(
    size: SymbolicSize, forms: Forms, space: NumericSpace, point: SymbolPoint
) -> NumericSize:
    found, whole = space.zero, PARTS * point[0]
    for form in forms:
        parts = size.space.premises.order.parts(form)
        powers = (Fraction(sum(map(mul, part, point))) / whole for part in parts)
        found = found | space.size(dict(zip(size.space.names, powers, strict=False)))
    return found


def other_laws(symbols: Judgement, numbers: Judgement, at: SymbolValues) -> Iterator[str]:
    """Laws of activations and updates in symbols that are not those of numbers at a point."""
    space = space_of(numbers.laws.program)
    ours, theirs = symbols.laws.graph, numbers.laws.graph
    pairs: list[tuple[str, Size, Size]] = []
    for x, y in zip(ours.nodes, theirs.nodes, strict=True):
        pairs += [(f"{x.title} at init", x.s0, y.s0), (f"the change of {x.title}", x.d, y.d)]
    for p, q in zip(ours.parameters, theirs.parameters, strict=True):
        pairs.append((f"the update of {p.tensor.path}", p.u, q.u))
    known: dict[int, NumericSize] = {}  # by the identity of a size, which is made once
    for what, law, right in pairs:
        if id(law) not in known:
            known[id(law)] = size_at(symbolic(law), space, at)
        size = known[id(law)]
        if size != right:
            yield f"{what} is {size}, of numbers {right}"
