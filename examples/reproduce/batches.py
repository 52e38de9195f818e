"""Batches for the recipes: masked words and next sentences for BERT, images for ResNet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from abcparam.data.synthetic import TASK, Grammar
from examples.train_images import FOLDERS, Split, fashion_mnist

Batch = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]  # inputs, targets

START, END, MASK, WORDS = 0, 1, 2, 3  # the first tokens; from 3 on they are words
HIDDEN = 0.15  # of the words of a text, those that are to be predicted
MASKED, OTHER = 0.8, 0.9  # of these are masked, the next tenth become another word
IGNORED = -100  # what cross_entropy leaves out
KEPT = 2000  # images, at most


def masked(config: Any, size: int, seed: int) -> Iterator[Batch]:
    """Two sentences of a random grammar, the second one a continuation of the first or of another:
    some of the words are hidden and to be predicted. As for BERT, on fresh texts.
    """
    grammar = Grammar(config.vocab - WORDS, torch.Generator().manual_seed(TASK))
    draw = torch.Generator().manual_seed(1_000_003 + seed)
    half = config.context // 2 - 1
    while True:
        words = grammar.text(size, 2 * half, draw) + WORDS
        follows = torch.randint(2, (size,), generator=draw)
        others = words.roll(1, 0)[:, half:]
        second = torch.where(follows[:, None] == 1, words[:, half:], others)
        tokens = torch.full((size, config.context), END)
        tokens[:, 0] = START
        tokens[:, 1 : half + 1], tokens[:, half + 2 : 2 * half + 2] = words[:, :half], second
        segments = (torch.arange(config.context) > half + 1).long().expand(size, -1)
        seen, targets = hidden(tokens, config.vocab, draw)
        yield (seen, segments, torch.ones_like(tokens)), (targets, follows)


def hidden(tokens: Tensor, vocab: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the model sees, and the words that it is asked for: as many in each text."""
    count = max(1, round(HIDDEN * int((tokens[0] >= WORDS).sum())))
    order = torch.rand(tokens.shape, generator=draw).where(tokens >= WORDS, torch.tensor(-1.0))
    places = order.topk(count).indices
    asked = tokens.gather(1, places)
    fate = torch.rand(asked.shape, generator=draw)
    others = torch.randint(WORDS, vocab, asked.shape, generator=draw)
    shown = torch.where(fate < MASKED, MASK, torch.where(fate < OTHER, others, asked))
    targets = torch.full_like(tokens, IGNORED).scatter(1, places, asked)
    return tokens.scatter(1, places, shown), targets


@cache
def images() -> tuple[Split, Split] | None:
    """Fashion-MNIST, [images, 1, 28, 28] with mean 0 and deviation 1, where it is installed."""
    found = next(filter(None, map(fashion_mnist, FOLDERS)), None)
    if found is None:
        return None
    pixels = found[0][0].float()
    shift, scale = pixels.mean(), pixels.std()
    train, test = (((x.float()[:, None] - shift) / scale, y.long()) for x, y in found)
    return train, test


def fashion(config: Any, size: int, seed: int) -> Iterator[Batch]:
    """Fashion-MNIST in epochs, each in another order, at the size of the model's images."""
    pixels, labels = _part(held_out=False)
    draw = torch.Generator().manual_seed(seed)
    while True:
        for chosen in torch.randperm(len(labels), generator=draw).split(size):
            yield (_sized(pixels[chosen], config),), (labels[chosen],)


def fashion_held_out(config: Any, size: int) -> Iterator[Batch]:
    """The first of the images that are held out."""
    pixels, labels = _part(held_out=True)
    for part in torch.arange(KEPT).split(size):
        yield (_sized(pixels[part], config),), (labels[part],)


def _part(*, held_out: bool) -> Split:
    found = images()
    assert found is not None, "Fashion-MNIST is not installed"
    return found[held_out]


def _sized(pixels: Tensor, config: Any) -> Tensor:
    return F.adaptive_avg_pool2d(pixels, (config.rows, config.columns))
