"""What a body can see: the names, tensors and blocks around it."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.amounts import Shape
from abcparam.program.model import Module
from abcparam.program.tensors import Tensor
from abcparam.resolve.tensors import Globals

MOST_INSTANCES = 10_000


MOST_LEVELS = 32


class World:
    """What elaboration fills in, the tensors by path, and the blocks that it draws on."""

    def __init__(self, globals: Globals, blocks: Mapping[str, syntax.Block]) -> None:
        self.globals = globals
        self.blocks = blocks
        self.tensors: dict[str, Tensor] = {}
        self.gains: set[str] = set()  # tensors used as the gain of a norm
        self.instances = 0

    def enter(self, span: Span, path: str) -> None:
        """Counts a module; refuses blocks that call blocks that call blocks, without end."""
        self.instances += 1
        too_deep = path.count(".") >= MOST_LEVELS
        if too_deep or self.instances > MOST_INSTANCES:
            most = f"{MOST_INSTANCES:,} instances of blocks"
            if too_deep:
                most = f"{MOST_LEVELS} levels of blocks inside blocks"
            diagnostic = rules.TooLarge.at(span, what=f"`{path.rpartition('.')[2]}`", most=most)
            raise SpecError(self.globals.collector.source, [diagnostic])

    def report(self, diagnostic: Diagnostic) -> None:
        self.globals.collector.add(diagnostic)


class Local(Record):
    """What is known of a local name; `shapes` None where an error hides it."""

    shape: Shape | None
    integer: bool = False


class Instance(Record):
    """A module that can be called again, and what it takes and gives."""

    module: Module
    shapes: tuple[Shape, ...]
