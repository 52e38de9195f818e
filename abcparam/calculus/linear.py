"""Linear maps, lookups and tensors used as values: where parameters meet activations.

Tensor Programs: initial weights on an independent vector obey the central limit (half of fan-in),
on a change of their input the RMS to RMS operator norm (the input has learnt to point along the
transpose), and an update on its input the law of large numbers (all of fan-in). arXiv 2011.14522,
section 5; arXiv 2308.01814, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from abcparam.algebra.sizes import Size
from abcparam.calculus.draws import CONSTANT, ZERO, Draws, drawn, mapped, of_product
from abcparam.calculus.node import Context, Limit, Node, operand
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.parts import NO_PARTS
from abcparam.calculus.shares import (
    SharedNode,
    Shares,
    StartAndChange,
    parts_of_map,
    parts_of_value,
)
from abcparam.diagnostics.source import START, Span


def change_gain(parameter: Parameter, rho_in: Size, rho_out: Size, alignment: str) -> Size:
    """Initial weights on a change of their input: sigma + max(rho_in/2, rho_in - rho_out/2)."""
    return parameter.sigma + sum_gain(rho_in, rho_out, alignment)


def sum_gain(rho_in: Size, rho_out: Size, alignment: str) -> Size:
    """Of random entries over what points along their rows as far as there is room."""
    gain = rho_in.half()
    return gain | (rho_in - rho_out.half()) if alignment == "tensor-programs" else gain


def update_gain(parameter: Parameter, rho_in: Size, rho_out: Size, alignment: str) -> Size:
    """An update on its input: u + rho_in; for a spectral norm u + (rho_in - rho_out)/2."""
    if parameter.spectral:
        return parameter.u + rho_in.half() - rho_out.half()
    return parameter.u + (rho_in.half() if alignment == "none" else rho_in)


class LinearNode(SharedNode):
    """`W @ x`, `W.T @ x`, a convolution.

    `tied`: x already contains W, so W^T meets it aligned from the start. `shared` is the size of
    the axes of x, other than the contracted one, that W is applied to side by side.
    """

    __slots__ = (
        "parameter",
        "rho_in",
        "rho_out",
        "shared",
        "tied",
        "transposed",
    )

    def __init__(
        self,
        context: Context,
        parameter: Parameter,
        x: Node,
        shared: Size,
        transposed: bool = False,
        tied: bool = False,
        span: Span = START,
        rhos: tuple[Size, Size] | None = None,
    ) -> None:
        super().__init__(context, (x,), span)
        self.parameter: Parameter = parameter
        rhos = rhos or (parameter.rho_in, parameter.rho_out)
        self.rho_in, self.rho_out = rhos[::-1] if transposed else rhos
        self.shared = shared
        self.tied = tied
        one = context.one  # along axes beside, it is no more so than x: W is the same there
        self.centred = self.rho_out > one or not shared > one or x.centred
        self.maps, self.comes_from_contraction = parameter.bit, parameter.contracts
        self.of_few = x.of_few or parameter.contracts
        self.weighs = self.given = False  # `maps` knows no more what its input came from
        self.transposed = transposed
        self.parts = NO_PARTS
        self.draws = self._draws(x.draws)

    def _draws(self, x: Draws) -> Draws:
        """Rows of a tensor that is drawn are alike, where nothing infinite lies beside them."""
        if x.is_zero or self.parameter.starts_at_zero:
            return ZERO
        if not self.parameter.drawn:
            return x._replace(alike=False)
        if self.tied:
            return of_product(drawn(self.parameter.drawn), x)._replace(alike=False)
        found = mapped(self.parameter.drawn, x)
        return found if self.shared == self.context.one else found._replace(alike=False)

    def exactly(self) -> Fraction | None:
        zero = self.parameter.starts_at_zero or self.inputs[0].exact == 0
        return Fraction(0) if zero else None

    def release(self) -> Size | None:
        x = self.inputs[0]
        return None if x.released is None else x.released + self.s0.less(x.s0)

    def initial(self) -> Size:
        x = self.inputs[0]
        if self.tied:
            return self._change_gain() + x.s0
        return self.parameter.sigma + self.rho_in.half() + x.s0

    @property
    def _scatters(self) -> bool:
        """Whether what it gives has mean zero, whatever it is given."""
        return bool(self.parameter.drawn) and not self.tied

    def mean(self) -> Size:
        x = self.inputs[0]
        if self._scatters:
            return self.context.zero
        if self.parameter.drawn:
            return self._along_gain() + x.s0
        gain = self._change_gain() if self.tied else self._random_gain()
        return gain + x.m0

    def _random_gain(self) -> Size:
        return self.parameter.sigma + self.rho_in.half()

    def along_rows(self) -> Size:
        """By how much what it gives exceeds entries and input, where that is along its rows."""
        return self.rho_in

    def _along_gain(self) -> Size:
        """Onto what reads the result: rows of what comes after, through W and its transpose."""
        return self.parameter.sigma + self.rho_in - self.rho_out.half()

    def _change_gain(self) -> Size:
        (x,) = self.inputs
        if self.aligned_in_part:
            return self._random_gain() | (self._along_gain() + x.along_to(self)).less(x.d)
        return change_gain(self.parameter, self.rho_in, self.rho_out, self.context.alignment)

    def _update_gain(self) -> Size:
        return update_gain(self.parameter, self.rho_in, self.rho_out, self.context.alignment)

    def update_alignment(self) -> Size:
        """By how much a sum of entries of an update, over its input, exceeds one of them.

        An update of spectral norm 1 and finite rank, that of a batch, has entries of 1 over the
        root of both sides.
        """
        gain = self._update_gain() - self.parameter.u
        return gain + (self.rho_in + self.rho_out).half() if self.parameter.spectral else gain

    def input_alignment(self) -> Size:
        """Likewise of initial weights over a change of their input."""
        return self._change_gain() - self.parameter.sigma

    def gains(self) -> Sequence[Size]:
        return (self._change_gain(),)

    def mean_gains(self) -> Sequence[Size]:
        return (self.context.zero,) if self._scatters else self.gains()

    def change(self) -> tuple[Size, Size]:
        (x,) = self.inputs
        if not self.aligned_in_part:
            return super().change()
        coherent = self.update() | (self._random_gain() + x.dc)
        random = self.strewn() | (self._random_gain() + x.dr)
        along = self._along_gain() + x.along_to(self)
        if x.dc.vectors:
            return coherent | along, random
        return coherent, random | along

    @property
    def aligned_in_part(self) -> bool:
        """Whether less than all of the change of its input points along its rows."""
        return not self.tied and self.inputs[0].strays_from(self)

    def aligned(self) -> Size:
        if self.tied:
            return self.d
        return self.update() | ((self._along_gain() + self.inputs[0].along_to(self)) & self.d)

    def bound_gains(self) -> Sequence[Size]:
        gain = self._update_gain()
        if self.shares is not None:
            gain = gain + (self.shares.own | self.shares.common | self.shares.strewn)
        return (self._change_gain() | gain,)

    def update(self) -> Size:
        x, gain = self.inputs[0], self._update_gain()
        if self.shares is None:
            return gain + x.s
        return gain + ((self.shares.own + x.s) | (self.shares.common + x.mean_size))

    def strewn(self) -> Size:
        if self.shares is None:
            return self.context.zero
        return self._update_gain() + self.shares.strewn + self.inputs[0].mean_size

    def _back_change_gain(self) -> Size:
        if self._back_strays:
            random = self.parameter.sigma + self.rho_out.half()
            return random | self._back_along().less(self.gd)
        return change_gain(self.parameter, self.rho_out, self.rho_in, self.context.alignment)

    def back_initial(self) -> Sequence[Size]:
        if self.tied:
            return (self._back_change_gain(),)
        return (self.parameter.sigma + self.rho_out.half(),)

    def back_gains(self) -> Sequence[Size]:
        return (self._back_change_gain(),)

    def back_means(self) -> tuple[Sequence[Size], Sequence[Size]]:
        none = (self.context.zero,)
        return (none, none) if self._scatters else super().back_means()

    def back_changes(self) -> Iterable[tuple[int, Size, Size]]:
        gain = update_gain(self.parameter, self.rho_out, self.rho_in, self.context.alignment)
        if self.shares is None:
            return ((0, gain, self.context.zero),)
        coherent = self.shares.own | (self.shares.common_back + self._mean_gradient).less(self.g)
        return ((0, gain + coherent, gain + self._strewn_back().less(self.g)),)

    def _strewn_back(self) -> Size:
        assert self.shares is not None
        return self.shares.strewn_back + self._mean_gradient

    def back_mean(self) -> Iterable[tuple[Node, Size, Size]]:
        if self.shares is None:
            yield from super().back_mean()
            return
        gain = update_gain(self.parameter, self.rho_out, self.rho_in, self.context.alignment)
        for x, initial, random in super().back_mean():
            yield x, initial, random | (gain + self._strewn_back())

    def _back_along(self) -> Size:
        along = self.gd if self.galong is None else self.galong
        return self.parameter.sigma + self.rho_out - self.rho_in.half() + along

    @property
    def _back_strays(self) -> bool:
        """Whether less than all of the change of its gradient points along its value."""
        return self.galong is not None and not self.tied and self.galong < self.gd

    def back_aligned(self) -> Iterable[tuple[Node, Size]]:
        if not self._back_strays:
            yield from super().back_aligned()
            return
        (x,) = self.inputs
        (gain,) = self.back_gains()
        yield x, self._back_along() & (gain + self.gd)
        for _, coherent, random in self.back_changes():
            yield x, (coherent | random) + self.g

    def gradient(self) -> Size:
        x = self.inputs[0]
        return self._gradient((self.g0, self.gd), (x.s0, x.d))

    def _gradient(self, gradient: StartAndChange, value: StartAndChange) -> Size:
        (g0, gd), (s0, d) = gradient, value
        changes = (gd + (s0 | d)) | ((g0 | gd) + d)
        return (g0 + s0 + self.shared.half()) | (changes + self.shared)

    @property
    def _mean_gradient(self) -> Size:
        """What of the gradient is of one kind in all copies."""
        return self.gm | self.gc | self.gn

    def gradient_parts(self, copies: Size) -> Shares:
        return parts_of_map(self, copies, self._gradient)

    def limits(self) -> Iterable[tuple[int, Limit]]:
        return ((0, operand(self.inputs[0], self.after)),)

    def cause(self, index: int) -> str:
        growth = self._change_gain() - self.parameter.sigma
        how = "over" if growth > self.rho_in.half() else "summed at random over"
        if how == "over" and self.aligned_in_part:
            how = "in part over"
        return f"{self.parameter.tensor.path} ({self.parameter.sigma}) {how} {self.rho_in}"

    @property
    def title(self) -> str:
        return self.parameter.tensor.path

    @property
    def passes_on(self) -> bool:
        """Whether its weights pass a change of its input on from the start: they are not zero."""
        return not self.parameter.sigma.is_zero


class ValueNode(SharedNode):
    """A tensor used as a value, or looked up by index: nothing is summed.

    The entries of an orthogonal matrix are of size 1 over the root of its longer side.
    """

    __slots__ = ("lookup", "parameter")

    def __init__(
        self, context: Context, parameter: Parameter, lookup: bool = False, span: Span = START
    ) -> None:
        super().__init__(context, (), span)
        self.parameter: Parameter = parameter
        self.lookup = lookup
        self.centred = parameter.is_random or parameter.starts_at_zero
        self.maps, self.comes_from_contraction = parameter.bit, parameter.contracts
        self.of_few = parameter.contracts
        self.weighs = self.given = not lookup
        self.draws = self._draws()

    def _draws(self) -> Draws:
        if self.parameter.starts_at_zero:
            return ZERO
        return drawn(self.parameter.drawn) if self.parameter.is_random else CONSTANT

    def exactly(self) -> Fraction | None:
        p, one = self.parameter, self.context.one
        if self.context.at_setting:
            same = not (p.tensor.exponents["a"] or p.tensor.exponents["b"])
        else:
            same = p.sigma == one and p.sigma.vectors == one.vectors  # not one that ties with it
        return p.number if same or p.starts_at_zero else None

    def initial(self) -> Size:
        return self.parameter.sigma

    def differing(self) -> Size:
        return self.s0 if self.parameter.is_random else self.context.zero

    def update(self) -> Size:
        """Of an update that copies have in common, what points along a copy's own gradient."""
        whole = self._updated()
        return whole if self.shares is None else whole + self.shares.own

    def strewn(self) -> Size:
        """A copy meets all of it, which does not depend on what it draws: it has a mean."""
        return self.context.zero if self.shares is None else self._updated()

    def _updated(self) -> Size:
        p = self.parameter
        return p.u - (p.rows | p.columns).half() if p.spectral else p.u

    def gradient(self) -> Size:
        return self.g

    def gradient_parts(self, copies: Size) -> Shares:
        return parts_of_value(self, copies)

    @property
    def title(self) -> str:
        return self.parameter.tensor.path
