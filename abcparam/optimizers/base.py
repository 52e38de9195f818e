"""What an optimizer is: the size of its update, its gauge, its torch class, its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from abcparam.algebra.record import Record
from abcparam.optimizers.refused import Refusal
from abcparam.program.signature import OptimizerSignature

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter
    from abcparam.program.amounts import Setting
    from abcparam.program.model import Optimizer, Program


class Step(Record):
    """What a class does that torch.optim lacks.

    That is its docstring, its default learning rate, the state of a parameter, `update`, the code
    of a step of one `parameter` of a `group`, the functions that this calls, and other methods.
    """

    doc: str
    lr: str
    state: Mapping[str, str]
    update: str
    functions: tuple[str, ...] = ()
    methods: str = ""


class OptimizerRule(OptimizerSignature):
    """An optimizer of the language: its signature, its law, its torch class, its source.

    One file each; found by looking in the folder.
    """

    source: ClassVar[str]
    law: ClassVar[str]  # `entry` as docs/theory.md writes it
    in_words: ClassVar[str] = ""  # the same in words, where the formula takes explaining
    remarks: ClassVar[Mapping[str, str]] = {}  # what settings are of, where names do not say it
    torch: ClassVar[str]  # its class in torch.optim
    fused: ClassVar[bool] = False  # has fused kernels that take sharded tensors too
    step: ClassVar[Step | None] = None  # of its class, where torch.optim has none
    fixed: ClassVar[Mapping[str, str]] = {}  # what its torch class is told beside settings

    def chosen(self, words: Mapping[str, str]) -> OptimizerRule:
        """The rule with these words for its settings."""
        return self

    @property
    def helper(self) -> str:
        """The text of its class, where torch.optim has none."""
        if self.step is None:
            return ""
        from abcparam.python_code.optimizer_classes import class_text

        settings = {"lr": self.step.lr, **self.settings}
        text = class_text(self.torch, self.step.doc, settings, self.step.state, self.step.update)
        text += self.step.methods.rstrip()
        return "\n\n\n".join((*self.step.functions, text))

    @property
    def adds_decay(self) -> bool:
        """Whether decay adds to an update, rather than takes a share of it.

        An update that is proportional to its gradient adds whatever the gradient is made of.
        """
        return self.decoupled or self.gauge == 2

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        """Size of an entry of an update of w, from the size of its gradient `gamma` (not zero)."""
        raise NotImplementedError

    def refusal(self, settings: Mapping[str, Setting]) -> Refusal | None:
        """Why its law does not hold with these settings, where it does not."""
        return None

    def late(self, settings: Mapping[str, Setting]) -> int:
        """After how many steps the first comes that is as large as its law says."""
        return 0

    def strict(self, parameter: Parameter, gamma: Size) -> Size:
        """Size of an entry whose epsilon counts: as much less as the gradient is below epsilon."""
        return self.entry(parameter, gamma) + gamma - (gamma | -parameter.d)

    def counts_epsilon(self, parameter: Parameter) -> bool:
        """Whether an epsilon larger than its gradient takes from the size of its update."""
        return self.epsilon

    def first(self, lr: float, gradient: float, fans: tuple[float, float]) -> float:
        """The RMS of the first update of w where it starts at exact zero.

        `gradient` is that of its gradient, `fans` are fan-in and fan-out.
        """
        return lr * gradient if self.gauge == 2 else lr

    def beside(self, parameter: Parameter) -> Size:
        """Size of what coupled weight decay is added to: the gradient."""
        return parameter.gamma

    def decays(self, parameter: Parameter) -> Size:
        """Size of the part of w that weight decay takes in one step."""
        if self.adds_decay:
            return parameter.decay - parameter.c
        total = parameter.pull | self.beside(parameter)
        return self.entry(parameter, total) + parameter.pull - total - parameter.weights


def rule_of(program: Program, parameter: Parameter) -> OptimizerRule:
    """The rule of the optimizer that trains a tensor."""
    return rule_behind(program.optimizers[parameter.tensor.optimizer])


def rule_behind(optimizer: Optimizer) -> OptimizerRule:
    """The rule behind the signature that a program holds."""
    found = optimizer.rule
    assert isinstance(found, OptimizerRule)
    return found
