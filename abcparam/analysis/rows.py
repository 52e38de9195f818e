"""Rows of tables: what a report says of each tensor."""

from __future__ import annotations

from typing import Any

from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import TensorLaw
from abcparam.analysis.limits import Powerless
from abcparam.language.printer import written
from abcparam.language.syntax import Expression, names_in
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor

POWERS = Powerless()  # all is a power


def tensor_row(program: Program, law: TensorLaw, none: Powerless = POWERS) -> dict[str, Any]:
    """A tensor in the JSON: what it is, its exponents and its laws."""
    parameter = law.parameter
    tensor = parameter.tensor
    return {
        "name": law.path,
        "role": tensor.role,
        "shape": shape_text(program, tensor),
        "optimizer": program.optimizers[tensor.optimizer].rule.name,
        **{letter: nonzero(getattr(parameter, letter)) for letter in "abcd"},
        "at_init": powers_or_none(law.at_init, law.node in none.at_init),
        "update": powers_or_none(law.update, law.node in none.changes),
        "slack": None if law.slack is None else powers_or_none(law.slack, none.hides(law.slack)),
        "status": law.status,
    }


def powers_or_none(size: Size, none: bool) -> dict[str, str | None]:
    """The exponents as texts by growth dim, None of what no power is the size of."""
    return {name: None if none else text for name, text in size.to_dict().items()}


def nonzero(size: Size) -> dict[str, str]:
    """The exponents that are not zero; symbolic ones are text already."""
    return {n: str(value) for n, value in size.exponents().items() if str(value) != "0"}


def shape_text(program: Program, tensor: Tensor) -> list[str]:
    """The axes as written, or in dims where they were written in a block's sizes."""
    return [_axis(program, axis.written, str(axis.value)) for axis in tensor.axes]


def _axis(program: Program, expression: Expression, canonical: str) -> str:
    known = all(name in program.dims for name in names_in(expression))
    return written(expression) if known else canonical
