"""A model as `torch.export` gives it, and what it computes when it is run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from math import nan
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.distributions import Distribution
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node
from torch.nn import functional
from torch.nn.modules import transformer
from torch.utils import _pytree

from abcparam.algebra.record import replace
from abcparam.imports.composed import written_out
from abcparam.imports.composed_losses import gaussian
from abcparam.imports.empty import MADE_OF_SHAPES
from abcparam.imports.no_grad import without_no_grad
from abcparam.imports.traced import LARGE, Datum
from abcparam.imports.written_parts import without_writes

if TYPE_CHECKING:
    from abcparam.imports.factory import Example


class DifferentiatedError(Exception):
    """A forward takes a gradient by `torch.autograd.grad`."""


class Exported:
    """A model as `torch.export` gives it."""

    def __init__(self, example: Example, training: bool = True) -> None:
        self.example = example
        self.model = model = example.model.train() if training else example.model
        with quietly(), in_one_precision(), without_looks():
            self.program = torch.export.export(
                model, tuple(example.args), dict(example.kwargs), strict=False
            )
        self.names = names_of(model)
        self.module = self.program.graph_module
        specs = self.program.graph_signature.input_specs
        own = {s.arg.name: s.target for s in specs if s.kind is InputKind.PARAMETER}
        trained = [x for x, name in own.items() if model.get_parameter(name).requires_grad]
        without_no_grad(self.module, trained)
        without_writes(self.module)
        written_out(self.module)
        self.weights = {x: self.names[name][0] for x, name in own.items()}

    def inputs(self, example: Example | None = None) -> list[Any]:
        """What the graph is called with, to be the model of an example: by default its own."""
        example = example or self.example
        given = iter(_pytree.tree_leaves((tuple(example.args), dict(example.kwargs))))
        parameters = example.model.named_parameters(remove_duplicate=False)
        buffers = example.model.named_buffers(remove_duplicate=False)
        held = {**self.program.constants, **dict(buffers), **dict(parameters)}
        found = []
        for spec in self.program.graph_signature.input_specs:
            value = next(given) if spec.kind is InputKind.USER_INPUT else held[spec.target]
            is_state = isinstance(value, torch.Tensor) and spec.kind is not InputKind.PARAMETER
            found.append(value.clone() if is_state else value)
        return found


@contextmanager
def quietly() -> Iterator[None]:
    """Without what torch and the model print; what is wrong is raised."""
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(disabled)


@contextmanager
def in_one_precision() -> Iterator[None]:
    """Without autocast, which changes the precision of calls and nothing that a law is about."""
    kind = torch.autocast
    enter, leave = kind.__enter__, kind.__exit__
    kind.__enter__, kind.__exit__ = lambda self: self, lambda self, *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        kind.__enter__, kind.__exit__ = enter, leave  # type: ignore[method-assign]


def _gradient(*_: object, **__: object) -> Any:
    raise DifferentiatedError


def _is_causal(mask: object, is_causal: bool | None = None, size: object = None) -> bool:
    return bool(is_causal)


# What looks at values, which a trace has none of, and what is put in its place
IN_PLACE: tuple[tuple[Any, str, object], ...] = (
    (transformer, "_detect_is_causal_mask", _is_causal),  # a hint of `nn.Transformer`, no more
    (Distribution, "_validate_args", False),  # `torch.distributions` refuses bad ones
    (functional, "gaussian_nll_loss", gaussian),  # refuses negative variances
    (torch.autograd, "grad", _gradient),  # none of the calls that are traced
)


@contextmanager
def without_looks() -> Iterator[None]:
    """Without a look at values, and without gradients that a forward takes of its own."""
    before = [getattr(owner, name) for owner, name, _ in IN_PLACE]
    for owner, name, value in IN_PLACE:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name, _), value in zip(IN_PLACE, before, strict=True):
            setattr(owner, name, value)


def doubled(example: Example) -> Example:
    """A model and what it is called with in double precision."""

    def longer(value: Any) -> Any:
        is_real = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.double() if is_real else value

    args, kwargs = _pytree.tree_map(longer, (example.args, example.kwargs))
    return example._replace(model=example.model.double(), args=args, kwargs=kwargs)


def names_of(model: torch.nn.Module) -> Mapping[str, tuple[str, ...]]:
    """All names of each parameter, by each of them."""
    by_identity: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        by_identity.setdefault(id(parameter), []).append(name)
    return {name: tuple(names) for names in by_identity.values() for name in names}


class SizesRun(Interpreter):
    """Runs the model, and keeps of every value its root mean square."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(exported.module)
        self.sizes: dict[Node, tuple[float, ...]] = {}

    def run_node(self, n: Node) -> Any:
        made = super().run_node(n)
        self.sizes[n] = tuple(map(_size, tensors_in(made)))
        return made


class Observer(Interpreter):
    """Runs an exported model, and keeps some of its values by the names of their nodes."""

    def __init__(self, exported: Exported, nodes: Container[str]) -> None:
        super().__init__(exported.module)
        self.exported = exported
        self.nodes = nodes
        self.seen: dict[str, Any] = {}

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self.nodes:
            self.seen[n.name] = value
        return value

    def values(self) -> dict[str, Any]:
        """The values of a forward pass, by node."""
        self.seen = {}
        self.run(*self.exported.inputs())
        return self.seen


class DataRun(SizesRun):
    """Runs the model, and sees what depends on its parameters. `data` are the values that do not.

    Where weights have no values, nothing that depends on them is computed. Raises
    `NeedsValuesError` where data are made of such values.
    """

    def __init__(self, exported: Exported, filled: bool, exact: bool = False) -> None:
        super().__init__(exported)
        self.filled = filled
        self.exact = exact  # whether data are told apart by all their values
        self.weights = exported.weights
        self.depends: set[Node] = set()
        self.unknown: set[Node] = set()  # whole numbers that are made of what depends
        self.data: dict[Node, Any] = {}

    def run_node(self, n: Node) -> Any:
        is_weight = n.op == "placeholder" and n.name in self.weights
        if is_weight or (any(x in self.depends for x in n.all_input_nodes) and not _is_data(n)):
            self.depends.add(n)
        elif self.is_drawn(n) and not _is_made_of_shapes(n):
            self.unknown.add(n)
        made = super().run_node(n) if self.filled else self.without_values(n)
        if n not in self.depends:
            self.data[n] = _pytree.tree_map_only(torch.Tensor, self.datum_of(n), made)
        return made

    def is_drawn(self, n: Node) -> bool:
        """Whether it is made of what depends on parameters."""
        return any(x in self.depends or x in self.unknown for x in n.all_input_nodes)

    def datum_of(self, n: Node) -> Callable[[torch.Tensor], Datum]:
        """What is kept of tensors: choices that depend on parameters are those of any others."""

        def look(value: torch.Tensor) -> Datum:
            return replace(datum(value), look=_look(value))

        return look if self.exact and n not in self.unknown else datum

    def without_values(self, n: Node) -> Any:
        """What a node gives where what depends on weights has no values, but shapes."""
        if n not in self.depends:
            if not self.is_drawn(n):
                return super().run_node(n)
            if _is_made_of_shapes(n):
                args, kwargs = _pytree.tree_map_only(
                    FakeTensor, _like, self.fetch_args_kwargs_from_env(n)
                )
                return self.call_function(n.target, args, kwargs)
            if not _is_data(n):
                raise NeedsValuesError
        self.sizes[n] = (nan,) * len(values_of(n))
        return Interpreter.run_node(self, n) if n.op == "placeholder" else n.meta.get("val")


class NeedsValuesError(Exception):
    """A model has to be run to be read."""


def _like(value: FakeTensor) -> torch.Tensor:
    return torch.empty(value.shape, dtype=value.dtype)


class Run(DataRun):
    """Runs a model with values. `storages` are where each value lies in memory."""

    def __init__(self, exported: Exported, exact: bool = False) -> None:
        super().__init__(exported, True, exact)
        self.garbage_collect_values = False
        self.storages: dict[Node, frozenset[int]] = {}

    def run_node(self, n: Node) -> Any:
        made = super().run_node(n)
        self.storages[n] = frozenset(map(_storage, tensors_in(made)))
        return made

    def hidden_change(self) -> Node | None:
        """The first call that changes in place what is used under another name behind it."""
        place = {node: index for index, node in enumerate(self.storages)}
        for node in place:
            for written in _written(node):
                for other in self._sharing(written):
                    matters = node in self.depends or other in self.depends
                    used = any(place[user] > place[node] for user in other.users)
                    if matters and used and place[other] < place[node]:
                        return node
        return None

    def _sharing(self, node: Node) -> Iterator[Node]:
        """The values that lie where one does."""
        for other, storages in self.storages.items():
            if storages & self.storages[node]:
                yield other


def _written(node: Node) -> Iterator[Node]:
    """The values that a call changes in place."""
    if isinstance(node.target, torch._ops.OpOverload):
        for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
            alias = argument.alias_info
            if alias is not None and alias.is_write and isinstance(value, Node):
                yield value


def _storage(value: torch.Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _is_data(node: Node) -> bool:
    """Whether no gradient passes a result: it holds whole numbers, or is made of a shape alone."""
    values = values_of(node)
    if _is_made_of_shapes(node):
        return True
    return bool(values) and not any(v.is_floating_point() or v.is_complex() for v in values)


def _is_made_of_shapes(node: Node) -> bool:
    return str(node.target).removeprefix("aten.").partition(".")[0] in MADE_OF_SHAPES


def values_of(node: Node) -> list[torch.Tensor]:
    """What a node gives, without values."""
    return tensors_in(node.meta.get("val"))


def tensors_in(value: Any) -> list[torch.Tensor]:
    """The tensors that a value is, or that it lists."""
    items = value if isinstance(value, (tuple, list)) else (value,)
    return [item for item in items if isinstance(item, torch.Tensor)]


def _size(value: torch.Tensor) -> float:
    """The root mean square; of whole numbers none."""
    if not (value.is_floating_point() or value.is_complex()):
        return nan
    square = float(value.detach().abs().square().mean(dtype=torch.float64))
    return square**0.5 if square < LARGE else datum(value).size


def datum(value: torch.Tensor) -> Datum:
    """What is kept of a tensor that depends on no parameter; of complex numbers, their length."""
    if value.is_complex():
        return replace(datum(value.detach().abs()), constant=None)
    if not value.is_floating_point():
        return Datum(tuple(value.shape), True, 0.0)
    entries = value.detach().double().flatten()
    entries = entries[entries.abs() < LARGE]
    size = float(entries.square().mean().sqrt()) if entries.numel() else 0.0
    same = entries.numel() == value.numel() > 0 and bool((entries == entries[0]).all())
    return Datum(tuple(value.shape), False, size, float(entries[0]) if same else None)


def _look(value: torch.Tensor) -> float:
    """A number that differs where values do: their sum, weighed by where they are."""
    value = value.detach()
    value = torch.view_as_real(value) if value.is_complex() else value
    entries = value.double().flatten().clamp(-LARGE, LARGE)
    weights = torch.linspace(1.0, 2.0, len(entries), dtype=torch.float64, device=entries.device)
    return float(entries @ weights)
