"""Where names are declared and used, place by place."""

from __future__ import annotations

from collections.abc import Iterable

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Source, Span
from abcparam.editor.words import Position, Words
from abcparam.language import syntax
from abcparam.resolve.names import NameReference
from abcparam.resolve.references import references


class Occurrence(Record):
    """A place of a name. All occurrences of what is `declared` at one place are of one thing.

    `implied`: what stands there is not the name but what it is made of, `FeedForward(x)` for
    `feed_forward`. `block`: where the block of an instance is declared.
    """

    name: str
    span: Span
    kind: str  # dim, hyper, symbol, tensor, block, instance, label, parameter, local, model
    declared: Span
    implied: bool = False
    block: Span | None = None

    @property
    def declares(self) -> bool:
        return self.span == self.declared

    def names_what(self, other: Occurrence) -> bool:
        """Whether both are of one thing."""
        return (self.kind, self.declared) == (other.kind, other.declared)


class NameIndex(Record):
    """All occurrences of a text, in the order in which they are read."""

    occurrences: tuple[Occurrence, ...] = ()

    def at(self, position: Position) -> Occurrence | None:
        """What is named at a place, or right before it."""
        found = (o for o in self.occurrences if o.span.start <= position <= o.span.end)
        return next((o for o in found if not o.implied), None)

    def of(self, what: Occurrence) -> tuple[Occurrence, ...]:
        """The occurrences of one thing, its declaration among them."""
        return tuple(o for o in self.occurrences if o.names_what(what))

    @property
    def declarations(self) -> tuple[Occurrence, ...]:
        """Each thing where it is declared, an implied one too."""
        return tuple(o for o in self.occurrences if o.declares)


def index_of(spec: syntax.Spec, source: Source, words: Words) -> NameIndex:
    """The index of what can be read of a spec."""
    return NameIndex(tuple(dict.fromkeys(_placed(references(spec, source), words))))


def _placed(found: Iterable[NameReference], words: Words) -> Iterable[Occurrence]:
    for name, span, entry in found:
        place = words.last_in(span, name)
        block = entry.node.name.span if isinstance(entry.node, syntax.Block) else None
        yield Occurrence(name, place or span, entry.kind, entry.span, place is None, block)
