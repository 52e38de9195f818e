"""Canonical formatting: the author's lines, with spaces, indentation and columns in order.

Line breaks, comments and single blank lines stay. Consecutive declarations of a kind become a
table. Comments after code keep the column that they share, where there is room; else they move
next to the longest line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.source import Source
from abcparam.language.lexer import CONTINUES, Layout
from abcparam.language.parser import parse, pieces
from abcparam.language.scanner import BODIES, OPERANDS, Raw

INDENT = 4
OPENS = frozenset(("LPAR", "CALL", "LSQB", "SHAPE", "LBRACE", "SET"))
BRACES = frozenset(("LBRACE", "SET"))
CLOSES = frozenset(("RPAR", "RSQB", "RBRACE", "END_SET"))
GLUE = frozenset(("DOT", "CARET", "RATIO", "HYPHEN"))
NOTHING_BEFORE = GLUE | {"COMMA", "SEMICOLON", "RPAR", "RSQB", "CALL", "LSQB", "END_SET"}
NOTHING_AFTER = GLUE | {"LPAR", "CALL", "LSQB", "SHAPE", "SET", "SIGN"}
BINDS = frozenset(("STAR", "SLASH", "AT", "CARET", "DOT", "RATIO"))


class Word(NamedTuple):
    """A token as it is printed. `type` is the terminal, or says which of its roles it plays."""

    type: str
    text: str


class SourceLine:
    """A line of the source: its tokens and comment, and how it begins and goes on."""

    def __init__(self, depth: int) -> None:
        self.words: list[Word] = []
        self.comment = ""
        self.column = 0
        self.blank = False
        self.kind = ""
        self.depth = depth
        self.continues = False
        self.text = ""
        self.indent = 0

    @property
    def is_row(self) -> bool:
        """Whether a whole statement or item, and nothing else, is on the line."""
        types = [word.type for word in self.words]
        return (
            bool(self.kind)
            and not self.continues
            and "SEMICOLON" not in types
            and sum(t in OPENS for t in types) == sum(t in CLOSES for t in types)
            and (types[-1] not in CONTINUES or types[-2:] == ["RBRACE", "COMMA"])
        )


def format_source(source: Source) -> str:
    """The spec in canonical form; raises `SpecError` where it cannot be parsed."""
    parse(source)
    return canonical(source)


def canonical(source: Source) -> str:
    """The same of a spec that is known to be one."""
    lines = _lines(source)
    for line in lines:
        line.text = _join(line.words)
    for table in _tables(lines):
        _align(table)
    _indent(lines)
    for run in _comment_runs(lines):
        _align_comments(run)
    return "".join(_print(lines))


# Lines and the roles of tokens


def _lines(source: Source) -> list[SourceLine]:
    raws = pieces(source.text)
    reader = _TokenReader({(t.line, t.column): t.type for t in Layout(raws).tokens if t.text})
    numbers: dict[int, list[Raw]] = {}
    for raw in raws:
        if raw.kind not in ("NEWLINE", "$END"):
            numbers.setdefault(raw.line, []).append(raw)
    lines: list[SourceLine] = []
    last = 0
    for number, found in numbers.items():
        line = reader.line(found)
        if line.words or line.comment:
            line.blank = bool(lines) and number > last + 1
            lines.append(line)
        last = number
    return lines


class _Frame:
    def __init__(self, opener: str, head: str, lists: bool = False) -> None:
        self.opener = opener
        self.head = head
        self.lists = lists


class _TokenReader:
    """Reads the tokens in order and tells what role each plays where it stands."""

    def __init__(self, types: dict[tuple[int, int], str]) -> None:
        self.types = types
        self.frames = [_Frame("", "")]
        self.before: list[str] = ["", "", "", ""]
        self.starts = True

    def line(self, raws: list[Raw]) -> SourceLine:
        line = SourceLine(depth=sum(frame.opener in BRACES for frame in self.frames))
        code = [raw for raw in raws if raw.kind != "COMMENT"]
        if len(code) < len(raws):
            line.comment, line.column = raws[-1].text.rstrip(), raws[-1].column
        if code and self.before[-1] not in CONTINUES and self.frames[-1].opener in {"", *BRACES}:
            self.starts = True
        for place, raw in enumerate(code):
            self._read(line, raw, code[place + 1 :])
        return line

    def _read(self, line: SourceLine, raw: Raw, rest: list[Raw]) -> None:
        if raw.kind == "SEMICOLON":
            if line.words and line.words[-1].type not in BRACES and _goes_on(rest):
                line.words.append(Word("SEMICOLON", ";"))
            self.starts = True
            return
        type = self.types[raw.line, raw.column]
        if type in CLOSES:
            closed = self.frames.pop().opener
            type = "END_SET" if closed == "SET" else type
            self.starts = False
        starts = self.starts or (self.before[-1] == "COMMA" and self.frames[-1].lists)
        if starts and not self.frames[-1].lists:
            self.frames[-1].head = type
        if not line.words:
            line.kind = self._kind(type, rest) if starts else ""
            line.continues = not starts
        role = self._role(type, raw, rest)
        line.words.append(Word(role, raw.text))
        self.before = [*self.before[1:], role]
        self.starts = False
        if role in OPENS:
            self._open(role)

    def _kind(self, type: str, rest: list[Raw]) -> str:
        if self.frames[-1].lists:
            return "role" if rest and rest[0].kind == "LBRACE" else ""
        return type

    def _open(self, role: str) -> None:
        frame = self.frames[-1]
        lists = role in BRACES and (frame.lists or frame.head not in BODIES)
        self.frames.append(_Frame(role, frame.head, lists))
        self.starts = role in BRACES

    def _role(self, type: str, raw: Raw, rest: list[Raw]) -> str:
        before = self.before[-1]
        frame = self.frames[-1]
        if type == "LPAR" and before in ("NAME", "_FORWARD", "_INDEX"):
            return "CALL"
        if type == "LSQB" and (before not in OPERANDS or self._is_shape(frame)):
            return "SHAPE"
        if type == "LBRACE" and before == "_IN":
            return "SET"
        if type == "MINUS" and frame.head == "_EXPECT":
            return "HYPHEN"
        if type == "MINUS" and before not in OPERANDS:
            return "SIGN"
        if type == "SLASH" and self._is_ratio(rest):
            return "RATIO"
        return type

    def _is_shape(self, frame: _Frame) -> bool:
        if frame.lists:
            return False
        if frame.head == "_TENSOR":
            return frame.opener in ("", "LBRACE")
        return frame.head == "_FORWARD" and frame.opener == "CALL" and self.before[-1] == "RPAR"

    def _is_ratio(self, rest: list[Raw]) -> bool:
        """Whether a `/` stands in a fraction of two numbers that nothing binds apart."""
        *_, above, left, number = self.before
        kinds = [raw.kind for raw in rest[:2]]
        apart = left in BINDS or (left == "SIGN" and above in BINDS) or "CARET" in kinds[1:]
        return number == "NUMBER" and kinds[:1] == ["NUMBER"] and not apart


def _goes_on(rest: list[Raw]) -> bool:
    return bool(rest) and rest[0].kind not in ("SEMICOLON", "RBRACE")


def _join(words: list[Word]) -> str:
    text = ""
    before = ""
    for word in words:
        apart = word.type not in NOTHING_BEFORE and before not in NOTHING_AFTER
        apart = bool(text) and (apart or (before, word.type) == ("NUMBER", "DOT"))
        text += " " + word.text if apart else word.text
        before = word.type
    return text


# Tables


class ColumnCell(NamedTuple):
    """A cell of a row; only cells under the same keys form a column."""

    key: str
    text: str


def _tables(lines: list[SourceLine]) -> Iterator[list[SourceLine]]:
    """Runs of rows of one kind.

    Dims and hypers form one only where nothing else is in the paragraph.
    """
    for paragraph in _paragraphs(lines):
        kinds = {line.kind for line in paragraph if line.words and not line.continues}
        for (kind, _), run in groupby(
            (line for line in paragraph if line.words), lambda line: (line.kind, line.depth)
        ):
            if kind in ("_TENSOR", "role") or (kind in ("_DIM", "_HYPER") and len(kinds) == 1):
                yield [line for line in run if line.is_row]


def _paragraphs(lines: list[SourceLine]) -> Iterator[list[SourceLine]]:
    paragraph: list[SourceLine] = []
    for line in lines:
        if line.blank and paragraph:
            yield paragraph
            paragraph = []
        paragraph.append(line)
    yield paragraph


def _align(rows: list[SourceLine]) -> None:
    tables = [_cells(row) for row in rows]
    widths: dict[tuple[str, ...], list[int]] = {}
    for cells in tables:
        for place in range(len(cells) - 1):
            widths.setdefault(_keys(cells, place), []).append(len(cells[place].text))
    for row, cells in zip(rows, tables, strict=True):
        row.text = "".join(
            cell.text.ljust(_width(widths[_keys(cells, place)], cell)) + " "
            for place, cell in enumerate(cells[:-1])
        )
        row.text += cells[-1].text


def _width(widths: list[int], cell: ColumnCell) -> int:
    """A column's width. Where several ranges of hypers are listed, they stand apart."""
    return max(widths) + (cell.key == "value" and len(widths) > 1)


def _keys(cells: list[ColumnCell], place: int) -> tuple[str, ...]:
    return tuple(cell.key for cell in cells[: place + 1])


def _cells(row: SourceLine) -> list[ColumnCell]:
    cells: list[ColumnCell] = []
    start = 0
    for stop, key in _cuts(row):
        cells.append(ColumnCell(key, _join(row.words[start:stop])))
        start = stop
    return [*cells, ColumnCell("", _join(row.words[start:]))]


def _cuts(row: SourceLine) -> list[tuple[int, str]]:
    """Where the columns of a row end, and what they hold."""
    types = [word.type for word in row.words]
    if row.kind == "_DIM":
        return [(2, "name")]
    if row.kind == "_HYPER":
        return [(2, "name"), *((place, "value") for place, t in enumerate(types) if t == "_IN")]
    if row.kind == "role":
        return [(1, "role"), *_setting_cuts(row, 1)]
    colon, shape = types.index("COLON"), types.index("SHAPE")
    role = [(shape, "role")] if shape == colon + 2 else []
    after = _end_of_shape(types, shape)
    settings = [(after, "shape"), *_setting_cuts(row, after)] if after < len(types) else []
    return [(colon, "names"), *role, *settings]


def _end_of_shape(types: list[str], start: int) -> int:
    depth = 0
    for place in range(start, len(types)):
        depth += (types[place] in OPENS) - (types[place] in CLOSES)
        if not depth:
            return place + 1
    return len(types)


def _setting_cuts(row: SourceLine, start: int) -> list[tuple[int, str]]:
    """The ends of the settings in braces but the last, each under its key."""
    cuts = []
    depth = 0
    key = start + 1
    for place in range(start, len(row.words) - 1):
        type = row.words[place].type
        depth += (type in OPENS) - (type in CLOSES)
        if type == "COMMA" and depth == 1 and row.words[place + 1].type != "RBRACE":
            cuts.append((place + 1, _key(row.words[key:place])))
            key = place + 1
    return cuts


def _key(words: list[Word]) -> str:
    types = [word.type for word in words]
    return _join(words[: types.index("EQUAL")] if "EQUAL" in types else words)


# Indentation


class Open(NamedTuple):
    """An open bracket: where the lines inside of it stand, and where its end stands."""

    contents: int
    end: int
    is_group: bool = False


def _indent(lines: list[SourceLine]) -> None:
    """Sets the indentation of each line; in brackets it is that of what follows the bracket."""
    stack: list[Open] = []
    for line in lines:
        if line.words and line.words[0].type in CLOSES:
            line.indent = _closing_indent(line, stack)
        else:
            inside = stack[-1] if stack else Open(0, 0)
            line.indent = inside.contents + INDENT * (line.continues and not inside.is_group)
        _track(line, stack)


def _closing_indent(line: SourceLine, stack: list[Open]) -> int:
    leading = 0
    while leading < len(line.words) and line.words[leading].type in CLOSES:
        leading += 1
    return stack[-leading].end


def _track(line: SourceLine, stack: list[Open]) -> None:
    """Follows the brackets of a line."""
    offset = 0
    for place, word in enumerate(line.words):
        offset = line.text.index(word.text, offset)
        if word.type in CLOSES:
            stack.pop()
        elif word.type in BRACES:
            outer = stack[-1].contents if stack else 0
            stack.append(Open(outer + INDENT, outer))
        elif word.type in OPENS:
            stack.append(_group_indent(line, offset, place == len(line.words) - 1))
        offset += len(word.text)


def _group_indent(line: SourceLine, offset: int, ends_line: bool) -> Open:
    if ends_line:
        return Open(line.indent + INDENT, line.indent, True)
    return Open(line.indent + offset + 1, line.indent + offset, True)


# Comments after code


def _comment_runs(lines: list[SourceLine]) -> Iterator[list[SourceLine]]:
    run: list[SourceLine] = []
    for line in lines:
        if run and (line.blank or not line.words or line.depth != run[0].depth):
            yield run
            run = []
        if line.words:
            run.append(line)
    yield run


def _align_comments(run: list[SourceLine]) -> None:
    commented = [line for line in run if line.comment]
    if not commented:
        return
    room = max(line.indent + len(line.text) for line in commented) + 3
    columns = {line.column for line in commented}
    column = columns.pop() if len(columns) == 1 and min(columns) >= room else room
    for line in commented:
        line.text = line.text.ljust(column - 1 - line.indent)


def _print(lines: list[SourceLine]) -> Iterator[str]:
    previous: SourceLine | None = None
    for line in lines:
        if line.blank and not _hugs(previous, line):
            yield "\n"
        yield " " * line.indent + line.text + line.comment + "\n"
        previous = line


def _hugs(previous: SourceLine | None, line: SourceLine) -> bool:
    """Whether there is no blank line between two: after a `{` and before a `}`."""
    opened = previous is not None and previous.words and previous.words[-1].type in BRACES
    return bool(opened) or bool(line.words and line.words[0].type == "RBRACE")
