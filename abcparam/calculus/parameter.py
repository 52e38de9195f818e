"""One copy of a tensor: its exponents as sizes, and the size of its update."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from abcparam.algebra.sizes import Size
from abcparam.program.tensors import Tensor


class Parameter:
    """Sizes of one copy of a tensor `W = n^-a w`, in units of the growth dims.

    `a` and `c` are exponents (the learning rate is `n^-c`), `sigma` the size of an entry of W at
    init, `rho_in` and `rho_out` those of fan-in and fan-out, `rows` and `columns` those of the
    matrix that torch stores. `entry` is the size of an update of w, `u` of the one of W: per entry,
    or as a spectral norm where `spectral`. `rotates`: whether an update may have more of a small
    part of the gradient than the gradient has. `drawn`: its bit, where each copy of an infinite
    repeat draws one of its own, else 0.
    """

    __slots__ = (
        "a",
        "b",
        "bit",
        "c",
        "clip",
        "columns",
        "copy",
        "d",
        "decay",
        "drawn",
        "entry",
        "factor",
        "gamma",
        "rho_copies",
        "rho_in",
        "rho_out",
        "rotates",
        "rows",
        "sigma",
        "spectral",
        "tensor",
        "u",
    )

    def __init__(
        self, tensor: Tensor, copy: tuple[int, ...], sizes: dict[str, Size], zero: Size, bit: int
    ) -> None:
        self.tensor = tensor
        self.bit = bit  # one that no other has
        self.copy = copy
        self.take(sizes, zero)
        self.decay = sizes["decay"]
        self.rho_in, self.rho_out = sizes["rho_in"], sizes["rho_out"]
        self.rows, self.columns = sizes["rows"], sizes["columns"]
        self.rho_copies = sizes["rho_copies"]
        self.factor = sizes.get("gradient")  # that its gradient is multiplied by
        self.clip = sizes.get("clip")  # of the norm that gradients are clipped to
        self.spectral = self.rotates = False
        self.drawn = 0
        self.entry = self.u = self.gamma = zero

    def take(self, sizes: Mapping[str, Size], zero: Size) -> None:
        """Takes its exponents."""
        self.a, self.b, self.c, self.d = sizes["a"], sizes["b"], sizes["c"], sizes["d"]
        self.sigma = zero if self.starts_at_zero else -self.a - self.b

    def state(self) -> tuple[Any, ...]:
        """The sizes that rounds of training change."""
        return self.entry, self.u, self.gamma

    def restore(self, state: tuple[Any, ...]) -> None:
        """Takes the sizes of a state that it was in."""
        self.entry, self.u, self.gamma = state

    @property
    def starts_at_zero(self) -> bool:
        return self.tensor.init.is_zero

    @property
    def number(self) -> Fraction | None:
        """What all its entries are at init, powers of widths left out, where that is one number."""
        if self.starts_at_zero:
            return Fraction(0)
        if self.is_random:
            return None
        init, mult = self.tensor.init.argument, self.tensor.mult
        value = init.value.constant if init else Fraction(1)
        factor = mult.value.constant if mult else Fraction(1)
        return None if value is None or factor is None else value * factor

    @property
    def is_random(self) -> bool:
        """Whether its entries are drawn at init, with mean zero."""
        return self.tensor.init.kind in {"normal", "uniform", "orthogonal"}

    @property
    def weights(self) -> Size:
        """Size of an entry of w: initial, and of its updates."""
        return (self.sigma + self.a) | self.entry

    @property
    def pull(self) -> Size:
        """Size of what coupled weight decay adds to the gradient."""
        return self.decay + self.weights

    @property
    def has_decay(self) -> bool:
        """Whether its optimizer decays it by a factor that is not zero."""
        return self.tensor.weight_decay is not None and bool(self.tensor.weight_decay.value.terms)

    @property
    def has_epsilon(self) -> bool:
        """Whether its optimizer adds an epsilon that is not zero."""
        epsilon = self.tensor.epsilon
        return epsilon is not None and bool(epsilon.value.terms)

    @property
    def meets_epsilon(self) -> bool:
        """Whether its gradient falls below the epsilon."""
        return self.has_epsilon and self.gamma < -self.d

    @property
    def contracts(self) -> bool:
        """Whether its fan-in grows faster than its fan-out."""
        return self.rho_in > self.rho_out
