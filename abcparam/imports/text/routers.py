"""The rule by which a router chooses and weighs experts, told by the numbers that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import torch
from torch import Tensor

from abcparam.algebra.record import NamedTuple

CLOSE = 1e-4  # of weights to those of a rule


class SentRows(NamedTuple):
    """To which expert each row goes, and of which token it is."""

    tokens: tuple[int, ...]
    experts: tuple[int, ...]

    def weights(self, of: Tensor) -> Tensor:
        """Of each row, an entry of a matrix of tokens and experts."""
        return of[list(self.tokens), list(self.experts)]

    def chosen(self, shape: Sequence[int]) -> Tensor | None:
        """Which experts each token goes to; None unless all go to as many different ones."""
        found = torch.zeros(*shape, dtype=torch.long)
        places = torch.tensor(self.tokens), torch.tensor(self.experts)
        found.index_put_(places, torch.ones(len(self.tokens), dtype=torch.long), accumulate=True)
        top = found.sum(-1)
        is_one = bool((found <= 1).all()) and bool((top == top[0]).all())
        return found.bool() if is_one else None


class ExpertGroups(NamedTuple):
    """Experts are those of the best groups: those whose best scores have the largest sum."""

    groups: int = 1
    top_groups: int = 1
    group_top: int = 2


class RouterRule(NamedTuple):
    """How experts are chosen and weighed. `scaled` says whether weights have the factor given.

    `bias` is the name of what is added to scores for the choice.
    """

    top: int
    sigmoid: bool
    normalize: bool
    scaled: bool
    groups: ExpertGroups = ExpertGroups()
    bias: str | None = None


def rule_of(
    logits: Tensor, rows: SentRows, weights: Tensor, factor: float, biases: Mapping[str, Tensor]
) -> RouterRule | None:
    """The rule that gives these weights of rows, times a factor or without it."""
    chosen = rows.chosen(logits.shape)
    if chosen is None:
        return None
    top = int(chosen[0].sum())
    for sigmoid, scores in ((False, logits.softmax(-1)), (True, logits.sigmoid())):
        total = (scores * chosen).sum(-1, keepdim=True)
        for normalize, wanted in ((True, scores / total), (False, scores)):
            found = weights.flatten() / rows.weights(wanted)
            fits = [t for t in (factor, 1.0) if bool((found / t - 1).abs().max() < CLOSE)]
            choice = _choice(scores, chosen, biases) if fits else None
            if choice is not None:
                return RouterRule(top, sigmoid, normalize, fits[0] == factor, *choice)
    return None


def _choice(
    scores: Tensor, chosen: Tensor, biases: Mapping[str, Tensor]
) -> tuple[ExpertGroups, str | None] | None:
    """The plainest way to choose these experts by their scores."""
    top, experts = int(chosen[0].sum()), scores.shape[-1]
    ways = product([*_groupings(experts, top)], [None, *biases])
    for groups, bias in sorted(ways, key=lambda way: (way[0].groups, way[1] is not None)):
        ranked = scores if bias is None else scores + biases[bias]
        best = _within(ranked, groups).topk(top).indices
        if bool((torch.zeros_like(chosen).scatter(-1, best, True) == chosen).all()):
            return groups, bias
    return None


def _groupings(experts: int, top: int) -> Iterator[ExpertGroups]:
    yield ExpertGroups()
    for groups in (n for n in range(2, experts + 1) if experts % n == 0):
        each = experts // groups
        for kept in range(-(-top // each), groups):
            for best in (n for n in (2, 1) if n <= each):
                yield ExpertGroups(groups, kept, best)


def _within(ranked: Tensor, groups: ExpertGroups) -> Tensor:
    """Scores of which those outside of the best groups do not count."""
    if groups.groups == 1:
        return ranked
    each: Tensor = ranked.unflatten(-1, (groups.groups, -1))
    best = each.topk(groups.group_top).values.sum(-1).topk(groups.top_groups).indices
    closed = torch.ones(each.shape[:-1], dtype=torch.bool).scatter(-1, best, False)
    return each.masked_fill(closed[..., None], -torch.inf).reshape(ranked.shape)
