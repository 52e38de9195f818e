"""What an optimizer is: the size of its update, its gauge, its torch class, its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter


class Rule:
    """An optimizer of the language. One file each; found by looking in the folder."""

    name: ClassVar[str]
    source: ClassVar[str]
    gauge: ClassVar[int]  # (a, b, c) -> (a + t, b - t, c - gauge * t) changes nothing
    torch: ClassVar[str]  # its class in torch.optim
    settings: ClassVar[Mapping[str, object]]  # name -> default; lr has none
    decoupled: ClassVar[bool] = False  # weight decay multiplies the weights, whatever the gradient
    epsilon: ClassVar[bool] = False  # divides by a root plus `eps`
    fused: ClassVar[bool] = False  # has fused kernels that take sharded tensors too
    stacks: ClassVar[bool] = False  # an entry of an update is lr times what its gradients make
    helper: ClassVar[str] = ""  # its class, where torch.optim has none
    spectral: ClassVar[bool] = False  # the entry of an update is a spectral norm
    axes: ClassVar[int | None] = None  # of the tensors that it takes; None: any number
    variant: ClassVar[str] = ""  # its word, where words make it another one than its namesake
    words: ClassVar[
        Mapping[str, tuple[str, ...]]
    ] = {}  # settings that are words, the default first
    fixed: ClassVar[Mapping[str, str]] = {}  # what its torch class is told beside settings

    @property
    def form(self) -> str:
        """What shipped parametrizations call it: `muon`, `muon_spectral`."""
        return f"{self.name}_{self.variant}" if self.variant else self.name

    def chosen(self, words: Mapping[str, str]) -> Rule:
        """The rule with these words for its settings."""
        return self

    @property
    def adds_decay(self) -> bool:
        """Whether decay adds to an update, rather than takes a share of it: an update that is
        proportional to its gradient adds whatever the gradient is made of.
        """
        return self.decoupled or self.gauge == 2

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        """Size of an entry of an update of w, from the size of its gradient `gamma` (not zero)."""
        raise NotImplementedError

    def beside(self, parameter: Parameter) -> Size:
        """Size of what coupled weight decay is added to: the gradient."""
        return parameter.gamma

    def decays(self, parameter: Parameter) -> Size:
        """Size of the part of w that weight decay takes in one step."""
        if self.adds_decay:
            return parameter.decay - parameter.c
        total = parameter.pull | self.beside(parameter)
        return self.entry(parameter, total) + parameter.pull - total - parameter.weights
