"""Where statements end and what words mean: pieces of text become the terminals of the grammar.

Words are read by position, newlines end statements, brackets are matched. What is wrong becomes an
`ERROR` token with a diagnostic, so that the parser meets it in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import syntax as rules
from abcparam.language import lexical_errors
from abcparam.language.scanner import (
    BODIES,
    DECLARATIONS,
    OPERANDS,
    OPERATORS,
    PAIRS,
    STATEMENTS,
    Raw,
    Token,
)

WORDS_WITHIN = frozenset(("inf", "after", "in", "log", "index", "for", "as"))
STARTS = frozenset(("", "_END", "LBRACE"))
SEPARATES = frozenset(("COMMA", "EQUAL", "COLON", "_IN"))
CONTINUES = OPERATORS | STARTS | {"COMMA", "EQUAL", "COLON", "ARROW"}
DECLARED_BY = {"import": "STRING", "forward": "LPAR"}
CLOSES = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}
MAXIMUM_NESTING = 64


class Frame:
    """An open bracket (or the file, type ``): its statement and how deep its contents are.

    `head` and `column` are of the statement read at this level: its keyword and where it starts.
    """

    __slots__ = ("column", "deepest", "head", "index", "inner", "kind", "operators", "type")

    def __init__(self, type: str, kind: str, index: int, head: str, column: int) -> None:
        self.type = type
        self.kind = kind  # "top", "body", "list" or "group"
        self.index = index
        self.head = head
        self.column = column
        self.operators = self.inner = self.deepest = 0

    def settle(self) -> int:
        """Closes one of the expressions in the bracket; the depth of the deepest so far."""
        self.deepest = max(self.deepest, self.operators + self.inner)
        self.operators = self.inner = 0
        return self.deepest

    def forget(self) -> None:
        self.operators = self.inner = self.deepest = 0


class Layout:
    """Turns raw pieces into terminals.

    `errors` are the diagnostics of the ERROR tokens, by index.
    """

    def __init__(self, pieces: list[Raw]) -> None:
        self.pieces = pieces
        self.tokens: list[Token] = []
        self.errors: dict[int, Diagnostic] = {}
        self.frames = [Frame("", "top", 0, "", 1)]
        self.previous = ""
        self.suspect: int | None = None
        self.hanging = 0
        self.stopped = False
        self.python: Diagnostic | None = None  # of the last statement that is none of a spec
        self.run()

    def run(self) -> None:
        for position, raw in enumerate(self.pieces):
            kind = raw.kind
            if kind in SPECIAL:
                SPECIAL[kind](self, raw, position)
            else:
                self.emit(kind, raw)
                if kind in OPERATORS:
                    self.operator(raw)
            if self.stopped:
                break

    def emit(self, type: str, raw: Raw) -> None:
        self.tokens.append(Token(type, raw.text, raw.line, raw.column, len(self.frames) - 1))
        self.previous = type
        if type in SEPARATES:
            self.frames[-1].settle()

    def refuse(self, raw: Raw | Token, diagnostic: Diagnostic) -> None:
        """Puts an error in the place of a piece."""
        self.errors[len(self.tokens)] = diagnostic
        self.tokens.append(Token("ERROR", raw.text, raw.line, raw.column, len(self.frames) - 1))
        self.previous = "ERROR"

    # Words

    def name(self, raw: Raw, position: int) -> None:
        frame = self.frames[-1]
        text = raw.text
        type = "NAME"
        if self.previous in STARTS:
            if text in DECLARATIONS and self._leaves_braces(raw, position):
                self.unclosed_braces(raw)
                frame = self.frames[-1]
            type = self.begin(frame, raw)
        elif text in WORDS_WITHIN:
            type = self.within(frame, text)
        if type != "NAME" or lexical_errors.is_allowed(text):
            self.emit(type, raw)
        else:
            starts, following = self._starts_statement(position), self.pieces[position + 1]
            diagnostic = lexical_errors.refuse_name(raw, starts, following)
            self.python = diagnostic if starts else self.python
            self.refuse(raw, diagnostic)

    def _starts_statement(self, position: int) -> bool:
        """Whether a word starts a statement, other than by being assigned."""
        assigned = self.pieces[position + 1].kind in ("EQUAL", "COMMA")
        return self.previous in STARTS and self.frames[-1].kind != "list" and not assigned

    def begin(self, frame: Frame, raw: Raw) -> str:
        """The first word of a statement or of an item in braces."""
        frame.column = raw.column
        if frame.kind == "list":
            return "NAME"
        if frame.kind == "top":
            self.suspect = None
        known = STATEMENTS if frame.kind == "body" else DECLARATIONS
        frame.head = known.get(raw.text, "NAME")
        return frame.head

    def _leaves_braces(self, raw: Raw, position: int) -> bool:
        """Whether a word in braces starts a declaration at the top: a `}` is missing before it."""
        frame = self.frames[-1]
        if frame.kind == "top" or raw.column > self.frames[0].column:
            return False
        following = self.pieces[position + 1]
        if raw.text == "tensor" and frame.kind == "body":
            return False
        return following.kind == DECLARED_BY.get(raw.text, "NAME")

    def within(self, frame: Frame, text: str) -> str:
        previous = self.previous
        head = frame.head
        if text == "as":
            if previous not in OPERANDS:
                return "NAME"
            return "_LABEL" if head == "_REPEAT" and frame.kind != "group" else "_AS"
        wanted = {
            "inf": previous == "ARROW",
            "after": previous == "_INF",
            "in": head == "_HYPER" and frame.kind == "top" and previous in OPERANDS,
            "log": previous == "_IN",
            "index": head == "_FORWARD" and previous == "COLON",
            "for": head in ("_OPTIMIZER", "_PARAMETRIZATION") and previous == "NAME",
        }
        return "_" + text.upper() if wanted[text] else "NAME"

    # Numbers, text, and what is neither

    def number(self, raw: Raw, position: int) -> None:
        if not lexical_errors.is_exact(raw.text):
            self.refuse(raw, lexical_errors.refuse_number(raw))
        elif self.previous == "SLASH" and self._is_large_fraction(raw):
            self.refuse(raw, lexical_errors.refuse_fraction(raw))
        else:
            self.emit("NUMBER", raw)

    def _is_large_fraction(self, raw: Raw) -> bool:
        above = self.tokens[-2] if len(self.tokens) > 1 else self.tokens[-1]
        return above.type == "NUMBER" and (
            lexical_errors.is_large(above.text) or lexical_errors.is_large(raw.text)
        )

    def star(self, raw: Raw, position: int) -> None:
        if self.previous == "DOT":
            self.emit("_ANY", raw)
        else:
            self.emit("STAR", raw)
            self.operator(raw)

    def odd(self, raw: Raw, position: int) -> None:
        self.refuse(raw, lexical_errors.refuse_odd(raw))

    def operator(self, raw: Raw) -> None:
        frame = self.frames[-1]
        frame.operators += 1
        if frame.operators + frame.inner > MAXIMUM_NESTING:
            self.too_deep(raw)

    def too_deep(self, raw: Raw) -> None:
        self.refuse(raw, rules.TooDeep.at(raw.span, limit=MAXIMUM_NESTING))
        self.frames[-1].forget()

    # Lines

    def newline(self, raw: Raw, position: int) -> None:
        following = self.pieces[position + 1]
        if following.kind in ("NEWLINE", "COMMENT") or self._hangs(following):
            return
        if self.frames[-1].kind == "group":
            if self._looks_unclosed(position):
                self.unclosed_groups()
                self.end(raw)
        elif self.previous not in CONTINUES:
            self.end(raw)
        elif self.previous not in STARTS and self._looks_unfinished(position):
            self.unfinished()
            self.end(raw)

    def _hangs(self, following: Raw) -> bool:
        """Whether the next line belongs to a header that ends in `:`, as in Python."""
        frame = self.frames[-1]
        if self.previous == "COLON" and frame.kind != "group" and frame.head in (*BODIES, "NAME"):
            self.hanging = frame.column
        if following.column <= self.hanging:
            self.hanging = 0
        return self.hanging > 0

    def semicolon(self, raw: Raw, position: int) -> None:
        if self.frames[-1].kind == "group":
            self.unclosed_groups()
        if self.previous not in STARTS:
            self.end(raw)

    def comment(self, raw: Raw, position: int) -> None:
        """Comments are for the formatter."""

    def end(self, raw: Raw) -> None:
        """Ends a statement or an item of a list just after the last token."""
        last = self.tokens[-1]
        self.tokens.append(
            Token("_END", "", last.line, last.column + len(last.text), len(self.frames) - 1)
        )
        self.previous = "_END"
        self.frames[-1].settle()

    def _next_two(self, position: int) -> tuple[Raw, Raw]:
        last = len(self.pieces) - 1
        return self.pieces[min(position + 1, last)], self.pieces[min(position + 2, last)]

    def _looks_unfinished(self, position: int) -> bool:
        """Whether the line after one that goes on starts a statement of its own."""
        word, following = self._next_two(position)
        if word.kind != "NAME" or self.frames[-1].kind == "list":
            return False
        if word.text in STATEMENTS or word.text in DECLARATIONS:
            return following.kind == DECLARED_BY.get(word.text, "NAME") or word.text == "return"
        return following.kind == "EQUAL" and self.previous != "COMMA"

    def unfinished(self) -> None:
        last = self.tokens.pop()
        self.refuse(last, rules.Unfinished.at(last.span, text=last.text))

    def _looks_unclosed(self, position: int) -> bool:
        """Whether the line after a newline in brackets starts a statement of its own."""
        word, following = self._next_two(position)
        if word.kind != "NAME":
            return False
        if following.kind == "NAME" and following.text != "as":
            return True
        ended = self.previous in OPERANDS or self.previous == "ERROR"
        return ended and word.column <= self.statement.column

    @property
    def statement(self) -> Frame:
        """The frame of the statement around the innermost bracket."""
        return next(frame for frame in reversed(self.frames) if frame.kind != "group")

    # Brackets

    def open(self, raw: Raw, position: int) -> None:
        if raw.kind == "LBRACE":
            self.unclosed_groups()
        if len(self.frames) > MAXIMUM_NESTING:
            self.give_up(raw)
            return
        frame = self.frames[-1]
        frame.operators += raw.kind == "LSQB"
        if raw.kind == "LBRACE" and self.previous == "_END" and frame.kind != "list":
            self.tokens.pop()
            self.refuse(raw, rules.BraceOnNextLine.at(raw.span))
            self.previous = raw.kind
        else:
            self.emit(raw.kind, raw)
        kind = self._kind(raw, frame)
        self.frames.append(Frame(raw.kind, kind, len(self.tokens) - 1, frame.head, frame.column))

    def _kind(self, raw: Raw, frame: Frame) -> str:
        if raw.kind != "LBRACE":
            return "group"
        return "body" if frame.head in BODIES and frame.kind != "list" else "list"

    def close(self, raw: Raw, position: int) -> None:
        if not self._match(raw):
            opener = PAIRS[raw.text]
            self.unclosed_groups()
            stray = rules.StrayBracket.at(raw.span, bracket=raw.text, opener=opener)
            of_body = raw.kind == "RBRACE" and self.python  # whose `{` is missing
            self.refuse(raw, of_body or stray)
            return
        if raw.kind == "RBRACE":
            self._suspect(raw)
            if self.previous not in STARTS and not self._ends_list():
                self.end(raw)
        frame = self.frames.pop()
        self.emit(raw.kind, raw)
        if frame.kind == "group":
            outer = self.frames[-1]
            outer.inner = max(outer.inner, frame.settle() + 1)
            if outer.operators + outer.inner > MAXIMUM_NESTING:
                self.too_deep(raw)

    def _ends_list(self) -> bool:
        return self.previous == "COMMA" and self.frames[-1].kind == "list"

    def _suspect(self, raw: Raw) -> None:
        """Remembers a `{` whose `}` is indented like one further out.

        Where a `}` is missing, it is that of this `{`.
        """
        opener = self.tokens[self.frames[-1].index]
        alone = self.tokens[-1].line < raw.line and opener.line < raw.line
        if alone and self.suspect is None and raw.column < self.frames[-2].column:
            self.suspect = self.frames[-1].index

    def _match(self, raw: Raw) -> bool:
        """Whether a closing bracket closes something; what is open inside of that is refused."""
        opener = CLOSES[raw.kind]
        for depth in range(len(self.frames) - 1, 0, -1):
            frame = self.frames[depth]
            if frame.type == opener:
                while len(self.frames) > depth + 1:
                    self.unclosed_group()
                return True
            if frame.kind != "group":
                return False
        return False

    def unclosed_groups(self) -> None:
        while self.frames[-1].kind == "group":
            self.unclosed_group()

    def unclosed_group(self) -> None:
        frame = self.frames.pop()
        self._blame(frame.index)

    def _blame(self, index: int) -> None:
        opener = self.tokens[index]
        self.tokens[index] = opener._replace(type="ERROR")
        self.errors[index] = _unclosed(opener)

    def finish(self, raw: Raw, position: int) -> None:
        """The end of the file."""
        self.unclosed_groups()
        if self.previous not in STARTS:
            self.end(raw)
        if len(self.frames) > 1:
            self.unclosed_braces(raw)
        self.emit("$END", raw)

    def unclosed_braces(self, raw: Raw) -> None:
        """Refuses the open braces with one error and closes them."""
        blamed = self.frames[-1].index if self.suspect is None else self.suspect
        opener = self.tokens[blamed]
        self.close_all(raw, rules.Unclosed.at(opener.span, opener="{", closer="}"))

    def give_up(self, raw: Raw) -> None:
        """Nothing is read beyond brackets that nest too deep."""
        while self.frames[-1].kind == "group":
            self.frames.pop()
        self.close_all(raw, rules.TooDeep.at(raw.span, limit=MAXIMUM_NESTING))
        self.emit("$END", Raw("$END", "", raw.line, raw.column))
        self.stopped = True

    def close_all(self, raw: Raw, diagnostic: Diagnostic) -> None:
        """Puts an error and the end of everything that is open."""
        place = Raw("", "", raw.line, raw.column)
        self.refuse(place, diagnostic)
        while len(self.frames) > 1:
            self.end(place)
            self.frames.pop()
            self.emit("RBRACE", place)
        self.end(place)
        self.suspect = None


SPECIAL: dict[str, Callable[[Layout, Raw, int], None]] = {
    "NAME": Layout.name,
    "NUMBER": Layout.number,
    "STAR": Layout.star,
    "ODD": Layout.odd,
    "NEWLINE": Layout.newline,
    "SEMICOLON": Layout.semicolon,
    "COMMENT": Layout.comment,
    "$END": Layout.finish,
    **dict.fromkeys(("LPAR", "LSQB", "LBRACE"), Layout.open),
    **dict.fromkeys(("RPAR", "RSQB", "RBRACE"), Layout.close),
}


def _unclosed(opener: Token) -> Diagnostic:
    return rules.Unclosed.at(opener.span, opener=opener.text, closer=PAIRS[opener.text])
