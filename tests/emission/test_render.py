"""The door to jinja2: templates hold no logic, and only our own text comes through."""

from __future__ import annotations

import ast
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from jinja2 import nodes as jinja

from abcparam.emission import render
from abcparam.emission.render import UnexpectedCodeError, environment, finalize, inspect
from abcparam.program.reserved_names import MODULE_ATTRIBUTES
from abcparam.python_code import layout
from abcparam.python_code.layout import Text
from abcparam.python_code.nodes import Binary, Call, Formatted, Name, Negative, Number, path
from abcparam.storage.resources import resource

LOGIC = (
    *(jinja.Call, jinja.Compare, jinja.Assign, jinja.AssignBlock, jinja.Filter, jinja.Test),
    *(jinja.Macro, jinja.CallBlock, jinja.BinExpr, jinja.And, jinja.Or, jinja.Not),
)


def templates() -> list[str]:
    import os

    return sorted(f for f in os.listdir(resource("templates")) if f.endswith(".jinja"))


@pytest.mark.parametrize("name", templates())
def test_templates_hold_no_logic(name: str):
    source = Path(resource("templates", name)).read_text(encoding="utf-8")
    tree = environment().parse(source)
    assert not list(tree.find_all(LOGIC))
    assert len(source.splitlines()) <= 75


def test_templates_are_kept_as_bytecode_where_python_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What is damaged, or of other templates or options, is made anew."""
    compiled: list[str] = []
    monkeypatch.setattr(render, "_kept_at", lambda key: str(tmp_path / key))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    compile_ = render.Environment.compile

    def compiling(*given: Any, **more: Any) -> Any:
        compiled.append(given[2])
        return compile_(*given, **more)

    monkeypatch.setattr(render.Environment, "compile", compiling)

    def is_compiled() -> bool:
        compiled.clear()
        environment().get_template("config.py.jinja")
        return bool(compiled)

    assert is_compiled()
    (kept,) = tmp_path.iterdir()
    assert not is_compiled()
    whole = kept.read_bytes()
    for damaged in (b"", whole[:60], whole[:-10], b"x" + whole):
        kept.write_bytes(damaged)
        assert is_compiled()
        assert kept.read_bytes() == whole
    monkeypatch.setitem(render.LAID_OUT, "trim_blocks", False)
    assert is_compiled()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    kept.unlink()
    assert is_compiled() and not kept.exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(render, "_kept_at", lambda key: str(tmp_path / "none" / key))
    assert is_compiled()  # nothing can be written there


def test_only_our_own_text_comes_through():
    assert finalize(Text("x")) == "x"
    for foreign in ("x", 1, None, ["x"]):
        with pytest.raises(TypeError):
            finalize(foreign)
    with pytest.raises(TypeError):
        environment().from_string("{{ name }}").render(name="import os")


def test_undefined_names_are_errors():
    for text in ("{{ nothing }}", "{{ nothing.more }}", "{% for x in nothing %}{% endfor %}"):
        with pytest.raises((UndefinedError, TypeError)):
            environment().from_string(text).render()


BAD = [
    "import os",
    "from os import path",
    "from . import x",
    "eval('1')",
    "().__class__",
    "def f():\n    global x",
    "with open('x') as f:\n    pass",
    "while True:\n    pass",
    "lambda: 0",
    "__builtins__",
    "async def f():\n    pass",
    "try:\n    pass\nfinally:\n    pass",
    "del x",
    "x = yield",
    "(x := 1)",
]


@pytest.mark.parametrize("text", BAD)
def test_inspection_fails_closed(text: str):
    with pytest.raises((UnexpectedCodeError, SyntaxError)):
        inspect(text)


def test_inspection_refuses_what_is_no_python():
    with pytest.raises(SyntaxError):
        inspect("def f(:")


@pytest.mark.parametrize("name", ["a b", "", "1a", "class", "a.b", 'a"', "é", "a\n", "x" * 200])
def test_only_identifiers_are_names(name: str):
    with pytest.raises(ValueError, match="identifier"):
        layout.python(Name(name))
    with pytest.raises(ValueError, match="identifier"):
        layout.python(Call(Name("f"), (), ((name, Number(Fraction(1))),)))


NUMBERS = [
    (Fraction(1, 50), True, "0.02"),
    (Fraction(1), True, "1.0"),
    (Fraction(3), False, "3"),
    (Fraction(1, 3), True, "1 / 3"),
    (Fraction(-1, 2), True, "-0.5"),
    (Fraction("1e-12"), True, "1e-12"),
    (Fraction("1e-5"), True, "1e-5"),
    (Fraction(10) ** 400, True, "1" + "0" * 400),
    (1 / Fraction(10) ** 400, True, "1 / 1" + "0" * 400),
]


@pytest.mark.parametrize(("value", "real", "text"), NUMBERS)
def test_numbers_are_exact_and_short(value: Fraction, real: bool, text: str):
    assert layout.python(Number(value, real)) == text


def test_operators_keep_their_precedence():
    a, b, c = Name("a"), Name("b"), Name("c")
    cases = {
        "(a + b) * c": Binary("*", Binary("+", a, b), c),
        "a - (b - c)": Binary("-", a, Binary("-", b, c)),
        "(a * b) ** c": Binary("**", Binary("*", a, b), c),
        "a**-b": Binary("**", a, Negative(b)),
        "-(a**b)": Negative(Binary("**", a, b)),
        "(-a) ** b": Binary("**", Negative(a), b),
        "a.b**c": Binary("**", path("a.b"), c),
    }
    for text, code in cases.items():
        assert layout.python(code) == text
        ast.parse(text)


def test_strings_are_escaped():
    assert layout.python(Formatted(('{"}\n', Name("x")))) == 'f"{{\\"}}\\n{x}"'
    assert layout.prose('a"\n\\\u202e') == "a'?/?"


def printed(code: str) -> str:
    """By a Python process that runs the code and nothing else."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout


def test_forbidden_names_are_those_of_the_real_module():
    """In a process of its own: other packages add attributes of theirs to `nn.Module`."""
    code = "from torch import nn; print(*(name for name in dir(nn.Module()) if name[0] != '_'))"
    real = set(printed(code).split())
    assert len(real) > 40
    assert real <= MODULE_ATTRIBUTES, sorted(real - MODULE_ATTRIBUTES)


def test_checking_needs_no_jinja():
    code = "import sys, abcparam; abcparam.check; print('jinja2' in sys.modules)"
    assert printed(code).strip() == "False"
