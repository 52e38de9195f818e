"""Which line of a spec a line of the emitted module is made from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Source, Span
from abcparam.editor.index import NameIndex, Occurrence, index_of
from abcparam.editor.tree import repeats
from abcparam.editor.words import words_of
from abcparam.emission.lowering.lower import singular
from abcparam.emission.views.classes import camel
from abcparam.language import syntax
from abcparam.language.parser import pieces, recovered

LineLinks = dict[int, int]  # of the module -> of the spec
MADE = {"tensor", "instance", "label"}  # what is an attribute of a class
NUMBERS = {"dim", "hyper"}


class SpecBody(Record):
    """A body of a spec, by the names of the classes that it may become."""

    name: str
    span: Span
    body: tuple[syntax.Statement, ...]


def links(source: Source, module: str) -> LineLinks:
    """The line of the spec for each line of the module that has one."""
    cut = pieces(source.text)
    spec, _, tokens = recovered(cut)
    index = index_of(spec, source, words_of(cut, tokens))
    found: LineLinks = {}
    scopes = list(_scopes(spec))
    for made in ast.parse(module).body:
        if isinstance(made, ast.ClassDef):
            scope = _of_class(made.name, scopes)
            if made.name == "Config":
                found |= _numbers(index, made)
            elif scope:
                found |= _Linked(index, scope).lines(made)
    return found


def _scopes(spec: syntax.Spec) -> Iterator[SpecBody]:
    """The longest names first: a class of a block may have that of its instance before its own."""
    found = []
    for declaration in spec.declarations:
        match declaration:
            case syntax.Block(name=name, body=body, span=span):
                found.append(SpecBody(name.id, span, tuple(body)))
            case syntax.Forward(body=body, span=span):
                yield SpecBody("", span, tuple(body))
            case _:
                continue
        for repeat in repeats(body):
            label = camel(singular(repeat.label.id)) if repeat.label else "Repeat"
            found.append(SpecBody(label, repeat.span, tuple(repeat.body)))
    yield from sorted(found, key=lambda scope: -len(scope.name))


def _of_class(name: str, scopes: list[SpecBody]) -> SpecBody | None:
    named = [scope for scope in scopes if scope.name]
    same = (s for s in named if s.name == name)
    alike = (s for s in named if name.startswith(s.name) or name.endswith(s.name))
    found = next(same, None) or next(alike, None)
    return found or next((scope for scope in scopes if not scope.name), None)


def _numbers(index: NameIndex, config: ast.ClassDef) -> LineLinks:
    """Fields and properties of `Config`: dims and hypers."""
    declared = {o.name: o.span.line for o in index.declarations if o.kind in NUMBERS}
    found: LineLinks = {}
    for made in config.body:
        name = made.target if isinstance(made, ast.AnnAssign) else None
        if isinstance(name, ast.Name) and name.id in declared:
            found[made.lineno] = declared[name.id]
        if isinstance(made, ast.FunctionDef) and made.name in declared:
            found[made.lineno] = declared[made.name]
    return found


class _Linked:
    """The lines of a class beside those of a body."""

    def __init__(self, index: NameIndex, scope: SpecBody) -> None:
        self.scope = scope
        around = index.occurrences
        inner = [repeat.span for repeat in repeats(scope.body)]
        here = [o for o in around if _in(o.span, scope.span)]
        own = [o for o in here if not any(_in(o.span, span) for span in inner)]
        top = [o for o in around if o.kind == "tensor" and o.declares]
        self.declared = self._lines(o for o in (*top, *here) if o.declares and o.kind in MADE)
        self.used = self._lines(o for o in reversed(own) if not o.declares and o.kind in MADE)

    def _lines(self, found: Iterable[Occurrence]) -> dict[str, int]:
        return {o.name: o.span.line for o in found}

    def lines(self, made: ast.ClassDef) -> LineLinks:
        found: LineLinks = {}
        for method in made.body:
            if isinstance(method, ast.FunctionDef) and method.name == "forward":
                found |= self._forward(method)
            elif isinstance(method, ast.FunctionDef):
                for statement in ast.walk(method):
                    if isinstance(statement, ast.stmt) and statement is not method:
                        found |= self._attribute(statement, self.declared)
        return found

    def _attribute(self, statement: ast.stmt, known: dict[str, int]) -> LineLinks:
        names = (
            node.attr
            for node in ast.walk(statement)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        )
        line = next((known[name] for name in names if name in known), None)
        return {} if line is None else {statement.lineno: line}

    def _forward(self, method: ast.FunctionDef) -> LineLinks:
        """Statements that give the same names are told apart by their order."""
        written: dict[str, list[int]] = {}
        returned = None
        for statement in self.scope.body:
            match statement:
                case syntax.Assign(targets=targets, span=span):
                    for target in targets:
                        written.setdefault(target.id, []).append(span.line)
                case syntax.Return(span=span):
                    returned = span.line
                case _:
                    pass
        found: LineLinks = {}
        for line in method.body:
            names = _assigned(line)
            name = next((name for name in names if written.get(name)), None)
            if name is not None:
                found[line.lineno] = written[name].pop(0)
            elif isinstance(line, ast.Return) and returned is not None:
                found[line.lineno] = returned
            else:
                found |= self._attribute(line, {**self.declared, **self.used})
        return found


def _assigned(line: ast.stmt) -> list[str]:
    targets = line.targets if isinstance(line, ast.Assign) else []
    return [
        node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    ]


def _in(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end
