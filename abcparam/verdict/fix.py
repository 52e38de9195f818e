"""The smallest change of exponents that makes a program maximal-update.

It is checked before it is proposed. The search is `symbolic.solve.nearest`, on two copies of each
finite repeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import number
from abcparam.algebra.record import Record, replace
from abcparam.analysis.build import build_graph
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.model import Module, Program
from abcparam.program.tensors import with_exponent

MOST_NODES = 3000
COPIES = 2


class Change(Record):
    """One exponent that changes: of a role, or of tensors by their names or path."""

    owner: str
    key: str  # `b` or `c[depth]`
    before: Fraction
    after: Fraction
    paths: tuple[str, ...] = ()  # the tensors that it applies to

    def __str__(self) -> str:
        return f"`{self.owner}` {self.key} = {self.before} -> {self.after}"


def propose(judgement: Judgement) -> tuple[Change, ...]:
    """The change, empty where none is found or the graph is too large to search."""
    program = judgement.laws.program
    if len(judgement.laws.graph.nodes) > MOST_NODES or program.alignment != "tensor-programs":
        return ()
    from abcparam.symbolic.solve.nearest import smallest
    from abcparam.symbolic.solver import UnprovedError

    short = replace(program, root=_shortened(program.root, program))
    try:
        moves = smallest(short, _suspects(judgement), len(build_graph(short).nodes))
    except UnprovedError:
        return ()
    changes = tuple(
        Change(
            move.place.paths[0] if len(move.place.paths) == 1 else move.place.owner,
            move.place.key,
            move.before,
            move.after,
            move.place.paths,
        )
        for move in moves
    )
    return changes if _reaches(program, changes) else ()


def _suspects(judgement: Judgement) -> list[str]:
    """Tensors that something is wrong with, by path."""
    made_it = 0
    for violation in judgement.at_init:
        made_it |= violation.node.maps
    found = [law.parameter for law in judgement.tensors if law.parameter.bit & made_it]
    found += [node.parameter for node in judgement.partial]
    found += [law.parameter for law in judgement.tensors if law.status in ("over", "under")]
    return list(dict.fromkeys(parameter.tensor.path for parameter in found))


def _shortened(module: Module, program: Program) -> Module:
    """The module with few copies of each finite repeat."""
    children = tuple(_shortened(child, program) for child in module.children)
    count = module.count
    if count and not any(program.growth_of(name) for name in count.value.names):
        few = min(COPIES, int(count.value.evaluate(program.base_values())))
        count = Amount(syntax.Number(Fraction(few)), number(few))
    return replace(module, children=children, count=count)


def values_of(changes: Iterable[Change]) -> dict[tuple[str, str], Affine]:
    """The changes as exponents by tensor path and key, for `edited`.

    A narrower place comes after the wider one that it is part of.
    """
    widest = sorted(changes, key=lambda change: -len(change.paths))
    return {(path, c.key): Affine(c.after) for c in widest for path in c.paths}


def _reaches(program: Program, changes: Iterable[Change]) -> bool:
    tensors = dict(program.tensors)
    for (path, key), value in values_of(changes).items():
        tensors[path] = with_exponent(tensors[path], key, value)
    return judgement_of(replace(program, tensors=tensors)).verdict == "maximal-update"
