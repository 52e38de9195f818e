"""What is derived with symbols is what numbers say, at random points of random graphs and MLPs."""

from __future__ import annotations

from fractions import Fraction

import pytest

from abcparam.diagnostics.source import Source
from abcparam.pipeline import to_source
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.judgement import DeniedError, judge_symbolic
from abcparam.symbolic.symbols import all_symbolic
from abcparam.verdict.check import load
from abcparam.verdict.work import at_work
from benchmarks.symbols_and_numbers import compared, disagreement, judged_at
from tests.support.paths import EXAMPLES


@pytest.mark.parametrize(
    ("seed", "count"), [(0, 200), pytest.param(1, 2000, marks=pytest.mark.slow)]
)
def test_symbols_say_what_numbers_say(seed: int, count: int):
    """Verdicts, completeness, laws and solutions; `make symbols-and-numbers` takes more."""
    found = compared(count, seed, examples=False)
    assert not found.disagreements, found.disagreements[0]
    assert found.points.total() == count
    assert set(VERDICTS) - set(found.points) <= {"kernel", "maximal-update"}, found.points


TURNING = """model Random
dim width -> inf, base = 64
dim head = 4
dim heads = width / head
dim vocab = 7
dim classes = 5
dim sequence = 3
exponent s
exponent t

tensor W0 : input [vocab, width] { a = 1/2, b = 1/4, c = 0 }
tensor W1 : input [width, classes] { a = 0, b = -1/4, c = -5/4 }
tensor W2 : output [classes, width] { a = 1, b = 0, c = -1/2 }
tensor W3 : input [width, classes] { a = 0, b = 1, c = -1/2 }
tensor W4 : output [classes, width] { a = 2, b = 0, c = s }
tensor W5 : hidden [width, width] { a = 1/4, b = 1/2, c = 0 }
tensor W6 : hidden [width, width] { a = -1/4, b = 1/2, c = 1/4 }
tensor W7 : hidden [width, width] { a = 0, b = 1/2, c = t }
tensor W8 : hidden [width, width] { a = 0, b = 0, c = 0 }
tensor W9 : hidden [width, width] { a = 0, b = 1/2, c = 0 }
tensor W10 : hidden [width, width] { a = 0, b = 1/2, c = 0 }
tensor W11 : output [classes, width] { a = 1, b = 0, c = -1/2, init = zeros }

forward(tokens : index(vocab) [sequence]) {
    h0 = embed(W0, tokens)
    h1 = W1 @ W2 @ h0
    h2 = W3 @ W4 @ h1
    h4 = attention(W5 @ h1, W6 @ h2, W7 @ h2, heads = heads, scale = head^(-1/2))
    h5 = attention(W8 @ h2, W9 @ h4, W10 @ h4, heads = heads, scale = head^(-1/2))
    return W11 @ h5
}
optimizer sgd { lr = 0.1 }
loss cross_entropy
"""


def test_a_law_that_numbers_deny_is_not_claimed():
    """Directions of changes behind two bottlenecks and an attention are not followed."""
    with pytest.raises(DeniedError), at_work():
        judge_symbolic(load(Source(TURNING)))


SMALLER = {  # gains and the table start, and learn, at n^(-1/2); what reads them makes up for it
    **dict.fromkeys(("a_input", "a_hidden", "b_hidden", "a_output"), Fraction(0)),
    **dict.fromkeys(("b_input", "c_input", "c_hidden", "b_output", "c_output"), Fraction(1, 2)),
}


def test_what_starts_at_its_size_needs_no_release():
    """Inputs of Mixtral's experts are Θ(1) at init, though gates of few numbers are behind them."""
    text = (EXAMPLES / "mixtral.param").read_text(encoding="utf-8")
    program = all_symbolic(load(to_source(text.replace("dim depth    = 32", "dim depth = 2"))))
    assert judged_at(program, SMALLER).verdict == "maximal-update"
    with at_work():
        found = judge_symbolic(program)
    assert holds(found.condition("maximal-update"), SMALLER, program.symbols)
    for verdict in VERDICTS:
        values = found.example(verdict)
        assert values is None or disagreement(found, values) is None
    assert disagreement(found, SMALLER) is None
