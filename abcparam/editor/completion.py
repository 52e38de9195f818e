"""What may be written at a place, with what it means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Span
from abcparam.editor.analysis import Analysis
from abcparam.editor.cursor import Cursor, cursor_at
from abcparam.editor.glossary import explained, meaning
from abcparam.editor.index import Occurrence
from abcparam.editor.tree import repeats
from abcparam.editor.words import Position
from abcparam.language import syntax
from abcparam.language.scanner import BODIES, DECLARATIONS, OPERANDS, STATEMENTS
from abcparam.operations import operations
from abcparam.optimizers import optimizers
from abcparam.program.vocabulary import VERDICTS
from abcparam.reference import parametrizations
from abcparam.resolve.keywords import ASSUMPTIONS, DIM_KEYS, LOSSES, ROLES, TENSOR_KEYS
from abcparam.resolve.names import AMOUNT_FUNCTIONS, INITS

LENGTHS = ("dim", "parameter", "label")  # what sizes are made of
AMOUNTS = (*LENGTHS, "hyper", "symbol")
VALUES = (*AMOUNTS, "tensor", "local", "block", "instance")
FLAGS = ("true", "false")
FANS = ("fan_in", "fan_out")


class Completion(Record):
    """A word for a place: it takes the place of `span`; `kind` is as in `colours`."""

    label: str
    kind: str
    span: Span
    detail: str = ""
    documentation: str = ""


Suggested = Iterator[tuple[str, str]]  # words, each with its kind


def complete(analysis: Analysis, position: Position, unasked: bool = False) -> list[Completion]:
    """The words that may stand at a place, each once; `unasked`, where the line cannot end."""
    cursor = cursor_at(analysis.source, position)
    if cursor is None or (unasked and _may_end(cursor)):
        return []
    found = dict(_suggested(analysis, cursor, position))
    return [_completion(analysis, cursor, word, kind) for word, kind in found.items()]


def _may_end(cursor: Cursor) -> bool:
    """Whether Enter may be the next key at a place: it would take the first word offered."""
    at_start = not cursor.item and cursor.kind in ("top", "body")
    return at_start or cursor.previous in (*OPERANDS, "_INF")


def _completion(analysis: Analysis, cursor: Cursor, word: str, kind: str) -> Completion:
    if kind in VALUES:
        declared = (o for o in analysis.index.declarations if o.name == word and o.kind == kind)
        place = next((o.declared for o in declared), None)
        line = analysis.source.lines[place.line - 1].strip() if place else ""
        return Completion(word, kind, cursor.span, kind, f"```param\n{line}\n```" if line else "")
    return Completion(word, kind, cursor.span, meaning(word), explained(word))


def _suggested(analysis: Analysis, cursor: Cursor, position: Position) -> Suggested:
    context = _Context(analysis, cursor, position)
    if cursor.kind == "list":
        yield from context.settings()
    elif cursor.kind == "group":
        yield from context.group()
    elif not cursor.item:
        yield from context.start()
    else:
        yield from context.statement()


class _Context:
    """What may be written at one place."""

    def __init__(self, analysis: Analysis, cursor: Cursor, position: Position) -> None:
        self.analysis = analysis
        self.cursor = cursor
        self.position = position

    @property
    def previous(self) -> str:
        return self.cursor.previous

    def start(self) -> Suggested:
        if self.cursor.kind == "top":
            yield from _all(DECLARATIONS, "keyword")
        else:
            yield from _all(STATEMENTS, "keyword")
            yield from self.names(("local",))

    # Statements

    def statement(self) -> Suggested:
        by_head: dict[str, Callable[[], Suggested]] = {
            "_DIM": self._dim,
            "_HYPER": self._hyper,
            "_PARAMETRIZATION": self._parametrization,
            "_TENSOR": self._tensor,
            "_OPTIMIZER": self._optimizer,
            "_LOSS": lambda: _all(LOSSES, "function"),
            "_ASSUME": self._assume,
            "_EXPECT": lambda: _all((*VERDICTS, "complete"), "constant"),
            "_REPEAT": self._repeat,
            "_RETURN": self.value,
            "NAME": self._assignment,
        }
        yield from by_head.get(self.cursor.head, _nothing)()

    def _assignment(self) -> Suggested:
        if self.cursor.kind == "body" and any(t.type == "EQUAL" for t in self.cursor.item):
            yield from self.value()

    def _dim(self) -> Suggested:
        if self.previous == "ARROW":
            yield "inf", "keyword"
        elif self.previous == "_INF":
            yield "after", "keyword"
        elif self.previous == "_AFTER":
            yield from self.names(("dim",))
        elif self.previous == "COMMA":
            yield from _all(DIM_KEYS, "key")
        elif any(token.type == "EQUAL" for token in self.cursor.item):
            yield from self.amount()

    def _hyper(self) -> Suggested:
        if self.previous == "_IN":
            yield "log", "keyword"
        elif any(token.type == "EQUAL" for token in self.cursor.item):
            if self.previous in OPERANDS:
                yield "in", "keyword"
            else:
                yield from self.amount()

    def _parametrization(self) -> Suggested:
        if self.previous == "_PARAMETRIZATION":
            yield from _all(parametrizations.entries(), "constant")
        elif self.previous == "NAME" and len(self.cursor.item) == 2:
            yield "for", "keyword"
        elif self.previous in ("_FOR", "COMMA"):
            yield from _all(optimizers(), "function")

    def _tensor(self) -> Suggested:
        if self.previous == "COLON":
            yield from _all(ROLES, "constant")

    def _optimizer(self) -> Suggested:
        if self.previous == "_OPTIMIZER":
            yield from _all(optimizers(), "function")
        elif self.previous == "NAME" and len(self.cursor.item) == 2:
            yield "for", "keyword"
        elif self.previous in ("_FOR", "COMMA"):
            yield from _all(ROLES, "constant")
            yield from self.selected()

    def selected(self) -> Suggested:
        """What can be trained by itself: tensors at the top, instances of `forward`."""
        forward = [d for d in self.analysis.spec.declarations if isinstance(d, syntax.Forward)]
        for declared in self.analysis.index.declarations:
            at_top = declared.kind == "tensor" and self._holder(declared) is None
            inside = declared.kind in ("instance", "label") and self._holder(declared) in forward
            if at_top or inside:
                yield declared.name, declared.kind

    def _assume(self) -> Suggested:
        words = [token.text for token in self.cursor.item if token.type == "NAME"]
        if self.previous == "EQUAL":
            yield from _all(ASSUMPTIONS.get(words[-1], ()) if words else (), "constant")
        elif self.previous in ("_ASSUME", "COMMA"):
            yield from _all(ASSUMPTIONS, "key")

    def _repeat(self) -> Suggested:
        if self.previous in OPERANDS:
            yield "as", "keyword"
        elif self.previous != "_LABEL":
            yield from self.amount()

    # Braces

    def settings(self) -> Suggested:
        item = self.cursor.item
        if self.cursor.head == "_HYPER":
            yield from self.amount()
        elif not item:
            yield from self._keys()
        elif any(token.type == "EQUAL" for token in item):
            yield from self._setting(item[0].text)

    def _keys(self) -> Suggested:
        words = [token.text for token in self.cursor.before_braces() if token.type == "NAME"]
        if self.cursor.head == "_OPTIMIZER":
            rule = optimizers().get(words[0]) if words else None
            own = (*rule.settings, *rule.words) if rule else ()
            yield from _all(("lr", *own, "clip_norm"), "key")
        elif self.cursor.head == "_PARAMETRIZATION" and self.cursor.frames[-2].kind == "top":
            yield from _all(ROLES, "constant")
        elif self.cursor.head in ("_PARAMETRIZATION", "_TENSOR"):
            yield from _all(TENSOR_KEYS, "key")

    def _setting(self, key: str) -> Suggested:
        words = [token.text for token in self.cursor.before_braces() if token.type == "NAME"]
        rule = optimizers().get(words[0]) if words else None
        if self.cursor.head == "_OPTIMIZER" and rule and key in rule.words:
            yield from _all(rule.words[key], "constant")
        elif key == "init":
            yield from _all(INITS, "function")
        elif key == "frozen":
            yield from _all(FLAGS, "constant")
        else:
            yield from self.amount()

    # Expressions

    def group(self) -> Suggested:
        cursor = self.cursor
        if cursor.head == "_LOSS":
            yield from self.names(("local", "parameter"), everywhere=True)
        elif cursor.head == "_FORWARD" and self.previous == "COLON":
            yield "index", "keyword"
        elif cursor.head in ("_FORWARD", "_BLOCK") and cursor.called and not cursor.item:
            return
        elif cursor.head in ("NAME", "_RETURN", "_REPEAT"):
            yield from self.argument()
        else:
            yield from self.amount()

    def argument(self) -> Suggested:
        called, item = self.cursor.called, self.cursor.item
        if called and not item:
            yield from _all(self._named(called), "key")
        given = item[0].text if len(item) > 1 and item[1].type == "EQUAL" else ""
        operation = operations().get(called)
        if operation and isinstance(operation.settings.get(given), bool):
            yield from _all(FLAGS, "constant")
        else:
            yield from self.value()

    def _named(self, called: str) -> Iterable[str]:
        """The arguments of a call that have names."""
        blocks = (d for d in self.analysis.spec.declarations if isinstance(d, syntax.Block))
        block = next((block for block in blocks if block.name.id == called), None)
        if block:
            return [parameter.name.id for parameter in block.parameters]
        operation = operations().get(called)
        return operation.order if operation else ()

    def value(self) -> Suggested:
        if self.previous == "DOT":
            yield from self._attribute()
        elif self.previous in OPERANDS:
            yield "as", "keyword"
        else:
            yield from self.names(VALUES)
            yield from _all((o.name for o in operations().values() if not o.hidden), "function")

    def _attribute(self) -> Suggested:
        owner = self.cursor.tokens[-2].text if len(self.cursor.tokens) > 1 else ""
        instance = next((o for o in self._visible() if o.name == owner), None)
        if instance is None or instance.kind != "instance":
            yield "T", "key"
            return
        for block in self.analysis.spec.declarations:
            if isinstance(block, syntax.Block) and block.name.span == instance.block:
                tensors = (s for s in block.body if isinstance(s, syntax.Tensor))
                yield from _all((n.id for tensor in tensors for n in tensor.names), "tensor")

    def amount(self) -> Suggested:
        if self.previous not in OPERANDS:
            yield from self.names(AMOUNTS)
            if "list" in [frame.kind for frame in self.cursor.frames]:
                yield from _all(FANS, "parameter")
            yield from _all(AMOUNT_FUNCTIONS, "function")

    # Names

    def names(self, kinds: Iterable[str], everywhere: bool = False) -> Suggested:
        wanted = frozenset(kinds)
        found = self.analysis.index.declarations if everywhere else self._visible()
        for declared in found:
            if declared.kind in wanted:
                yield declared.name, declared.kind

    def _visible(self) -> Iterator[Occurrence]:
        """What is declared where the place can see it."""
        in_body = self.cursor.head in BODIES or "body" in [f.kind for f in self.cursor.frames]
        here = self._around(self.position) if in_body else None
        for declared in self.analysis.index.declarations:
            holder = self._holder(declared)
            if holder is None or (holder is here and self._reaches(declared, holder)):
                yield declared

    def _reaches(self, declared: Occurrence, holder: syntax.Block | syntax.Forward) -> bool:
        """Whether a name of a body is there: before the place, in no repeat that is over."""
        before = declared.kind == "tensor" or declared.span.start < self.position
        inside = (r for r in repeats(holder.body) if _contains(r.span, declared.span))
        return before and all(self.position <= r.span.end for r in inside)

    def _holder(self, declared: Occurrence) -> syntax.Block | syntax.Forward | None:
        """The body that a name is declared in; None at the top."""
        if declared.kind in ("dim", "hyper", "symbol", "block", "model"):
            return None
        return self._around(declared.declared.start)

    def _around(self, position: Position) -> syntax.Block | syntax.Forward | None:
        """The last block or `forward` that begins before a place, if nothing else does after it."""
        before = [d for d in self.analysis.spec.declarations if d.span.start <= position]
        last = before[-1] if before else None
        return last if isinstance(last, (syntax.Block, syntax.Forward)) else None


def _contains(span: Span, other: Span) -> bool:
    return span.start <= other.start and other.end <= span.end


def _all(words: Iterable[str], kind: str) -> Suggested:
    return ((word, kind) for word in words)


def _nothing() -> Suggested:
    return iter(())
