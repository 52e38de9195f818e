"""What a model is called with, and the numbers that it computes from nothing: their values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export.graph_signature import InputKind
from torch.fx import Node

from abcparam.algebra.record import NamedTuple
from abcparam.imports.capture import place
from abcparam.imports.exported import Exported, Observer

FEW = 3  # calls between an input and what is made of it
MOVES = tuple(
    (
        "to. _to_copy view. reshape. unsqueeze. squeeze. contiguous. flatten. type_as. alias. "
        "clone. slice. detach"
    ).split()
)
MOST_THETA = 40.0  # its logarithm
FAR_AWAY = (128, 64, 256, 32)  # the longest distances that are tried, where none is said
SMALL = 1e-4  # beside the largest entry


class KeptBand(NamedTuple):
    """What a mask of queries and keys keeps: all, what is not behind, what is near."""

    causal: bool = False
    window: int = 0  # a key is kept that is less than that far away; 0: any


class DistanceRanges(NamedTuple):
    """How places far from each other fall into ranges: T5's buckets."""

    longest: int
    causal: bool


class Turn(NamedTuple):
    """A rotation by positions, of halves or of neighbours, which may stay where they are."""

    theta: float
    interleaved: bool
    in_place: bool


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


class ModelValues:
    """The values of all nodes of a traced model, of its example."""

    def __init__(self, exported: Exported) -> None:
        self.module = exported.example.model
        self.nodes: dict[str, Node] = {n.name: n for n in exported.module.graph.nodes}
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            self.values: dict[str, Any] = Observer(exported, _Everything()).values()
        specs = exported.program.graph_signature.input_specs
        placeholders = [n for n in exported.module.graph.nodes if n.op == "placeholder"]
        given = [
            node.name
            for node, spec in zip(placeholders, specs, strict=True)
            if spec.kind is InputKind.USER_INPUT
        ]
        self.leaves: dict[str, int] = {name: leaf for leaf, name in enumerate(given)}
        self.buffers: dict[str, str] = {
            spec.arg.name: str(spec.target) for spec in specs if spec.kind is InputKind.BUFFER
        }

    def tensor(self, node: str) -> Tensor | None:
        found = self.values.get(node)
        return found if isinstance(found, Tensor) else None

    def leaf_of(self, node: str) -> int | None:
        """The input that a value is, but for views and casts."""
        found: Node | None = self.nodes.get(node)
        while found is not None and found.name not in self.leaves:
            name = str(found.target).removeprefix("aten.")
            if found.op != "call_function" or not name.startswith(MOVES):
                return None
            first = found.args[0] if found.args else None
            found = first if isinstance(first, Node) else None
        if found is None or not self._same(found.name, node):
            return None
        return self.leaves[found.name]

    def inputs_of(self, node: str) -> list[int]:
        """The inputs that a value is computed from."""
        return sorted(self.leaves[n.name] for n in self._behind(node) if n.name in self.leaves)

    def buffers_behind(self, node: str, length: int) -> dict[str, Tensor]:
        """The buffers of so many numbers that a value is computed from, by the model's names."""
        names = [n.name for n in self._behind(node) if n.name in self.buffers]
        held = {self.buffers[name]: self.tensor(name) for name in names}
        return {
            name: value.double()
            for name, value in held.items()
            if value is not None and value.shape == (length,) and value.is_floating_point()
        }

    def _behind(self, node: str) -> set[Node]:
        """All that a value is computed from."""
        seen, waiting = set[Node](), [self.nodes.get(node)]
        while waiting:
            this = waiting.pop()
            if this is not None and this not in seen:
                seen.add(this)
                waiting += this.all_input_nodes
        return seen

    def leaf_named(self, node: str) -> int:
        """A number for what is computed from inputs, behind those of inputs."""
        return len(self.leaves) + list(self.nodes).index(node)

    def made_by(self, node: str) -> str:
        """What a value may be called by the call that computes it: `features`, `argmax`."""
        name = str(self.nodes[node].target).removeprefix("aten.").partition(".")[0].strip("_")
        return "features" if name in {"cat", "stack", "to"} else name

    def line_of(self, node: str) -> str:
        """The file and line that compute a value."""
        span = place(self.nodes[node])
        return f"{Path(span.file).name}:{span.line}"

    def _same(self, node: str, other: str) -> bool:
        x, y = self.tensor(node), self.tensor(other)
        if x is None or y is None or x.numel() != y.numel():
            return False
        return bool((x.flatten().double() == y.flatten().double()).all())

    def leaf_shape(self, leaf: int) -> tuple[int, ...]:
        found = self.tensor(self.leaf_name(leaf))
        assert found is not None
        return tuple(found.shape)

    def is_whole(self, leaf: int) -> bool:
        """Whether an input holds whole numbers."""
        found = self.tensor(self.leaf_name(leaf))
        return found is not None and not found.is_floating_point()

    def leaf_name(self, leaf: int) -> str:
        return next(name for name, index in self.leaves.items() if index == leaf)

    def counts(self, node: str) -> bool:
        """Whether whole numbers are 0, 1, 2, … along the last axis, the same along the others."""
        found = self.tensor(node)
        if found is None or not found.dim():
            return False
        return bool((found == torch.arange(found.shape[-1])).all())

    def constant(self, node: str) -> int | None:
        """The whole number that all entries are."""
        found = self.tensor(node)
        if found is None or not found.numel() or found.is_floating_point():
            return None
        first = int(found.flatten()[0])
        return first if bool((found == first).all()) else None

    def keeps(self, node: str, hides: bool = False) -> KeptBand | None:
        """What a mask keeps; None where that is neither all nor a band.

        It is one of truths, which say what is hidden where it `hides`, or one that is added.
        """
        found = self.tensor(node)
        if found is None or found.dim() < 2:
            return None
        if found.dtype is torch.bool:
            kept = ~found if hides else found
        elif found.is_floating_point():
            kept = found > -1e4
            if bool((found[kept].abs() > SMALL).any()):
                return None
        else:
            return None
        if bool(kept.all()):
            return KeptBand()
        rows, columns = kept.shape[-2:]
        return _band(kept) if rows == columns else None

    def whole_numbers(self, module: str, word: str) -> list[int]:
        """The whole numbers that a module holds under names with this word."""
        held = vars(self.module.get_submodule(module)).items()
        return [n for name, n in held if word in name and type(n) is int]

    def distances(self, node: str, count: int, longest: list[int]) -> DistanceRanges | None:
        """The ranges that whole numbers of queries and keys are; None where they are none."""
        found = self.tensor(node)
        if found is None or found.dim() != 2 or found.shape[0] != found.shape[1]:
            return None
        for far in dict.fromkeys((*longest, *FAR_AWAY)):
            for causal in (False, True):
                if bool((found == _ranges(found.shape[0], count, far, causal)).all()):
                    return DistanceRanges(far, causal)
        return None

    def turning(self, start: tuple[str, int], end: str, place: int) -> Turn | None:
        """The rotation by positions that leads from a result of a node to another value.

        Positions are along the axis `place`, halves of vectors along the last one. None where it
        is no such rotation.
        """
        node, result = start
        held, y = self.values.get(node), self.tensor(end)
        x = held[result] if isinstance(held, tuple | list) else held
        if not isinstance(x, Tensor) or y is None or x.shape != y.shape or x.shape[-1] % 2:
            return None
        pairs, ends = _halves(x), _halves(y)
        for one, other, interleaved, in_place in (
            (x, y, False, False),
            (pairs, y, True, False),
            (pairs, ends, True, True),
        ):
            theta = _turning(one, other, place)
            if theta is not None:
                return Turn(theta, interleaved, in_place)
        return None


def _halves(x: Tensor) -> Tensor:
    """Vectors of neighbours, the first of each and then the second."""
    return torch.cat([x[..., ::2], x[..., 1::2]], -1)


def _turning(x: Tensor, y: Tensor, place: int) -> float | None:
    """The `theta` of the rotation of halves that leads from one value to another."""
    if x.shape[place] < 2:
        return None
    x, y = (z.detach().double().movedim(place, -2) for z in (x, y))
    half = x.shape[-1] // 2
    one, other = (torch.complex(z[..., :half], z[..., half:]) for z in (x, y))
    angles = (other / one)[..., 1, :].reshape(-1, half)[0].angle()
    if half < 2:
        theta = 10000.0
    else:
        power = -half * math.log(max(float(angles[1]), SMALL**4))
        theta = float(f"{math.exp(power):.3g}") if 0 < power < MOST_THETA else 1.0
    steps = torch.arange(half, dtype=torch.float64) / half
    places = torch.arange(x.shape[-2], dtype=torch.float64)
    turned = one * torch.polar(torch.ones(()).double(), places[:, None] / theta**steps)
    close = (turned - other).abs().max() <= SMALL * other.abs().max()
    return theta if bool(close) else None


def _ranges(length: int, count: int, longest: int, causal: bool) -> Tensor:
    """T5's bucket of each distance, as `relative_bias` has it."""
    place = torch.arange(length)
    distance = place[:, None] - place
    away = distance.clamp(min=0) if causal else distance.abs()
    half = count if causal else count // 2
    exact = half // 2
    if exact < 1 or longest <= exact:
        return torch.full((length, length), -1)
    ratio = (away.clamp(min=1) / exact).log() / math.log(longest / exact)
    far = (exact + (ratio * (half - exact)).long()).clamp(max=half - 1)
    bucket = torch.where(away < exact, away, far)
    return bucket if causal else bucket + half * (distance < 0)


def _band(kept: Tensor) -> KeptBand | None:
    """The causal mask or the window that a square of truths is."""
    count = kept.shape[-1]
    first = kept.reshape(-1, count, count)[0]
    window = int(first[:, 0].sum())
    causal = not bool(first.triu(1).any())
    near = torch.ones(count, count, dtype=torch.bool).tril(0 if causal else window - 1)
    is_band = window and bool((kept == near.triu(1 - window)).all())
    return KeptBand(causal, window if window < count else 0) if is_band else None
