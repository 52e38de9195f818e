"""Emitted source whose `forward` methods show their locals to an observer.

They drop nothing out; nothing else changes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from types import CodeType

SEEN = "__seen__"  # (module, name, value): a local was assigned
USED = "__used__"  # (name, value, again): `again` computes it anew


def observed(source: str, names: Set[str], uses: Set[str] = frozenset()) -> CodeType:
    """The module's code, which shows its values to the observer.

    After each assignment of one of the spec's `names` in a `forward` the observer is called with
    the value; where there are `uses`, only for those, and with a function that repeats the
    statements that made the value.
    """
    tree = ast.parse(source)
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in cls.body:
            if isinstance(method, ast.FunctionDef) and method.name == "forward":
                _keep_all(method)
                method.body = list(_shown(method.body, names, uses))
    return compile(ast.fix_missing_locations(tree), "<observed>", "exec")


def _keep_all(method: ast.FunctionDef) -> None:
    """No dropout, also where `self.training` is true for the sake of a batch norm."""
    for node in ast.walk(method):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "F.dropout":
            node.args[2] = ast.Constant(False)


def _shown(body: list[ast.stmt], names: Set[str], uses: Set[str]) -> Iterator[ast.stmt]:
    group: list[ast.stmt] = []  # what made the next value: the emitter's own locals before it
    for statement in body:
        for inner in ("body", "orelse"):
            if getattr(statement, inner, None):
                setattr(statement, inner, list(_shown(getattr(statement, inner), names, uses)))
        yield statement
        targets = list(_targets(statement))
        group = [*group, statement] if targets else []
        for name in targets:
            if name in uses:
                yield from _use(name, group)
            elif name in names and not uses:
                yield _call(SEEN, _name("self"), ast.Constant(name), _name(name))
        if not names.isdisjoint(targets):
            group = []


def _targets(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            parts = target.elts if isinstance(target, ast.Tuple) else [target]
            yield from (part.id for part in parts if isinstance(part, ast.Name))


def _use(name: str, group: list[ast.stmt]) -> Iterator[ast.stmt]:
    again = f"{name}_again"
    function = ast.parse(f"def {again}(): return {name}").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = [*group, *function.body]
    yield function
    yield _call(USED, ast.Constant(name), _name(name), _name(again))


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _call(function: str, *arguments: ast.expr) -> ast.stmt:
    return ast.Expr(ast.Call(_name(function), list(arguments), []))
