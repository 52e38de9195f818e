"""What editors are told of a spec: completion, hover, hints, fixes, names, outline, colours."""

from __future__ import annotations

import pytest

import abcparam
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.source import Source
from abcparam.editing.replacements import replaced
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.colours import coloured
from abcparam.editor.completion import complete
from abcparam.editor.hints import hints
from abcparam.editor.hover import hover
from abcparam.editor.outline import Symbol, outline
from abcparam.editor.rename import rename
from abcparam.editor.words import Position
from tests.support import limits
from tests.support.paths import EXAMPLES

TEXT = (EXAMPLES / "wrong" / "standard_parametrization.param").read_text(encoding="utf-8")
WHOLE = analyse(Source(TEXT))


def marked(text: str) -> tuple[str, Position]:
    """A text without its `|`, and where that is."""
    before, after = text.split("|")
    return before + after, (before.count("\n") + 1, len(before) - before.rfind("\n"))


def place_of(text: str, words: str) -> Position:
    return marked(text.replace(words, f"|{words}", 1))[1]


def edited(line: str, typed: str) -> tuple[Analysis, Position]:
    """The analysis of the text with one stretch typed anew, `|` at the cursor."""
    assert TEXT.count(line) == 1
    text, position = marked(TEXT.replace(line, typed))
    return analyse(Source(text), WHOLE), position


SELF = "x = x + FeedForward(layernorm(x))"
COMPLETIONS = (  # what is typed anew, as what, some of what is offered, some of what is not
    ("hyper lr", "|\nhyper lr", "dim tensor optimizer", "return lr"),
    ("dim depth   = 12", "dim depth -> |", "inf", "width"),
    ("dim depth   = 12", "dim depth -> inf, |", "base rate", "width"),
    ("dim depth   = 12", "dim depth = |", "width round_up", "query relu"),
    ("in log [1e-4, 1e-1]", "in |", "log", "width"),
    ("parametrization sp", "parametrization |", "mup ntk", "width"),
    ("parametrization sp", "parametrization mup { | }", "hidden output", "init"),
    ("parametrization sp", "parametrization mup { hidden { | } }", "init c weight_decay", "hidden"),
    ("[context, width] { init", "[context, |", "width heads", "query relu"),
    (": output [vocab", ": |", "hidden output", "width"),
    ("mult = out_mult", "|", "init mult frozen", "width"),
    ("mult = out_mult", "init = |", "normal zeros", "width"),
    ("mult = out_mult", "init = normal(|", "init_std fan_in sqrt", "relu query"),
    ("gelu(up @ x)", "gelu(up @ |)", "x up embed", "query y tokens"),
    ("gelu(up @ x)", "|", "x gelu FeedForward", "query y"),
    ("heads = heads, scale", "|", "causal mask scale", "x1"),
    ("causal = true", "causal = |", "true false", "x"),
    (SELF, f"{SELF} as f\n y = f.|", "up down", "query T"),
    (SELF, f"{SELF}\n y = feed_forward.|", "up down", "query"),
    ("readout @ layernorm(x)", "|", "x tokens readout", "y query layers.x"),
    ("repeat depth as", "repeat |", "depth", "relu"),
    ("optimizer adamw", "optimizer |", "adam muon", "width"),
    ("optimizer adamw", "optimizer adamw for |", "hidden layers readout", "depth"),
    ("betas = (0.9, 0.95)", "|", "betas eps clip_norm", "nesterov"),
    ("weight_decay = 0.1", "weight_decay = |", "lr width", "tokens relu"),
    ("loss cross_entropy", "loss |", "cross_entropy mse", "width"),
    ("expect maximal-update", "expect maximal-|", "maximal-update complete", "width"),
    ("expect maximal-update", "assume |", "alignment epsilon", "width"),
    ("expect maximal-update", "assume alignment = |", "full none", "strict"),
    ("hyper lr", "# a comm|\nhyper lr", "", "dim"),
)


@pytest.mark.parametrize(("line", "typed", "offered", "not_offered"), COMPLETIONS)
def test_completion(line: str, typed: str, offered: str, not_offered: str):
    found = {c.label: c for c in complete(*edited(line, typed))}
    assert set(offered.split()) <= found.keys()
    assert not set(not_offered.split()) & found.keys()


@pytest.mark.parametrize(
    ("line", "typed", "offered"),
    [
        ("hyper lr", "  |\nhyper lr", False),
        ("parametrization sp", "parametrization |", True),
        ("parametrization sp", "parametrization sp |", False),
        ("parametrization sp", "parametrization sp { |", True),
        ("dim depth   = 12", "dim depth -> inf |", False),
        ("dim depth   = 12", "dim depth = |", True),
        ("return down @ gelu(up @ x)", "return down @ gelu(up @ x) |", False),
        ("return down @ gelu(up @ x)", "return down @ |", True),
        ("return down @ gelu(up @ x)", "    |", False),
    ],
)
def test_unasked_words_are_offered_where_the_line_cannot_end(line: str, typed: str, offered: bool):
    assert bool(complete(*edited(line, typed), unasked=True)) is offered
    assert complete(*edited(line, typed))


def test_completions_are_documented_and_take_the_place_of_the_word():
    analysis, position = edited("optimizer adamw", "optimizer ada|")
    adam = next(c for c in complete(analysis, position) if c.label == "adam")
    assert (adam.span.start, adam.span.end) == ((43, 11), (43, 14))
    assert "betas" in adam.documentation
    analysis, position = edited("gelu(up @ x)", "gelu(up @ |)")
    width = next(c for c in complete(analysis, position) if c.label == "width")
    assert "dim width   -> inf" in width.documentation


def told(words: str, analysis: Analysis = WHOLE) -> str:
    found = hover(analysis, place_of(analysis.source.text, words))
    assert found is not None
    return found.text


def test_hover():
    tensor = told("project @ y")
    assert "tensor project" in tensor and "`layers.attention.project`: a = 0, b = 1/2" in tensor
    assert "ΔW·x ~ width^2" in tensor and "adamw, learning rate 1" in tensor
    assert (
        "over: it learns too fast, by the slack\n\nits update contributes width^2 where" in tensor
    )
    assert "slack -24: the power of a growing dim by which the update" in tensor
    assert "suffers: it is over only because" in told("token_embedding")
    product = told("@ y")
    assert "~ 1, Δ ~ width^2" in product
    assert "its change: the update of layers.attention.project (1) applied to" in product
    operation = told("attention(query")
    assert "~ 1, Δ ~ width" in operation and "arXiv 2203.03466, Definition 4.1" in operation
    assert "~ 1, Δ ~ width" in told("y = attention")
    assert "`causal = false` of `attention`" in told("causal")
    assert "Adam with decoupled weight decay" in told("adamw")
    assert "dim width   -> inf" in told("width, heads * head]")
    assert hover(WHOLE, (1, 1)) is None


def test_hints_and_that_the_last_good_ones_stay():
    found = {hint.position[0]: hint.text for hint in hints(WHOLE)}
    assert found[17] == "W·x ~ 1, ΔW·x ~ 1, suffers"
    assert found[23] == "W·x ~ 1, ΔW·x ~ width^2, over"
    assert found[24] == "~ 1, Δ ~ width"
    for line, typed in (
        ("hyper init_std = 0.02\n", "\n\nhyper init_std = (\n|"),
        ("return project @ y", "return project @\n|\n"),
        ("parametrization sp", "parametrization s|"),
    ):
        half, _ = edited(line, typed)
        assert half.diagnostics and half.report is None
        kept = sorted(hint.text for hint in hints(half))
        assert kept == sorted(found.values())
    assert hints(analyse(Source(""))) == []


def texts_of(diagnostics: tuple[Diagnostic, ...], text: str) -> list[tuple[str, str]]:
    return [(f.title, replaced(text, f.edit)) for f in quick_fixes(diagnostics)]


MISTAKES = (  # a stretch of the text, what is wrong in its place, the title of the fix
    ("tensor readout ", "tensr readout ", "write `tensor`"),
    ("gelu(up @ x)", "gelu(upp @ x)", "write `up`"),
    ("gelu(up @ x)", "gellu(up @ x)", "write `gelu`"),
    ("causal = true", "casual = true", "write `causal`"),
    ("causal = true", "causal = True", "write `true`"),
    (": output ", ": outptu ", "write `output`"),
    ("parametrization sp", "parametrization spp", "write `sp`"),
    ("mult = out_mult", "mutl = out_mult", "write `mult`"),
    ("expect maximal-update", "expect maximal-updte", "write `maximal-update`"),
    ("50304", "50_304", "write `50304`"),
    ("-> inf", "→ inf", "write `->`"),
    ("head^(-1/2)", "head^-1/2", "write `head^(-1/2)`"),
)


@pytest.mark.parametrize(("right", "wrong", "title"), MISTAKES)
def test_quick_fixes(right: str, wrong: str, title: str):
    text = TEXT.replace(right, wrong, 1)
    assert text != TEXT
    found = dict(texts_of(analyse(Source(text)).diagnostics, text))
    assert found[title] == TEXT


def test_the_fix_of_a_verdict_is_an_edit():
    assert WHOLE.open and not quick_fixes(WHOLE.diagnostics)
    report = abcparam.check(TEXT)
    made = abcparam.fix(TEXT)
    titles, texts = zip(*texts_of(report.editable, TEXT), strict=True)
    assert set(texts) == {made.text} and len(texts) == 6
    assert titles[0].startswith("this makes it maximal-update: ")
    printed = report.to_dict()["diagnostics"][0]
    assert printed["label"] and printed["edit"]
    assert Diagnostic.from_dict(printed) == report.diagnostics[0]
    assert Diagnostic.from_dict(printed).edit == report.edit


NAMES = """\
model Named
dim width -> inf, base = 8
dim depth = 2
dim classes = 4
hyper rate = 0.1
parametrization mup { hidden { a[long] = 0 } }
dim size = 3
dim long -> inf after width
tensor first : input [width, size]
tensor out : output [classes, width]
block Layer(x, factor = 1) {
    tensor up : hidden [width, width]
    y = (up) @ relu(x)
    return (factor) * y
}
forward(x : [size]) {
    h = first @ x
    repeat depth as layers {
        h = h + Layer(h, factor = 2)
        h = h + Layer(h) as last
        h = h + last.up @ relu(h)
    }
    g = Layer(h)
    one = out @ g
    two = out @ (layer.up @ relu(h))
    return one, two
}
optimizer muon for layers.layer.up, layers.last.*, layer.* { lr = rate }
optimizer adam { lr = rate }
loss cross_entropy(one) + cross_entropy(two)
"""
RENAMED = (  # what is renamed (its first such place), how, in how many places
    ("width", "n", 6),
    ("depth", "levels", 2),
    ("rate", "speed", 3),
    ("first", "embedding", 2),
    ("Layer(x", "Block", 7),  # with its instances, which are called after it
    ("factor", "by", 3),
    ("up :", "weight", 5),
    ("y =", "z", 2),
    ("h = first", "stream", 12),
    ("layers {", "stack", 3),
    ("last\n", "second", 3),
    ("layer.up, layers.last", "called", 2),  # `as called` at its call
    ("one =", "words", 3),
    ("x : [size]", "given", 2),
)


@pytest.mark.parametrize(("words", "name", "count"), RENAMED)
def test_renaming_changes_no_report(words: str, name: str, count: int):
    before = analyse(Source(NAMES))
    made = rename(before, place_of(NAMES, words), name)
    assert not made.problem and len(made.edit) == count
    after = analyse(Source(replaced(NAMES, made.edit)))
    assert sizes(after) == sizes(before)


def test_renaming_is_refused_where_names_would_meet():
    analysis = analyse(Source(NAMES))
    for words, name in (("width", "depth"), ("h = first", "g"), ("y =", "x"), ("up :", "relu 2")):
        assert rename(analysis, place_of(NAMES, words), name).problem
    assert rename(WHOLE, (1, 1), "x").problem


def sizes(analysis: Analysis) -> list[object]:
    """What a report says, names aside."""
    assert analysis.report is not None
    report = analysis.report.to_dict()
    keys = ("at_init", "update", "slack", "status", "role", "a", "b", "c")
    rows = [
        [list(row[k].values()) if isinstance(row[k], dict) else row[k] for k in keys]
        for row in report["tensors"]
    ]
    return [report["verdict"], rows, len(report["activations"]), len(report["diagnostics"])]


def test_outline():
    found = outline(WHOLE)
    assert [s.name for s in found][:3] == ["GPT", "width", "depth"]
    forward = next(s for s in found if s.kind == "forward")
    assert [s.name for s in forward.inside] == ["layers"]
    attention = next(s for s in found if s.name == "Attention")
    assert next((s.name, s.detail) for s in attention.inside) == (
        "query",
        "hidden [heads * head, width]",
    )
    assert all(within(s) for s in found)


def within(symbol: Symbol) -> bool:
    """Whether names, and what is inside, stand inside."""
    whole, name = symbol.span, symbol.name_span
    inner = all(whole.start <= s.span.start and s.span.end <= whole.end for s in symbol.inside)
    return inner and whole.start <= name.start and name.end <= whole.end


def test_colours():
    lines = TEXT.split("\n")
    found = {
        (c.span.line, lines[c.span.line - 1][c.span.column - 1 : c.span.end_column - 1]): c.kind
        for c in coloured(WHOLE)
    }
    assert found[1, "# Wrong: PyTorch's initialization and one Adam learning rate for all tensors"]
    for word, kind in {
        (4, "dim"): "keyword",
        (4, "width"): "dim",
        (4, "inf"): "keyword",
        (11, "3e-3"): "number",
        (11, "in"): "keyword",
        (17, "input"): "constant",
        (17, "normal"): "function",
        (17, "init_std"): "hyper",
        (24, "attention"): "function",
        (24, "query"): "tensor",
        (24, "x"): "parameter",
        (24, "@"): "operator",
        (36, "layers"): "label",
        (37, "Attention"): "block",
        (45, "maximal"): "key",
    }.items():
        assert found[word] == kind, word


def test_a_value_that_is_assigned_ten_thousand_times():
    """The time is that of its length, where each assignment was compared with all others."""
    text = (
        "model Chain\ndim width -> inf, base = 64\ndim vocab = 100\nhyper lr = 1e-3\n"
        "parametrization mup\ntensor table : input [vocab, width]\n"
        "tensor last : output [vocab, width]\n"
        "forward(x : index(vocab) []) {\n    x = embed(table, x)\n"
        + 10_000 * "    x = relu(x)\n"
        + "    return last @ x\n}\noptimizer adam { lr = lr }\nloss cross_entropy\n"
    )
    with limits.within(30):  # seconds; it takes 2
        found = hints(analyse(Source(text)))
    assert len(found) == 2 + 10_001
