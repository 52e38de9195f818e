"""Attention of trials that are trained together.

`vmap` has no rule for PyTorch's fused kernel on a CPU, to which a trial is only another example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


@contextmanager
def decomposed() -> Iterator[None]:
    """What fused attention is made of has a rule for everything."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


class Attending(TorchFunctionMode):
    """While it is on, a model's attention has a rule for `vmap`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        settings = dict(kwargs or {})
        if func is not F.scaled_dot_product_attention:
            return func(*args, **settings)
        mask = settings.pop("attn_mask", None)
        return _Attention.apply(*args, mask, settings)  # type: ignore[no-untyped-call]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, settings: dict[str, Any]
    ) -> Tensor:
        raise NotImplementedError("only under vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Autograd sees what `vmap` does, not this function."""

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[Any], *given: Any) -> tuple[Tensor, int]:
        *tensors, mask, settings = given
        attention = partial(F.scaled_dot_product_attention, **settings)
        axes = in_dims[: len(tensors)]
        each = [
            _in_front(tensor, axis, info.batch_size)
            for tensor, axis in zip(tensors, axes, strict=True)
        ]
        if mask is None and _are_examples(each):
            flat = attention(*(tensor.flatten(0, 1) for tensor in each))
            return flat.unflatten(0, (info.batch_size, -1)), 0
        with decomposed():
            return vmap(attention, (0, 0, 0, in_dims[len(tensors)]))(*each, mask), 0


def _in_front(tensor: Tensor, axis: int | None, trials: int) -> Tensor:
    if axis is None:
        return tensor.expand(trials, *tensor.shape)
    return tensor.movedim(axis, 0)


def _are_examples(each: Sequence[Tensor]) -> bool:
    """Whether the second axis is that of the examples: [trials, examples, …, heads, ·, ·]."""
    ranks = {tensor.ndim for tensor in each}
    return len(ranks) == 1 and min(ranks) > 4 and len({len(tensor[0]) for tensor in each}) == 1
