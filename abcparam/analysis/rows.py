"""Rows of tables: what a report says of each tensor."""

from __future__ import annotations

from typing import Any

from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import TensorLaw
from abcparam.language.printer import written
from abcparam.language.syntax import Expression, names_in
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor


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


def _axis(program: Program, expression: Expression, canonical: str) -> str:
    known = all(name in program.dims for name in names_in(expression))
    return written(expression) if known else canonical
