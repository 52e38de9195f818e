"""Properties of the calculus: sizes are a semiring, roles decide nothing, gauges change nothing,
rounds settle.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from abcparam import Report, SpecError
from abcparam.algebra.record import replace
from abcparam.algebra.sizes import Size, Space
from abcparam.analysis.build import build_graph
from abcparam.analysis.judge import judge, laws_of
from abcparam.analysis.rounds import step, train
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.language.reader import read
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.resolve.resolver import resolve
from abcparam.verdict.check import judged
from abcparam.verdict.findings import reasons
from tests.support import paths
from tests.support.random_graphs import GRID, random_model

SPECS = sorted(paths.SPECS.glob("*.param"))
EMITTED = sorted(paths.EMIT_SPECS.glob("*.param"))

# Sizes

ONE_DIM = Space({"width": (0, Fraction(1))}, {4})
TIED = Space({"width": (0, Fraction(1)), "depth": (0, Fraction(1))}, {4})
RATES = Space(
    {"width": (0, Fraction(1)), "depth": (0, Fraction(1, 2)), "batch": (1, Fraction(1))}, {4}
)
SPACES = {"one dim": ONE_DIM, "two that tie": TIED, "rates and a later limit": RATES}
LAWS: dict[str, Callable[[Size, Size, Size], tuple[Size, Size]]] = {
    "sums associate": lambda x, y, z: ((x | y) | z, x | (y | z)),
    "sums commute": lambda x, y, z: (x | y, y | x),
    "sums are idempotent": lambda x, y, z: (x | x, x),
    "nothing added": lambda x, y, z: (x | x.space.zero, x),
    "products associate": lambda x, y, z: ((x + y) + z, x + (y + z)),
    "products commute": lambda x, y, z: (x + y, y + x),
    "times one": lambda x, y, z: (x + x.space.nought, x),
    "times nothing": lambda x, y, z: (x + x.space.zero, x.space.zero),
    "products distribute over sums": lambda x, y, z: (x + (y | z), (x + y) | (x + z)),
    "a square is half of itself twice": lambda x, y, z: (
        ((x + x.space.nought).half() + x.half(), x) if len(x.vectors) < 2 else (x, x)
    ),
    "roots distribute over sums": lambda x, y, z: ((x | y).half(), x.half() | y.half()),
    "the smaller is no larger than either": lambda x, y, z: (
        ((x & y) | x, x) if x >= y else ((x & y) | y, y)
    ),
}


def random_size(space: Space, draw: random.Random, parts: int) -> Size:
    """Zero, a power, or a sum of powers, of which those that tie are kept."""
    size = space.zero
    for _ in range(draw.choice(range(parts + 1))):
        size = size | space.size({name: draw.choice(GRID) for name in space.names})
    return size


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("law", LAWS)
def test_sizes_are_a_semiring(law: str, space: Space):
    """1,000 triples; sizes are the same where all vectors that tie are."""
    draw = random.Random(law)
    for _ in range(1000):
        x, y, z = (random_size(space, draw, parts=2) for _ in range(3))
        left, right = LAWS[law](x, y, z)
        assert (left.key, left.vectors) == (right.key, right.vectors), (x, y, z)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_order_of_sizes_is_total_and_kept_by_products(space: Space):
    draw = random.Random(3)
    for _ in range(1000):
        x, y, z = (random_size(space, draw, parts=2) for _ in range(3))
        assert (x < y) + (y < x) + (x == y) == 1
        assert (x | y) >= x and (x & y) <= x
        assert not x <= y or (x + z <= y + z and x | z <= y | z and x.half() <= y.half())


def test_limits_are_compared_by_total_rate_and_the_first_is_most_significant():
    def size(**exponents: Fraction | int) -> Size:
        return RATES.size({name: Fraction(value) for name, value in exponents.items()})

    assert size(width=1) == size(depth=2) == size(width=Fraction(1, 2), depth=1)
    assert size(width=Fraction(1, 4), batch=-50) > size(batch=50)
    assert size(width=-1, depth=2) == size() < size(batch=Fraction(1, 4))
    assert str(size(width=1) | size(depth=2)) == "width ~ depth^2"
    assert str(size(width=1) | size(depth=1)) == "width"


# Programs


def programs() -> dict[str, Program]:
    """Every spec that resolves, its symbols set to 1/2."""
    found = {}
    for path in (*SPECS, *EMITTED):
        source = read(path)
        try:
            program = resolve(parse(source), source)
        except SpecError:
            continue
        bound = bind(program, dict.fromkeys(program.symbols, Fraction(1, 2)))
        unknown = any(
            affine.symbols
            for tensor in bound.tensors.values()
            for by_dim in tensor.exponents.values()
            for affine in by_dim.values()
        )
        if not unknown:
            found[path.stem] = bound
    return found


PROGRAMS = programs()


def laws(program: Program) -> dict[str, Any]:
    """A report without its roles, the changes that it proposes of them, and what they are called
    (P0606).
    """
    checked = judged(program)
    said = reasons(checked.graph, checked.judgement, ())
    found = replace(checked, diagnostics=said).to_dict()
    found["diagnostics"] = [d for d in found["diagnostics"] if d["code"] != "P0606"]
    for tensor in found["tensors"]:
        del tensor["role"]
    for diagnostic in found["diagnostics"]:
        del diagnostic["help"]
    return found


def test_most_specs_are_tried():
    assert {"bert", "gpt", "gpt_depth", "lora", "lstm", "mlp", "rnn"} <= PROGRAMS.keys()


@pytest.mark.parametrize("name", PROGRAMS)
def test_roles_decide_nothing(name: str):
    """The laws come from the graph: a program that has forgotten its roles has the same."""
    program = PROGRAMS[name]
    tensors = {path: replace(tensor, role=None) for path, tensor in program.tensors.items()}
    assert laws(replace(program, tensors=tensors)) == laws(program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_rounds_settle_and_stay(name: str):
    """In no more rounds than the theory allows, and another one changes nothing."""
    graph = build_graph(PROGRAMS[name])
    settled = train(graph)
    assert not settled.growing
    assert settled.rounds <= 3 + sum(not p.tensor.frozen for p in graph.parameters)
    before = [(n.s0, n.dc, n.dr, n.g0, n.gc, n.gr) for n in graph.nodes]
    assert not step(graph)
    assert before == [(n.s0, n.dc, n.dr, n.g0, n.gc, n.gr) for n in graph.nodes]


# Random graphs

SEEDS = range(8)
CASES = 125  # for each seed and optimizer: 2,000 in all


def essence(text: str) -> dict[str, Any]:
    """What `check` says of a text, without its exponents and without looking for a way out."""
    source = Source(text)
    graph, judgement = laws_of(resolve(parse(source), source))
    found = Report(graph, judgement, ()).to_dict()
    for tensor in found["tensors"]:
        for letter in "abcd":
            del tensor[letter]
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("seed", SEEDS)
def test_gauges_change_nothing_on_random_graphs(seed: int, optimizer: str):
    draw, verdicts = random.Random(f"{seed} {optimizer}"), Counter[str]()
    for _ in range(CASES):
        model = random_model(draw, optimizer)
        found = essence(model.text())
        assert found == essence(model.regauged(draw).text()), model.text()
        verdicts[found["verdict"]] += 1
    assert len(verdicts) >= 3 and max(verdicts.values()) <= 0.9 * CASES, verdicts


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_random_graphs_settle_or_are_unstable(optimizer: str):
    """500 graphs: where the rounds do not settle, the verdict says so; where they do, they stay."""
    draw = random.Random(f"settle {optimizer}")
    for _ in range(500):
        source = Source(random_model(draw, optimizer).text())
        graph = build_graph(resolve(parse(source), source))
        settled = train(graph)
        judgement = judge(graph, settled)
        if settled.growing:
            assert judgement.verdict.startswith("unstable"), source.text
        else:
            assert not step(graph), source.text
