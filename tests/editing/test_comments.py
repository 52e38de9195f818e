"""No comment is taken for code: what reads or changes a spec goes by its tree and its tokens."""

from __future__ import annotations

import inspect
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import abcparam
from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.comparison.family import family
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.editing.exponents import UnwritableError, edited, without_unknowns
from abcparam.editing.insertion import inserted
from abcparam.editing.parametrization import in_form
from abcparam.imports.capture import trace
from abcparam.imports.titles import titles_of
from abcparam.language import syntax
from abcparam.language.parser import comments, parse, pieces
from abcparam.language.reader import read, refuse_characters
from abcparam.language.scanner import Raw, Scanner
from abcparam.presentation.figures import write_picture
from abcparam.python_code.nodes import identifier
from abcparam.resolve.names import snake_case
from abcparam.resolve.resolver import resolve
from abcparam.verdict.check import load
from tests.editing.test_exponents import FILES, drawn
from tests.support.running import Run

PACKAGE = Path(abcparam.__file__).parent
HOSTILE = (
    "# }",
    "# {",
    "#}{ # }}",
    "# { hidden { a = 0 }",
    "# parametrization sp { hidden { a = 9 } }",
    "# optimizer sgd { lr = 1 }",
    "# tensor Z : hidden [n, n] { a = ? }",
    "# dim n -> inf, base = 2",
    "# -> inf",
    '# "',
    '# import "other.param"',
    "# ) ] ;",
    "# ?",
    "# a = 1/2, # b = 1",
    "#",
)

# Two braces that only comments have, in the braces of the parametrization.
BRACES = """\
model Net
dim width -> inf, base = 64
dim inputs = 8
dim labels = 4
hyper rate = 1e-2

# parametrization ntk { is not what this is
parametrization {                     # { opens here
    input  { a = 0, b = 0, c = 0 }    # set {1, 2}
    hidden { a = 0, b = 1/2, c = 1 }  # half a pair: }
    output { a = 1, b = 0, c = 0 }    # parametrization sp }}
}                                     # } closes

tensor up : input [width, inputs]
tensor mid : hidden [width, width]
tensor down : output [labels, width]

forward(x : [inputs]) {
    return down @ relu(mid @ relu(up @ x))
}

optimizer adam { lr = rate, eps = 1e-12 }
loss cross_entropy
"""


def test_a_parametrization_with_braces_in_its_comments_is_replaced():
    found = in_form(Source(BRACES), "sp")
    start, stop = BRACES.index("parametrization {"), BRACES.index("# } closes")
    stop = BRACES.rindex("}", 0, stop) + 1
    assert found.text == BRACES[:start] + "parametrization sp" + BRACES[stop:]
    assert abcparam.check(found.text).verdict == "unstable"


def test_sweep_of_it_under_shipped_parametrizations(run: Run, tmp_path: Path):
    path = tmp_path / "net.param"
    path.write_text(BRACES)
    sizes = ("--over", "width=8,16", "rate=1e-2", "--steps", "2", "--batch", "4", "--fresh")
    done = run("sweep", path, *sizes, "--parametrization", "mup,sp")
    assert (done.status, done.err) == (0, "")
    assert "sp" in done.out and "mup" in done.out


@pytest.mark.parametrize(
    "written",
    [
        "parametrization mup",
        "parametrization mup  # { a comment",
        "  parametrization mup {\n  # }\n}",
        "dim more = 2; parametrization mup { output { a = 1 # }\n } }; dim last = 2",
        "parametrization mine",
    ],
)
def test_wherever_it_stands(written: str, tmp_path: Path):
    """In the middle of a line too; a text in quotes holds whatever it likes."""
    (tmp_path / "a }{ # -> optimizer.param").write_text(
        "parametrization mine { input { a = 0, b = 0, c = 0 } # }\n"
        " hidden { a = 0, b = 0, c = 0 }; output { a = 0, b = 0, c = 0 } }\n"
    )
    start, stop = BRACES.index("# parametrization ntk"), BRACES.index("tensor up")
    imports = 'import "a }{ # -> optimizer.param"\n'
    text = BRACES[:start] + imports + written + "\n" + BRACES[stop:]
    source = Source(text, folder=str(tmp_path))
    resolve(parse(source), source)
    found = in_form(source, "sp")
    declared = [d for d in parse(found).declarations if isinstance(d, syntax.Parametrization)]
    assert declared == [syntax.Parametrization(syntax.Name("sp"))]
    others = [d for d in parse(source).declarations if not isinstance(d, syntax.Parametrization)]
    assert others == [d for d in parse(found).declarations if d not in declared]
    assert abcparam.check(found.text.replace(imports, "")).verdict == "unstable"


def test_one_that_only_comments_have_is_none():
    start, stop = BRACES.index("parametrization {"), BRACES.index("tensor up")
    with pytest.raises(UnwritableError):
        in_form(Source(BRACES[:start] + BRACES[stop:]), "sp")


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        (
            "model M\n# } first\n# of all\n\n# about W\n  # {\ntensor W : scalar [1]",
            "model M\n# } first\n# of all\n\nexponent s\n\n# about W\n  # {\ntensor W : scalar [1]",
        ),
        (
            "dim n =  # tensor\n    4\n# t\ntensor W : scalar [1]",
            "dim n =  # tensor\n    4\nexponent s\n\n# t\ntensor W : scalar [1]",
        ),
        (
            "dim n = 4 +  # }\n  2; ; tensor W : scalar [1]  # W",
            "dim n = 4 +  # }\n  2\nexponent s\n\ntensor W : scalar [1]  # W",
        ),
        ("tensor W : scalar [1]", "exponent s\n\ntensor W : scalar [1]"),
        ("\ufeffloss mse", "\ufeffexponent s\n\nloss mse"),
        (
            "dim n = 4  # n\ntensor W : scalar [n]",
            "dim n = 4  # n\nexponent s\n\ntensor W : scalar [n]",
        ),
    ],
)
def test_lines_are_inserted_before_a_declaration_and_its_comments(before: str, wanted: str):
    before, wanted = before + "\n", wanted + "\n"
    assert inserted(Source(before), ["exponent s"]).text == wanted
    windows = inserted(Source(before.replace("\n", "\r\n")), ["exponent s"]).text
    assert windows == wanted.replace("\n", "\r\n")


# At random


def piece_end(piece: Raw) -> tuple[int, int]:
    return piece.line, piece.column + len(piece.text)


def offset(text: str, place: tuple[int, int]) -> int:
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: place[0] - 1]) + place[1] - 1


def commented(draw: random.Random, source: Source, count: int) -> Source:
    """The same spec with hostile comments between its tokens, wherever a line may end."""
    tree, added = parse(source), 0
    while added < count:
        found = pieces(source.text)
        n = draw.randrange(len(found) - 1)
        if found[n].kind == "COMMENT":
            continue
        after = "" if found[n + 1].kind == "NEWLINE" and found[n].kind != "NEWLINE" else "\n"
        at = offset(source.text, piece_end(found[n]))
        if found[n].kind == "NEWLINE":
            at = offset(source.text, (found[n].line + 1, 1))
        text = source.text[:at] + f" {draw.choice(HOSTILE)}{after}" + source.text[at:]
        changed = replace(source, text=text)
        try:
            same = parse(changed) == tree
        except SpecError:
            same = False
        if same:
            source, added = changed, added + 1
    return source


def texts(source: Source, span: tuple[tuple[int, int], ...] = ()) -> Counter[str]:
    """The comments outside of a span."""
    found = comments(source)
    if span:
        found = [c for c in found if not span[0] <= (c.line, c.column) < span[1]]
    return Counter(comment.text.rstrip() for comment in found)


def outcome(change: Callable[[Source], Source], source: Source) -> Source | str:
    """What comes of a change, or the error where it cannot be made."""
    try:
        return change(source)
    except UnwritableError as error:
        return type(error).__name__


def in_ntk(source: Source) -> Source:
    return in_form(source, "ntk")


def with_a_line(source: Source) -> Source:
    return inserted(source, ["exponent hostile"])


def completed(source: Source) -> Source:
    program = resolve(parse(source), source)
    return replace(source, text=without_unknowns(program, source.text))


def change_of(values: Mapping[tuple[str, str], Affine]) -> Callable[[Source], Source]:
    def change(source: Source) -> Source:
        program = resolve(parse(source), source)
        return replace(source, text=edited(program, values))

    return change


def parametrization_span(source: Source) -> tuple[tuple[int, int], ...]:
    found = [d for d in parse(source).declarations if isinstance(d, syntax.Parametrization)]
    return tuple((d.span.line, d.span.column) for d in found) + tuple(d.span.end for d in found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_hostile_comments_change_nothing(path: Path):
    """Three copies of each spec, with one to eight comments each: what is replaced, inserted or
    written is the same as without them, and they stay.
    """
    draw, program = random.Random(path.stem), load(read(path))
    plain = program.source
    for _ in range(3):
        hostile = commented(draw, plain, draw.randint(1, 8))
        changes = {
            "replaced": in_ntk,
            "inserted": with_a_line,
            "edited": change_of(drawn(draw, program)),
        }
        if any(piece.kind == "QMARK" for piece in pieces(plain.text)):
            changes["completed"] = completed
        for name, change in changes.items():
            wanted, found = outcome(change, plain), outcome(change, hostile)
            if isinstance(wanted, str) or isinstance(found, str):
                assert wanted == found, hostile.text
                continue
            assert parse(wanted) == parse(found), hostile.text
            span = parametrization_span(hostile) if name == "replaced" else ()
            assert texts(hostile, span) <= texts(found), hostile.text


def test_there_are_many_specs():
    assert len(FILES) >= 30


# What else reads a text


def test_a_family_of_specs_with_hostile_comments():
    draw = random.Random(5)
    other = BRACES.replace("c = 1 }  # half", "c = 0 }  # half").replace("{ a = 1,", "{ a = 0,")
    a, b = Source(BRACES), Source(other)
    plain = family(*(load(x) for x in (a, b)))
    for _ in range(5):
        hostile = family(*(load(commented(draw, x, 6)) for x in (a, b)))
        assert parse(Source(hostile.text)) == parse(Source(plain.text))


@pytest.mark.parametrize(
    ("factor", "warned"),
    [
        ("k^-1/2", True),
        ("k^-1 /  # )\n 2", True),
        ("k^(-1)/2", True),
        ("(k^-1)/2", False),
        ("(k^-1) /  # (\n 2", False),
        ("((k^-1))/2", False),
    ],
)
def test_a_power_and_a_quotient(factor: str, warned: bool):
    """Parentheses around the power say what is meant; those of a comment say nothing."""
    text = BRACES.replace("return down", f"return {factor} * down").replace(
        "hyper", "dim k = 4\nhyper"
    )
    codes = [d.code for d in abcparam.check(text).diagnostics]
    assert ("P0601" in codes) == warned


def test_a_difference_is_shown_without_comments():
    hostile = BRACES.replace("return down @", "return down @  # } * 2\n       ")
    found = abcparam.diff(hostile, BRACES.replace("relu(mid", "tanh(mid"))
    shown = next(d for d in found.differences if d.quantity == "forward")
    assert shown.a == "return down @"


def test_a_loss_with_an_asterisk_in_a_comment_has_no_weight():
    plain = BRACES.replace("loss cross_entropy", "loss cross_entropy  # 2 * mse")
    assert abcparam.diff(plain, BRACES).same == "exactly"
    twice = BRACES.replace("loss cross_entropy", "loss 2 * cross_entropy")
    assert abcparam.diff(plain, twice).same != "exactly"


def test_only_the_scanner_has_a_regular_expression_for_specs():
    """What others match is no text of a spec: names of blocks, Python's names, characters that do
    not show, ids in SVG, and of a user's model tracebacks and assignments.
    """
    users = {
        str(path)
        for path in PACKAGE.rglob("*.py")
        if "import re\n" in path.read_text(encoding="utf-8")
    }
    specs = (Scanner, snake_case, identifier, refuse_characters, write_picture)
    allowed = (*specs, trace, titles_of)
    assert users == {inspect.getsourcefile(item) for item in allowed}
