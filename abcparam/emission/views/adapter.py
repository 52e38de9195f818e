"""The view of an adapter: what initializes a model of any class by the names of its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import reduce

from abcparam.algebra.polynomials import Opaque, Polynomial, product
from abcparam.algebra.record import Record
from abcparam.emission.lowering.numbers import CodePlace, Names
from abcparam.emission.lowering.scope import ModuleScope, initial
from abcparam.emission.views.initial import filled
from abcparam.emission.views.laws import comment
from abcparam.emission.views.training import MODEL, Access
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.python_code import nodes
from abcparam.python_code.layout import Text, entry, lines
from abcparam.python_code.nodes import Binary, Code, Constant, Name, call, subscript

CONFIG, FOUND, SIZES = Name("config"), Name("found"), Name("sizes")
LENGTH, PARAMETER = Name("length"), Name("p")
OF_ADAPTER = Access(
    ("model: nn.Module", "config: Config | None = None"),
    nodes.Any_((CONFIG, call("config_of", MODEL))),
    call("_parameters", MODEL, CONFIG),
)


class AdapterView(Record):
    """Tables of the spec's tensors, and what each starts at."""

    axes: tuple[Text, ...]
    sizes: tuple[Text, ...]
    init: tuple[Text, ...]
    shapes: tuple[Text, ...]


def adapter_view(program: Program, names: Names, laws: Mapping[str, str]) -> AdapterView:
    scope, place, tensors = ModuleScope(program), CodePlace(names), program.tensors.values()
    return AdapterView(
        axes=_entries(((t.path, nodes.lift(len(t.axes))) for t in tensors), 4),
        sizes=tuple(lines(_sizes(program), 4)),
        init=tuple(lines(_init(scope, place, laws), 4)),
        shapes=_entries(((t.path, _shape(scope, place, t)) for t in tensors), 8),
    )


def _entries(items: Iterable[tuple[str, Code]], indent: int) -> tuple[Text, ...]:
    return tuple(line for path, code in items for line in entry(path, code, indent))


def _shape(scope: ModuleScope, place: CodePlace, tensor: Tensor) -> Code:
    """The number of copies, and the shape of each."""
    axes = tuple(place.whole(scope.length(axis.value)) for axis in tensor.axes)
    copies = product(count.value for count in tensor.copies)
    return nodes.Tuple((place.whole(scope.length(copies)), nodes.Tuple(axes)))


def _init(
    scope: ModuleScope, place: CodePlace, laws: Mapping[str, str]
) -> Iterator[nodes.Statement]:
    for tensor in scope.program.tensors.values():
        value = initial(scope, tensor)
        yield nodes.Comment(comment(tensor, laws.get(tensor.path, "")))
        fill = filled(tensor.init.kind, PARAMETER, value, place.real(value))
        yield nodes.For((PARAMETER,), subscript(FOUND, Constant(tensor.path)), (fill,))


# Sizes, read off shapes


class Extent(Record):
    """A length that a model shows: that of an axis, or a number of copies."""

    length: Polynomial
    code: Code


def _extents(program: Program) -> Iterator[Extent]:
    """Of vectors first, then of tables, then of matrices, which may be stored transposed."""
    order = sorted(program.tensors.values(), key=lambda t: (len(t.axes) != 1, not t.table))
    for tensor in order:
        mine = subscript(FOUND, Constant(tensor.path))
        for index, axis in enumerate(tensor.axes):
            yield Extent(axis.value, call("_length", mine, index))
        if len(tensor.copies) == 1:
            yield Extent(tensor.copies[0].value, call("len", mine))


def _sizes(program: Program) -> Iterator[nodes.Statement]:
    """For each dim that stands alone as a length, then for those that follow from one and these."""
    extents, known = list(_extents(program)), set[str]()
    names = [dim.name for dim in program.dims.values() if not dim.derived]
    for name in names:
        for extent in extents:
            if name not in known and _is_alone(name, extent.length):
                known.add(name)
                yield nodes.Assign((_size(name),), extent.code)
    for name in names:
        for extent in extents:
            if name not in known and (value := _solved(name, extent.length, known)):
                known.add(name)
                yield nodes.Assign((LENGTH,), extent.code)
                yield nodes.Assign((_size(name),), value)


def _is_alone(name: str, length: Polynomial) -> bool:
    return length == Polynomial({((name, Fraction(1)),): Fraction(1)})


def _solved(name: str, length: Polynomial, known: set[str]) -> Code | None:
    """The dim, where a length is a multiple of it or of its reciprocal, and knows the rest."""
    powers = dict(length.terms[0][0]) if length.is_monomial else {}
    power = powers.pop(name, None)
    whole = all(atom in known and p.denominator == 1 for atom, p in powers.items())
    if power not in (1, -1) or not whole:
        return None
    coefficient = length.terms[0][1]
    over = _factors(powers, coefficient.numerator, 1)
    rest = _factors(powers, coefficient.denominator, -1)
    if power == 1:
        return _quotient([LENGTH, *rest], over)
    return _quotient(over, [LENGTH, *rest])


def _factors(powers: Mapping[str | Opaque, Fraction], number: int, sign: int) -> list[Code]:
    """The sizes with powers of a sign, and a number."""
    found: list[Code] = [nodes.lift(number)] if number != 1 else []
    for atom, power in powers.items():
        assert isinstance(atom, str)
        found += [_size(atom)] * max(0, int(power) * sign)
    return found


def _size(name: str) -> Code:
    return subscript(SIZES, Constant(name))


def _quotient(over: list[Code], under: list[Code]) -> Code:
    top = reduce(_times, over or [nodes.lift(1)])
    return Binary("//", top, reduce(_times, under)) if under else top


def _times(left: Code, right: Code) -> Code:
    return Binary("*", left, right)
