"""The parser: trees, places, limits, files, and texts at random."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from abcparam.diagnostics.diagnostic import SpecError, render
from abcparam.diagnostics.source import Source, Span
from abcparam.language import syntax
from abcparam.language.lexer import Layout
from abcparam.language.parser import Parser, comments, parse, pieces
from abcparam.language.reader import read
from abcparam.language.tables import GRAMMAR, TABLES, dump, make_tables
from abcparam.storage.resources import read_resource
from tests.support.paths import ROOT
from tests.support.random_specs import SPECS, damaged, derived

DERIVED = 2000
DAMAGED = 5000


def spec(text: str) -> syntax.Spec:
    return parse(Source(text))


def only(text: str) -> syntax.Declaration:
    (declaration,) = spec(text).declarations
    return declaration


def expression(text: str) -> syntax.Expression:
    declaration = only(f"loss {text}")
    assert isinstance(declaration, syntax.Loss)
    return declaration.value


def shown(value: object) -> str:
    """An expression with every operation in parentheses."""
    match value:
        case syntax.Number(value=number):
            return str(number)
        case syntax.Name(id=name):
            return name
        case syntax.Negative(operand=operand):
            return f"(-{shown(operand)})"
        case syntax.Binary(op=op, left=left, right=right):
            return f"({shown(left)} {op} {shown(right)})"
        case syntax.Attribute(value=inner, name=name):
            return f"{shown(inner)}.{name}"
        case syntax.Index(value=inner, index=index):
            return f"{shown(inner)}[{shown(index)}]"
        case syntax.Call(function=function, arguments=arguments, alias=alias):
            listed = ", ".join(f"{a.name or '_'}={shown(a.value)}" for a in arguments)
            return f"{function.id}({listed})" + (f" as {alias.id}" if alias else "")
        case syntax.Tuple(items=items):
            return f"<{', '.join(map(shown, items))}>"
        case syntax.Unknown():
            return "?"
    raise AssertionError(value)


def errors(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec(text)
    return [f"{d.code} {d.span.line}:{d.span.column}" for d in caught.value.diagnostics]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_is_read(path: Path):
    assert parse(read(path)).declarations


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c @ d ^ 2", "(a + (b * (c @ (d ^ 2))))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b * c", "((a / b) * c)"),
        ("B @ A @ x", "(B @ (A @ x))"),
        ("s * W @ x", "(s * (W @ x))"),
        ("-a @ b", "(-(a @ b))"),
        ("-a ^ 2", "(-(a ^ 2))"),
        ("a * -b", "(a * (-b))"),
        ("-a * b", "((-a) * b)"),
        ("--a", "(-(-a))"),
        ("head^-1/2", "((head ^ (-1)) / 2)"),
        ("depth^(-1/2) * y", "((depth ^ ((-1) / 2)) * y)"),
        ("base(depth)^-n", "(base(_=depth) ^ (-n))"),
        ("W.T @ x[0]", "(W.T @ x[0])"),
        ("first.query.T", "first.query.T"),
        ("f(x)[i].T", "f(_=x)[i].T"),
        ("x + f(x, n = 2) as first + 1", "((x + f(_=x, n=2) as first) + 1)"),
        ("f(g(x) as a) as b", "f(_=g(_=x) as a) as b"),
        ("(0.9, 0.95)", "<9/10, 19/20>"),
        ("(a,)", "<a>"),
        ("f()", "f()"),
        ("f((-2, -1), ?)", "f(_=<(-2), (-1)>, _=?)"),
    ],
)
def test_precedence(text: str, tree: str):
    assert shown(expression(text)) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", Fraction(1, 10)), ("3e-3", Fraction(3, 1000)), ("1E2", Fraction(100)), ("007", 7)],
)
def test_numbers_are_exact(text: str, value: Fraction):
    assert expression(text) == syntax.Number(value)


def test_declarations():
    name = syntax.Name
    assert only("dim depth -> inf after width, base = 8, rate = 1") == syntax.Dim(
        name("depth"),
        True,
        after=name("width"),
        options=(
            syntax.Setting("base", syntax.Number(Fraction(8))),
            syntax.Setting("rate", syntax.Number(Fraction(1))),
        ),
    )
    assert only("hyper lr = x in {y, z,}") == syntax.Hyper(
        name("lr"), name("x"), syntax.Choice((name("y"), name("z")))
    )
    assert only("hyper lr = x in log [y, z]") == syntax.Hyper(
        name("lr"), name("x"), syntax.Interval(name("y"), name("z"), log=True)
    )
    assert only("exponent theta, phi") == syntax.Exponent((name("theta"), name("phi")))
    assert only('import "mine.param"') == syntax.Import("mine.param")
    assert only("expect maximal-update, complete") == syntax.Expect(
        (name("maximal-update"), name("complete"))
    )
    assert only("assume alignment = full, epsilon = strict") == syntax.Assume(
        (syntax.Setting("alignment", name("full")), syntax.Setting("epsilon", name("strict")))
    )
    assert only("tensor q, k : [] { frozen; c[depth] = ? }") == syntax.Tensor(
        (name("q"), name("k")),
        None,
        (),
        (syntax.Setting("frozen", None), syntax.Setting("c", syntax.Unknown(), name("depth"))),
    )


def test_optimizers_and_parametrizations():
    name = syntax.Name
    layers = syntax.Attribute(name("layers"), "*")
    query = syntax.Attribute(syntax.Attribute(name("layers"), "attention"), "query")
    assert only("optimizer muon for hidden, layers.*, layers.attention.query") == syntax.Optimizer(
        name("muon"), (name("hidden"), layers, query)
    )
    role = syntax.Role(name("hidden"), (syntax.Setting("c", syntax.Number(Fraction(1))),))
    assert only("parametrization mup for adam, adamw { hidden { c = 1 } }") == (
        syntax.Parametrization(name("mup"), (name("adam"), name("adamw")), (role,))
    )
    assert only("parametrization {\n hidden { c = 1 }\n}") == syntax.Parametrization(
        None, roles=(role,)
    )


def test_bodies():
    block = only(
        "block A(x, n = 2) { repeat f(n) as t { y = x }; i, f = split(x, 2); return i, f }"
    )
    assert isinstance(block, syntax.Block)
    repeat, split, result = block.body
    assert [p.default is None for p in block.parameters] == [True, False]
    assert isinstance(repeat, syntax.Repeat) and repeat.label == syntax.Name("t")
    assert isinstance(split, syntax.Assign) and len(split.targets) == 2
    assert isinstance(result, syntax.Return) and len(result.values) == 2


def test_words_are_read_by_position():
    text = """
    model model
    dim dim -> inf after inf, base = base
    dim tensor = repeat
    hyper log = log in log [log, log]
    exponent exponent
    tensor tensor, input : input [head, index]
    forward(index : index(index) [index], forward : [after]) {
        head = tensor + repeat
        input = head(model = model, dim = index[index])
        repeat repeat as repeat { loss = loss }
        return head @ input
    }
    optimizer optimizer for hidden { expect = assume }
    loss loss
    """
    assert len(spec(text).declarations) == 9


def test_where_statements_end():
    joined = "dim a = 1 +\n 2\nhyper b =\n\n 3 in [1,\n2]\nassume d = 1,\n e = 2"
    assert len(spec(joined).declarations) == 3
    assert len(spec("tensor c : [\na\n, b\n]").declarations) == 1
    assert len(spec("dim a = 1; dim b = 2;; dim c = 3;").declarations) == 3
    assert spec("tensor a : [] { b = 1\n\n c = 2, d = 3,\n e; }") == spec(
        "tensor a : [] { b = 1, c = 2, d = 3, e }"
    )
    assert spec("optimizer muon for a.*\nloss b").declarations[1:]
    assert spec("") == spec("\n ; # nothing\n") == syntax.Spec(())


def test_spans():
    text = "dim a = 2 * (b + c)\n\nloss f(x) as y"
    dim, loss = spec(text).declarations
    assert dim.span == Span(1, 1, 1, 20)
    assert isinstance(dim, syntax.Dim) and isinstance(dim.value, syntax.Binary)
    assert dim.value.right.span == Span(1, 13, 1, 20)
    assert isinstance(loss, syntax.Loss)
    assert loss.value.span == Span(3, 6, 3, 15)


def test_spans_do_not_count_in_comparisons():
    assert spec("dim a=1") == spec("\n  dim   a = 1")


def test_byte_order_mark_and_line_ends():
    assert spec("\ufeffdim a = 1\r\ndim b = 2\r\n") == spec("dim a = 1\ndim b = 2")
    assert errors("\ufeffdim a = 1\r\ndim b = \r\n")[0].startswith("P0101 2:")


def test_comments():
    source = Source('# one\ndim a = 1 # two\nimport "#no" #three')
    assert [(c.text, c.line, c.column) for c in comments(source)] == [
        ("# one", 1, 1),
        ("# two", 2, 11),
        ("#three", 3, 14),
    ]


def test_one_error_for_each_bad_statement():
    text = """
    dim = 3
    hyper lr 0.1
    block A(x) {
        y = f(x
        z = = 2
        return y
    }
    tensor W : hidden { a = , b = }
    loss mse mse
    """
    found = errors(text)
    assert [error.split()[1].split(":")[0] for error in found] == ["2", "3", "5", "6", "9", "10"]


def test_a_bad_header_hides_its_body():
    assert len(errors("block A x) {\n y = = 2\n}\nloss =")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "loss " + "(" * 65 + "x" + ")" * 65,
        "loss " + "-" * 100_000 + "x",
        "loss " + "x @ " * 100_000 + "x",
        "loss x" + "[x]" * 100_000,
        "loss x" + ".T" * 100_000,
        "loss " + "f(x" + "+ x)" * 100_000,
        "block A(x) {" + "repeat 2 {" * 100_000,
        "}" * 100_000,
        "loss f(" + "\n" * 100_000,
        "loss " + "(" * 60 + "x" + " + x)" * 60 + " + x" * 60,
    ],
    ids=range(11),
)
def test_nesting_is_capped(text: str):
    start = time.process_time()
    assert len(errors(text)) < 3 or text.startswith("}")
    assert time.process_time() - start < 20


def test_what_is_not_too_deep():
    spec("loss " + "(" * 60 + "x" + ")" * 60)
    spec("loss " + "x + " * 60 + "x")
    spec("loss f(" + "x + x, " * 10_000 + "x)")
    spec("loss f(" + "\n\n# c\n" * 30_000 + "x)")


def test_long_literals_cost_nothing():
    start = time.process_time()
    assert errors("dim a = 1e9999999\ndim b = " + "9" * 1_000_000) == ["P0107 1:9", "P0107 2:9"]
    assert time.process_time() - start < 5


def test_limits():
    spec(f"dim {'a' * 64} = 123456789012345678\nhyper b = 1e-99\nhyper c = 1000000/1000000")
    assert errors(f"dim {'a' * 65} = 1\ndim b = 1234567890.123456789") == ["P0109 1:5", "P0107 2:9"]
    assert errors("dim a = 1/1000001") == ["P0108 1:11"]


# Files


def test_a_file(tmp_path: Path):
    path = tmp_path / "a.param"
    path.write_bytes(b"\xef\xbb\xbfmodel A\r\n")
    assert read(path) == Source("model A\n", str(path), str(tmp_path))
    assert read(str(path)).folder == str(tmp_path)


def test_a_file_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.param").write_text("model A")
    monkeypatch.chdir(tmp_path)
    assert read("a.param") == Source("model A", "a.param", ".")


def test_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"model A")))
    assert read("-") == Source("model A")


def refused(path: Path | str) -> str:
    with pytest.raises(SpecError) as caught:
        read(path)
    (diagnostic,) = caught.value.diagnostics
    return f"{diagnostic.code} {diagnostic.span.line}:{diagnostic.span.column} {diagnostic.message}"


def test_unreadable_files(tmp_path: Path):
    assert refused(tmp_path / "no.param") == (
        "P0141 1:1 cannot read the file: no such file or directory"
    )
    assert refused(tmp_path) == "P0141 1:1 cannot read the file: is a directory"
    assert refused("a\0b").startswith("P0141 1:1 cannot read the file: ")
    assert refused("/dev/zero") == "P0142 1:1 the file is larger than 16 MiB"


def test_a_model_of_pytorch_is_no_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its file, or a function of it, as `audit` takes it with `--grow`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def build(width=64): ...\n", encoding="utf-8")
    for name, shown in (("mine.py", "mine.py:FUNCTION"), ("mine.py:build", "mine.py:build")):
        assert refused(name) == "P0141 1:1 cannot read the file: it is Python, not a spec"
        with pytest.raises(SpecError) as caught:
            read(name)
        assert f"`abcparam audit {shown} --grow width`" in caught.value.diagnostics[0].help
    assert refused("no.py:build") == "P0141 1:1 cannot read the file: no such file or directory"


def test_not_utf8(tmp_path: Path):
    path = tmp_path / "a.param"
    path.write_bytes(b"model A\r\ndim \xc3\xb6 = \xff\n")
    assert refused(path) == "P0143 2:9 the file is not UTF-8"
    path.write_bytes(b"\x1b[31m\xff")
    with pytest.raises(SpecError) as caught:
        read(path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("character", "\0\x07\x0c\x1b\x7f\x85\u200f\u202e\u2066\u2028\ud800")
def test_hidden_characters(character: str):
    assert errors(f"dim a = 1 # {character}{character}\n{character}") == [
        "P0144 1:13",
        "P0144 2:1",
    ]
    assert errors("dim a = 1\rdim b = 2") == ["P0144 1:10"]


# The tables


def test_tables_are_current():
    assert read_resource(*TABLES) == dump(make_tables(read_resource(*GRAMMAR)))


def test_stale_tables_are_made_again(tmp_path: Path):
    code = (
        "from abcparam.language import parser, tables\n"
        "tables.TABLES = ('grammar', 'none.json')\n"
        "from abcparam.diagnostics.source import Source\n"
        "print(parser.parse(Source('model A')).declarations[0].name.id)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout == "A\n"


def test_lark_is_not_imported_to_parse():
    code = (
        "import sys; from abcparam.language.parser import parse\n"
        "from abcparam.diagnostics.source import Source\n"
        "parse(Source('model A')); print('lark' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ran.stdout == "False\n"


def test_the_parser_agrees_with_lark():
    """Lark's own parser accepts the same of 700 damaged texts."""
    import lark

    made = lark.Lark(read_resource(*GRAMMAR), start="spec", parser="lalr", maybe_placeholders=False)
    for text in damaged(700, seed=3):
        layout = Layout(pieces(text))
        tokens = list(layout.tokens)
        parser = Parser(list(tokens), layout.errors)
        parser.run()
        assert _lark_accepts(made, [t.type for t in tokens]) is not bool(parser.diagnostics), text


def _lark_accepts(made: object, types: list[str]) -> bool:
    import lark

    interactive = made.parse_interactive("")  # type: ignore[attr-defined]
    try:
        for type in types:
            interactive.feed_token(lark.Token(type, ""))
    except lark.UnexpectedToken:
        return False
    return True


# Texts at random


def test_texts_derived_from_the_grammar_are_read():
    for text in derived(DERIVED, seed=1):
        spec(text)


def test_damaged_specs_end_in_a_tree_or_in_placed_errors():
    good = 0
    for text in damaged(DAMAGED, seed=2):
        try:
            spec(text)
            good += 1
        except SpecError as error:
            _check_placed(error)
    assert 0 < good < DAMAGED


def _check_placed(error: SpecError) -> None:
    lines = error.source.lines
    spans = [d.span for d in error.diagnostics]
    assert spans and len(set(spans)) == len(spans)
    for diagnostic in error.diagnostics:
        span = diagnostic.span
        assert diagnostic.code.startswith("P01") and diagnostic.message
        assert 1 <= span.line <= len(lines) and 1 <= span.column <= len(lines[span.line - 1]) + 1
        assert render(diagnostic, error.source)


# Speed


def _seconds_per_line(count: int, repeats: int) -> float:
    lines = (
        f"tensor W{n} : hidden [width, 4 * width] {{ b = 1/2, c = 1 }}\n" for n in range(count)
    )
    source = Source("dim width -> inf\n" + "".join(lines))
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        parse(source)
        best = min(best, time.process_time() - start)
    return best / count


def test_garbage_collection_is_left_as_it_was():
    gc.disable()
    try:
        spec("model A")
        assert not gc.isenabled()
    finally:
        gc.enable()
    spec("model A")
    assert gc.isenabled()


def test_parsing_is_linear():
    assert _seconds_per_line(4_000, 3) < 1.5 * _seconds_per_line(200, 20)


@pytest.mark.slow
def test_parsing_a_long_spec_costs_no_more_per_line():
    assert _seconds_per_line(20_000, 3) < 1.2 * _seconds_per_line(200, 50)
