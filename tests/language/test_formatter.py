"""Canonical formatting: it changes nothing but spaces, and not even those twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.language.formatter import format_source
from abcparam.language.parser import comments, parse
from abcparam.language.reader import read
from tests.support.random_specs import SPECS, damaged, derived

EXAMPLES = ["gpt", "llama", "lora", "lstm", "mixtral", "mlp", "mlp_theta", "resnet18", "rnn", "t5"]


def formatted(text: str) -> str:
    return format_source(Source(text))


def check(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once
    assert parse(Source(once)) == parse(Source(text))
    kept = [comment.text.rstrip() for comment in comments(Source(text))]
    assert [comment.text for comment in comments(Source(once))] == kept
    assert not any(line != line.rstrip() for line in once.split("\n"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_says_the_same(path: Path):
    text = read(path).text
    check(text)
    check("\n".join(line.strip() for line in text.split("\n")))
    check(text.replace("\n", "  # comment\n").replace(" ", "   "))


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_spec_in_canonical_form_stays_as_it_is(name: str):
    text = read(SPECS[0].with_name(f"{name}.param")).text
    assert formatted(text) == text


@pytest.mark.parametrize("name", ["gpt", "mlp"])
def test_indentation_and_spaces_are_restored(name: str):
    text = read(SPECS[0].with_name(f"{name}.param")).text
    assert formatted(_squeezed(text)) == text


def _squeezed(text: str) -> str:
    """Without indentation, and single spaces for several, but for those before a comment."""
    lines = []
    for line in text.split("\n"):
        code, mark, comment = line.partition("#")
        gap = code[len(code.rstrip()) :] if mark else ""
        squeezed = " ".join(code.split())
        lines.append(squeezed + gap + " " * (len(code) - len(gap) - len(squeezed)) + mark + comment)
    return "\n".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        ("\n\n\ndim a=1\n\n\n\ndim b=2\n\n", "dim a = 1\n\ndim b = 2\n"),
        ("dim a=1;;dim b=2;", "dim a = 1; dim b = 2\n"),
        ("dim a=1\r\n", "dim a = 1\n"),
        ("dim a = 1# note", "dim a = 1  # note\n"),
        ("dim abc=1\ndim d->inf,base=2", "dim abc = 1\ndim d   -> inf, base = 2\n"),
        ("dim a = 1\nhyper abc = 2", "dim a = 1\nhyper abc = 2\n"),
        (
            "hyper a=1 in[1,2]\nhyper bc=0.01 in log[1,2]",
            "hyper a  = 1     in [1, 2]\nhyper bc = 0.01  in log [1, 2]\n",
        ),
        ("hyper a=1 in{ 1,2 , }", "hyper a = 1 in {1, 2,}\n"),
        ("loss a^- 1/2+(1 / 2)*b^( -1 / 2)", "loss a^-1 / 2 + (1/2) * b^(-1/2)\n"),
        ("loss 1/2/3*4/5-6/7", "loss 1/2 / 3 * 4 / 5 - 6/7\n"),
        ("loss f ( x,n=- 2 )[ 0 ] .T", "loss f(x, n = -2)[0].T\n"),
        ("loss(a)+(b,)", "loss (a) + (b,)\n"),
        ("expect maximal - update , complete", "expect maximal-update, complete\n"),
        ("optimizer muon for a . *,b{}", "optimizer muon for a.*, b { }\n"),
        ("tensor a:[b,c]{d[e]=?}", "tensor a : [b, c] { d[e] = ? }\n"),
        (
            "forward(a:index( b )[c],d:[e]){return a[0]}",
            "forward(a : index(b) [c], d : [e]) { return a[0] }\n",
        ),
        (
            "block A(x){\n\nrepeat 2{\nx=f(x,\ny)\n\n}\nreturn x+\n1\n}",
            (
                "block A(x) {\n    repeat 2 {\n        x = f(x,\n              y)\n    }\n"
                "    return x +\n        1\n}\n"
            ),
        ),
        (
            "block A(x){\nx=f(\nx,#a\ny#b\n)\n#c\nreturn x\n}",
            (
                "block A(x) {\n    x = f(\n        x,  #a\n        y   #b\n    )\n"
                "    #c\n    return x\n}\n"
            ),
        ),
        (
            "parametrization{\nin_put{a=0,b=0,frozen}\nout{a=100,b=1,c=2}\n}",
            (
                "parametrization {\n    in_put { a = 0,   b = 0, frozen }\n"
                "    out    { a = 100, b = 1, c = 2 }\n}\n"
            ),
        ),
        (
            "tensor a:input[b]{c=1,d=2}\ntensor ab:output[b,b]{c=10,d=2}\ntensor abc:[b]",
            (
                "tensor a   : input  [b]    { c = 1,  d = 2 }\n"
                "tensor ab  : output [b, b] { c = 10, d = 2 }\n"
                "tensor abc : [b]\n"
            ),
        ),
        ("dim a = 1     # x\ndim b = 22    # y", "dim a = 1     # x\ndim b = 22    # y\n"),
        ("dim a = 1 # x\ndim b = 22   # y", "dim a = 1   # x\ndim b = 22  # y\n"),
    ],
)
def test_layout(text: str, wanted: str):
    assert formatted(text) == wanted
    check(text)


def test_what_cannot_be_read_is_not_formatted():
    with pytest.raises(SpecError):
        formatted("dim = 3")


def test_texts_derived_from_the_grammar():
    """800 of them."""
    for text in derived(800, seed=4):
        check(text)


def test_damaged_specs_that_can_still_be_read():
    """What remains readable of 1500."""
    for text in damaged(1500, seed=5):
        try:
            parse(Source(text))
        except SpecError:
            continue
        check(text)
