"""The smallest change that makes a program maximal-update, proved to be that.

What the search without a proof finds is held against all that is smaller in the same space. The
proof is `symbolic.solve.nearest`, on two copies of each finite repeat. Where it ends early, or the
model is too large for it, nothing is proved.
"""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.record import Record
from abcparam.analysis.build import build_graph
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.solve.nearest import Moves, Smallest, Sought, smallest
from abcparam.symbolic.solver import UnprovedError
from abcparam.symbolic.symbols import OpenPower
from abcparam.verdict.changes import Change, ExponentChange, SettingChange, applied
from abcparam.verdict.decay import moved_decay
from abcparam.verdict.factors import factor_change
from abcparam.verdict.fix import propose
from abcparam.verdict.laziness import lazy_tensors, mended
from abcparam.verdict.shortening import shortened
from abcparam.verdict.space import SearchSpace

MOST_NODES = 3000
MOST_CHANGES = 6  # that are looked for where none are known
COPIES = 2
DECAY = "weight_decay"  # is no part of the verdict


class Proof(Record):
    """The smallest changes, empty where nothing is proved; `outcome` says what is known."""

    changes: tuple[Change, ...]
    outcome: str


TOO_LARGE = "the model is too large for a proof"
UNPROVED = "the search for a proof was cut short"
NONE = "no change of the exponents and factors that were tried was found"
STARTS = "not proved smallest: no other starts of tensors were tried"
LAZY = "the smallest change makes {names} lazy"
PROVED = "proved smallest: no fewer changes do it"
PROVED_OF_TRIED = "proved smallest: no fewer of the changes that were tried do it"


def prove(judgement: Judgement) -> Proof:
    """The fewest exponents and factors that have to change: of equal ones those that are usual."""
    program = judgement.laws.program
    if len(judgement.laws.graph.nodes) > MOST_NODES or program.alignment != "tensor-programs":
        return Proof((), TOO_LARGE)
    space = SearchSpace(program)
    proposed = propose(judgement).changes
    if any(isinstance(c, SettingChange) and c.wakes for c in proposed):
        return Proof((), STARTS)
    counted = [change for change in proposed if not _is_decay(change)]
    most = len(counted) - 1 if counted else MOST_CHANGES
    try:
        found = smallest(_sought(space, judgement), most) if most else None
    except UnprovedError as error:
        return Proof((), str(error) or UNPROVED)
    made_lazy = frozenset[str]()
    for moves in found.changes if found else ():
        changes = _changes(space, moves)
        mends = judgement_of(applied(program, changes))
        if mended(mends, lazy_tensors(judgement)):
            return Proof((*changes, *moved_decay(mends)), _outcome(found))
        if mends.verdict == VERDICTS[-1]:
            made_lazy = made_lazy or lazy_tensors(mends) - lazy_tensors(judgement)
    if proposed:
        return Proof(proposed, _outcome(found))
    names = ", ".join(f"`{path}`" for path in sorted(made_lazy))
    return Proof((), LAZY.format(names=names) if names else NONE)


def _outcome(found: Smallest | None) -> str:
    return PROVED if found is None or found.exhaustive else PROVED_OF_TRIED


def _sought(space: SearchSpace, judgement: Judgement) -> Sought:
    program = shortened(space.opened(), COPIES)
    return Sought(
        program,
        (*space.wide(), *space.powers()),
        tuple(space.apart()),
        tuple(_suspects(judgement)),
        len(build_graph(program).nodes),
    )


def _changes(space: SearchSpace, moves: Moves) -> tuple[Change, ...]:
    """Moves as changes of the text; those of one factor are one."""
    found: list[Change] = []
    powers: dict[str, dict[str, Fraction]] = {}
    for move in moves:
        place = move.place
        if isinstance(place, OpenPower):
            powers.setdefault(place.name, {})[place.dim] = move.after
        else:
            owner = place.paths[0] if len(place.paths) == 1 else place.owner
            change = ExponentChange(owner, place.key, move.before, move.after, place.paths)
            found.append(change)
    factors = (factor_change(space.program, space.factors[n], p) for n, p in powers.items())
    return (*found, *factors)


def _is_decay(change: Change) -> bool:
    return isinstance(change, SettingChange) and change.key == DECAY


def _suspects(judgement: Judgement) -> list[str]:
    """Tensors that something is wrong with, by path."""
    made_it = 0
    for violation in judgement.at_init:
        made_it |= violation.node.maps
    found = [law.parameter for law in judgement.tensors if law.parameter.bit & made_it]
    found += [node.parameter for node in judgement.partial]
    found += [law.parameter for law in judgement.tensors if law.status in ("over", "under")]
    return list(dict.fromkeys(parameter.tensor.path for parameter in found))
