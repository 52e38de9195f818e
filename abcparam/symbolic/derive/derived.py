"""What `abcparam derive` finds: laws, and the region of exponents for each verdict.

Every tensor and activation has its law, symbolic where exponents are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record
from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import Judgement, TensorLaw, features_of
from abcparam.analysis.laws import Laws
from abcparam.analysis.rows import tensor_row
from abcparam.analysis.terms import ActivationTerms, Term, steps_of
from abcparam.calculus.node import Node
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS

if TYPE_CHECKING:
    from abcparam.symbolic.expressions import Expr
    from abcparam.symbolic.regions import Region

STABLE = ("stable", *VERDICTS, "complete")


class DerivedCase(Record):
    """Laws that hold where `within` does; `regions` is empty where exponents are numbers."""

    judgement: Judgement
    within: Region | None
    regions: Mapping[str, Region]

    @property
    def laws(self) -> Laws:
        return self.judgement.laws

    @property
    def program(self) -> Program:
        return self.laws.program

    @property
    def steps(self) -> tuple[ActivationTerms, ...]:
        """Every activation with the terms that it is the largest of."""
        return steps_of(self.laws)

    @property
    def activations(self) -> dict[str, Node]:
        """Named activations, and outputs that have no other name."""
        graph = self.laws.graph
        outputs = zip(self.program.outputs, graph.outputs, strict=True)
        named = set(map(id, graph.activations.values()))
        return graph.activations | {n: x for n, x in outputs if id(x) not in named}

    @property
    def movement(self) -> Size | None:
        """The size of the change of the features; None: there are no features.

        They are the infinite inputs of the maps that produce outputs: n^-r in Tensor Programs IV.
        """
        found: Size | None = None
        for feature in features_of(self.laws.graph):
            found = feature.d if found is None else found | feature.d
        return found

    def to_dict(self, steps: bool = False) -> dict[str, Any]:
        """As JSON. Sizes are exponents by growth dim, and laws; both can be read by sympy."""
        movement = self.movement
        return {
            "within": self.within.constraints() if self.within else [],
            "tensors": [
                {**tensor_row(self.program, law), **_sizes(sizes_of_tensor(law))}
                for law in self.judgement.tensors
            ],
            "activations": [
                {"name": name, **_sizes(sizes_of_activation(x))}
                for name, x in self.activations.items()
            ],
            "features": None if movement is None else _sizes({"change": movement}),
            "regions": {word: self.regions[word].to_dict() for word in STABLE if self.regions},
            **({"steps": [_step(step) for step in self.steps]} if steps else {}),
        }

    def expressions(self) -> dict[str, dict[str, Expr]]:
        """The laws as sympy expressions in the growth dims and the symbols.

        They are those of every tensor (`at_init`, `update`, `gradient`) and activation (`at_init`,
        `change`, `gradient`).
        """
        from abcparam.symbolic.expressions import expression

        sizes = {law.path: sizes_of_tensor(law) for law in self.judgement.tensors}
        sizes |= {name: sizes_of_activation(x) for name, x in self.activations.items()}
        return {
            name: {quantity: expression(size) for quantity, size in found.items()}
            for name, found in sizes.items()
        }


def sizes_of_tensor(law: TensorLaw) -> dict[str, Size]:
    """What is derived of a tensor."""
    return {"at_init": law.at_init, "update": law.update, "gradient": law.parameter.gamma}


def sizes_of_activation(node: Node) -> dict[str, Size]:
    """What is derived of an activation."""
    return {"at_init": node.s0, "change": node.d, "gradient": node.g}


class Derived(Record):
    """The laws of a program, by case where a size that is divided by depends on the symbols."""

    program: Program
    cases: tuple[DerivedCase, ...]
    verdict: str | None  # None: it depends on the symbols
    complete: bool | None
    elsewhere: tuple[str, ...] = ()  # why the other cases are never stable
    unfinished: str = ""  # why there may be more cases, and regions of these

    def to_dict(self, steps: bool = False) -> dict[str, Any]:
        """The JSON of `abcparam derive --format json`."""
        return {
            "schema": 1,
            "file": self.program.source.file,
            "model": self.program.name,
            "alignment": self.program.alignment,
            "symbols": list(self.program.symbols),
            "verdict": self.verdict,
            "complete": self.complete,
            "cases": [case.to_dict(steps) for case in self.cases],
            "never_stable": list(self.elsewhere),
            **({"unfinished": self.unfinished} if self.unfinished else {}),
        }

    @property
    def verdict_text(self) -> str:
        """The verdict in words."""
        if self.verdict is None:
            return "not known" if self.unfinished else "depends on the symbols"
        return f"{self.verdict}{', complete' if self.complete else ''}"


def _sizes(sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Sizes as exponents by growth dim, and as laws."""
    exponents = {key: size.to_dict() for key, size in sizes.items()}
    return {**exponents, "laws": {key: size.law() for key, size in sizes.items()}}


def _step(step: ActivationTerms) -> dict[str, Any]:
    return {
        "name": step.name,
        "at_init": {"law": step.at_init.law(), "terms": _terms(step.initial)},
        "change": {"law": step.change.law(), "terms": _terms(step.changes)},
        "gradient": {"law": step.gradient.law(), "terms": _terms(step.gradients)},
    }


def _terms(terms: tuple[Term, ...]) -> list[dict[str, str]]:
    return [{"law": term.size.law(), "text": term.text} for term in terms]
