"""The report of a check: laws, verdict, reasons; as a dict for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abcparam.calculus.graph import Graph
from abcparam.diagnostics import Diagnostic, in_order
from abcparam.fix import Change
from abcparam.judge import Judgement, TensorLaw
from abcparam.program import VERDICTS, Program, Tensor
from abcparam.record import Record
from abcparam.sizes import Size
from abcparam.written import written

if TYPE_CHECKING:
    from abcparam.symbolic.regions import Region


class Report(Record):
    """What `abcparam check` found: `verdict`, `complete`, whether both are `as_expected`, and the
    `diagnostics`.
    """

    graph: Graph
    judgement: Judgement
    diagnostics: tuple[Diagnostic, ...]
    fix: tuple[Change, ...] = ()  # the smallest that makes it maximal-update, if one was found
    regions: Mapping[str, Region] | None = (
        None  # where each verdict holds, if exponents are symbols
    )

    @property
    def program(self) -> Program:
        return self.graph.program

    @property
    def verdict(self) -> str | None:
        """None: it depends on the symbols."""
        return self.judgement.verdict or None

    @property
    def complete(self) -> bool | None:
        return self.judgement.complete

    @property
    def expected(self) -> tuple[str, ...]:
        """The verdict that is expected, and `complete` if that is."""
        return self.program.expected or ("maximal-update",)

    @property
    def as_expected(self) -> bool:
        return all(
            self.complete if word == "complete" else word == self.verdict for word in self.expected
        )

    def reaches(self, verdict: str) -> bool:
        """Whether the verdict is this one or better."""
        return self.verdict is not None and VERDICTS.index(self.verdict) >= VERDICTS.index(verdict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `abcparam check --format json`; exponents are exact strings keyed by growth
        dim.
        """
        outputs = self.graph.outputs
        zero = self.graph.context.zero
        at_init, change = zero, zero
        for output in outputs:
            at_init, change = at_init | output.s0, change | output.d
        return {
            "schema": 1,
            "file": self.program.source.file,
            "model": self.program.name,
            "verdict": self.verdict,
            "complete": self.complete,
            "expected": ", ".join(self.expected),
            "alignment": self.program.alignment,
            "tensors": [tensor_row(self.program, law) for law in self.judgement.tensors],
            "activations": [
                {"name": name, "at_init": node.s0.to_dict(), "change": node.d.to_dict()}
                for name, node in self.graph.activations.items()
            ],
            "output": {"at_init": at_init.to_dict(), "change": change.to_dict()},
            **self._regions(),
            "diagnostics": [d.to_dict() for d in in_order(self.diagnostics)],
        }

    def _regions(self) -> dict[str, Any]:
        if self.regions is None:
            return {}
        return {"regions": {word: region.to_dict() for word, region in self.regions.items()}}


def tensor_row(program: Program, law: TensorLaw) -> dict[str, Any]:
    """A tensor in the JSON: what it is, its exponents and its laws."""
    parameter = law.parameter
    tensor = parameter.tensor
    return {
        "name": law.path,
        "role": tensor.role,
        "shape": shape_text(program, tensor),
        "optimizer": program.optimizers[tensor.optimizer].rule.name,
        **{letter: nonzero(getattr(parameter, letter)) for letter in "abcd"},
        "at_init": law.at_init.to_dict(),
        "update": law.update.to_dict(),
        "slack": law.slack.to_dict() if law.slack is not None else None,
        "status": law.status,
    }


def nonzero(size: Size) -> dict[str, str]:
    """The exponents that are not zero; symbolic ones are text already."""
    return {n: str(value) for n, value in size.exponents().items() if str(value) != "0"}


def shape_text(program: Program, tensor: Tensor) -> list[str]:
    """The axes as written, or in dims where they were written in a block's sizes."""
    return [_axis(program, axis.written, str(axis.value)) for axis in tensor.axes]


def _axis(program: Program, expression: Any, canonical: str) -> str:
    text = written(expression)
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    known = all(
        word in program.dims or not word[0].isalpha() or word in FUNCTIONS for word in words
    )
    return text if known else canonical


FUNCTIONS = {"round_up", "base", "sqrt"}


def invalid(file: str, diagnostics: list[Diagnostic]) -> dict[str, Any]:
    """The JSON for a spec that could not be judged."""
    return {
        "schema": 1,
        "file": file,
        "model": None,
        "verdict": None,
        "complete": None,
        "expected": None,
        "alignment": None,
        "tensors": [],
        "activations": [],
        "output": None,
        "diagnostics": [d.to_dict() for d in in_order(diagnostics)],
    }
