"""What elaboration shares: the world that it fills in, and what its parts ask of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply, Expression, TensorRef
from abcparam.program.model import Module
from abcparam.program.signature import ANY_SIGN, Signature
from abcparam.program.tensors import Tensor
from abcparam.resolve.amounts import Amounts
from abcparam.resolve.arguments import InvalidStatementError
from abcparam.resolve.tensors import Globals

MOST_INSTANCES = 10_000
MOST_LEVELS = 32


class World:
    """What elaboration fills in, the tensors by path, and the blocks that it draws on."""

    def __init__(self, globals: Globals, blocks: Mapping[str, syntax.Block]) -> None:
        self.globals = globals
        self.blocks = blocks
        self.tensors: dict[str, Tensor] = {}
        self.instances = 0

    def enter(self, span: Span, path: str) -> None:
        """Counts a module; refuses blocks that call blocks that call blocks, without end."""
        self.instances += 1
        too_deep = path.count(".") >= MOST_LEVELS
        if too_deep or self.instances > MOST_INSTANCES:
            most = f"{MOST_INSTANCES:,} instances of blocks"
            if too_deep:
                most = f"{MOST_LEVELS} levels of blocks inside blocks"
            diagnostic = rules.GraphTooLarge.at(
                span, what=f"`{path.rpartition('.')[2]}`", most=most
            )
            raise SpecError(self.globals.collector.source, [diagnostic])

    def report(self, diagnostic: Diagnostic) -> None:
        self.globals.collector.add(diagnostic)


class LocalName(Record):
    """What is known of a local name; `shapes` None where an error hides it."""

    shape: Shape | None
    integer: bool = False
    sign: int = ANY_SIGN


class Instance(Record):
    """A module that can be called again, and what it takes and gives."""

    module: Module
    shapes: tuple[Shape, ...]
    signs: tuple[int, ...]


class Copies(Record):
    """How many instances a call of a block makes; `tokens` are the axes that choose among them."""

    count: Amount
    tokens: Shape


class BodyScope(Protocol):
    """What the expressions of a body ask of it: its names, and instances of blocks."""

    world: World
    amounts: Amounts

    def read(self, name: str) -> LocalName | None: ...

    def weight(self, name: syntax.Name) -> TensorRef | None: ...

    def instance(self, name: str) -> tuple[Instance, bool] | None: ...

    def instantiate(
        self,
        call: syntax.Call,
        block: syntax.Block,
        values: Mapping[str, Expression],
        sizes: Mapping[str, Amount | bool],
        shapes: Mapping[str, Shape],
        several: Copies | None = None,
    ) -> Instance: ...


class Elaborator(Protocol):
    """What calls ask of the expressions around them, their arguments among these."""

    body: BodyScope

    def static(self, value: syntax.Expression) -> bool: ...

    def operand(self, operation: str, value: syntax.Expression) -> Expression: ...

    def apply(
        self,
        name: str,
        operands: tuple[Expression | None, ...],
        settings: dict[str, Setting],
        place: syntax.Expression,
    ) -> Apply: ...

    def not_a_value(self, operation: str, value: syntax.Expression) -> InvalidStatementError: ...

    def not_a_tensor(
        self, operation: str, operand: str, value: syntax.Expression, found: str = "a value"
    ) -> InvalidStatementError: ...

    def indices(
        self, operation: Signature, name: str, span: Span, wanted: bool
    ) -> InvalidStatementError: ...
