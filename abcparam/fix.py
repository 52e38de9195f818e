"""The smallest change of exponents that makes a program maximal-update; checked before it is
proposed.

A target is found first, once with every tensor on its own and once with those that take an exponent
from the same place moving together. Then each tensor takes the fewest letters that get it there,
and whatever turns out not to be needed is dropped. Where more than one change is left, every single
one by an amount that occurred is tried. All this happens on two copies of each finite repeat.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import product

from abcparam import syntax
from abcparam.calculus.graph import Graph
from abcparam.judge import laws_of
from abcparam.polynomials import number
from abcparam.program import OWN, Affine, Amount, Module, Program, Tensor
from abcparam.record import Record, replace
from abcparam.target import Moves, moved, target

MOST_NODES = 3000
MOST_SINGLES = 120
COPIES = 2
USUAL = [Fraction(sign * k, 4) for k in (2, 4, 1) for sign in (1, -1)]


class Change(Record):
    """One exponent that changes: of a role, or of a tensor by its path."""

    owner: str
    letter: str
    before: Fraction
    after: Fraction
    paths: tuple[str, ...] = ()  # the tensors that it applies to

    def __str__(self) -> str:
        return f"`{self.owner}` {self.letter} = {self.before} -> {self.after}"


Changes = list[tuple[Change, Moves]]


def propose(program: Program, graph: Graph) -> tuple[Change, ...]:
    """The change, empty where none is found or the graph is too large to search."""
    if len(graph.nodes) > MOST_NODES or program.alignment != "tensor-programs":
        return ()
    short = replace(program, root=_shortened(program.root, program))
    targets = [
        target(short, lambda tensor, _: [tensor]),
        target(short, lambda tensor, letter: _sharing(program, tensor, letter)),
    ]
    found = [_needed(short, _grouped(program, _fewest(program, m))) for m in targets if m]
    best = min((changes for changes in found if changes), key=len, default=[])
    if len(best) != 1:
        best = _single(short, [moves for moves in targets if moves]) or best
    return tuple(change for change, _ in best) if _reaches(program, best) else ()


def _shortened(module: Module, program: Program) -> Module:
    """The module with few copies of each finite repeat."""
    children = tuple(_shortened(child, program) for child in module.children)
    count = module.count
    if count and not any(program.growth_of(name) for name in count.value.names):
        few = min(COPIES, int(count.value.evaluate(program.base_values())))
        count = Amount(syntax.Number(Fraction(few)), number(few))
    return replace(module, children=children, count=count)


def values_of(changes: Iterable[Change]) -> dict[tuple[str, str], Affine]:
    """The changes as exponents by tensor path and letter, for `edit.edited`."""
    return {(path, c.letter): Affine(c.after) for c in changes for path in c.paths}


# The fewest letters


def _fewest(program: Program, moves: Moves) -> Moves:
    found: Moves = {}
    for path in dict.fromkeys(path for path, _ in moves):
        tensor = program.tensors[path]
        b, c = moves.get((path, "b"), Fraction(0)), moves.get((path, "c"), Fraction(0))
        gauge = program.optimizers[tensor.optimizer].rule.gauge
        if b and c == gauge * b:
            found[path, "a"] = b
        else:
            found |= {(path, letter): by for letter, by in (("b", b), ("c", c)) if by}
    return found


def _own(tensor: Tensor, letter: str) -> Fraction:
    return tensor.exponents[letter].get(OWN, Affine(Fraction(0))).constant


def _grouped(program: Program, moves: Moves) -> Changes:
    """Changes of roles and declarations where all tensors that take an exponent from there move
    alike, else of tensors.
    """
    changes: Changes = []
    left = dict(moves)
    for (path, letter), by in moves.items():
        tensor = program.tensors[path]
        if (path, letter) not in left:
            continue
        alike = _sharing(program, tensor, letter)
        grouped = len(alike) > 1 and all(left.get((t.path, letter)) == by for t in alike)
        owner = _owner(alike, letter) if grouped else path
        chosen = {(t.path, letter): by for t in (alike if grouped else [tensor])}
        before = _own(tensor, letter)
        paths = tuple(path for path, _ in chosen)
        changes.append((Change(owner, letter, before, before + by, paths), chosen))
        left = {key: value for key, value in left.items() if key not in chosen}
    return changes


def _sharing(program: Program, tensor: Tensor, letter: str) -> list[Tensor]:
    """The tensors that take this exponent from the same place: a declaration or their role."""
    place = tensor.spans.get(letter)
    alike = [t for t in program.tensors.values() if t.spans.get(letter) == place]
    return alike if place else [t for t in alike if t.role == tensor.role]


def _owner(tensors: list[Tensor], letter: str) -> str:
    """The names of a declaration, or the role."""
    if letter not in tensors[0].spans:
        return str(tensors[0].role)
    return ", ".join(dict.fromkeys(tensor.name for tensor in tensors))


def _needed(program: Program, changes: Changes) -> Changes:
    """The changes without needless ones; none if they do not lead there."""
    for change in list(changes):
        rest = [c for c in changes if c is not change]
        if rest and _reaches(program, rest):
            changes = rest
    return changes if _reaches(program, changes) else []


def _single(program: Program, targets: list[Moves]) -> Changes:
    """One change, by an amount that occurs in a target; the most frequent ones are tried first."""
    amounts = Counter(abs(by) for moves in targets for by in moves.values())
    for by in list(amounts):
        amounts[by / 2] += 1
    shifts = [s for by, _ in amounts.most_common(3) for s in (by, -by)] or USUAL
    places = dict.fromkeys(
        (*(t.path for t in _sharing(program, tensor, letter)), letter)
        for tensor, letter in product(program.tensors.values(), "bca")
        if not tensor.frozen and tensor.own is not None
    )
    for (*paths, letter), by in list(product(places, shifts))[:MOST_SINGLES]:
        changes = _grouped(program, {(path, letter): by for path in paths})
        if _reaches(program, changes):
            return changes
    return []


def _reaches(program: Program, changes: Iterable[tuple[Change, Moves]]) -> bool:
    moves: Moves = {}
    for _, chosen in changes:
        moves |= chosen
    return laws_of(moved(program, moves))[1].verdict == "maximal-update"
