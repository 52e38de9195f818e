"""Stability with symbols for exponents: the regions derived from the graph are the published ones,
exactly.

MLPs of one to four hidden layers, with every tensor's a, b and c a symbol: Tensor Programs IV
(arXiv 2011.14522, Theorem 3.3 and following) for SGD, IVb (arXiv 2308.01814, Theorems 2.8.12 to
2.8.19) for Adam. Equality is proved for all exponents, not sampled.
"""

from __future__ import annotations

from typing import Any

import pytest
import z3

from abcparam.pipeline import to_source
from abcparam.symbolic.derive.derivation import derive_laws
from abcparam.symbolic.solver import Premises
from abcparam.symbolic.symbols import all_symbolic, symbols_of
from abcparam.symbolic.verdicts import Verdicts, verdicts_of
from abcparam.verdict.check import load
from tests.support.paths import EXAMPLES
from tests.support.z3_oracle import formula, variables


def mlp(hidden_layers: int, optimizer: str) -> str:
    """An MLP whose tensor l has the exponents a_l, b_l, c_l."""
    count = hidden_layers + 1
    symbols = ", ".join(f"{letter}{i}" for i in range(1, count + 1) for letter in "abc")
    shapes = [
        "input [width, pixels]",
        *["hidden [width, width]"] * (count - 2),
        "output [classes, width]",
    ]
    tensors = [
        f"tensor W{i} : {shape} {{ a = a{i}, b = b{i}, c = c{i} }}"
        for i, shape in enumerate(shapes, 1)
    ]
    layers = "".join(f"    h = W{i} @ tanh(h)\n" for i in range(2, count))
    declared = "\n".join(tensors)
    return f"""model MLP
dim width -> inf, base = 128
dim pixels = 784
dim classes = 10
hyper lr = 0.1
exponent {symbols}
{declared}
forward(x : [pixels]) {{
    h = W1 @ x
{layers}    return W{count} @ tanh(h)
}}
optimizer {optimizer} {{ lr = lr }}
loss cross_entropy
"""


def derived(hidden_layers: int, optimizer: str) -> Verdicts:
    program = load(to_source(mlp(hidden_layers, optimizer)))
    (derivation,) = derive_laws(program, program.symbols)
    return verdicts_of(derivation)


class Theorem:
    """The published conditions, written with the solver's variables."""

    def __init__(self, hidden_layers: int, optimizer: str, variables: dict[str, Any]) -> None:
        self.count = hidden_layers + 1
        self.sgd = optimizer == "sgd"
        self.v = variables

    def at_init(self) -> Any:
        found = [self.v["a1"] + self.v["b1"] == 0]
        found += [self.v[f"a{i}"] + self.v[f"b{i}"] == z3.Q(1, 2) for i in range(2, self.count)]
        return z3.And([*found, self.initial_readout() >= z3.Q(1, 2)])

    def initial_readout(self) -> Any:
        return self.v[f"a{self.count}"] + self.v[f"b{self.count}"]

    def learnt_readout(self) -> Any:
        return (2 if self.sgd else 1) * self.v[f"a{self.count}"] + self.v[f"c{self.count}"]

    def rates(self) -> list[Any]:
        """r_l of the layers before the readout."""
        gradient: Any = 0
        if self.sgd:
            initial, learnt = self.initial_readout(), self.learnt_readout()
            gradient = z3.If(initial <= learnt, initial, learnt)
        factor = 2 if self.sgd else 1
        layers = range(1, self.count)
        return [gradient + factor * self.v[f"a{i}"] + self.v[f"c{i}"] - int(i > 1) for i in layers]

    def stable(self) -> Any:
        readout = self.initial_readout()
        rates = [z3.And(r >= 0, readout + r >= 1) for r in self.rates()]
        return z3.And(self.at_init(), self.learnt_readout() >= 1, *rates)

    def moves(self) -> Any:
        through = [self.initial_readout() + r == 1 for r in self.rates()]
        return z3.Or(self.learnt_readout() == 1, *through)

    def features(self) -> Any:
        return z3.Or([r == 0 for r in self.rates()])

    def maximal(self) -> Any:
        everything = [r == 0 for r in self.rates()]
        return z3.And(self.learnt_readout() == 1, self.initial_readout() == 1, *everything)


def same(left: Any, right: Any) -> bool:
    solver = z3.Solver()
    solver.set("timeout", 60_000)
    solver.add(z3.Xor(left, right))
    return bool(solver.check() == z3.unsat)


@pytest.mark.parametrize("hidden_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_regions_are_the_published_ones(optimizer: str, hidden_layers: int):
    verdicts = derived(hidden_layers, optimizer)
    symbols = verdicts.derivation.symbols
    reals = variables(symbols)
    theorem = Theorem(hidden_layers, optimizer, dict(zip(symbols, reals, strict=True)))
    stable = formula(verdicts.derivation.condition, reals)
    assert same(stable, theorem.stable())
    published = {
        "unstable-at-init": z3.Not(theorem.at_init()),
        "unstable": z3.And(theorem.at_init(), z3.Not(theorem.stable())),
        "trivial": z3.And(theorem.stable(), z3.Not(theorem.moves())),
        "kernel": z3.And(theorem.stable(), theorem.moves(), z3.Not(theorem.features())),
        "maximal-update": z3.And(theorem.stable(), theorem.maximal()),
    }
    anything = Premises(symbols)
    for verdict, region in published.items():
        assert anything.example(verdicts.condition(verdict)) is not None, verdict
        assert same(formula(verdicts.condition(verdict), reals), region), verdict


def test_a_transformer_with_a_symbol_for_each_role_and_letter():
    """Two cases: an embedding that is larger or smaller than what the blocks add to the stream.

    The published rule lies in the first, and in the region of maximal updates.
    """
    spec = (EXAMPLES / "gpt.param").read_text(encoding="utf-8")
    program = all_symbolic(load(to_source(spec.replace("depth   = 12", "depth = 2"))))
    cases = derive_laws(program, symbols_of(program))
    assert len(cases) == 2
    symbols = cases[0].symbols
    reals = variables(symbols)
    published = {
        "a_input": 0,
        "b_input": 0,
        "c_input": 0,
        "a_hidden": 0,
        "b_hidden": z3.Q(1, 2),
        "c_hidden": 1,
        "a_output": 1,
        "c_output": 0,
    }
    assert published.keys() == set(symbols)
    rule = [v == published[n] for n, v in zip(symbols, reals, strict=True)]
    maximal = verdicts_of(cases[0]).condition("maximal-update")
    assert not same(z3.And(formula(maximal, reals), *rule), z3.BoolVal(False))
