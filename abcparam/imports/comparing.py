"""The program of a user's model beside another one."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.comparison.compare import compare_laws
from abcparam.comparison.difference import Differences
from abcparam.comparison.names import matched
from abcparam.imports.result import Audit
from abcparam.program.model import Program


def compared_with(a: Audit | Program, b: Audit | Program, adapted: bool = False) -> Differences:
    """How the laws of two models differ, one of which was read; as it is, or `adapted`.

    Tensors are those of the same name, but for numbers of layers and `.weight` at the end. Raises
    `SpecError` where symbols are left.
    """
    first, second = (_program(side, adapted) for side in (a, b))
    names = {path: names for side in (a, b) for path, names in _names(side)}
    return compare_laws(first, second, matched(first, second, names))


def _program(side: Audit | Program, adapted: bool) -> Program:
    if isinstance(side, Program):
        return side
    return side.remedy.program if adapted else side.program


def _names(side: Audit | Program) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The paths of tensors with all that each is called: one that is tied has several names."""
    if not isinstance(side, Program):
        for name, weights in side.model.weights.items():
            yield side.read.paths[name][0], weights.names
