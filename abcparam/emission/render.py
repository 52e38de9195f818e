"""The one door to jinja2: views into templates, and a last look at what comes out."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from jinja2 import BaseLoader, Environment, StrictUndefined

from abcparam.program.reserved_names import FORBIDDEN
from abcparam.python_code.layout import Text
from abcparam.storage.resources import read_resource

IMPORTS = {"dataclasses", "math", "torch", "torch.nn.functional", "typing"}
DUNDERS = {"__init__", "__post_init__", "__all__"}
NODES = [
    getattr(ast, name)
    for name in """
    Module ImportFrom Import alias ClassDef FunctionDef arguments arg Assign AnnAssign
    AugAssign Expr Return Raise If For Continue Name Attribute Constant Call keyword
    Subscript Slice Starred BinOp UnaryOp BoolOp Compare IfExp Tuple List Dict Set JoinedStr
    FormattedValue GeneratorExp ListComp SetComp comprehension expr_context operator unaryop
    boolop cmpop DictComp
    """.split()
]
EXPECTED = {kind for node in NODES for kind in (node, *node.__subclasses__())}
LOOKED_AT = {ast.Import, ast.ImportFrom, ast.Name, ast.Attribute}


class Templates(BaseLoader):
    """Templates from their folder."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        return read_resource("templates", template), template, None


def finalize(value: object) -> object:
    """Only text that `layout` made reaches the output."""
    if type(value) is not Text:
        raise TypeError(f"not made by layout: {value!r}")
    return value


def environment() -> Environment:
    return Environment(
        loader=Templates(),
        undefined=StrictUndefined,
        finalize=finalize,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, views: Mapping[str, object]) -> str:
    """The module as text, once it has passed inspection."""
    text = environment().get_template(template).render(views)
    inspect(text)
    return text


class UnexpectedCodeError(Exception):
    """The output holds what no template and no view should have put there."""


def inspect(text: str) -> None:
    """Refuses any kind of statement, import or name that emitted modules do not have."""
    for node in ast.walk(ast.parse(text)):
        kind = type(node)
        if kind not in EXPECTED or (kind in LOOKED_AT and not _is_expected(node)):
            raise UnexpectedCodeError(ast.dump(node)[:200])


def _is_expected(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return all(alias.name in IMPORTS for alias in names)
        case ast.ImportFrom(module=module, level=level):
            return module in IMPORTS and level == 0
        case ast.Name(id=name, ctx=context):
            read = isinstance(context, ast.Load)
            return not (read and name in FORBIDDEN) and not _is_dunder(name)
        case ast.Attribute(attr="__class__", ctx=ast.Store()):
            return True  # of a module, which becomes one of another class
        case ast.Attribute(attr=name):
            return not _is_dunder(name)
        case _:
            return True


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name not in DUNDERS
