"""A task that can be learned and that every model can be given: what tuning uses by default.

A language model reads texts of a random grammar in which a token has four successors, whose
chances depend on the token before it. Every other model imitates a teacher: a fixed network of one
hidden layer, of 32 tanh units, at random. Both depend on the shapes of inputs and outputs alone,
not on the width, the parametrization or the seed; batches are fresh, so a loss is one on data never
seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from abcparam.data.batch import Batch, lengths, output_shapes, values_of
from abcparam.data.losses import of_numbers
from abcparam.data.random import random_inputs
from abcparam.program.model import Program

TASK, HIDDEN, SUCCESSORS = 3_000_003, 32, 4
CHANCES = ((0.6, 0.2, 0.1, 0.1), (0.1, 0.1, 0.2, 0.6))  # after an even, an odd token before


class Synthetic:
    """The default of `sweep` and `transfer`."""

    name = "a synthetic task (a random grammar, or a random teacher)"
    identity = "synthetic"

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        task = Task(program, config)
        count = 0
        while True:
            count += 1
            yield task.batch(size, 1_000_003 + seed, count)

    def held_out(self, program: Program, config: Any, size: int) -> None:
        """Batches are fresh: their losses are those on data never seen."""


class Grammar:
    """Which four tokens may follow each; the first tokens are the frequent ones."""

    def __init__(self, tokens: int, draw: torch.Generator) -> None:
        self.tokens = tokens
        self.successors = (tokens * torch.rand(tokens, SUCCESSORS, generator=draw) ** 3).long()

    def text(self, size: int, length: int, draw: torch.Generator) -> Tensor:
        """Texts at random, [size, length]."""
        text = torch.randint(self.tokens, (size, length + 1), generator=draw)
        ends = torch.tensor(CHANCES).cumsum(-1)
        dice = torch.rand(size, length + 1, generator=draw)
        for place in range(2, length + 1):
            chosen = (dice[:, place, None] > ends[text[:, place - 2] % 2]).sum(-1)
            choice = chosen.clamp(max=SUCCESSORS - 1)
            text[:, place] = self.successors[text[:, place - 1], choice]
        return text[:, 1:]


class Task:
    """The grammar or the teacher of one model's shapes."""

    def __init__(self, program: Program, config: Any) -> None:
        self.program, self.config = program, config
        self.values = values_of(program, config)
        self.outputs = output_shapes(program, self.values)
        self.draw = torch.Generator().manual_seed(TASK)

    def batch(self, size: int, seed: int, count: int) -> Batch:
        number = seed * 1_000_003 + count
        if self.is_language:
            return self.text(size, torch.Generator().manual_seed(number))
        inputs = random_inputs(self.program, self.config, size, number)
        targets = [self.taught(term, inputs) for term in range(len(self.program.losses))]
        return Batch(inputs, tuple(targets))

    # A language model

    @cached_property
    def is_language(self) -> bool:
        """One sequence of tokens in, a score for each token at each position out."""
        program = self.program
        index = program.inputs[0].index if len(program.inputs) == 1 else None
        if index is None:
            return False
        axes = tuple(axis.value for axis in program.inputs[0].axes)
        shape = lengths((*axes, index.value), self.values)
        terms = [(loss.kind, self.outputs[loss.output]) for loss in program.losses]
        return len(shape) == 2 and all(term == ("cross_entropy", shape) for term in terms)

    @cached_property
    def grammar(self) -> Grammar:
        return Grammar(self.outputs[0][-1], self.draw)

    def text(self, size: int, draw: torch.Generator) -> Batch:
        text = self.grammar.text(size, self.outputs[0][0] + 1, draw)
        return Batch((text[:, :-1],), (text[:, 1:],) * len(self.program.losses))

    # A teacher

    def taught(self, term: int, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the teacher says of a batch, for one term of the loss."""
        loss = self.program.losses[term]
        shape = self.outputs[loss.output]
        positions = shape[:-1] if shape[:-1] and self._positions(shape[:-1], inputs) else ()
        features = [self.features(n, x, positions) for n, x in enumerate(inputs)]
        seen = torch.stack(features).sum(0)
        rest = shape[len(positions) :]
        out = self.drawn(("out", term), HIDDEN, torch.Size(rest).numel())
        said = torch.matmul(torch.tanh(2 * seen), out).unflatten(-1, rest or (1,))
        if loss.kind == "cross_entropy":
            return torch.argmax(said, -1)
        said = of_numbers(loss.kind, said)
        return said if rest else torch.squeeze(said, -1)

    def _positions(self, lead: tuple[int, ...], inputs: tuple[Tensor, ...]) -> bool:
        """Whether every input has something at each position of an output."""
        return all(tuple(x.shape[1 : 1 + len(lead)]) == lead for x in inputs)

    def features(self, number: int, x: Tensor, positions: tuple[int, ...]) -> Tensor:
        """[batch, *positions, 32] of an input."""
        index = self.program.inputs[number].index
        if index is None:
            flat = x.flatten(1 + len(positions)) if x.ndim > 1 + len(positions) else x[..., None]
            return torch.matmul(flat, self.drawn(("in", number), flat.shape[-1], HIDDEN))
        (classes,) = lengths((index.value,), self.values)
        table = self.drawn(("table", number), classes, HIDDEN) * classes**0.5
        found: Tensor = table[x]
        while found.ndim > 2 + len(positions):
            found = found.mean(1 + len(positions)) * x.shape[1] ** 0.5
        return found

    def drawn(self, key: tuple[str, int], rows: int, columns: int) -> Tensor:
        """A matrix of the teacher's, the same each time."""
        made: dict[Any, Tensor] = self.__dict__.setdefault("made", {})
        if key not in made:
            matrix = torch.randn(rows, columns, generator=self.draw, dtype=torch.float64)
            made[key] = matrix / rows**0.5
        return made[key]
