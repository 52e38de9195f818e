"""The smallest change of exponents that makes a program maximal-update, proved to be that.

The search is `symbolic.solve.nearest`, on two copies of each finite repeat. Where it finds none in
its time, or the model is too large for it, nothing is proved.
"""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.analysis.build import build_graph
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.program.vocabulary import VERDICTS
from abcparam.verdict.changes import ExponentChange, applied
from abcparam.verdict.laziness import lazy_tensors
from abcparam.verdict.shortening import shortened

MOST_NODES = 3000
COPIES = 2


class Proof(Record):
    """The smallest change, empty where none is found; `outcome` says what is known of it."""

    changes: tuple[ExponentChange, ...]
    outcome: str


TOO_LARGE = "the model is too large for a proof"
UNPROVED = "the search for a proof was cut short"
NONE = "no change of the exponents that are written was found"
LAZY = "the smallest change of the exponents that are written makes {names} lazy"
PROVED = "proved smallest: no fewer of the exponents that were tried do it"


def prove(judgement: Judgement) -> Proof:
    """The fewest exponents that have to move, then the least moves."""
    program = judgement.laws.program
    if len(judgement.laws.graph.nodes) > MOST_NODES or program.alignment != "tensor-programs":
        return Proof((), TOO_LARGE)
    from abcparam.symbolic.solve.nearest import smallest
    from abcparam.symbolic.solver import UnprovedError

    short = shortened(program, COPIES)
    try:
        moves = smallest(short, _suspects(judgement), len(build_graph(short).nodes))
    except UnprovedError as error:
        return Proof((), str(error) or UNPROVED)
    changes = tuple(
        ExponentChange(
            move.place.paths[0] if len(move.place.paths) == 1 else move.place.owner,
            move.place.key,
            move.before,
            move.after,
            move.place.paths,
        )
        for move in moves
    )
    found = judgement_of(applied(program, changes))
    if not changes or found.verdict != VERDICTS[-1]:
        return Proof((), NONE)
    lazy = lazy_tensors(found) - lazy_tensors(judgement)
    if lazy:
        return Proof((), LAZY.format(names=", ".join(f"`{path}`" for path in sorted(lazy))))
    return Proof(changes, PROVED)


def _suspects(judgement: Judgement) -> list[str]:
    """Tensors that something is wrong with, by path."""
    made_it = 0
    for violation in judgement.at_init:
        made_it |= violation.node.maps
    found = [law.parameter for law in judgement.tensors if law.parameter.bit & made_it]
    found += [node.parameter for node in judgement.partial]
    found += [law.parameter for law in judgement.tensors if law.status in ("over", "under")]
    return list(dict.fromkeys(parameter.tensor.path for parameter in found))
