"""The smallest change of exponents that makes a program maximal-update; checked before it is
proposed.

The target is found first: sizes at init where constraints want them, then each update as large as
its slack allows. Then each tensor takes the fewest letters that get it there, and whatever turns
out not to be needed is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from abcparam.calculus.graph import Graph, build_graph
from abcparam.calculus.linear import Linear
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.rounds import train
from abcparam.judge import Judgement, judge
from abcparam.program import OWN, Affine, Program, Tensor
from abcparam.record import Record, replace
from abcparam.sizes import Size

MOST_PASSES = 12
MOST_NODES = 3000

Moves = dict[tuple[str, str], Fraction]  # (tensor path, letter) -> what is added to its exponent


class Change(Record):
    """One exponent that changes: of a role, or of a tensor by its path."""

    owner: str
    letter: str
    before: Fraction
    after: Fraction

    def __str__(self) -> str:
        return f"`{self.owner}` {self.letter} = {self.before} -> {self.after}"


def propose(program: Program, graph: Graph) -> tuple[Change, ...]:
    """The change, empty where none is found or the graph is too large to search."""
    if len(graph.nodes) > MOST_NODES or program.alignment != "tensor-programs":
        return ()
    moves = _target(program)
    if moves is None:
        return ()
    changes = _grouped(program, _fewest(program, moves))
    return _without_needless(program, changes)


def laws_of(program: Program) -> tuple[Graph, Judgement]:
    graph = build_graph(program)
    return graph, judge(graph, train(graph))


def moved(program: Program, moves: Moves) -> Program:
    """The program with its exponents moved."""
    tensors = dict(program.tensors)
    for (path, letter), by in moves.items():
        tensor = tensors[path]
        own = tensor.exponents[letter].get(OWN, Affine(Fraction(0)))
        by_dim = {**tensor.exponents[letter], OWN: Affine(own.constant + by)}
        tensors[path] = replace(tensor, exponents={**tensor.exponents, letter: by_dim})
    return replace(program, tensors=tensors)


# The target, with b for sizes at init and c for updates


def _target(program: Program) -> Moves | None:
    moves: Moves = {}
    for _ in range(MOST_PASSES):
        graph, judgement = laws_of(moved(program, moves))
        if judgement.verdict == "maximal-update":
            return moves
        step = _init_step(judgement) or _readout_step(graph) or _update_step(judgement)
        if not step:
            return None
        for (path, letter), size in step.items():
            by = _in_own_width(graph, path, size)
            if by is None:
                return None
            moves[path, letter] = moves.get((path, letter), Fraction(0)) + by
    return None


def _init_step(judgement: Judgement) -> dict[tuple[str, str], Size]:
    """Weights that make an input of the wrong size at init: b takes what is too much."""
    step: dict[tuple[str, str], Size] = {}
    for violation in judgement.at_init:
        for parameter in violation.node.maps:
            if isinstance(parameter, Parameter) and not parameter.sigma.is_zero:
                step.setdefault((parameter.tensor.path, "b"), violation.node.s0)
        break
    return step


def _readout_step(graph: Graph) -> dict[tuple[str, str], Size]:
    """Output-role maps whose initial weights pass on too much, or only a part of a change of full
    size.
    """
    step: dict[tuple[str, str], Size] = {}
    for node in graph.nodes:
        if isinstance(node, Linear) and _reads_out(node):
            excess = node.gains()[0] + node.inputs[0].s0 - node.bc
            if excess != node.context.nought:
                step[node.parameter.tensor.path, "b"] = excess
    return step


def _reads_out(node: Linear) -> bool:
    nought = node.context.nought
    sound = not node.parameter.sigma.is_zero and not node.inputs[0].s0.is_zero and node.bc.is_bound
    return (
        sound and node.rho_in > nought and node.rho_out <= nought and not _is_data(node.inputs[0])
    )


def _is_data(node: Node) -> bool:
    return not node.maps


def _update_step(judgement: Judgement) -> dict[tuple[str, str], Size]:
    """The first tensors with slack, inputs before outputs: c takes it. Those over their bound go
    first.
    """
    over = {
        (t.path, "c"): -t.slack
        for t in judgement.tensors
        if t.slack is not None and t.status == "over"
    }
    if over:
        return over
    return {
        (t.path, "c"): -t.slack
        for t in judgement.tensors
        if t.slack is not None and t.status == "under"
    }


def _in_own_width(graph: Graph, path: str, size: Size) -> Fraction | None:
    """A size as an exponent of the tensor's own width; None where it is not one."""
    if not size.vectors:
        return None
    parameter = next(p for p in graph.parameters if p.tensor.path == path)
    nought = size.space.nought
    own = parameter.rho_in if parameter.rho_in > nought else parameter.rho_out
    wanted, have = size.exponents(), own.exponents()
    name = next((n for n, value in have.items() if value), None)
    if name is None:
        return None
    ratio = wanted[name] / have[name]
    return ratio if all(wanted[n] == ratio * have[n] for n in have) else None


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


def _grouped(program: Program, moves: Moves) -> list[tuple[Change, Moves]]:
    """Changes of roles where all tensors that take an exponent from their role move alike, else of
    tensors.
    """
    changes: list[tuple[Change, Moves]] = []
    left = dict(moves)
    for (path, letter), by in moves.items():
        tensor = program.tensors[path]
        if (path, letter) not in left:
            continue
        alike = _sharing(program, tensor, letter)
        grouped = len(alike) > 1 and all(left.get((t.path, letter)) == by for t in alike)
        owner = str(tensor.role) if grouped else path
        chosen = {(t.path, letter): by for t in (alike if grouped else [tensor])}
        before = _own(tensor, letter)
        changes.append((Change(owner, letter, before, before + by), chosen))
        left = {key: value for key, value in left.items() if key not in chosen}
    return changes


def _sharing(program: Program, tensor: Tensor, letter: str) -> list[Tensor]:
    """The tensors that take this exponent from the same place."""
    if letter in tensor.spans:
        return [tensor]
    return [t for t in program.tensors.values() if t.role == tensor.role and letter not in t.spans]


def _without_needless(program: Program, changes: list[tuple[Change, Moves]]) -> tuple[Change, ...]:
    for change in list(changes):
        rest = [c for c in changes if c is not change]
        if rest and _reaches(program, rest):
            changes = rest
    return tuple(change for change, _ in changes) if _reaches(program, changes) else ()


def _reaches(program: Program, changes: Iterable[tuple[Change, Moves]]) -> bool:
    moves: Moves = {}
    for _, chosen in changes:
        moves |= chosen
    return laws_of(moved(program, moves))[1].verdict == "maximal-update"
