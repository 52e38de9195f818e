"""Exponents that are moved by hand, of a tensor or of all that have a role."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from abcparam.algebra.exponents import Affine
from abcparam.editing.exponents import edited
from abcparam.program.model import Program
from abcparam.program.tensors import ExponentsByKey, exponents_by_key

LETTERS = "abc"


def movable(program: Program) -> list[dict[str, Any]]:
    """Groups of tensors, by role and then each alone, with their exponents.

    An exponent is None where it is not the same number in all of the group.
    """
    by_role: dict[str, list[str]] = {}
    for path, tensor in program.tensors.items():
        by_role.setdefault(tensor.role or "", []).append(path)
    roles = [_group(program, role, paths) for role, paths in by_role.items() if role]
    return [*roles, *(_group(program, path, [path]) for path in program.tensors)]


def _group(program: Program, name: str, paths: list[str]) -> dict[str, Any]:
    written = [exponents_by_key(program.tensors[path]) for path in paths]
    by_dim = {key for found in written for key in found if key[0] in LETTERS}
    return {
        "name": name,
        "paths": paths,
        "exponents": {key: _common(written, key) for key in sorted({*LETTERS, *by_dim})},
    }


def _common(written: Iterable[ExponentsByKey], key: str) -> str | None:
    zero = Affine(Fraction(0))
    values = {exponents.get(key, zero) for exponents in written}
    value = values.pop()
    return None if values or value.symbols else str(value.constant)


def moved(program: Program, paths: Iterable[str], key: str, value: Fraction) -> str:
    """The text with one exponent of a group at a value. Raises `UnwritableError`."""
    return edited(program, {(path, key): Affine(value) for path in paths})
