"""Models that denoise images: a transformer whose layers are modulated, and a U-Net."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD, CLASSES, PATCH = 16, 11, 4


class Times(nn.Module):
    """A time as waves, and a network of these."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        frequencies = torch.exp(-math.log(10_000) * torch.arange(16) / 16)
        angles = t[:, None].float() * frequencies
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class Modulation(nn.Sequential):
    """Shifts, scales and gates of a layer, zero at the start."""

    def __init__(self, width: int, count: int) -> None:
        last = nn.Linear(width, count * width)
        super().__init__(nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


class Layer(nn.Module):
    """Attention and a network, modulated by the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = Modulation(width, 6)

    def attention(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        parts = self.qkv(x).reshape(batch, count, 3, width // HEAD, HEAD)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(batch, count, width))

    def network(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).chunk(6, dim=1)
        x = x + gate1.unsqueeze(1) * self.attention(modulated(self.norm1(x), shift1, scale1))
        return x + gate2.unsqueeze(1) * self.network(modulated(self.norm2(x), shift2, scale2))


class DiT(nn.Module):
    """A diffusion transformer."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.positions = nn.Parameter(torch.randn(1, 16, width) * 0.02)
        self.times, self.classes = Times(width), nn.Embedding(CLASSES, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation, self.out = Modulation(width, 2), nn.Linear(width, 3 * PATCH**2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, image: Tensor, t: Tensor, classes: Tensor) -> Tensor:
        x = self.patches(image).flatten(2).transpose(1, 2) + self.positions
        condition = self.times(t) + self.classes(classes)
        for layer in self.layers:
            x = layer(x, condition)
        shift, scale = self.modulation(condition).chunk(2, dim=1)
        x = self.out(modulated(self.norm(x), shift, scale))
        x = x.reshape(len(image), 4, 4, PATCH, PATCH, 3)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(image.shape)


def dit(width: int, depth: int = 2) -> tuple[nn.Module, tuple[Tensor, ...]]:
    images, times = torch.randn(5, 3, 16, 16), torch.randint(1000, (5,))
    return DiT(width, depth), (images, times, torch.randint(CLASSES, (5,)))


class Residual(nn.Module):
    """Two convolutions beside a skip, shifted by the time."""

    def __init__(self, inputs: int, outputs: int, times: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(times, outputs)
        same = inputs == outputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv2(F.silu(self.norm2(y)))


class UNet(nn.Module):
    """Down and up again, with what was there on the way down."""

    def __init__(self, width: int) -> None:
        super().__init__()
        times = 4 * width
        self.time, self.first = nn.Linear(9, times), nn.Conv2d(3, width, 3, padding=1)
        self.down1, self.down2 = Residual(width, width, times), Residual(width, 2 * width, times)
        self.smaller = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.middle = Residual(2 * width, 2 * width, times)
        self.up2 = Residual(4 * width, 2 * width, times)
        self.larger = nn.Conv2d(2 * width, width, 3, padding=1)
        self.up1 = Residual(2 * width, width, times)
        self.finer = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.norm, self.out = nn.GroupNorm(8, width), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, image: Tensor, t: Tensor) -> Tensor:
        time, x = self.time(t), self.first(image)
        first = self.down1(x, time)
        second = self.down2(self.smaller(first), time)
        x = self.up2(torch.cat([self.middle(second, time), second], dim=1), time)
        x = self.larger(F.interpolate(x, scale_factor=2, mode="nearest"))
        x = self.finer(self.up1(torch.cat([x, first], dim=1), time))
        return self.out(F.silu(self.norm(x)))


def unet(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
    return UNet(width), (torch.randn(5, 3, 8, 8), torch.randn(5, 9))
