"""How a user's model is called with batches: in place of the example that its factory gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from abcparam.algebra.record import Record, replace
from abcparam.data.batch import Batch
from abcparam.imports.capture import output_name
from abcparam.imports.factory import Example
from abcparam.imports.writes import address_of

Raised = Callable[[Exception, Sequence[Tensor]], Exception]  # what is told of an error on a batch


class InputPlace(Record):
    """An input with an entry of its first axis for each example, among all that is given.

    `classes` are the rows of the table that a whole number is looked up in. What is neither a real
    number nor looked up, such as a mask, is not `drawn`: it stays as the factory made it. One that
    is the same as another in the example, as labels are that a model shifts by itself, is `as_at`
    the index of that.
    """

    index: int
    shape: tuple[int, ...]  # of an example
    drawn: bool
    classes: int | None
    as_at: int | None = None


class OwnTarget(Record):
    """The targets of a loss that the model computes: an input, or None where it makes them of one.

    `shape` is that of what is held against them, for one example.
    """

    index: int | None
    kind: str
    shape: tuple[int, ...]


class Calling(Record):
    """What a model takes and gives; `output` is an index among all that it returns.

    `shape` is that of the output for one example, `()` where it `is_loss`: the loss itself, of the
    `target` if it is known.
    """

    inputs: tuple[InputPlace, ...]
    output: int
    shape: tuple[int, ...]
    is_loss: bool
    target: OwnTarget | None = None

    @property
    def drawn(self) -> tuple[InputPlace, ...]:
        return tuple(place for place in self.inputs if place.drawn)

    @property
    def given(self) -> tuple[InputPlace, ...]:
        """Those that are drawn and are no targets."""
        target = self.target.index if self.target else None
        return tuple(place for place in self.drawn if place.index != target)

    def with_targets(self, batch: Batch) -> Batch:
        """A batch with its targets among the inputs too, where the model takes them there."""
        target = self.target.index if self.target else None
        if target is None or not batch.targets:
            return batch
        before = sum(place.index < target for place in self.given)
        inputs = (*batch.inputs[:before], batch.targets[0], *batch.inputs[before:])
        return Batch(tuple(x.contiguous() for x in inputs), batch.targets)


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
    inputs = tuple(_place(i, leaves, lookups.rows) for i in batched)
    index, value = _output(returned, output, label)
    if not value.dim():
        return _of_loss(inputs, index, lookups.loss, count)
    if len(value) % count:
        return None
    return Calling(inputs, index, _of_one(value.shape, count), False)


def _of_one(shape: Sequence[int], count: int) -> tuple[int, ...]:
    """The shape for one example, where the first axis may be that of positions too."""
    positions = (shape[0] // count,) if shape[0] > count else ()
    return (*positions, *shape[1:])


def _of_loss(
    inputs: tuple[InputPlace, ...], output: int, loss: SeenLoss | None, count: int
) -> Calling:
    """That of a model that gives its loss."""
    same = [place for place in inputs if place.as_at is not None]
    if loss is not None and same and loss.target == same[0].as_at:  # one tensor, given twice
        loss = replace(loss, target=same[0].index)
    if loss is None or loss.shape[0] < count or (loss.target is None and not same):
        return Calling(inputs, output, (), True)
    if loss.target is None:  # as many positions as there are in what they are made of
        shape = (*same[0].shape, *loss.shape[1:])
        return Calling(inputs, output, (), True, OwnTarget(None, loss.kind, shape))
    classes = loss.shape[-1] if loss.kind == "cross_entropy" else None
    inputs = tuple(
        replace(p, drawn=True, classes=classes, as_at=None) if p.index == loss.target else p
        for p in inputs
    )
    shape = _of_one(loss.shape, count)
    if classes is not None and len(loss.shape) > 2:  # PyTorch has classes second
        shape = (*loss.shape[2:], loss.shape[1])
    return Calling(inputs, output, (), True, OwnTarget(loss.target, loss.kind, shape))


def leaves_of(example: Example) -> list[Any]:
    """All that a model is called with, one by one."""
    return _pytree.tree_leaves((tuple(example.args), dict(example.kwargs)))


def _place(index: int, leaves: Sequence[Any], rows: Mapping[int, int]) -> InputPlace:
    value, classes = leaves[index], rows.get(index)
    drawn = value.is_floating_point() or classes is not None
    others = (i for i in rows if i != index and not drawn and _same(leaves[i], value))
    return InputPlace(index, tuple(value.shape[1:]), drawn, classes, next(others, None))


def _same(value: Tensor, other: Tensor) -> bool:
    """Whether two inputs are one; without values, whether they are one tensor."""
    if value.shape != other.shape:
        return False
    return value is other or (not value.is_meta and bool((value == other).all()))


def _output(returned: Any, output: str | None, label: str) -> tuple[int, Tensor]:
    """The output that counts: a loss if there is one, unless another is named."""
    paths, _ = _pytree.tree_flatten_with_path(returned)
    names = [output_name(path) or "output" for path, _ in paths]
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


class SeenLoss(Record):
    """A loss that was computed: of what shape, and of which input, where it is one as it is."""

    kind: str
    shape: tuple[int, ...]
    target: int | None


LOSSES = {"cross_entropy": "cross_entropy", "mse_loss": "mse"}


class Lookups(TorchFunctionMode):
    """Sees in tables of how many `rows` inputs are looked up, and the last loss."""

    def __init__(self, inputs: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.inputs = inputs
        self.rows: dict[int, int] = {}
        self.loss: SeenLoss | None = None

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
            case ("cross_entropy" | "mse_loss") as name, [
                Tensor() as given,
                Tensor() as target,
                *_,
            ]:
                self.loss = SeenLoss(LOSSES[name], tuple(given.shape), self.which(target))
        return func(*args, **dict(kwargs or {}))

    def see(self, indices: Tensor, rows: int) -> None:
        index = self.which(indices)
        if index is not None and self.is_whole(index):
            self.rows[index] = min(rows, self.rows.get(index, rows))

    def is_whole(self, index: int) -> bool:
        found = self.inputs[index]
        return not found.is_floating_point() and found.dtype != torch.bool

    def which(self, value: Tensor) -> int | None:
        """The input that a value is a view of: of several in one memory, where it begins."""
        found = [i for i, x in self.inputs.items() if address_of(x) == address_of(value)]
        begin = [i for i in found if self.inputs[i].storage_offset() == value.storage_offset()]
        return next(iter(begin or found), None)


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
        for place in places:
            if place.as_at is not None and place not in filled:
                leaves[place.index] = leaves[place.as_at]
        return leaves
