"""Models whose weights are memory that was asked for and not written: large ones cost shapes alone.

What lies outside of parameters (buffers, inputs) is as the factory makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from abcparam.imports.writes import RESHAPED, address_of

SMALL = 2**10  # entries of a parameter that is written
MADE = ("zeros", "ones", "empty", "full", "rand", "randn", "randint", "empty_strided")
MADE_OF_SHAPES = frozenset(  # what operations give that look at no entries, by their names
    name for kind in MADE for name in (kind, f"new_{kind}", f"{kind}_like")
)


class EmptyWeights(TorchDispatchMode):
    """While it is entered, nothing is written to parameters, from when modules register them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[int, StorageWeakRef] = {}  # no other storage takes their place meanwhile

    def register(self, module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        """Takes note of a parameter that a module registers."""
        if not isinstance(parameter, Tensor) or is_lazy(parameter):
            return
        if parameter.layout is torch.strided and parameter.numel() >= SMALL:
            self.held[address_of(parameter)] = StorageWeakRef(parameter.untyped_storage())

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self.held and _writes_first(func) and address_of(args[0]) in self.held:
            return args[0]
        return func(*args, **(kwargs or {}))


def _writes_first(func: Any) -> bool:
    """Whether an operation changes the entries of its first argument."""
    schema = func._schema
    name = str(schema.name).partition("::")[2]
    alias = schema.arguments[0].alias_info if schema.arguments else None
    if alias is None or not alias.is_write or name in (*RESHAPED, "resize_"):
        return False
    return str(schema.arguments[0].type.kind()) == "TensorType"


@contextmanager
def empty_weights() -> Iterator[None]:
    """Models made meanwhile have weights without values, but for the smallest."""
    mode = EmptyWeights()
    hook = register_module_parameter_registration_hook(mode.register)
    try:
        with mode:
            yield
    finally:
        hook.remove()


class ValueReads(TorchDispatchMode):
    """While it is entered, sees whether values of a model's weights are used: they have none."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        held: Iterable[tuple[str, Tensor]] = model.named_parameters()
        large = ((n, p) for n, p in held if not is_lazy(p) and p.numel() >= SMALL)
        self.names = {address_of(p): name for name, p in large}
        self.read: str | None = None  # the first parameter whose values were

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if self.read is None and _reads(func):
            tensors = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
            held = {address_of(x) for x in tensors if x.layout is torch.strided}
            self.read = next((self.names[x] for x in held if x in self.names), None)
        return func(*args, **(kwargs or {}))


def _reads(func: Any) -> bool:
    """Whether an operation looks at entries: it gives no view and nothing made of shapes."""
    is_view = any(given.alias_info is not None for given in func._schema.returns)
    return not is_view and str(func._schema.name).partition("::")[2] not in MADE_OF_SHAPES
