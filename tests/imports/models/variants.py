"""Language models with what people change in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

VOCABULARY, HEAD, CONTEXT = 53, 16, 7


class Windowed(nn.Module):
    """Attention of normalized queries and keys to what is near, with a learned temperature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.temperature = nn.Parameter(torch.full((width // HEAD, 1, 1), 8.0))

    def forward(self, x: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, count, width = x.shape
        parts = self.qkv(x).view(batch, count, width // HEAD, 3, HEAD)
        q, k, v = parts.transpose(1, 2).unbind(3)
        scores = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        scores = 30 * torch.tanh(scores * self.temperature / 30)
        near = torch.ones(count, count, dtype=torch.bool, device=x.device).tril().triu(-3)
        weights = scores.masked_fill(~near, float("-inf")).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, count, width)), v


class ByHeads(nn.Module):
    """Attention with a tensor for each of its maps, by einsum; a residual of values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        shape, std = (width // HEAD, HEAD, width), width**-0.5
        self.q, self.k, self.v, self.out = (
            nn.Parameter(torch.randn(*shape) * std) for _ in range(4)
        )
        self.mix = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        q, k, v = (torch.einsum("btn,hdn->bhtd", x, w) for w in (self.q, self.k, self.v))
        if first is not None:
            v = (1 - self.mix) * v + self.mix * first
        weights = (torch.einsum("bhqd,bhkd->bhqk", q, k) / HEAD**0.5).softmax(-1)
        y = torch.einsum("bhqk,bhkd->bhqd", weights, v)
        return torch.einsum("bhtd,hdn->btn", y, self.out), v


class Grouped(nn.Module):
    """Attention with half as many heads of keys and values, all in one map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 2 * width, bias=False), nn.Linear(width, width)

    def forward(self, x: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
        batch, count, width = x.shape
        q, k, v = self.qkv(x).split([width, width // 2, width // 2], dim=-1)
        q, k, v = (y.view(batch, count, -1, HEAD).transpose(1, 2) for y in (q, k, v))
        k, v = (y.repeat_interleave(2, dim=1) for y in (k, v))
        y = F.scaled_dot_product_attention(F.rms_norm(q, (HEAD,)), F.rms_norm(k, (HEAD,)), v)
        return self.proj(y.transpose(1, 2).reshape(batch, count, width)), v


class Squared(nn.Module):
    """A network with squares of relu, scaled coordinate by coordinate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.down(F.relu(self.up(x)).square())


class Variant(nn.Module):
    """A language model with one kind of attention."""

    def __init__(self, attention: type[nn.Module], width: int, depth: int) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, width)
        self.attentions = nn.ModuleList(attention(width) for _ in range(depth))
        self.networks = nn.ModuleList(Squared(width) for _ in range(depth))
        self.skips = nn.Parameter(torch.ones(depth))
        self.out = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = start = self.table(tokens)
        first: Tensor | None = None
        for index, (attention, network) in enumerate(
            zip(self.attentions, self.networks, strict=True)
        ):
            x = self.skips[index] * x + 0.1 * start
            y, values = attention(F.rms_norm(x, x.shape[-1:]), first)
            first = values if first is None else first
            x = x + y
            x = x + network(F.rms_norm(x, x.shape[-1:]))
        return 15 * torch.tanh(self.out(F.rms_norm(x, x.shape[-1:])) / 15)


def tokens() -> tuple[Tensor]:
    return (torch.randint(VOCABULARY, (5, CONTEXT)),)


def windowed(width: int, depth: int = 2) -> tuple[nn.Module, tuple[Tensor]]:
    return Variant(Windowed, width, depth), tokens()


def by_heads(width: int, depth: int = 2) -> tuple[nn.Module, tuple[Tensor]]:
    return Variant(ByHeads, width, depth), tokens()


def grouped(width: int, depth: int = 2) -> tuple[nn.Module, tuple[Tensor]]:
    return Variant(Grouped, width, depth), tokens()
