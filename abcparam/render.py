"""The one door to jinja2: views into templates, and a last look at what comes out."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from jinja2 import BaseLoader, Environment, StrictUndefined

from abcparam.code.layout import Text
from abcparam.names import FORBIDDEN
from abcparam.resources import read_resource

IMPORTS = {"__future__", "dataclasses", "math", "torch", "torch.nn.functional", "typing"}
DUNDERS = {"__init__", "__post_init__", "__all__"}
STATEMENTS = (
    *(
        ast.Module,
        ast.ImportFrom,
        ast.Import,
        ast.alias,
        ast.ClassDef,
        ast.FunctionDef,
        ast.arguments,
        ast.arg,
    ),
    *(
        ast.Assign,
        ast.AnnAssign,
        ast.AugAssign,
        ast.Expr,
        ast.Return,
        ast.Raise,
        ast.If,
        ast.For,
        ast.Continue,
    ),
)
EXPRESSIONS = (
    *(
        ast.Name,
        ast.Attribute,
        ast.Constant,
        ast.Call,
        ast.keyword,
        ast.Subscript,
        ast.Slice,
        ast.Starred,
    ),
    *(
        ast.BinOp,
        ast.UnaryOp,
        ast.BoolOp,
        ast.Compare,
        ast.IfExp,
        ast.Tuple,
        ast.List,
        ast.Dict,
        ast.Set,
    ),
    *(
        ast.JoinedStr,
        ast.FormattedValue,
        ast.GeneratorExp,
        ast.ListComp,
        ast.SetComp,
        ast.comprehension,
    ),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.DictComp),
)


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


def render(views: Mapping[str, object]) -> str:
    """The module as text, once it has passed inspection."""
    text = environment().get_template("module.py.jinja").render(views)
    inspect(text)
    return text


class Unexpected(Exception):
    """The output holds what no template and no view should have put there."""


def inspect(text: str) -> None:
    """Refuses any kind of statement, import or name that emitted modules do not have."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, STATEMENTS + EXPRESSIONS) or not _is_expected(node):
            raise Unexpected(ast.dump(node)[:200])


def _is_expected(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return all(alias.name in IMPORTS for alias in names)
        case ast.ImportFrom(module=module, level=level):
            return module in IMPORTS and level == 0
        case ast.Name(id=name, ctx=context):
            read = isinstance(context, ast.Load)
            return not (read and name in FORBIDDEN) and not _is_dunder(name)
        case ast.Attribute(attr=name):
            return not _is_dunder(name)
        case _:
            return True


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name not in DUNDERS
