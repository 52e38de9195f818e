"""The one door to jinja2: views into templates, and a last look at what comes out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from jinja2 import BaseLoader, BytecodeCache, Environment, StrictUndefined
from jinja2.bccache import Bucket

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.program.reserved_names import FORBIDDEN
from abcparam.python_code.layout import Text
from abcparam.storage.atomic import write_atomically
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


LAID_OUT: dict[str, Any] = {
    "autoescape": False,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
}


class Templates(BaseLoader):
    """Templates from their folder."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, None]:
        return read_resource("templates", template), template, None


class Bytecode(BytecodeCache):
    """Templates as bytecode, beside that of this module and as Python keeps it.

    Where none can be kept, they are compiled anew. What was made of another text, by another
    version, or is damaged is made anew too.
    """

    def get_source_checksum(self, source: str) -> str:
        return super().get_source_checksum(f"{LAID_OUT}{source}")

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            with open(_kept_at(bucket.key), "rb") as kept:
                bucket.load_bytecode(kept)
        except Exception:  # none is there, or whatever pickle says of a damaged file
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        file = _kept_at(bucket.key)
        if file and not sys.dont_write_bytecode:
            with suppress(SpecError):  # nothing can be written there
                write_atomically(file, bucket.bytecode_to_string())


def _kept_at(key: str) -> str:
    """The file of a template, empty where Python keeps no bytecode of this module."""
    cached = __spec__.cached
    return f"{cached}.{key}" if cached else ""


def finalize(value: object) -> object:
    """Only text that `layout` made reaches the output."""
    if type(value) is not Text:
        raise TypeError(f"not made by layout: {value!r}")
    return value


def environment() -> Environment:
    return Environment(
        loader=Templates(),
        bytecode_cache=Bytecode(),
        undefined=StrictUndefined,
        finalize=finalize,
        **LAID_OUT,
    )


@cache
def _shared() -> Environment:
    """With the templates that this process has loaded."""
    return environment()


def render(template: str, views: Mapping[str, object]) -> str:
    """The module as text, once it has passed inspection."""
    text = _shared().get_template(template).render(views)
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
