"""A node of the forward graph: what is known of one activation, and the shape of every law.

A law is linear in the max-plus sense. A node says what its size is at initialization, by how much a
change of each input grows on its way through (`gains`), what its own tensor's update adds
(`update`), and the mirror image of these for the gradient. Rounds and bounds are the same for all
of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from operator import attrgetter
from typing import Any

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.draws import CONSTANT, GIVEN, ZERO, Draws, of_sum
from abcparam.calculus.kept import KeptMean, of_number
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.parts import NO_PARTS, Parts, are_apart, parts_of
from abcparam.diagnostics.source import START, Span


class Limit(NamedTuple):
    """A place where size has a meaning. `bound` limits the change of an input, `kind` says why."""

    kind: str  # "operand", "pointwise", "logarithm", "softmax", "norm", "output"
    bound: Size


class ChangeBounds(NamedTuple):
    """Bounds on a change: on its coherent part, its random part and the mean of that."""

    coherent: Size
    random: Size
    mean: Size

    def tightened(self, other: ChangeBounds) -> ChangeBounds:
        mean = self.mean & other.mean if other.mean.is_bound else self.mean
        return ChangeBounds(self.coherent & other.coherent, self.random & other.random, mean)


class Context(NamedTuple):
    """What laws may ask of the whole program."""

    one: Size  # exponent 0
    zero: Size  # exactly zero
    unbounded: Size
    alignment: str
    follows: bool  # whether the part of a change that points along the gradient is followed
    at_setting: bool = False  # whether sizes are magnitudes at one setting


CHANGING = ("dc", "dr", "dm", "along", "g0", "gc", "gr", "gm", "gn", "galong")  # in training
BEYOND_FLOATS = 2**128  # of 32 bits
_sizes_of = attrgetter(*CHANGING)


class Node:
    """One activation, with its sizes.

    `s0` is its size at init, `dc` and `dr` those of its coherent and random change. `along` is the
    part of its change that points along its gradient: all of it but where a change goes through
    finitely many numbers. Where several nodes read it, `through` is the gradient that comes through
    each of them and `toward` the part of its change, of all rounds, that points along that; they
    are None where all of `along` is taken to point along each reader. `g0`, `gc`, `gr` are sizes of
    the gradient and its change; `galong` is the part of that change that points along the value,
    None where all of it does. `m0`, `dm`, `gm`, `gn` are those of the means of `s0`, `dr`, `g0`,
    `gr` over the weights that its copy of an infinite repeat draws, on which it depends as `draws`
    says. `spread`: what of `s0` differs from coordinate to coordinate. `centred`: zero mean at
    init. `weighs`: each entry is made of other entries of tensors than the rest; `given`: it is of
    tensors and numbers alone. `maps`: the tensors whose products it last came from, a bit for each;
    `parts`: which rows, of those of which it holds some only. `kept_mean`: its mean over its last
    axis, where that is one number, whatever it is of.
    """

    __slots__ = (
        "_exact",
        "_released",
        "after",
        "along",
        "centred",
        "comes_from_contraction",
        "context",
        "dc",
        "dm",
        "dr",
        "draws",
        "g0",
        "galong",
        "gc",
        "given",
        "gm",
        "gn",
        "gr",
        "inputs",
        "kept_mean",
        "m0",
        "maps",
        "name",
        "of_few",
        "parts",
        "placed",
        "repeated",
        "s0",
        "span",
        "spread",
        "through",
        "toward",
        "weighs",
    )

    parameter: Parameter | None = None

    def __init__(self, context: Context, inputs: Sequence[Node], span: Span = START) -> None:
        self.context = context
        self.inputs = tuple(inputs)
        self.span = span
        self.name = ""
        self.kept_mean: KeptMean | None = None
        self.placed = False  # whether it stands in the graph
        self.after = context.one  # constant factors of all that reads it, where they shrink it
        self.repeated: Size | None = None  # the size of an infinite repeat that shares its tensor
        self._exact: Fraction | type[Node] | None = Node  # the class: not asked for so far
        self._released: Size | type[Node] | None = Node  # the same
        self.galong: Size | None = None
        self.through: dict[Node, Size] | None = None
        self.toward: dict[Node, Size] | None = None
        zero = context.zero
        self.reset()
        self.dc = self.dr = self.dm = self.along = zero
        self.g0 = self.gc = self.gr = self.gm = self.gn = zero
        self._inherit()

    def _inherit(self) -> None:
        """What is known of it from what is known of its inputs."""
        self.draws: Draws = of_sum([x.draws for x in self.inputs])
        self.centred, self.maps, held = True, 0, False
        self.comes_from_contraction = False  # whether a map that makes it contracts
        self.of_few = bool(self.inputs)  # whether it is of what such maps give alone
        self.weighs = self.given = bool(self.inputs)
        for x in self.inputs:
            self.given &= x.given
            self.centred &= x.centred
            self.maps |= x.maps
            self.comes_from_contraction |= x.comes_from_contraction
            self.of_few &= x.of_few or x.exact == 0
            self.weighs &= x.weighs
            held = held or bool(x.parts)
        self.of_few |= self.comes_from_contraction
        self.parts: Parts = parts_of([(x.maps, x.parts) for x in self.inputs]) if held else NO_PARTS

    @property
    def exact(self) -> Fraction | None:
        """The number that it is at init, at all coordinates and widths, where one is known.

        None is known that floats do not hold: those of long chains of squares have no end.
        """
        if self._exact is Node:
            self._exact = held(self.exactly())
        return self._exact  # type: ignore[return-value]

    def exactly(self) -> Fraction | None:
        """The same, from those of its inputs. Default: zero of zeros."""
        zeros = self.inputs and all(x.exact == 0 for x in self.inputs)
        return Fraction(0) if zeros else None

    @property
    def released(self) -> Size | None:
        """Its size once few numbers that a map made of many are Θ(1); None if it is of others too.

        They start at n^(-1/2) with the exponents that are right for their map, and are Θ(1) once
        it has learnt. What maps, factors and functions make of them starts as small, and is
        released with them. Asked for of many values, it is computed once of each.
        """
        if self._released is Node:
            if self.comes_from_contraction:
                self._released = self.s0 | self.context.one
            else:
                self._released = self.release() if self.of_few and not self.s0.is_zero else None
        return self._released  # type: ignore[return-value]

    def release(self) -> Size | None:
        """The same, from those of its inputs. Default: not known."""
        return None

    def _settle(self) -> None:
        """Takes what is known of a single number, where its kind is no more known to be one."""
        if self.exact is not None:
            self.centred = self.exact == 0
            self.draws = CONSTANT if self.exact else ZERO

    def apart_from(self, other: Node) -> bool:
        """Whether they last came from different maps, or from different rows of one."""
        both = self.maps & other.maps
        while both:
            bit = both & -both
            mine, theirs = self.parts.get(bit), other.parts.get(bit)
            if mine is None or theirs is None or not are_apart(mine, theirs):
                return False
            both ^= bit
        return bool(self.maps and other.maps)

    @property
    def d(self) -> Size:
        """Size of the change caused by updates."""
        return self.dc | self.dr

    @property
    def s(self) -> Size:
        """Total size."""
        return self.s0 | self.dc | self.dr

    @property
    def mean_size(self) -> Size:
        """Size of what has a mean over the draws of its copy."""
        return self.m0 | self.dc | self.dm

    @property
    def gd(self) -> Size:
        return self.gc | self.gr

    @property
    def g(self) -> Size:
        """Total size of the gradient."""
        return self.g0 | self.gc | self.gr

    def reset(self) -> None:
        """Forgets its sizes at initialization."""
        self.s0 = self.m0 = self.spread = self.context.zero

    def initial(self) -> Size:
        """Size at initialization. Default: the largest input's."""
        size = self.context.zero
        for x in self.inputs:
            size = size | x.s0
        return size

    def mean(self) -> Size:
        """The mean at init over the draws of its copy, where it may be other than zero."""
        size = self.context.zero
        for x in self.inputs:
            size = size | x.m0
        return size

    def differing(self) -> Size:
        """What of its size at init differs between its coordinates. Default: all of it."""
        return self.s0

    def begin(self) -> None:
        """Takes its sizes at initialization from those of its inputs."""
        self._released = Node
        exact = self._exact = held(self.exactly())
        if exact is None:
            self.s0 = self.initial()
        else:
            self.s0 = self.context.one if exact else self.context.zero
        if not self.draws.of or exact is not None:
            self.m0 = self.s0
        elif not self.draws.cancels:
            self.m0 = self.mean()
        self.spread = self.context.zero if exact else self.differing()
        if self.s0.is_zero:
            self._exact = Fraction(0)

    def gains(self) -> Sequence[Size]:
        """Per input: `d(self)` is at least this plus `d(input)`. Default: changes pass."""
        return [self.context.one] * len(self.inputs)

    def bound_gains(self) -> Sequence[Size]:
        """Per input: the larger of the gains through initial weights and through updates."""
        return self.gains()

    def mean_gains(self) -> Sequence[Size]:
        """Per input: by how much a change grows whose mean over the draws is not zero."""
        return self.gains()

    def update(self) -> Size:
        """What the node's own tensor's update contributes to it."""
        return self.context.zero

    def strewn(self) -> Size:
        """What it contributes beside that of one kind in all copies, and random in each."""
        return self.context.zero

    def clamp(self, change: Size) -> Size:
        """The change after what the operation does to large ones."""
        return change

    def back_initial(self) -> Sequence[Size]:
        """Per input: `g0(input)` is at least this plus `g0(self)`. Default: gradients pass."""
        return [self.context.one] * len(self.inputs)

    def back_gains(self) -> Sequence[Size]:
        """Per input: `gd(input)` is at least this plus `gd(self)`."""
        return self.back_initial()

    def back_means(self) -> tuple[Sequence[Size], Sequence[Size]]:
        """The same two for gradients whose mean over the draws is not zero."""
        return self.back_initial(), self.back_gains()

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        """(input, coherent, random): what changes of the backward map itself add to `g(self)`."""
        return ()

    def gradient(self) -> Size:
        """Size of the gradient of the node's own tensor from this use, without its multiplier."""
        return self.context.zero

    def gradient_of_copies(self) -> Size:
        """The same, added up over the copies of an infinite repeat that share the tensor."""
        return self.gradient() if self.repeated is None else self.gradient() + self.repeated

    def limits(self) -> Iterable[tuple[int, Limit]]:
        """(input, limit): the constraints that sit at this node's inputs."""
        return ()

    def change(self) -> tuple[Size, Size]:
        """Its coherent and random change, from those of its inputs and its own tensor's update."""
        coherent, random = self.update(), self.strewn()
        for gain, x in zip(self.gains(), self.inputs, strict=True):
            if x.dc.vectors:
                coherent = coherent | (gain + x.dc)
            if x.dr.vectors:
                random = random | (gain + x.dr)
        return self.clamp(coherent), self.clamp(random)

    def change_mean(self) -> Size:
        """The mean of its random change over the draws of its copy."""
        size = self.strewn()
        for gain, x in zip(self.mean_gains(), self.inputs, strict=True):
            if x.dm.vectors:
                size = size | (gain + x.dm)
        return self.clamp(size)

    def aligned(self) -> Size:
        """The part of its change that points along its gradient. Default: all of it."""
        return self.d

    def passed_along(self) -> Size:
        """The same, of a node that passes directions on as they are."""
        size = self.update()
        for gain, x in zip(self.gains(), self.inputs, strict=True):
            along = x.along_to(self)
            if along.vectors:
                size = size | (gain + along)
        return self.clamp(size)

    def along_to(self, reader: Node) -> Size:
        """The part of its change that points along the gradient that comes through a reader."""
        return self.along if self.toward is None else self.toward.get(reader, self.along)

    def move(self) -> None:
        """Takes the change of its inputs and of its own tensor."""
        self.dc, self.dr = self.change()
        self.dm = self.change_mean() if self.dr.vectors else self.context.zero
        self.along = self.aligned() if self.context.follows else self.d
        if self.toward is not None:
            for reader, part in self._turning():
                self.toward[reader] = self.toward[reader] | part

    def turns(self) -> bool:
        """Whether more of its change will point along a reader than has so far."""
        return self.toward is not None and any(
            part > self.toward[reader] for reader, part in self._turning()
        )

    def _turning(self) -> Iterable[tuple[Node, Size]]:
        """Per reader, what points along it of a change made by the gradients at hand.

        The gradient is the sum of those through its readers: of a change along the sum the part
        along one of them is what it contributes.
        """
        whole = self.g
        for reader, gradient in (self.through or {}).items():
            yield reader, self.along if gradient >= whole else self.along + gradient.less(whole)

    def strays_from(self, reader: Node) -> bool:
        """Whether less than all of its change points along the gradient through a reader."""
        return self.context.follows and self.along_to(reader) < self.d

    def state(self) -> tuple[Any, ...]:
        """The sizes that rounds of training change."""
        through, toward = self.through, self.toward
        return (
            _sizes_of(self),
            None if through is None else dict(through),
            None if toward is None else dict(toward),
        )

    def restore(self, state: tuple[Any, ...]) -> None:
        """Takes the sizes of a state that it was in."""
        sizes, self.through, self.toward = state[:3]
        for name, size in zip(CHANGING, sizes, strict=True):
            setattr(self, name, size)

    def back(self) -> Iterable[tuple[Node, Size, Size, Size]]:
        """(input, g0, gc, gr): what its gradient contributes to those of its inputs."""
        g0, gc, gr = self.g0, self.gc, self.gr
        for initial, gain, x in zip(
            self.back_initial(), self.back_gains(), self.inputs, strict=True
        ):
            yield (
                x,
                initial + g0 if g0.vectors else g0,
                gain + gc if gc.vectors else gc,
                gain + gr if gr.vectors else gr,
            )
        g, zero = self.g, self.context.zero
        for index, coherent, random in self.back_changes():
            yield self.inputs[index], zero, coherent + g, random + g

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        """(input, part): of what changes of its gradient contribute, the part along the input.

        Default: all of it.
        """
        for x, _, coherent, random in self.back():
            yield x, coherent | random

    def passed_back(self) -> Iterable[tuple[Node, Size]]:
        """The same, of a node that passes directions on as they are."""
        along = self.gd if self.galong is None else self.galong
        for gain, x in zip(self.back_gains(), self.inputs, strict=True):
            yield x, gain + along
        for index, coherent, random in self.back_changes():
            yield self.inputs[index], self._turned_along(index, (coherent | random) + self.g)

    def _turned_along(self, index: int, turned: Size) -> Size:
        """Of what an input's change makes of the gradient, what the part along that makes."""
        x = self.inputs[index]
        return (turned + x.along_to(self)).less(x.d) if x.strays_from(self) else turned

    def back_mean(self) -> Iterable[tuple[Node, Size, Size]]:
        """(input, gm, gn): what the means of its gradient contribute to those of its inputs."""
        gm, gn = self.gm, self.gn
        initial, gains = self.back_means()
        for first, gain, x in zip(initial, gains, self.inputs, strict=True):
            yield x, first + gm if gm.vectors else gm, gain + gn if gn.vectors else gn

    def bound_back(self, bounds: ChangeBounds) -> Iterable[tuple[Node, ChangeBounds]]:
        """(input, bounds): what the bounds on its change say about its inputs."""
        coherent, random, mean = bounds
        for gain, x in zip(self.bound_gains(), self.inputs, strict=True):
            if gain.vectors:
                yield x, ChangeBounds(coherent - gain, random - gain, self.context.unbounded)
        if mean.is_bound:
            nowhere = self.context.unbounded
            for gain, x in zip(self.mean_gains(), self.inputs, strict=True):
                if gain.vectors:
                    yield x, ChangeBounds(nowhere, nowhere, mean - gain)

    def initial_sources(self) -> list[tuple[Size, Node, str]]:
        """(what it contributes to the size at init, where it comes from, how), for people."""
        return [(x.s0, x, self.cause(0)) for x in self.inputs]

    def sources(self) -> list[tuple[Size, Node, str]]:
        """(what it contributes to the change, where it comes from, how), for people."""
        return [
            (gain + x.d, x, self.cause(index))
            for index, (gain, x) in enumerate(zip(self.gains(), self.inputs, strict=True))
        ]

    def cause(self, index: int) -> str:
        """How the change of input `index` reaches the node, for people."""
        return "passed on"

    @property
    def title(self) -> str:
        """What the node does, for people."""
        return type(self).__name__.removesuffix("Node").lower()


class InputNode(Node):
    """Data that come from outside: Θ(1), never changed by training."""

    __slots__ = ()

    def __init__(self, context: Context, name: str) -> None:
        super().__init__(context, ())
        self.centred = False
        self.name = name
        self.maps = 0
        self.draws = GIVEN

    def initial(self) -> Size:
        return self.context.one

    @property
    def title(self) -> str:
        return "source"


class ConstantNode(InputNode):
    """A number of Θ(1), the same at every coordinate; which one, where it is known."""

    __slots__ = ("value",)

    def __init__(self, context: Context, value: Fraction | None = None) -> None:
        super().__init__(context, "")
        self.value = value
        self.given = True
        self.draws = CONSTANT
        self.kept_mean = of_number(value, context.one)

    def exactly(self) -> Fraction | None:
        return self.value

    def differing(self) -> Size:
        return self.context.zero


class ZerosNode(Node):
    """An array of zeros."""

    __slots__ = ()

    def __init__(self, context: Context, span: Span = START) -> None:
        super().__init__(context, (), span)
        self.kept_mean = of_number(Fraction(0), context.one)

    def exactly(self) -> Fraction:
        return Fraction(0)


def held(number: Fraction | None) -> Fraction | None:
    """A number, or None in place of one that floats do not hold."""
    if number is None or max(abs(number.numerator), number.denominator) >= BEYOND_FLOATS:
        return None
    return number


def operand(node: Node, factor: Size) -> Limit:
    """An operand of a map or product may not change by more than Θ(1) or its initial size.

    Nor does it with a constant factor beside it, of the result or of the other operand.
    """
    one = node.context.one
    bound = node.s0 | one
    return Limit("operand", bound if factor is one else bound | -(factor & one))
