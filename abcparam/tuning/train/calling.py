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
from abcparam.imports.aten.losses import BY_NAME
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
    """What a model takes and gives; `outputs` are indices among all that it returns.

    `shape` is that of the output for one example, `()` where it `is_loss`: the loss itself, the
    mean of it where there is one for each example, or the sum of several, of the `targets` that are
    known.
    """

    inputs: tuple[InputPlace, ...]
    outputs: tuple[int, ...]
    shape: tuple[int, ...]
    is_loss: bool
    targets: tuple[OwnTarget, ...] = ()

    @property
    def drawn(self) -> tuple[InputPlace, ...]:
        return tuple(place for place in self.inputs if place.drawn)

    @property
    def given(self) -> tuple[InputPlace, ...]:
        """Those that are drawn and are no targets."""
        targets = {target.index for target in self.targets}
        return tuple(place for place in self.drawn if place.index not in targets)

    def with_targets(self, batch: Batch) -> Batch:
        """A batch with its targets among the inputs too, where the model takes them there."""
        if not batch.targets:
            return batch
        found = {p.index: x for p, x in zip(self.given, batch.inputs, strict=False)}
        for target, value in zip(self.targets, batch.targets, strict=False):
            if target.index is not None:
                found[target.index] = value
        if len(found) < len(batch.inputs):  # of what is no input that is known
            return batch
        return Batch(tuple(found[i].contiguous() for i in sorted(found)), batch.targets)


def calling_of(
    example: Example, counted: Sequence[str], are_losses: bool = False
) -> Calling | None:
    """How a model is called; None where its first axes are no examples.

    `counted` are the names of the outputs that count, which may be known to be losses.
    """
    leaves = leaves_of(example)
    indices = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.dim()]
    if not indices:
        return None
    count = len(leaves[indices[0]])
    batched = [i for i in indices if len(leaves[i]) == count]
    seen = _followed(leaves)
    lookups = Lookups({i: seen[i] for i in batched})
    args, kwargs = _pytree.tree_unflatten(seen, _spec_of(example))
    with torch.enable_grad(), lookups:
        returned = example.model(*args, **kwargs)
    inputs = tuple(_place(i, leaves, lookups.rows) for i in batched)
    outputs = _outputs(returned, counted)
    (index, value), *_ = outputs.items()
    if are_losses or not value.dim():
        losses = tuple(i for i, x in outputs.items() if are_losses or not x.dim())
        return _of_losses(inputs, losses, lookups, count)
    if len(value) % count:
        return None
    return Calling(inputs, (index,), _of_one(value.shape, count), False)


def _followed(leaves: Sequence[Any]) -> list[Any]:
    """What a model is called with, where it is of real numbers with a gradient."""
    return [
        x.detach().requires_grad_().clone()
        if isinstance(x, Tensor) and x.is_floating_point()
        else x
        for x in leaves
    ]


def _of_one(shape: Sequence[int], count: int) -> tuple[int, ...]:
    """The shape for one example, where the first axis may be that of positions too."""
    positions = (shape[0] // count,) if shape[0] > count else ()
    return (*positions, *shape[1:])


def _of_losses(
    inputs: tuple[InputPlace, ...], outputs: tuple[int, ...], seen: Lookups, count: int
) -> Calling:
    """That of a model that gives its losses."""
    same = next((place for place in inputs if place.as_at is not None), None)
    targets: dict[int | None, OwnTarget] = {}
    for loss in seen.losses:
        target = _target(loss, same, count)
        if target is not None:
            targets.setdefault(target.index, target)
    needed = sorted(index for index in targets if index is not None)
    found = tuple(targets[index] for index in needed) or tuple(targets.values())
    classes = {t.index: t.shape[-1] for t in found if t.kind == "cross_entropy" and t.shape}
    inputs = tuple(
        replace(p, drawn=True, classes=classes.get(p.index), as_at=None)
        if p.index in targets
        else p
        for p in inputs
    )
    return Calling(inputs, outputs, (), True, found)


def _target(loss: SeenLoss, same: InputPlace | None, count: int) -> OwnTarget | None:
    """The target of a loss, if it is known."""
    index = loss.target
    if same is not None and index == same.as_at:  # one tensor, given twice
        index = same.index
    if loss.shape[0] < count:
        return None
    if index is None:  # as many positions as there are in what they are made of
        rest = loss.shape[1:2] if loss.kind == "cross_entropy" else loss.shape[1:]
        return None if same is None else OwnTarget(None, loss.kind, (*same.shape, *rest))
    shape = _of_one(loss.shape, count)
    if loss.kind == "cross_entropy" and len(loss.shape) > 2:  # PyTorch has classes second
        shape = (*loss.shape[2:], loss.shape[1])
    return OwnTarget(None if loss.is_input else index, loss.kind, shape)


def leaves_of(example: Example) -> list[Any]:
    """All that a model is called with, one by one."""
    return _pytree.tree_leaves((tuple(example.args), dict(example.kwargs)))


def _spec_of(example: Example) -> _pytree.TreeSpec:
    return _pytree.tree_structure((tuple(example.args), dict(example.kwargs)))


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


def _outputs(returned: Any, counted: Sequence[str]) -> dict[int, Tensor]:
    """The outputs that count, by their index."""
    paths, _ = _pytree.tree_flatten_with_path(returned)
    names = [output_name(path) or "output" for path, _ in paths]
    values = {
        name: (i, value)
        for i, (name, (_, value)) in enumerate(zip(names, paths, strict=True))
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    found = [values[name] for name in counted if name in values]
    return dict(found or list(values.values())[:1])


class SeenLoss(Record):
    """A loss that was computed: of what shape, and of which input, where it is one as it is.

    The target `is_input` where what the loss is of is made of it too, as in autoencoders.
    """

    kind: str
    shape: tuple[int, ...]
    target: int | None
    is_input: bool = False


class Lookups(TorchFunctionMode):
    """Sees in tables of how many `rows` inputs are looked up, and all losses."""

    def __init__(self, inputs: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.inputs = inputs
        self.rows: dict[int, int] = {}
        self.losses: list[SeenLoss] = []

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
            case name, [Tensor() as given, Tensor() as target, *_] if name in BY_NAME:
                index = self.which(target)
                is_input = index is not None and self.is_behind(index, given)
                if self.is_part(target, index) and not (is_input and target.is_floating_point()):
                    index = None
                shape = tuple(given.shape)
                self.losses.append(SeenLoss(BY_NAME[name].kind, shape, index, is_input))
        return func(*args, **dict(kwargs or {}))

    def is_part(self, value: Tensor, index: int | None) -> bool:
        return index is not None and value.numel() < self.inputs[index].numel()

    def is_behind(self, index: int, value: Tensor) -> bool:
        """Whether a value is made of an input."""
        given = self.inputs[index]
        if not given.requires_grad:
            return index in self.rows
        if not value.requires_grad:
            return False
        (found,) = torch.autograd.grad(value.sum(), given, retain_graph=True, allow_unused=True)
        return found is not None

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
        leaves = _pytree.tree_leaves(returned)
        counted = (leaves[index] for index in self.calling.outputs)
        first, *others = (x.mean() if self.calling.is_loss else x for x in counted)
        found: Tensor = sum(others, start=first)
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
