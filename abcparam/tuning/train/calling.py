"""How a user's model is called with batches: in place of the example that its factory gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from abcparam.algebra.record import Record
from abcparam.imports.factory import Example
from abcparam.imports.writes import address_of

Raised = Callable[[Exception, Sequence[Tensor]], Exception]  # what is told of an error on a batch


class InputPlace(Record):
    """An input with an entry of its first axis for each example, among all that is given.

    `classes` are the rows of the table that a whole number is looked up in. What is neither a real
    number nor looked up, such as a mask, is not `drawn`: it stays as the factory made it.
    """

    index: int
    shape: tuple[int, ...]  # of an example
    drawn: bool
    classes: int | None


class Calling(Record):
    """What a model takes and gives; `output` is an index among all that it returns.

    `shape` is that of the output for one example, `()` where it `is_loss`: the loss itself.
    """

    inputs: tuple[InputPlace, ...]
    output: int
    shape: tuple[int, ...]
    is_loss: bool

    @property
    def drawn(self) -> tuple[InputPlace, ...]:
        return tuple(place for place in self.inputs if place.drawn)


def calling_of(example: Example, output: str | None, label: str) -> Calling | None:
    """How a model is called; None where its first axes are no examples.

    `output` is the name of the output that counts, if one is given; `label` the one that was read.
    """
    leaves = leaves_of(example)
    indices = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.dim()]
    if not indices:
        return None
    count = len(leaves[indices[0]])
    batched = [i for i in indices if len(leaves[i]) == count]
    lookups = Lookups({i: leaves[i] for i in batched})
    with torch.no_grad(), lookups:
        returned = example.model(*example.args, **example.kwargs)
    inputs = tuple(_place(i, leaves[i], lookups.rows) for i in batched)
    index, value = _output(returned, output, label)
    if not value.dim():
        return Calling(inputs, index, (), True)
    if len(value) % count:
        return None
    positions = (len(value) // count,) if len(value) > count else ()
    return Calling(inputs, index, (*positions, *value.shape[1:]), False)


def leaves_of(example: Example) -> list[Any]:
    """All that a model is called with, one by one."""
    return _pytree.tree_leaves((tuple(example.args), dict(example.kwargs)))


def _place(index: int, value: Tensor, rows: Mapping[int, int]) -> InputPlace:
    classes = rows.get(index)
    drawn = value.is_floating_point() or classes is not None
    return InputPlace(index, tuple(value.shape[1:]), drawn, classes)


def _output(returned: Any, output: str | None, label: str) -> tuple[int, Tensor]:
    """The output that counts: a loss if there is one, unless another is named."""
    paths, _ = _pytree.tree_flatten_with_path(returned)
    names = [_pytree.keystr(path).strip("[].'\"") or "output" for path, _ in paths]
    values = {
        name: (i, value)
        for i, (name, (_, value)) in enumerate(zip(names, paths, strict=True))
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    if output in values:
        return values[output]
    losses = (found for found in values.values() if not found[1].dim())
    chosen = values.get(label.removeprefix("output "))
    return next(losses, None) or chosen or next(iter(values.values()))


class Lookups(TorchFunctionMode):
    """Sees in tables of how many `rows` inputs are looked up."""

    def __init__(self, inputs: Mapping[int, Tensor]) -> None:
        super().__init__()
        whole = {i: x for i, x in inputs.items() if not x.is_floating_point()}
        self.inputs = {address_of(x): i for i, x in whole.items() if x.dtype != torch.bool}
        self.rows: dict[int, int] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        match getattr(func, "__name__", ""), args:
            case "embedding", [a, b, *_]:
                indices, table = (a, b) if func is F.embedding else (b, a)
                self.see(indices, len(table))
            case "__getitem__", [table, Tensor() as indices]:
                self.see(indices, len(table))
            case "one_hot", [indices, int(classes)]:
                self.see(indices, classes)
        return func(*args, **dict(kwargs or {}))

    def see(self, indices: Tensor, rows: int) -> None:
        index = self.inputs.get(address_of(indices))
        if index is not None:
            self.rows[index] = min(rows, self.rows.get(index, rows))


class Called(nn.Module):
    """A user's model, called with a batch; its output is the one that counts."""

    def __init__(self, example: Example, calling: Calling, config: Any, raised: Raised) -> None:
        super().__init__()
        self.model, self.calling, self.config = example.model, calling, config
        self.raised = raised
        given = (tuple(example.args), dict(example.kwargs))
        self.kept, self.spec = _pytree.tree_flatten(given)

    def forward(self, *batch: Tensor) -> Tensor:
        try:
            args, kwargs = _pytree.tree_unflatten(self.given(batch), self.spec)
            returned = self.model(*args, **kwargs)
        except Exception as error:
            raise self.raised(error, batch) from error
        found: Tensor = _pytree.tree_leaves(returned)[self.calling.output]
        return found

    def given(self, batch: Sequence[Tensor]) -> list[Any]:
        """All that the model is called with; what the batch does not have is repeated."""
        leaves, first = list(self.kept), batch[0]
        for index, value in enumerate(leaves):
            if isinstance(value, Tensor):
                leaves[index] = value.to(first.device)
        places = self.calling.inputs
        for place in places:
            rows = torch.arange(len(first), device=first.device) % len(leaves[place.index])
            leaves[place.index] = leaves[place.index][rows]
        filled = places if len(batch) == len(places) else self.calling.drawn
        for place, value in zip(filled, batch, strict=True):
            leaves[place.index] = value
        return leaves
