"""New exponents written into the text of a spec: comments stay, and so does the layout.

An exponent is written where it comes from. Where a role's place says something else than all who
take it from there want, those concerned get a setting of their own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source, Span
from abcparam.language import syntax
from abcparam.language.parser import parse, pieces
from abcparam.program.model import Program
from abcparam.program.tensors import ExponentsByKey, Tensor, exponents_by_key
from abcparam.resolve.keywords import ROLES
from abcparam.resolve.parametrizations import by_key, setting_key
from abcparam.resolve.resolver import resolve

LETTERS = frozenset("abcd")
ZERO = Affine(Fraction(0))
INDENT = "    "

Changes = Mapping[str, Affine]  # `b` or `c[depth]` -> what it becomes, 0 too
Texts = Sequence[tuple[Span, str]]  # what takes the place of a stretch of the text


class UnwritableError(ValueError):
    """A change that the text of a spec has no place for."""


def edited(program: Program, values: Mapping[tuple[str, str], Affine], texts: Texts = ()) -> str:
    """The text of the spec with other exponents written into it, and other texts at places.

    `values` are by tensor's path and key (`b`, `c[depth]`); all other exponents stay what the text
    says.

    Raises `UnwritableError`. A text in canonical form stays in canonical form.
    """
    source = program.source
    spec = parse(source)
    tensors = resolve(spec, source).tensors
    before = {path: exponents(tensor) for path, tensor in tensors.items()}
    wanted = _wanted(before, values)
    plan = EditPlan(tensors, wanted, parametrization_of(spec) is not None)
    changed = [(p, key) for p, key in values if wanted[p].get(key) != before[p].get(key)]
    plan.change([(tensors[path], key) for path, key in changed])
    return _checked(source, Writer(source.text).spec(spec, plan, texts), wanted)


def without_unknowns(program: Program, text: str) -> str:
    """The text of the program, perhaps edited, with 0 for every `?` that is no tensor's exponent.

    Such a `?` is in a role whose tensors have their own, or have none, or in a block that is not
    called.
    """
    source = replace(program.source, text=text)
    spec = parse(source)
    tensors = resolve(spec, source).tensors
    writer = Writer(text)
    edits = [writer.value(setting, ZERO) for setting in _unused(spec, tensors)]
    wanted = {path: exponents(tensor) for path, tensor in tensors.items()}
    return _checked(source, writer.page.edited(edits), wanted)


def exponents(tensor: Tensor) -> ExponentsByKey:
    """All exponents of a tensor that are not 0."""
    found = {key: _plain(value) for key, value in exponents_by_key(tensor).items()}
    return {key: value for key, value in found.items() if value != ZERO}


def _plain(value: Affine) -> Affine:
    """An exponent as it is written: what is taken away comes last, an unknown is `?`."""
    symbols = sorted((k < 0, "?" if s.startswith("?") else s, k) for s, k in value.symbols if k)
    return Affine(value.constant, tuple((s, k) for _, s, k in symbols))


def _wanted(
    before: Mapping[str, ExponentsByKey], values: Mapping[tuple[str, str], Affine]
) -> dict[str, ExponentsByKey]:
    wanted = {path: dict(found) for path, found in before.items()}
    for (path, key), value in values.items():
        if path not in wanted:
            raise UnwritableError(f"there is no tensor `{path}`")
        wanted[path][key] = value = _plain(value)
        if "?" in str(value) and value != before[path].get(key):
            raise UnwritableError(f"`{key}` of `{path}` is to become an exponent that is unknown")
    return {path: {k: v for k, v in found.items() if v != ZERO} for path, found in wanted.items()}


def _checked(source: Source, text: str, wanted: Mapping[str, ExponentsByKey]) -> str:
    """The text in canonical form, if the source is; it says what is wanted."""
    from abcparam.language.formatter import format_source

    problem = "other exponents than asked for"
    try:
        if text != source.text and format_source(source) == source.text:
            text = format_source(replace(source, text=text))
        changed = replace(source, text=text)
        tensors = resolve(parse(changed), changed).tensors
        if {path: exponents(tensor) for path, tensor in tensors.items()} == wanted:
            return text
    except SpecError as error:
        problem = error.diagnostics[0].message
    raise RuntimeError(f"the edit of `{source.file}` went wrong: {problem}")


# What stands where


def parametrization_of(spec: syntax.Spec) -> syntax.Parametrization | None:
    """The spec's own; None where it has none."""
    return next((d for d in spec.declarations if isinstance(d, syntax.Parametrization)), None)


def _declarations(nodes: Iterable[syntax.Node]) -> Iterator[syntax.Tensor]:
    """The declarations of tensors, in blocks and repeats too."""
    for node in nodes:
        if isinstance(node, syntax.Tensor):
            yield node
        elif isinstance(node, (syntax.Block, syntax.Forward, syntax.Repeat)):
            yield from _declarations(node.body)


def _unused(spec: syntax.Spec, tensors: Mapping[str, Tensor]) -> Iterator[syntax.Setting]:
    """Settings with a `?` that no tensor takes an exponent from."""
    declared = parametrization_of(spec)
    for role in declared.roles if declared else ():
        own = [tensor.spans for tensor in tensors.values() if tensor.role == role.role.id]
        settings = _open(role.settings)
        yield from (s for s in settings if all(setting_key(s) in spans for spans in own))
    placed = {tensor.span for tensor in tensors.values()}
    for declaration in _declarations(spec.declarations):
        if declaration.names[0].span not in placed:
            yield from _open(declaration.settings)


def _open(settings: Iterable[syntax.Setting]) -> Iterator[syntax.Setting]:
    return (s for s in settings if s.key in LETTERS and s.value and syntax.is_open(s.value))


# What is written where


class EditPlan:
    """Where each change is written: at a role, or at a name of a declaration, by its place."""

    def __init__(
        self, tensors: Mapping[str, Tensor], wanted: Mapping[str, ExponentsByKey], by_role: bool
    ) -> None:
        self.wanted = wanted
        self.by_role = by_role  # whether the spec has a parametrization
        self.members: dict[str | None, list[Tensor]] = {}
        self.instances: dict[Span, list[Tensor]] = {}
        for tensor in tensors.values():
            self.members.setdefault(tensor.role, []).append(tensor)
            self.instances.setdefault(tensor.span, []).append(tensor)
        self.own: dict[Span, dict[str, Affine]] = {}
        self.roles: dict[str, dict[str, Affine]] = {}
        self.agreed: dict[tuple[str | None, str], bool] = {}

    def change(self, changes: Sequence[tuple[Tensor, str]]) -> None:
        """Finds the places for exponents that change."""
        for tensor, key in changes:
            if key in tensor.spans or not self._role_agrees(tensor.role, key):
                for other in self.instances[tensor.span]:
                    self._same(tensor, other, key)
                self.own.setdefault(tensor.span, {})[key] = self._value(tensor, key)
        for tensor, key in changes:
            if key not in self.own.get(tensor.span, {}):
                self.roles.setdefault(str(tensor.role), {})[key] = self._value(tensor, key)

    def _value(self, tensor: Tensor, key: str) -> Affine:
        return self.wanted[tensor.path].get(key, ZERO)

    def _role_agrees(self, role: str | None, key: str) -> bool:
        """Whether all that take an exponent from their role want the same."""
        if (role, key) not in self.agreed:
            takers = (tensor for tensor in self.members[role] if key not in tensor.spans)
            wanted = {self._value(tensor, key) for tensor in takers}
            self.agreed[role, key] = self.by_role and len(wanted) == 1
        return self.agreed[role, key]

    def _same(self, tensor: Tensor, other: Tensor, key: str) -> None:
        one, two = self._value(tensor, key), self._value(other, key)
        if one != two:
            place = f"are declared in one place, line {tensor.span.line}"
            apart = f"`{key}` cannot be {one} in the one and {two} in the other"
            raise UnwritableError(f"`{tensor.path}` and `{other.path}` {place}: {apart}")


class Writer:
    """Turns changes of settings into edits of the text."""

    def __init__(self, text: str) -> None:
        self.page = Page(text)

    def spec(self, spec: syntax.Spec, plan: EditPlan, texts: Texts = ()) -> str:
        """The text with everything of the plan in it."""
        declared = parametrization_of(spec)
        edits = self.parametrization(declared, plan.roles) if declared else []
        edits += [Edit(*self.page.ends(span), text) for span, text in texts]
        for declaration in _declarations(spec.declarations):
            edits += self.declaration(declaration, plan.own)
        return self.page.edited(edits)

    def parametrization(
        self, declared: syntax.Parametrization, changes: Mapping[str, Changes]
    ) -> list[Edit]:
        known = {role.role.id: role for role in declared.roles}
        edits = [self.settings(known[role], changes[role]) for role in changes if role in known]
        new = [role for role in ROLES if role in changes and role not in known]
        texts = [f"{role} {{ {', '.join(_settings(changes[role]))} }}" for role in new]
        return [*chain(*edits), *self.listed(declared, declared.roles, texts)]

    def declaration(self, declared: syntax.Tensor, own: Mapping[Span, Changes]) -> list[Edit]:
        """The settings of a declaration; names that come to differ are declared apart."""
        groups: dict[tuple[str, ...], tuple[list[syntax.Name], Changes]] = {}
        for name in declared.names:
            changes = own.get(name.span, {})
            groups.setdefault(_settings(changes), ([], changes))[0].append(name)
        first, *others = groups.values()
        if not others:
            return self.settings(declared, first[1])
        edits = [self._comments(declared), *self._group(declared, *first)]
        return [*edits, self._below(declared, others)]

    def _group(
        self, declared: syntax.Tensor, names: list[syntax.Name], changes: Changes
    ) -> list[Edit]:
        """What leaves some names of a declaration, with their changes."""
        start, stop = self.page.start(declared.names[0]), self.page.stop(declared.names[-1])
        listed = Edit(start, stop, ", ".join(name.id for name in names), columns=False)
        return [listed, *self.settings(declared, changes)]

    def _comments(self, declared: syntax.Tensor) -> Edit:
        """Those among the names move in front of the declaration."""
        page, at = self.page, self.page.start(declared)
        start, stop = page.start(declared.names[0]), page.stop(declared.names[-1])
        return Edit(at, at, page.comments(start, stop, page.line_before(at)))

    def _below(
        self, declared: syntax.Tensor, groups: Iterable[tuple[list[syntax.Name], Changes]]
    ) -> Edit:
        """Copies of a declaration for other names, on lines of their own if it is on its own."""
        page, start, stop = self.page, self.page.start(declared), self.page.stop(declared)
        alone = page.following(stop) in ("NEWLINE", "COMMENT", "$END") and page.is_first(start)
        before = page.line_before(start) if alone else "; "
        copies = [page.edited(self._group(declared, *group), start, stop) for group in groups]
        end = page.line_end(stop) if alone else stop
        return Edit(end, end, "".join(before + copy for copy in copies), columns=False)

    # Settings

    def settings(self, node: syntax.Tensor | syntax.Role, changes: Changes) -> list[Edit]:
        known = by_key(node.settings)
        edits = [self.value(known[key], changes[key]) for key in changes if key in known]
        new = {key: value for key, value in changes.items() if key not in known}
        return edits + self.listed(node, node.settings, _settings(new))

    def value(self, setting: syntax.Setting, value: Affine) -> Edit:
        """A new value; comments inside of the old one come before it."""
        assert setting.value is not None
        page, start, stop = self.page, self.page.start(setting.value), self.page.stop(setting.value)
        comments = page.comments(start, stop, page.line_before(stop))
        return Edit(start, stop, f"{comments}{value}")

    def listed(
        self, node: syntax.Node, items: Sequence[syntax.Node], new: Sequence[str]
    ) -> list[Edit]:
        """New items in the braces with which a node ends, or would."""
        page, end = self.page, self.page.stop(node)
        if not new:
            return []
        if page.following(end - 1) != "RBRACE":
            text = f" {', '.join(new)} "
            if isinstance(node, syntax.Parametrization) and len(new) > 1:
                edge = page.line_before(page.start(node))
                text = "".join(edge + INDENT + item for item in new) + edge
            return [Edit(end, end, f" {{{text}}}")]
        return self._after(items, end - 1, new) if items else [self._fill(end - 1, new)]

    def _fill(self, close: int, new: Sequence[str]) -> Edit:
        """Items in braces that have none, but may have comments."""
        start = self.page.opening(close)
        empty = not self.page.text[start:close].strip()
        text = f" {', '.join(new)}"
        return Edit(start, close, f"{text} ") if empty else Edit(start, start, text)

    def _after(self, items: Sequence[syntax.Node], close: int, new: Sequence[str]) -> list[Edit]:
        """Items after the last of a list, on lines of their own if that is."""
        page, last = self.page, self.page.stop(items[-1])
        start, end = page.start(items[-1]), page.line_end(last)
        if end > close or not page.is_first(start):
            return [Edit(last, last, "".join(f", {item}" for item in new))]
        separated = page.following(page.stop(items[0])) == "COMMA"
        ended = page.following(last) == "COMMA"
        lines = [page.line_before(start) + item for item in new]
        text = ("," if separated else "").join(lines) + ("," if ended else "")
        comma = [Edit(last, last, ",")] if separated and not ended else []
        return [*comma, Edit(end, end, text)]


def _settings(changes: Changes) -> tuple[str, ...]:
    return tuple(f"{key} = {changes[key]}" for key in sorted(changes))


# Text


class Edit(Record):
    """What takes the place of a stretch of the text, by offsets.

    Columns to its right stay where they are, if there is room; otherwise only comments do.
    """

    start: int
    stop: int
    text: str
    columns: bool = True


class Page:
    """A text, and what stands at which offset."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.lines = [0, *(place + 1 for place, c in enumerate(text) if c == "\n")]
        self.pieces = pieces(text)
        self.offsets = [self._offset(piece.line, piece.column) for piece in self.pieces]

    def _offset(self, line: int, column: int) -> int:
        return self.lines[line - 1] + column - 1

    def ends(self, span: Span) -> tuple[int, int]:
        return self._offset(span.line, span.column), self._offset(span.end_line, span.end_column)

    def start(self, node: syntax.Node) -> int:
        return self._offset(node.span.line, node.span.column)

    def stop(self, node: syntax.Node) -> int:
        return self._offset(node.span.end_line, node.span.end_column)

    def line_start(self, at: int) -> int:
        start = self.text.rfind("\n", 0, at) + 1
        return start + self.text.startswith("\ufeff", start)

    def line_end(self, at: int) -> int:
        """The end of a line, its comment included."""
        end = self.text.find("\n", at)
        end = end if end >= 0 else len(self.text)
        return end - (end > at and self.text[end - 1] == "\r")

    def line_before(self, at: int) -> str:
        """What starts a new line that is indented like the one at an offset."""
        start = self.line_start(at)
        line = self.text[start : self.line_end(start)]
        return self.newline + line[: len(line) - len(line.lstrip(" \t"))]

    def number(self, at: int) -> int:
        """Of the piece at an offset or after it."""
        return bisect_left(self.offsets, at)

    def is_first(self, at: int) -> bool:
        """Whether nothing stands before it in its line."""
        return self.number(self.line_start(at)) == self.number(at)

    def following(self, at: int) -> str:
        """The kind of the piece at an offset or after it."""
        return self.pieces[self.number(at)].kind

    def end_before(self, at: int) -> int:
        """The end of the last piece before an offset that is no `;`."""
        before = range(self.number(at) - 1, -1, -1)
        n = next(n for n in before if self.pieces[n].kind != "SEMICOLON")
        return self.offsets[n] + len(self.pieces[n].text)

    def comments_above(self, at: int) -> int:
        """Where the comments begin that stand on the lines right above one, else where it does."""
        n = self.number(at)
        while [piece.kind for piece in self.pieces[max(n - 2, 0) : n]] == ["COMMENT", "NEWLINE"]:
            if not self.is_first(self.offsets[n - 2]):
                break
            n -= 2
        return self.offsets[n]

    def opening(self, close: int) -> int:
        """Where the contents of braces begin that hold nothing but comments."""
        before = range(self.number(close) - 1, -1, -1)
        return next(self.offsets[n] + 1 for n in before if self.pieces[n].kind == "LBRACE")

    def comments(self, start: int, stop: int, after: str) -> str:
        """The comments in a part, each with the line that comes after it."""
        found = self.pieces[self.number(start) : self.number(stop)]
        return "".join(piece.text.rstrip() + after for piece in found if piece.kind == "COMMENT")

    def edited(self, edits: Sequence[Edit], start: int = 0, stop: int | None = None) -> str:
        """A part of the text (default: all) with edits made in it."""
        parts, stop = [], len(self.text) if stop is None else stop
        for edit in sorted([*edits, *self._held(edits)], key=lambda e: (e.start, e.stop)):
            if edit.stop <= stop:
                parts += [self.text[start : edit.start], edit.text]
                start = edit.stop
        return "".join([*parts, self.text[start:stop]])

    def _held(self, edits: Iterable[Edit]) -> Iterator[Edit]:
        """What holds columns in place: gaps grow or shrink as texts before them do."""
        lines: dict[int, list[Edit]] = {}
        for edit in edits:
            for line in {self.line_start(edit.start), self.line_start(edit.stop)}:
                lines.setdefault(line, []).append(edit)
        for line, found in lines.items():
            yield from self._held_in_line(line, found)

    def _held_in_line(self, line: int, edits: Sequence[Edit]) -> Iterator[Edit]:
        taken = 0
        for start, stop, is_comment in self._gaps(line):
            if any(edit.start < stop and start < edit.stop for edit in edits):
                continue
            before = [e for e in edits if e.stop <= start and (e.columns or is_comment)]
            longer = sum(self._growth(edit) for edit in before) - taken
            by = min(longer, stop - start - 1 - is_comment)
            if by:
                taken += by
                yield Edit(start, stop, " " * (stop - start - by))

    def _growth(self, edit: Edit) -> int:
        before = self.text[edit.start : edit.stop]
        return 0 if "\n" in before + edit.text else len(edit.text) - len(before)

    def _gaps(self, line: int) -> Iterator[tuple[int, int, bool]]:
        """The gaps of two spaces or more in a line, and whether a comment follows."""
        for n in range(self.number(line), len(self.pieces) - 1):
            after = self.pieces[n + 1]
            if after.kind in ("NEWLINE", "$END") or after.line != self.pieces[n].line:
                return
            start, stop = self.offsets[n] + len(self.pieces[n].text), self.offsets[n + 1]
            if stop - start > 1 and self.text[start:stop].strip(" ") == "":
                yield start, stop, after.kind == "COMMENT"
