"""A GPT in the style of small training repositories: packed attention, a tied readout."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn as nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.heads = heads
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, context, width = x.size()
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        q = q.view(batch, context, self.heads, width // self.heads).transpose(1, 2)
        k = k.view(batch, context, self.heads, width // self.heads).transpose(1, 2)
        v = v.view(batch, context, self.heads, width // self.heads).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).contiguous().view(batch, context, width)
        return self.c_proj(y)


class MLP(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = MLP(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        x = x + self.mlp(self.ln_2(x))
        return x


class GPT(nn.Module):
    def __init__(self, vocab: int, width: int, heads: int, depth: int, context: int = 64) -> None:
        super().__init__()
        parts: dict[str, Any] = {
            "wte": nn.Embedding(vocab, width),
            "wpe": nn.Embedding(context, width),
            "h": nn.ModuleList([Block(width, heads) for _ in range(depth)]),
            "ln_f": nn.LayerNorm(width),
        }
        self.transformer: Any = nn.ModuleDict(parts)
        self.lm_head: Any = nn.Linear(width, vocab, bias=False)
        parts["wte"].weight = self.lm_head.weight
        self.apply(self.start)
        for name, p in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * depth))

    def start(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.transformer.wte(tokens) + self.transformer.wpe(positions)
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


def make(width: int = 64, head: int = 16, depth: int = 2, vocab: int = 65):
    """Heads of one size, more of them as the width grows."""
    return GPT(vocab, width, width // head, depth), (torch.randint(vocab, (5, 7)),)


def few_heads(width: int = 64):
    """Four heads, larger ones as the width grows."""
    return GPT(65, width, 4, 2), (torch.randint(65, (5, 7)),)
