"""Properties of the calculus: sizes are a semiring, roles decide nothing, gauges change nothing,
rounds settle.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from operator import or_
from time import process_time
from typing import Any

import pytest

from abcparam import Report, SpecError
from abcparam.algebra.record import replace
from abcparam.algebra.sizes import UNIT, NumericSize, NumericSpace
from abcparam.analysis.bounds import bound
from abcparam.analysis.build import build_graph
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import judge, judgement_if_stable, judgement_of
from abcparam.analysis.rounds import start, step, train
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.language.reader import read
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.resolve.resolver import resolve
from abcparam.verdict.check import judged, load
from abcparam.verdict.findings import reasons
from tests.support import paths
from tests.support.random_graphs import GRID, random_model

SPECS = sorted(paths.SPECS.glob("*.param"))
EMITTED = sorted(paths.EMIT_SPECS.glob("*.param"))

# Sizes

ONE_DIM = NumericSpace({"width": (0, Fraction(1))})
TIED = NumericSpace({"width": (0, Fraction(1)), "depth": (0, Fraction(1))})
RATES = NumericSpace(
    {"width": (0, Fraction(1)), "depth": (0, Fraction(1, 2)), "batch": (1, Fraction(1))}
)
FINE = NumericSpace({name: (0, Fraction(1)) for name in ("width", "depth", "batch")})
SPACES = {
    "one dim": ONE_DIM,
    "two that tie": TIED,
    "rates and a later limit": RATES,
    "three that tie, with exponents finer than the unit": FINE,
}
ODD = tuple(Fraction(p, q) for q in (3, 7, 64, 101) for p in (-2, -1, 1, 5))
LAWS: dict[
    str, Callable[[NumericSize, NumericSize, NumericSize], tuple[NumericSize, NumericSize]]
] = {
    "sums associate": lambda x, y, z: ((x | y) | z, x | (y | z)),
    "sums commute": lambda x, y, z: (x | y, y | x),
    "sums are idempotent": lambda x, y, z: (x | x, x),
    "nothing added": lambda x, y, z: (x | x.space.zero, x),
    "products associate": lambda x, y, z: ((x + y) + z, x + (y + z)),
    "products commute": lambda x, y, z: (x + y, y + x),
    "times one": lambda x, y, z: (x + x.space.one, x),
    "times nothing": lambda x, y, z: (x + x.space.zero, x.space.zero),
    "products distribute over sums": lambda x, y, z: (x + (y | z), (x + y) | (x + z)),
    "a square is half of itself twice": lambda x, y, z: (x.half() + x.half(), x),
    "and so on": lambda x, y, z: (
        x.half().half().half().half() + x.half().half().half().half() + x.half().half().half(),
        x.half().half(),
    ),
    "roots distribute over products": lambda x, y, z: ((x + y).half(), x.half() + y.half()),
    "an inverse twice": lambda x, y, z: (x.space.one - -x, x),
    "a difference is a product": lambda x, y, z: (x - y, x + -y),
    "a part of itself is all of it": lambda x, y, z: (
        ((x | y) - (x | y), x.space.one) if (x | y).vectors else (x, x)
    ),
    "what is divided out": lambda x, y, z: ((x + y) - y, x) if y.vectors else (x, x),
    "roots distribute over sums": lambda x, y, z: ((x | y).half(), x.half() | y.half()),
    "the smaller is no larger than either": lambda x, y, z: (
        ((x & y) | x, x) if x >= y else ((x & y) | y, y)
    ),
}


def random_size(space: NumericSpace, draw: random.Random, parts: int) -> NumericSize:
    """Zero, a power, or a sum of powers, of which those that tie are kept."""
    size = space.zero
    for _ in range(draw.choice(range(parts + 1))):
        size = size | space.size(random_exponents(space, draw))
    return size


def random_exponents(space: NumericSpace, draw: random.Random) -> dict[str, Fraction]:
    """As often as not those of the first dims add up to 0 with the last: such vectors tie."""
    exponents = {name: draw.choice(GRID) for name in space.names}
    if space is FINE:
        exponents = {name: draw.choice(ODD) for name in space.names}
        if draw.random() < 0.5:
            exponents["batch"] = -exponents["width"] - exponents["depth"]
    return exponents


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("law", LAWS)
def test_sizes_are_a_semiring(law: str, space: NumericSpace):
    """1,000 triples; sizes are the same where all vectors that tie are."""
    draw = random.Random(law)
    for _ in range(1000):
        x, y, z = (random_size(space, draw, parts=2) for _ in range(3))
        left, right = LAWS[law](x, y, z)
        assert (left.key, left.vectors) == (right.key, right.vectors), (x, y, z)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_order_of_sizes_is_total_and_kept_by_products(space: NumericSpace):
    draw = random.Random(3)
    for _ in range(1000):
        x, y, z = (random_size(space, draw, parts=2) for _ in range(3))
        assert (x < y) + (y < x) + (x == y) == 1
        assert (x | y) >= x and (x & y) <= x
        assert not x <= y or (x + z <= y + z and x | z <= y | z and x.half() <= y.half())


# Sizes that tie


Vectors = frozenset[tuple[Fraction, ...]]


def kept(above: Vectors, below: Vectors) -> list[tuple[Fraction, ...]]:
    """Quotients of the largest, for each way to break ties: a dim grows faster, or slower."""
    count = len(next(iter(above)))
    found = {
        minus(end(above, key=lambda v: (v[i], *v)), end(below, key=lambda v: (v[i], *v)))
        for i in range(count)
        for end in (max, min)
    }
    return sorted(found, reverse=True)


def products(left: Vectors, right: Vectors) -> Vectors:
    return frozenset(plus(v, w) for v in left for w in right)


def in_full(size: NumericSize) -> list[tuple[Fraction, ...]]:
    return [tuple(Fraction(x, UNIT) for x in vector) for vector in size.vectors]


@pytest.mark.parametrize("dims", [2, 3, 4])
def test_what_is_kept_of_ties_follows_from_what_was_kept(dims: int):
    """500 expressions of up to four operations, beside quotients of sums of all that tie."""
    names = [f"n{i}" for i in range(dims)]
    space, draw = NumericSpace({name: (0, Fraction(1)) for name in names}), random.Random(dims)
    one = frozenset({(Fraction(0),) * dims})
    most = 0

    def leaf() -> tuple[NumericSize, Vectors]:
        size, found = space.zero, set[tuple[Fraction, ...]]()
        for _ in range(draw.randint(1, 4)):
            *others, _ = vector = [draw.choice(ODD) for _ in names]
            vector[-1] = -sum(others, Fraction(0))  # all of them tie
            size = size | space.size(dict(zip(names, vector, strict=True)))
            found.add(tuple(vector))
        return size, frozenset(found)

    for _ in range(500):
        size, above = leaf()
        below = one
        for _ in range(draw.randint(1, 4)):
            other, more = leaf()
            small = max(len(above), len(below)) * len(more) < 2000
            match draw.randrange(6):
                case 0 if small:
                    size, above = size + other, products(above, more)
                case 1 if small:
                    size, below = size - other, products(below, more)
                case 2:
                    size = size.half()
                    above, below = halved(above), halved(below)
                case 3:
                    size, above, below = -size, below, above
                case 4 if small and len(below) * len(more) < 2000:
                    least = above | products(below, more)
                    size, above, below = size & other, products(above, more), least
                case _ if small:
                    size, above = size | other, above | products(below, more)
        assert in_full(size) == kept(above, below)
        assert tuple(size.exponents().values()) == in_full(size)[0]
        most = max(most, len(above))
    assert most > 100


def plus(v: Sequence[Fraction], w: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(x + y for x, y in zip(v, w, strict=True))


def halved(vectors: Vectors) -> Vectors:
    return frozenset(tuple(x / 2 for x in v) for v in vectors)


def minus(v: Sequence[Fraction], w: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(x - y for x, y in zip(v, w, strict=True))


def test_two_that_tie_are_kept_and_so_are_twelve_powers():
    names = [f"n{i}" for i in range(12)]
    space = NumericSpace({name: (0, Fraction(1)) for name in names})
    size = reduce(or_, (space.size({name: Fraction(1)}) for name in names))
    assert str(size) == " ~ ".join(names)
    assert str(size.half()) == " ~ ".join(f"{name}^(1/2)" for name in names)


def test_ties_take_no_longer_the_deeper_a_model_is():
    """2,000 layers, each with a factor of six dims that tie: a billion billion products in full."""
    names = [f"n{i}" for i in range(6)]
    space, draw = NumericSpace({name: (0, Fraction(1)) for name in names}), random.Random(8)
    size, began = space.one, process_time()
    for _ in range(2000):
        power = draw.choice(ODD)
        layer = reduce(or_, (space.size({n: power}) for n in draw.sample(names, 4)))
        size = (size + layer) | (size + layer.half() + layer.half())
    assert len(size.vectors) <= 2 * len(names)
    assert process_time() - began < 10


def test_limits_are_compared_by_total_rate_and_the_first_is_most_significant():
    def size(**exponents: Fraction | int) -> NumericSize:
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
    said = reasons(checked.judgement, ())
    found = replace(checked, said=said).to_dict()
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
    found = train(graph)
    assert not found.growing
    assert found.rounds <= 3 + sum(not p.tensor.frozen for p in graph.parameters)
    before = [(n.s0, n.dc, n.dr, n.g0, n.gc, n.gr) for n in graph.nodes]
    assert not step(graph)
    assert before == [(n.s0, n.dc, n.dr, n.g0, n.gc, n.gr) for n in graph.nodes]


# Random graphs

SEEDS = range(8)
CASES = 125  # for each seed and optimizer: 2,000 in all


def essence(text: str) -> dict[str, Any]:
    """What `check` says of a text, without its exponents and without looking for a way out."""
    source = Source(text)
    found = Report(judgement_of(resolve(parse(source), source)), ()).to_dict()
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
        found = train(graph)
        judgement = judge(found, bound(found))
        if found.growing:
            assert judgement.verdict.startswith("unstable"), source.text
        else:
            assert not step(graph), source.text


CLIMBING = """model Climbing
dim width -> inf, base = 64
dim words = 7
hyper lr = 0.01
tensor table : input [words, width] { a = 0, b = 0, c = 1 }
tensor gain : scalar [1] { a[width] = 0, b[width] = 0, c[width] = -1/4, init = zeros }
tensor readout : output [words, width] { a = 0, b = 1, c = 0 }
forward(word : index(words) []) {
    h = gain * embed(table, word)
    return readout @ h
}
optimizer adam { lr = lr * (width / base(width))^(-1 + STEP) }
loss cross_entropy
assume epsilon = strict
"""


def test_growth_that_ends_below_all_bounds_settles():
    """Under a strict epsilon gain and readout take each other further, by the less the more rounds:
    both gradients pass epsilon in the end, and nothing has exceeded a bound.
    """
    for power, rounds, verdict in (("1/2", 8, "feature-learning"), ("7/16", 12, "trivial")):
        source = Source(CLIMBING.replace("STEP", power))
        graph = build_graph(resolve(parse(source), source))
        found = train(graph)
        assert (found.rounds, found.growing) == (rounds, ())
        assert judge(found, bound(found)).verdict == verdict
        assert not step(graph)


def test_what_is_unstable_is_known_sooner():
    """300 random graphs: as judged, or None where that is unstable; and the laws of what exceeds a
    bound are those of the first round that does.
    """
    draw, kinds = random.Random("sooner"), Counter[bool]()
    for _ in range(300):
        program = load(Source(random_model(draw, draw.choice(["adam", "sgd"])).text()))
        whole, sooner = judgement_of(program), judgement_if_stable(program)
        kinds[sooner is None] += 1
        assert (sooner is None) == whole.verdict.startswith("unstable")
        if sooner is not None:
            assert sizes_of(sooner.laws.graph) == sizes_of(whole.laws.graph)
        graph = build_graph(program)
        start(graph)
        for _ in range(whole.laws.rounds):
            step(graph)
        assert sizes_of(graph) == sizes_of(whole.laws.graph)
    assert min(kinds.values()) > 50, kinds


def sizes_of(graph: Graph) -> list[object]:
    """Everything that training changes."""
    return [x.state()[0] for x in (*graph.nodes, *graph.parameters)]
