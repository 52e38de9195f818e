"""What the values of a model are while its text is written."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.algebra.record import Record, field, replace
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.imports.numbers import Power
from abcparam.imports.text.layout import Laid
from abcparam.imports.text.routers import RouterRule
from abcparam.language import syntax


class MaskedBias(Record):
    """What is added to attention's logits: a value, and a mask that is known."""

    value: Laid
    causal: bool = False
    window: int = 0


class AttentionLogits(Record):
    """Scaled dot products of queries and keys, before or behind their softmax."""

    query: Laid
    key: Laid
    scale: Polynomial = ONE
    softcap: Polynomial | None = None  # what their tanh is multiplied by, where it is taken
    causal: bool = False
    window: int = 0
    are_chances: bool = False
    bias: Laid | None = None

    def times(self, by: Polynomial) -> AttentionLogits:
        if self.softcap is not None:
            return replace(self, softcap=self.softcap * by)
        return replace(self, scale=self.scale * by)

    def capped(self) -> AttentionLogits | None:
        """Their tanh; None behind a mask or another one."""
        is_plain = self.softcap is None and self.bias is None and not self.are_chances
        is_all = not self.causal and not self.window
        return replace(self, softcap=ONE) if is_plain and is_all else None


class Route(Record):
    """Of which token of a value each row is, and which expert it is sent to, once one took it."""

    source: Laid
    tokens: tuple[int, ...]
    experts: tuple[int, ...] | None = None


class RouterWeights(Record):
    """What is made of a router's logits, up to the weights of experts; a factor of these.

    `node` gives the logits, `choice` which experts are taken.
    """

    logits: Laid
    node: str
    choice: str
    factor: Power = Power(1.0, {})


class WeighedRows(Record):
    """What experts give for their rows, times the router's weights; `node` gives them."""

    rows: Laid
    route: Route
    weights: RouterWeights
    rule: RouterRule
    node: str


class Unspelled(Record):
    """A value that the language has no words for, and why."""

    reason: Diagnostic


UnfinishedValue = AttentionLogits | MaskedBias | RouterWeights | WeighedRows
WrittenValue = Laid | UnfinishedValue | Unspelled


class WrittenLine(Record):
    """An assignment of the text, in names of its own, and the modules of the model it is of."""

    targets: tuple[str, ...]
    value: syntax.Expression
    modules: tuple[str, ...] = ()
    titles: tuple[str, ...] = field(default=(), compare=False)  # what the user's code calls them
    block: WrittenBlock | None = None  # that it calls, where lines are one whatever their modules


class WrittenBlock(Record):
    """Lines that are a block: of a module that is so deep, from some values to another.

    `title` is what it is called, else it is named after the module's class.
    """

    module: str
    depth: int
    sources: tuple[str, ...]
    result: str
    lines: tuple[WrittenPart, ...]
    bias: str | None = None  # the buffer that counts for the choice of it as an expert
    title: str = ""

    @property
    def key(self) -> str:
        """What a line calls it by."""
        return f"block {self.module} {self.result}"


class WrittenLoop(Record):
    """Lines that are repeated; names of `carried` go through the copies."""

    path: str
    count: syntax.Expression
    carried: tuple[str, ...]
    body: tuple[WrittenPart, ...]
    modules: tuple[str, ...] = ()


WrittenPart = WrittenLine | WrittenLoop


class TextInput(Record):
    """An input of the text: which of the leaves that the model is called with, and its axes.

    Where `node` is named, it is what that computes from leaves and no parameter, by calls `made`.
    """

    name: str
    leaf: int
    index: Polynomial | None
    axes: tuple[syntax.Expression, ...]
    node: str = ""
    made: str = ""


class UsedTensor(Record):
    """A tensor as the text uses it: the parameter, its axes, whether they are turned."""

    parameter: str
    axes: tuple[syntax.Expression, ...]
    turned: bool
    copied: bool = False  # it is that of one expert, the parameter of all


class WrittenBody(Record):
    """All that a text computes, and what it computes it from."""

    parts: tuple[WrittenPart, ...]
    result: str
    inputs: tuple[TextInput, ...]
    tensors: Mapping[str, UsedTensor]  # by their paths in the program
    layout: Laid  # of the result
