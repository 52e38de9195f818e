"""What a model looks like, without values of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from abcparam.imports.factory import Example

LEVELS = 3  # of plain values inside values that a module holds
MOST_ITEMS = 200


def looks(example: Example) -> object:
    """Names, shapes and plain numbers of a model and its inputs."""
    modules = [(n, type(m).__qualname__, _held(m)) for n, m in example.model.named_modules()]
    tensors = [*example.model.named_parameters(), *example.model.named_buffers()]
    tensors = [(n, t) for n, t in tensors if not is_lazy(t)]
    inputs = tree_leaves((example.args, example.kwargs))
    return modules, [(n, tuple(t.shape)) for n, t in tensors], [_plain(x, LEVELS) for x in inputs]


def _held(module: nn.Module) -> object:
    """The plain values that a module holds, beside its parts."""
    inner = nn.Module().__dict__
    return [(n, _plain(v, LEVELS)) for n, v in vars(module).items() if n not in inner]


def _plain(value: Any, levels: int) -> object:
    """A value as far as it is made of numbers and text."""
    match value:
        case Tensor():
            return tuple(value.shape), value.dtype
        case bool() | int() | float() | str() | None:
            return value
        case _ if levels == 0 or callable(value) or isinstance(value, nn.Module):
            return type(value).__qualname__
        case tuple() | list():
            return [_plain(item, levels - 1) for item in value[:MOST_ITEMS]]
        case Mapping():
            items = list(value.items())[:MOST_ITEMS]
        case _:
            items = list(getattr(value, "__dict__", {}).items())[:MOST_ITEMS]
    return type(value).__qualname__, [(str(n), _plain(v, levels - 1)) for n, v in items]
