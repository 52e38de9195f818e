"""Exponents written into a text: they are what was asked for, and little else changes."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source
from abcparam.editing.exponents import UnwritableError, edited, exponents, without_unknowns
from abcparam.language.formatter import format_source
from abcparam.language.parser import comments, parse
from abcparam.language.reader import read
from abcparam.program.model import Program
from abcparam.resolve.resolver import resolve
from abcparam.verdict.check import load
from tests.support.paths import EXAMPLES, SPECS

FILES = sorted([*SPECS.glob("*.param"), *EXAMPLES.glob("*.param")])
THETA = (("theta", Fraction(1)),)


def spec(text: str) -> str:
    """A spec of an MLP that has these lines too; two spaces at its end: not in canonical form."""
    return f"""\
model M
dim n -> inf, base = 8
dim depth -> inf, base = 2
dim k = 4
exponent theta
{text}
tensor U : input [n, k] {{ a = 0, b = 0, c = 0 }}
tensor V : output [k, n] {{ a = 1, b = 0, c = 0 }}
forward(x : [k]) {{
    return V @ relu(U @ x)
}}
optimizer adam {{ lr = 1 }}
loss  mse
"""


def after(source: Source | str, values: Mapping[str, Affine | str]) -> str:
    """The text with new exponents by `path.key`, read once more to be sure."""
    source = Source(source) if isinstance(source, str) else source
    asked = {
        (path, key): Affine(Fraction(value)) if isinstance(value, str) else value
        for name, value in values.items()
        for path, _, key in [name.rpartition(".")]
    }
    text = edited(load(source), asked)
    found = load(replace(source, text=text))
    for (path, key), value in asked.items():
        assert exponents(found.tensors[path]).get(key, Affine(Fraction(0))) == value
    return text


def assert_edited(before: str, values: Mapping[str, Affine | str], wanted: str) -> None:
    """In a spec that is not in canonical form, and with the other kind of line ends."""
    assert after(spec(before), values) == spec(wanted)
    windows = after(spec(before).replace("\n", "\r\n"), values)
    assert windows == spec(wanted).replace("\n", "\r\n")


OWN = {
    "a value": (
        "tensor W : hidden [n, n] { a = 0, b = 1, c = 1 }  # W",
        {"W.b": "-1/2"},
        "tensor W : hidden [n, n] { a = 0, b = -1/2, c = 1 }  # W",
    ),
    "unknowns": (
        "tensor W : hidden [n, n] { a = ?, b = ?, c = ? }",
        {"W.a": "0", "W.b": "1/2", "W.c": "1"},
        "tensor W : hidden [n, n] { a = 0, b = 1/2, c = 1 }",
    ),
    "one of several unknowns": (
        "tensor W : hidden [n, n] { a = ?, b = ?, c = ? + 1 }",
        {"W.c": "1"},
        "tensor W : hidden [n, n] { a = ?, b = ?, c = 1 }",
    ),
    "symbols": (
        "tensor W : hidden [n, n] { a = 0, b = 1/2 - theta, c = (1) }",
        {"W.b": Affine(Fraction(0), THETA), "W.c": Affine(Fraction(1), THETA) * Fraction(-1, 2)},
        "tensor W : hidden [n, n] { a = 0, b = theta, c = -1/2 - 1/2 * theta }",
    ),
    "what is so already": (
        "tensor W : hidden [n, n] { a = 0/2, b = 0.5, c = 2 * (theta - 1) }",
        {"W.b": "1/2", "W.d": "0", "W.c": Affine(Fraction(-2), (("theta", Fraction(2)),))},
        "tensor W : hidden [n, n] { a = 0/2, b = 0.5, c = 2 * (theta - 1) }",
    ),
    "what is written nowhere": (
        "tensor W : hidden [n, n] { a = 0, b = 1, c = 1, init = zeros }",
        {"W.d": "1", "W.c[depth]": "1/2"},
        "tensor W : hidden [n, n] { a = 0, b = 1, c = 1, init = zeros, c[depth] = 1/2, d = 1 }",
    ),
    "all names": (
        "tensor W, X : hidden [n, n] { a = 0, b = 1, c = 1 }",
        {"X.b": "1/2", "W.b": "1/2"},
        "tensor W, X : hidden [n, n] { a = 0, b = 1/2, c = 1 }",
    ),
    "lines": (
        "tensor W : hidden [n, n] {\n    a = 0  # a\n    b = 1  # b\n    c = 1  # c\n}",
        {"W.b": "1/2", "W.d": "1"},
        (
            "tensor W : hidden [n, n] {\n    a = 0  # a\n    b = 1/2  # b\n    c = 1  # c\n"
            "    d = 1\n}"
        ),
    ),
    "lines with commas": (
        "tensor W : hidden [n, n] {\n    a = 0,\n    b = 1, # b\n    c = 1 # c\n    # end\n}",
        {"W.d": "1", "W.a[depth]": "1"},
        (
            "tensor W : hidden [n, n] {\n    a = 0,\n    b = 1, # b\n    c = 1, # c\n"
            "    a[depth] = 1,\n    d = 1\n    # end\n}"
        ),
    ),
    "lines that all end in commas": (
        "tensor W : hidden [n, n] {\n    a = 0,\n    b = 1,\n    c = 1,\n}",
        {"W.d": "1"},
        "tensor W : hidden [n, n] {\n    a = 0,\n    b = 1,\n    c = 1,\n    d = 1,\n}",
    ),
    "a last comma": (
        "tensor W : hidden [n, n] { a = 0, b = 1, c = 1, }",
        {"W.d": "1"},
        "tensor W : hidden [n, n] { a = 0, b = 1, c = 1, d = 1, }",
    ),
    "a comment inside of a value": (
        "tensor W : hidden [n, n] { a = 0, b = 1 -  # less\n    theta, c = 1 }",
        {"W.b": "1/2"},
        "tensor W : hidden [n, n] { a = 0, b = # less\n    1/2, c = 1 }",
    ),
    "no braces": (
        "tensor W : scalar [k]  # W",
        {"W.a": "1", "W.b": "1/2"},
        "tensor W : scalar [k] { a = 1, b = 1/2 }  # W",
    ),
    "empty braces": ("tensor W : scalar [k] {}", {"W.a": "1"}, "tensor W : scalar [k] { a = 1 }"),
    "a comment in braces": (
        "tensor W : scalar [k] { # {}\n}",
        {"W.a": "1"},
        "tensor W : scalar [k] { a = 1 # {}\n}",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_own_settings(case: str):
    assert_edited(*OWN[case])


COLUMNS = {
    "longer": ("{ a = 0,    b = 0,     c = 1 }", "{ a = 0,    b = 1/2,   c = 1 }"),
    "shorter": ("{ a = 0, b = 1/4 + theta,  c = 1 }", "{ a = 0, b = 1/2,          c = 1 }"),
    "just so": ("{ a = 0, b = 0,   c = 1 }", "{ a = 0, b = 1/2, c = 1 }"),
    "too long": ("{ a = 0, b = 0,  c = 1 }", "{ a = 0, b = 1/2, c = 1 }"),
    "no columns": ("{ a = 0, b = 0, c = 1 }", "{ a = 0, b = 1/2, c = 1 }"),
    "a later column": ("{ a = 0, b = 0, c = 1,   d = 1 }", "{ a = 0, b = 1/2, c = 1, d = 1 }"),
    "a comment": ("{ a = 0, b = 0, c = 1 }     # b", "{ a = 0, b = 1/2, c = 1 }   # b"),
    "a near comment": ("{ a = 0, b = 0, c = 1 }  # b  c", "{ a = 0, b = 1/2, c = 1 }  # b  c"),
    "both": ("{ a = 0, b = 0,  c = 1 }    # b", "{ a = 0, b = 1/2, c = 1 }   # b"),
    "no spaces": ("{a=0,b=0,c=1}", "{a=0,b=1/2,c=1}"),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_stay_where_they_are(case: str):
    before, wanted = (f"tensor W : hidden [n, n] {braces}" for braces in COLUMNS[case])
    assert_edited(before, {"W.b": "1/2"}, wanted)


def test_several_changes_in_a_row():
    before = "tensor W : hidden [n, n] { a = 1/2,    b = 0,    c = 1,   d = 1 }   # W"
    wanted = "tensor W : hidden [n, n] { a = 0,      b = 1/2,  c = -1/2, d = 1 }  # W"
    assert_edited(before, {"W.a": "0", "W.b": "1/2", "W.c": "-1/2"}, wanted)


ROLES = "hidden { a = 0, b = 1, c = 1 }"
TENSORS = "tensor W : hidden [n, n]\ntensor X : hidden [n, n] { c = 0 }"
BY_ROLE = {
    "all of a role": (
        f"parametrization {{\n    {ROLES}  # hidden\n}}\n{TENSORS}",
        {"W.b": "1/2", "X.b": "1/2"},
        (
            "parametrization {\n    hidden { a = 0, b = 1/2, c = 1 }  # hidden\n}\n"
            "tensor W : hidden [n, n]\ntensor X : hidden [n, n] { c = 0 }"
        ),
    ),
    "all that take it from the role": (
        f"parametrization {{ {ROLES} }}\n{TENSORS}",
        {"W.c": "1/2"},
        f"parametrization {{ hidden {{ a = 0, b = 1, c = 1/2 }} }}\n{TENSORS}",
    ),
    "one of a role": (
        f"parametrization {{ {ROLES} }}\n{TENSORS}",
        {"W.b": "1/2"},
        (
            f"parametrization {{ {ROLES} }}\n"
            "tensor W : hidden [n, n] { b = 1/2 }\ntensor X : hidden [n, n] { c = 0 }"
        ),
    ),
    "differently": (
        f"parametrization {{ {ROLES} }}\n{TENSORS}",
        {"W.b": "1/2", "X.b": "0"},
        (
            f"parametrization {{ {ROLES} }}\n"
            "tensor W : hidden [n, n] { b = 1/2 }\ntensor X : hidden [n, n] { c = 0, b = 0 }"
        ),
    ),
    "written nowhere": (
        f"parametrization {{ {ROLES} }}\n{TENSORS}",
        {"W.d": "1", "X.d": "1", "W.c[depth]": "1"},
        (
            "parametrization { hidden { a = 0, b = 1, c = 1, d = 1 } }\n"
            "tensor W : hidden [n, n] { c[depth] = 1 }\ntensor X : hidden [n, n] { c = 0 }"
        ),
    ),
    "a role that is not there": (
        f"parametrization {{\n    {ROLES}  # hidden\n}}\n{TENSORS}\ntensor Y, Z : scalar [k]",
        {"Y.c": "1", "Z.c": "1"},
        (
            f"parametrization {{\n    {ROLES}  # hidden\n    scalar {{ c = 1 }}\n}}\n"
            f"{TENSORS}\ntensor Y, Z : scalar [k]"
        ),
    ),
    "named": (
        f"parametrization mup  # µP\n{TENSORS}",
        {"W.b": "1", "X.b": "1"},
        f"parametrization mup {{ hidden {{ b = 1 }} }}  # µP\n{TENSORS}",
    ),
    "named, several": (
        f"parametrization mup  # µP\n{TENSORS}\ntensor Y : scalar [k]",
        {"W.b": "1", "X.b": "1", "W.a": "1/2", "X.a": "1/2", "Y.c": "1"},
        (
            "parametrization mup {\n    hidden { a = 1/2, b = 1 }\n    scalar { c = 1 }\n}  # µP\n"
            f"{TENSORS}\ntensor Y : scalar [k]"
        ),
    ),
    "named, in part": (
        f"parametrization mup\n{TENSORS}",
        {"W.b": "1"},
        (
            "parametrization mup\ntensor W : hidden [n, n] { b = 1 }\n"
            "tensor X : hidden [n, n] { c = 0 }"
        ),
    ),
    "named, with braces": (
        f"parametrization mup {{ hidden {{ c = 1/2 }} }}\n{TENSORS}\ntensor Y : scalar [k]",
        {"W.b": "1", "X.b": "1", "Y.c": "1"},
        (
            "parametrization mup { hidden { c = 1/2, b = 1 }, scalar { c = 1 } }\n"
            f"{TENSORS}\ntensor Y : scalar [k]"
        ),
    ),
    "a role with unknowns": (
        f"parametrization {{\n    hidden {{ a = ?, b = ?, c = ? }}\n}}\n{TENSORS}",
        {"W.a": "0", "X.a": "0", "W.b": "1/2", "X.b": "0", "W.c": "1"},
        (
            "parametrization {\n    hidden { a = 0, b = ?, c = 1 }\n}\n"
            "tensor W : hidden [n, n] { b = 1/2 }\ntensor X : hidden [n, n] { c = 0, b = 0 }"
        ),
    ),
    "roles that are not written": (
        f"parametrization {{ {ROLES} }}\ntensor W : [n, n]\ntensor X : [n, n]",
        {"W.b": "1/2", "X.b": "1/2"},
        (
            "parametrization { hidden { a = 0, b = 1/2, c = 1 } }\n"
            "tensor W : [n, n]\ntensor X : [n, n]"
        ),
    ),
}


@pytest.mark.parametrize("case", BY_ROLE)
def test_roles(case: str):
    assert_edited(*BY_ROLE[case])


SPLIT = {
    "the one in the middle": (
        "tensor query, key, value : hidden [n, n] { a = 0, b = 1, c = 1 }  # three",
        {"key.b": "1/2"},
        (
            "tensor query, value : hidden [n, n] { a = 0, b = 1, c = 1 }       # three\n"
            "tensor key : hidden [n, n] { a = 0, b = 1/2, c = 1 }"
        ),
    ),
    "the first": (
        "parametrization mup\n    tensor query, key, value : hidden [n, n]",
        {"query.b": "1"},
        (
            "parametrization mup\n    tensor query : hidden [n, n] { b = 1 }\n"
            "    tensor key, value : hidden [n, n]"
        ),
    ),
    "each its own": (
        "tensor query, key, value : hidden [n, n] { a = 0, b = 1, c = 1, }",
        {"key.b": "1/2", "value.b": "0"},
        (
            "tensor query : hidden [n, n] { a = 0, b = 1, c = 1, }\n"
            "tensor key : hidden [n, n] { a = 0, b = 1/2, c = 1, }\n"
            "tensor value : hidden [n, n] { a = 0, b = 0, c = 1, }"
        ),
    ),
    "beside others": (
        "tensor W, X : hidden [n, n] { a = 0, b = 1, c = 1 }; dim m = 3  # m",
        {"X.b": "1/2"},
        (
            "tensor W : hidden [n, n] { a = 0, b = 1, c = 1 }; "
            "tensor X : hidden [n, n] { a = 0, b = 1/2, c = 1 }; dim m = 3  # m"
        ),
    ),
    "over several lines": (
        "tensor W,  # one\n       X : hidden [n, n] {\n    a = 0; b = 1  # ab\n    c = 1\n}  # end",
        {"X.b": "1/2"},
        (
            "# one\ntensor W : hidden [n, n] {\n    a = 0; b = 1  # ab\n    c = 1\n}  # end\n"
            "tensor X : hidden [n, n] {\n    a = 0; b = 1/2  # ab\n    c = 1\n}"
        ),
    ),
}


@pytest.mark.parametrize("case", SPLIT)
def test_names_that_come_to_differ_are_declared_apart(case: str):
    assert_edited(*SPLIT[case])


def test_at_the_end_of_a_file_without_a_last_newline():
    first, _, rest = spec("").partition("exponent theta\n")
    text = f"{first}{rest}tensor W, X : scalar [k]"
    wanted = f"{first}{rest}tensor W : scalar [k]\ntensor X : scalar [k] {{ a = 1 }}"
    assert after(text, {"X.a": "1"}) == wanted


BLOCK = """\
block B(x) {{ tensor W, X : hidden [n, n] {0}; return W @ X @ x }}
block C(x, inner) {{
    tensor Y : [n, inner]{1}
    return Y @ x
}}
"""
CALLS = "V @ relu(B(U @ x) as first + B(U @ x) as second + C(x, k) as small + C(U @ x, n) as wide)"


def blocks(first: str, second: str) -> str:
    text = spec(f"parametrization mup\n{BLOCK.format(first, second).rstrip()}")
    return text.replace("V @ relu(U @ x)", CALLS)


def test_blocks():
    """All instances of a block change at once."""
    found = after(blocks("{ b = 1 }", ""), {"first.X.b": "0", "second.X.b": "0"})
    wanted = blocks("{ b = 1 }; tensor X : hidden [n, n] { b = 0 }", "")
    assert found == wanted.replace("tensor W, X", "tensor W")
    everyone = {f"{name}.{key}": "2" for name in ("small.Y", "wide.Y") for key in ("b", "d")}
    assert after(blocks("", ""), everyone) == blocks("", " { b = 2, d = 2 }")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"first.X.b": "0"}, "`first.X` and `second.X` are declared in one place, line 7: `b`"),
        ({"first.X.b": "0", "second.X.b": "1/2"}, "cannot be 0 in the one and 1/2 in the other"),
        ({"wide.Y.a": "1"}, "`wide.Y` and `small.Y` are declared in one place, line 9: `a`"),
        ({"second.X.c": "0"}, "`c` cannot be 0 in the one and ? in the other"),
        ({"third.X.c": "0"}, "there is no tensor `third.X`"),
        (
            {"U.b": Affine(Fraction(0), (("?first.W.c", Fraction(1)),))},
            "`b` of `U` is to become an exponent that is unknown",
        ),
    ],
)
def test_what_cannot_be_written(values: dict[str, Affine | str], said: str):
    with pytest.raises(UnwritableError, match=re.escape(said)):
        after(blocks("{ b = 1, c = ? }", ""), values)


def test_instances_with_different_roles_change_apart():
    """Through their roles, that is."""
    found = after(blocks("", ""), {"small.Y.c": "1"})
    assert found == blocks("", "").replace("mup", "mup { input { c = 1 } }")


@pytest.mark.parametrize("value", [Fraction(10**20), Fraction(1, 10**7)])
def test_what_went_wrong_is_not_returned(value: Fraction):
    """The language has no such numbers."""
    with pytest.raises(RuntimeError, match="the edit of `-` went wrong: "):
        edited(load(Source(spec(""))), {("U", "b"): Affine(value)})


def test_an_imported_parametrization_is_changed_in_braces(tmp_path: Path):
    mine = "parametrization mine { hidden { a = 0, b = ?, c = 1 } }\n"
    (tmp_path / "mine.param").write_text(mine, encoding="utf-8")
    text = spec('import "mine.param"\nparametrization mine\ntensor W : hidden [n, n]')
    path = tmp_path / "model.param"
    path.write_text(text, encoding="utf-8")
    found = after(read(path), {"W.b": "1/2"})
    assert found == text.replace("tion mine", "tion mine { hidden { b = 1/2 } }")
    assert (tmp_path / "mine.param").read_text(encoding="utf-8") == mine


def test_canonical_form_stays():
    text = read(SPECS / "gpt.param").text
    queries = {f"layers.attention.{name}.b": "1" for name in ("query", "key")}
    found = after(text, {**queries, "token_embedding.c": "1/2", "position_embedding.c": "1/2"})
    assert [line for line in found.split("\n") if line not in text.split("\n")] == [
        "    input  { a = 0, b = 0,   c = 1/2 }",
        "    tensor query, key : hidden [heads * head, width] { b = 1 }",
        "    tensor value      : hidden [heads * head, width]",
        "    tensor project    : hidden [width, heads * head]",
    ]
    assert format_source(Source(found)) == found


def test_a_bound_program_is_edited_as_it_is_written():
    """A value given from outside is nothing that the text says."""
    text = spec("tensor W, X : hidden [n, n] { a = theta, b = 1/2 - theta, c = 1 }")
    bound = load(Source(text), {"theta": Fraction(1, 4), "n": Fraction(64)})
    assert edited(bound, {}) == text
    found = edited(bound, {("W", "c"): Affine(Fraction(0)), ("X", "c"): Affine(Fraction(0))})
    assert found == text.replace("c = 1 }", "c = 0 }")


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("hidden { a = 0, b = ?, c = ? - 1 }", "hidden { a = 0, b = 0, c = ? - 1 }"),
        ("scalar { a = ?, c[depth] = ? }", "scalar { a = 0, c[depth] = 0 }"),
    ],
)
def test_unknowns_that_no_tensor_has(before: str, wanted: str):
    tensors = "tensor W : hidden [n, n] { b = ? }\ntensor X : hidden [n, n] { b = 1/2 }"
    more = "" if "hidden" in before else "hidden { a = 0, c = 0 }; "
    text = spec(f"parametrization {{ {more}{before} }}  # ?\n{tensors}")
    found = without_unknowns(load(Source(text)), text)
    assert found == spec(f"parametrization {{ {more}{wanted} }}  # ?\n{tensors}")


def test_unknowns_of_a_block_that_is_not_called():
    text = spec(
        "block B(x) {\n    tensor W : hidden [n, n] { a = ?, b = ?, c = 1 }\n    return x\n}"
    )
    assert without_unknowns(load(Source(text)), text) == text.replace("?", "0")


# At random


def drawn(draw: random.Random, program: Program) -> dict[tuple[str, str], Affine]:
    """New exponents of some tensors, or of all tensors of a role."""
    dims = [dim.name for dim in program.dims.values() if dim.infinite and not dim.derived]
    keys = [*"abcd", *(f"{letter}[{dim}]" for letter in "abcd" for dim in dims[1:])]
    tensors = list(program.tensors.values())
    values: dict[tuple[str, str], Affine] = {}
    for _ in range(draw.choice([1, 1, 2, 4])):
        key, tensor = draw.choice(keys), draw.choice(tensors)
        value = Affine(Fraction(draw.randint(-4, 6), draw.choice([1, 2, 4])))
        if program.symbols and draw.random() < 0.5:
            value += Affine(Fraction(0), ((program.symbols[0], Fraction(draw.choice([-1, 2]))),))
        alike = draw.random() < 0.4
        chosen = [t for t in tensors if t.role == tensor.role] if alike else [tensor]
        values |= {(t.path, key): value for t in chosen}
    return values


def disturbed(draw: random.Random, program: Program) -> Program:
    """The program of the text as it is, or in another layout."""
    text = program.source.text
    way = draw.randrange(4)
    if way == 1:
        text = text.replace(", ", ",   ")
    elif way == 2:
        text = text.replace("{ a", "{\n a").replace(" }\n", "\n }  # end\n")
    elif way == 3:
        text = "\n".join(line.strip() for line in text.split("\n"))
    source = replace(program.source, text=text)
    return resolve(parse(source), source)


def apart(program: Program, values: Mapping[tuple[str, str], Affine]) -> bool:
    """Whether instances of a block, declared in one place, are to differ."""
    wanted = {path: exponents(tensor) for path, tensor in program.tensors.items()}
    for (path, key), value in values.items():
        wanted[path][key] = value
    places: dict[object, set[object]] = {}
    for path, tensor in program.tensors.items():
        for _, key in values:
            value = wanted[path].get(key, Affine(Fraction(0)))
            places.setdefault((tensor.span, key), set()).add(value)
    return any(len(found) > 1 for found in places.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_random_changes(path: Path):
    """20 in each spec, and on until six are written, and one in canonical form: exactly the
    exponents asked for change, no comment is lost, and what was in canonical form still is.
    """
    draw, cases, program = random.Random(path.stem), Counter[str](), load(read(path))
    canonical = format_source(program.source) == program.source.text
    while cases["tried"] < 20 or cases["written"] < 6 or cases["canonical"] < canonical:
        cases["tried"] += 1
        assert cases["tried"] < 200, cases
        before = disturbed(draw, program)
        values = drawn(draw, before)
        try:
            text = edited(before, values)
        except UnwritableError:
            assert apart(before, values), (before.source.text, values)
            continue
        wanted = {owner: exponents(tensor) for owner, tensor in before.tensors.items()}
        for (owner, key), value in values.items():
            wanted[owner][key] = value
            if not value.constant and not value.symbols:
                del wanted[owner][key]
        source = replace(before.source, text=text)
        tensors = resolve(parse(source), source).tensors
        assert {p: exponents(t) for p, t in tensors.items()} == wanted, (text, values)
        kept = Counter(comment.text.rstrip() for comment in comments(before.source))
        assert kept <= Counter(comment.text.rstrip() for comment in comments(source)), text
        if format_source(before.source) == before.source.text:
            assert format_source(source) == text
            cases["canonical"] += 1
        cases["written"] += 1
