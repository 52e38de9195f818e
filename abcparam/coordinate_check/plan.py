"""Which sizes a check is run at: small finite dims, and widths that the time allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice
from math import ceil

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.operations.base import operation_of
from abcparam.program.binding import bind
from abcparam.program.dims import Dim
from abcparam.program.expressions import Apply, parts_of, values_of
from abcparam.program.model import Program

SEQUENCE, CLASSES, COPIES, STEPS, HEAD, FEATURES = 8, 32, 2, 4, 16, 64
SMALLEST, SHALLOWEST = 64, 4  # a width, a size in a later limit
LEAST, MOST, TRIED, DOUBLINGS = 3, 5, 7, 24  # how many widths, those tried, those that may fit
IMAGE, SIDES = 3, (8, 16, 32)  # axes of an image; its sides, the first that leave it valid
PATCHES = 4  # of an image that a map sees, of sixteen images
PER_PARAMETER, PER_TOKEN = 4e-8, 1.5e-9  # seconds a step, on one core in double precision


class NoWidthsError(ValueError):
    """No widths fit; the text says why."""


class VariedDims(Record):
    """Which growth dims of a program a check varies together; the one that leads is first."""

    program: Program
    together: tuple[Dim, ...]

    @property
    def lead(self) -> Dim:
        return self.together[0]

    @property
    def rates(self) -> dict[str, Fraction]:
        """How fast each of them grows."""
        return {dim.name: dim.rate for dim in self.together}

    @property
    def in_first_limit(self) -> bool:
        """Whether they go to infinity before all others."""
        return self.lead.group == min(dim.group for dim in self.program.growing)

    @property
    def fixed(self) -> dict[str, int]:
        """The growth dims of other limits, which stay at base."""
        others = [dim for dim in self.program.growing if dim not in self.together]
        return {dim.name: dim.default or dim.base or COPIES for dim in others}

    def at(self, width: int) -> dict[str, int]:
        """All growth dims at a width of the lead; the others grow by their rates from base."""
        lead, *others = self.together
        ratio = width / (lead.base or 1)
        found = {lead.name: width}
        for dim in others:
            found[dim.name] = max(1, round((dim.base or 1) * ratio ** float(dim.rate / lead.rate)))
        return found | self.fixed

    def fits(self, width: int) -> bool:
        """Whether every length is a positive whole number at a width of the lead."""
        return _fits(self.program, self.at(width))

    def smallest(self) -> int | None:
        """The smallest width that fits, up to 4096."""
        return next((width for width in range(1, 4097) if self.fits(width)), None)


def varied_dims(program: Program, vary: str = "") -> VariedDims:
    """The growth dims of the first limit, or of that in which `vary` grows, which then leads."""
    dims = program.growing
    if not dims:
        raise NoWidthsError("no dim goes to infinity")
    if vary and vary not in (dim.name for dim in dims):
        names = ", ".join(dim.name for dim in dims)
        raise NoWidthsError(f"{vary} is no dim that goes to infinity; those are {names}")
    lead = program.dims[vary] if vary else min(dims, key=lambda dim: dim.group)
    rest = (dim for dim in dims if dim.group == lead.group and dim is not lead)
    return VariedDims(program, (lead, *rest))


class WidthPlan(Record):
    """The widths of a check: what is varied, and the growth dims at each width."""

    varied: VariedDims
    dims: Mapping[int, Mapping[str, int]]

    @property
    def program(self) -> Program:
        return self.varied.program


def shrunk(program: Program, given: Iterable[str]) -> tuple[Program, dict[str, int]]:
    """The program with finite dims made small where that leaves it valid; those given stay."""
    changed: dict[str, int] = {}
    for sides in _images(program):
        wanted = {name for name in sides if name not in given}
        for side in SIDES:
            program, made = _brought_down(program, dict.fromkeys(wanted, side))
            changed |= made
            if made:
                break
    for name, limit in _limits(program).items():
        dim = program.dims[name]
        if name in given or dim.default is None or dim.default <= limit:
            continue
        try:
            program = bind(program, {name: Fraction(limit)})
        except SpecError:
            continue
        changed[name] = limit
    return program, changed


def _brought_down(program: Program, limits: Mapping[str, int]) -> tuple[Program, dict[str, int]]:
    """With all of these dims at most so large, if that leaves the program valid."""
    large = {n: most for n, most in limits.items() if (program.dims[n].default or 0) > most}
    try:
        return bind(program, {name: Fraction(most) for name, most in large.items()}), large
    except SpecError:
        return program, {}


def _images(program: Program) -> Iterator[list[str]]:
    """The finite dims that are the sides of each image, an input of [channels, rows, columns]."""
    for given in program.inputs:
        if given.index is None and len(given.axes) == IMAGE:
            names = {name for axis in given.axes[1:] for name in axis.value.names}
            dims = (program.dims[name] for name in names)
            yield sorted(d.name for d in dims if d.finite and d.default)


def _limits(program: Program) -> dict[str, int]:
    """What each finite dim is brought down to, by what it is used for."""
    found: dict[str, int] = {}

    def limit(length: Polynomial, most: int) -> None:
        for name in length.names & finite:
            found[name] = min(most, found.get(name, most))

    finite = {d.name for d in program.finite}
    for given in program.inputs:
        if given.index is None and len(given.axes) == IMAGE:
            continue
        for axis in given.axes if given.index else given.axes[:-1]:
            limit(axis.value, SEQUENCE)
        if given.index is not None:
            limit(given.index.value, CLASSES)
        elif given.axes:
            limit(given.axes[-1].value, FEATURES)
    for module in program.root.walk():
        if module.count is not None:
            sequence = any(n in found for n in module.count.value.names)
            limit(module.count.value, STEPS if sequence else COPIES)
    for dim in program.dims.values():
        if dim.derived and dim.infinite:
            limit(dim.value, HEAD)
    base = program.base_values()
    for length, fewest in _fewest(program):
        for name in length.names & found.keys() if fewest.names <= base.keys() else ():
            found[name] = max(found[name], ceil(fewest.evaluate(base)))
    return found


def _fewest(program: Program) -> Iterator[tuple[Polynomial, Polynomial]]:
    """Lengths that may not be less than others."""
    statements = (statement for module in program.root.walk() for statement in module.body)
    for part in (p for s in statements for v in values_of(s) for p in parts_of(v)):
        if isinstance(part, Apply):
            yield from operation_of(part).fewest(part)


def widths_of(varied: VariedDims, budget: float, runs: int, tokens: int) -> WidthPlan:
    """Doubling widths, at most five, that `runs` steps and seeds can afford; at least three."""
    afforded: list[int] = []
    spent = 0.0
    for width in _doubling(varied):
        spent += runs * seconds_by_rule(varied.program, varied.at(width), tokens)
        if len(afforded) >= LEAST and spent > budget:
            break
        afforded.append(width)
    return WidthPlan(varied, {width: varied.at(width) for width in afforded[-MOST:]})


def given_widths(varied: VariedDims, widths: Iterable[int]) -> WidthPlan:
    """These widths, of the dim that leads; raises `NoWidthsError` where one does not fit."""
    found = {}
    for width in sorted(set(widths)):
        if not varied.fits(width):
            step = varied.smallest()
            hint = f" (widths are multiples of {step})" if step else ""
            raise NoWidthsError(f"{width} leaves a length that is not whole{hint}")
        found[width] = varied.at(width)
    return WidthPlan(varied, found)


def _doubling(varied: VariedDims) -> list[int]:
    smallest = varied.smallest()
    if not smallest:
        raise NoWidthsError("no width up to 4096 makes every length whole; give some with --widths")
    while smallest < (SMALLEST if varied.in_first_limit else SHALLOWEST):
        smallest *= 2
    doublings = (smallest * 2**k for k in range(DOUBLINGS))
    found = list(islice(filter(varied.fits, doublings), TRIED))
    if len(found) < LEAST:
        raise NoWidthsError(
            f"fewer than {LEAST} doublings of {smallest} make every length whole; "
            f"give some with --widths"
        )
    return found


def _fits(program: Program, dims: Mapping[str, int]) -> bool:
    """Whether every length is a positive whole number."""
    values = program.base_values() | {name: Fraction(size) for name, size in dims.items()}
    lengths = [d.value for d in program.dims.values() if d.derived]
    lengths += [axis.value for tensor in program.tensors.values() for axis in tensor.axes]
    try:
        found = [length.evaluate(values) for length in lengths]
    except (ValueError, ZeroDivisionError):
        return False
    return all(size.denominator == 1 and size >= 1 for size in found)


def seconds_by_rule(program: Program, dims: Mapping[str, int], tokens: int) -> float:
    """Of a step, by a rule of thumb."""
    return _parameters(program, dims) * (PER_PARAMETER + tokens * PER_TOKEN)


def _parameters(program: Program, dims: Mapping[str, int]) -> float:
    values = program.base_values() | {name: Fraction(size) for name, size in dims.items()}
    total = 0.0
    for tensor in program.tensors.values():
        size = 1.0
        for length in (*tensor.axes, *tensor.copies):
            size *= float(length.value.evaluate(values))
        total += size
    return total


def positions(program: Program) -> int:
    """How many values a map sees of one example: the lengths of sequences, a few of an image."""
    values, most = program.base_values(), 1
    for given in program.inputs:
        if given.index is None and len(given.axes) == IMAGE:
            most = max(most, PATCHES)
            continue
        axes = given.axes if given.index else given.axes[:-1]
        count = 1
        for axis in axes:
            count *= max(1, round(axis.value.evaluate(values)))
        most = max(most, count)
    return most
