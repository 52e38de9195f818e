"""Where a program should go: exponents of tensors that make it maximal-update.

Sizes of updates are found first, which does not depend on the optimizer: each tensor is given an
update of the size that its `c` says, whatever its gradient. First come sizes at init, then maps
that read out, then updates, those beyond their bound before those with slack. In the end each `c`
is what gives its tensor that update under its own optimizer, now that all gradients are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from abcparam.calculus.graph import Graph, build_graph
from abcparam.calculus.linear import Linear
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.rounds import start
from abcparam.judge import Judgement, laws_of
from abcparam.optimizers.base import Rule
from abcparam.program import OWN, Affine, Program, Tensor
from abcparam.record import replace
from abcparam.sizes import Size

MOST_PASSES = 16

Exponent = tuple[str, str]  # tensor path, letter
Moves = dict[Exponent, Fraction]  # what is added to exponents of the own width
Sharing = Callable[[Tensor, str], Iterable[Tensor]]  # the tensors that move together


class Free(Rule):
    """Updates of the size that `c` says, whatever the gradient."""

    gauge = 1

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return -parameter.c


class FreeSpectral(Free):
    """The same for a spectral norm."""

    spectral = True


def moved(program: Program, moves: Mapping[Exponent, Fraction]) -> Program:
    """The program with its exponents moved."""
    tensors = dict(program.tensors)
    for (path, letter), by in moves.items():
        tensor = tensors[path]
        own = tensor.exponents[letter].get(OWN, Affine(Fraction(0)))
        by_dim = {**tensor.exponents[letter], OWN: Affine(own.constant + by)}
        tensors[path] = replace(tensor, exponents={**tensor.exponents, letter: by_dim})
    return replace(program, tensors=tensors)


def target(program: Program, sharing: Sharing) -> Moves | None:
    """Moves of `b` and `c` that lead there, None where none are found."""
    free = _freed(program)
    moves = before = _first_updates(program)
    growth: Moves = {}
    for _ in range(MOST_PASSES):
        graph, judgement = laws_of(moved(free, moves))
        if judgement.verdict == "maximal-update":
            return _rates(program, graph, moves)
        wrong = _init_step(judgement) or _readout_step(graph) or _over_step(judgement)
        if wrong and len(growth) > 1:  # together they were too much: only the first may grow
            growth = dict(list(growth.items())[:1])
            moves = _further(program, before, growth, sharing)
            continue
        step = _as_moves(graph, wrong or _growth_step(graph, judgement))
        if not step:
            return None
        growth = {} if wrong else step
        before, moves = moves, _further(program, moves, step, sharing)
    return None


def _freed(program: Program) -> Program:
    """The program with updates of the size that each `c` says."""
    rules = [FreeSpectral() if o.rule.spectral else Free() for o in program.optimizers]
    optimizers = [replace(o, rule=rule) for o, rule in zip(program.optimizers, rules, strict=True)]
    return replace(program, optimizers=tuple(optimizers), strict_epsilon=False)


def _as_moves(graph: Graph, sizes: Mapping[Exponent, Size]) -> Moves:
    """Sizes as moves of exponents; none where one is no power of its tensor's width."""
    moves = {key: _in_own_width(graph, key[0], size) for key, size in sizes.items()}
    return {} if None in moves.values() else {key: by for key, by in moves.items() if by}


def _further(program: Program, moves: Moves, step: Moves, sharing: Sharing) -> Moves:
    """The moves and a step of each tensor, also for those that move with it."""
    found: Moves = {}
    for (path, letter), by in step.items():
        for tensor in sharing(program.tensors[path], letter):
            found.setdefault((tensor.path, letter), by)
    return moves | {key: moves.get(key, Fraction(0)) + by for key, by in found.items()}


def _first_updates(program: Program) -> Moves:
    """What turns each `c` into the size of the tensor's first update."""
    graph = build_graph(program)
    start(graph)
    return _differences(program, graph, lambda parameter, entry: -entry - parameter.c)


def _rates(program: Program, graph: Graph, moves: Moves) -> Moves:
    """The moves, with each `c` as its own optimizer needs it for the update that was found."""
    rates = _differences(program, graph, lambda parameter, entry: entry + parameter.c)
    keys = dict.fromkeys([*moves, *rates])
    found = {key: moves.get(key, Fraction(0)) + rates.get(key, Fraction(0)) for key in keys}
    return {key: by for key, by in found.items() if by}


def _differences(program: Program, graph: Graph, of: Callable[[Parameter, Size], Size]) -> Moves:
    """Something of each trained tensor and of the entries of its update, as a move of its `c`."""
    found: dict[str, Size] = {}
    for parameter in graph.parameters:
        path = parameter.tensor.path
        if not parameter.tensor.frozen and not parameter.gamma.is_zero:
            rule = program.optimizers[parameter.tensor.optimizer].rule
            difference = of(parameter, rule.entry(parameter, parameter.gamma))
            found[path] = found.get(path, difference) | difference
    return _as_moves(graph, {(path, "c"): size for path, size in found.items()})


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
    """Whether its initial weights decide how much of a change of activations is read out."""
    x = node.inputs[0]
    is_data = not x.maps
    return node.reads_out and not x.s0.is_zero and not is_data and node.bc.is_bound


def _over_step(judgement: Judgement) -> dict[Exponent, Size]:
    """Tensors whose update is beyond its bound: c takes what is too much."""
    over = (t for t in judgement.tensors if t.slack is not None and t.status == "over")
    return {(law.path, "c"): -law.slack for law in over if law.slack is not None}


def _growth_step(graph: Graph, judgement: Judgement) -> dict[Exponent, Size]:
    """Tensors with slack, inputs before outputs: c takes it."""
    place = {id(node): index for index, node in enumerate(graph.nodes)}
    under = [t for t in judgement.tensors if t.slack is not None and t.status == "under"]
    under.sort(key=lambda law: place[id(law.node)])
    return {(law.path, "c"): -law.slack for law in under if law.slack is not None}


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
