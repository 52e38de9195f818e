"""The two-parameter family between two parametrizations of a model.

Initial scales go from A's to B's, and, apart from that, learning rates from A's to B's. B is
brought to A's gauge first, so that only `b`, `c` and `d` change along the way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record, field, replace
from abcparam.comparison.compare import compare
from abcparam.comparison.text import difference_line
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.solving import NoFamily
from abcparam.diagnostics.source import START
from abcparam.editing.exponents import UnwritableError, edited, exponents
from abcparam.editing.insertion import inserted
from abcparam.language.parser import parse
from abcparam.program.binding import bind, require_numbers
from abcparam.program.model import Program
from abcparam.program.tensors import ExponentsByKey, with_exponents
from abcparam.resolve.resolver import resolve
from abcparam.verdict.report import Report

LETTERS = "bcd"
UNNAMED = ("s", "t")  # what coordinates are called where nobody names them
ZERO = Affine(Fraction(0))
PARTS = ("dim", "tensor", "shape")  # what must be the same before anything can be compared

Coordinate = str | Fraction  # the name of a symbol, or a value


class Family(Record):
    """The spec between two others, `text`, with its `report`.

    The report has the verdict where it does not depend on the symbols, and the region of each
    verdict; it is worked out when it is first asked for. Initial scales are A's at `init` 0 and B's
    at 1, learning rates A's at `lr` 0 and B's at 1. Values that A was given are in the report, and
    not in the text.
    """

    text: str
    init: str | Fraction
    lr: str | Fraction
    program: Program = field(repr=False)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def report(self) -> Report:
        """Raises `SpecError` where no law can be proved."""
        from abcparam.verdict.check import judged, report

        return report(self.program) if self.program.symbols else judged(self.program)


def between(a: Program, b: Program, init: Coordinate, lr: Coordinate) -> Program:
    """The program of the family. A coordinate is the name of a symbol, or a value.

    Constants, the forward pass and settings, weight decay too, are A's. Raises `SpecError` where A
    and B are not the same model, or differ in more than exponents.
    """
    for program in (a, b):
        require_numbers(program)
    ends = _ends(a, b)
    along = {"b": init, "c": lr, "d": lr}
    values = {
        (path, key): _mix(start.get(key, ZERO), stop.get(key, ZERO), along[key[0]])
        for path, (start, stop) in ends.items()
        for key in dict.fromkeys([*start, *stop])
        if key[0] in LETTERS
    }
    symbols = [c for c in dict.fromkeys((init, lr)) if isinstance(c, str)]
    source = inserted(a.source, [f"exponent {', '.join(symbols)}"]) if symbols else a.source
    try:
        text = edited(replace(a, source=source), values)
    except UnwritableError as error:
        raise _refused(a, b, str(error)) from None
    source = replace(source, text=text)
    found = replace(resolve(parse(source), source), dims=a.dims, hypers=a.hypers)
    return bind(found, a.chosen)


def family(a: Program, b: Program, init: Coordinate = "s", lr: Coordinate = "t") -> Family:
    """The family. Raises as `between` does. Where A has an `s` or `t`, they are `s_` and `t_`."""
    init, lr = _free(init, a), _free(lr, a)
    program = between(a, b, init, lr)
    return Family(program.source.text, init, lr, program)


def _free(coordinate: Coordinate, a: Program) -> Coordinate:
    """One that nobody may have chosen gives way; another one is refused where it is taken."""
    taken = re.findall(r"\w+", a.source.text) if coordinate in UNNAMED else ()
    while coordinate in taken:
        coordinate = f"{coordinate}_"
    return coordinate


# The ends


def _ends(a: Program, b: Program) -> dict[str, tuple[ExponentsByKey, ExponentsByKey]]:
    """The exponents of each tensor of A, and those of B in A's gauge."""
    found = compare(a, b)
    for difference in found.laws:
        if difference.quantity in PARTS:
            raise _refused(a, b, difference_line(difference))
    ends = {}
    for path, tensor in a.tensors.items():
        start, stop = exponents(tensor), exponents(b.tensors[path])
        ends[path] = start, _in_gauge(stop, start, b.shift_of(b.tensors[path]))
    _same_at_the_end(a, b, {path: stop for path, (_, stop) in ends.items()})
    return ends


def _in_gauge(of: ExponentsByKey, like: ExponentsByKey, shift: Mapping[str, int]) -> ExponentsByKey:
    """The exponents shifted so that every `a` is like another tensor's."""
    found = dict(of)
    for dim in dict.fromkeys(key[1:] for key in (*of, *like) if key[0] == "a"):
        theta = like.get(f"a{dim}", ZERO) + of.get(f"a{dim}", ZERO) * Fraction(-1)
        for letter, times in shift.items():
            found[letter + dim] = found.get(letter + dim, ZERO) + theta * Fraction(times)
    return found


def _same_at_the_end(a: Program, b: Program, ends: Mapping[str, ExponentsByKey]) -> None:
    """Raises where A with B's exponents does not scale as B does, weight decay apart."""
    tensors = {path: with_exponents(tensor, ends[path]) for path, tensor in a.tensors.items()}
    found = compare(replace(a, tensors=tensors), b)
    if any(difference.quantity != "weight_decay" for difference in found.laws):
        raise _refused(a, b, difference_line((*found.reasons, *found.laws)[0]))


def _refused(a: Program, b: Program, what: str) -> SpecError:
    fields = {"a": a.source.file, "b": b.source.file, "what": what}
    return SpecError(a.source, [NoFamily.at(START, **fields)])


# Along the way


def _mix(start: Affine, stop: Affine, along: Coordinate) -> Affine:
    """From one exponent to another one: a part of the way, or the symbol's part of it."""
    way = stop.constant - start.constant
    if isinstance(along, str):
        return start + Affine(Fraction(0), ((along, way),))
    return start + Affine(way * along)
