"""A model written by hand, in place of the emitted one.

Its parameters are told apart by their names. What is seen of it are its outputs and, by hooks, what
PyTorch's own layers make of their parameters; an emitted model is made beside it, which says what
its names, shapes and outputs should be, how often each tensor is used, and how all are trained.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from abcparam.coordinate_check.laws import copy_name
from abcparam.coordinate_check.measure.aligning import ChangeContext, TakeUse
from abcparam.coordinate_check.measure.handwritten import Handwritten, refused
from abcparam.coordinate_check.measure.measuring import (
    Probe,
    Subject,
    undisturbed,
)
from abcparam.coordinate_check.multiplied import multiplied
from abcparam.data.batch import tuple_of
from abcparam.diagnostics.rules.tuning import (
    ModuleRaises,
    NoModule,
    OutputsDiffer,
    ParametersDiffer,
)
from abcparam.emission.execute import executed
from abcparam.user_code.named import importable

LAYERS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)
SUMS = (nn.Linear, nn.Conv1d, nn.Conv2d)
LINEAR = {layer.forward for layer in LAYERS}  # in each of their parameters
MOST = 6  # differences that are told


class Foreign(Subject):
    """A class of the user's, beside what is emitted for the same program."""

    def __init__(self, emitted: Probe, written: Handwritten) -> None:
        self.emitted, self.written = emitted, written
        self.program = emitted.program
        self.seen: dict[str, Tensor] = {}
        with self.reported(), importable(str(written.path.resolve().parent)):
            code = compile(written.text, str(written.path), "exec", dont_inherit=True)
            self.names = executed(code, {"__file__": str(written.path)})
        if written.name not in self.names:
            problem = f"the file has no `{written.name}`"
            raise refused(NoModule, module=written.module, problem=problem)
        self.scaled = multiplied(self.program)
        self.wanted: Mapping[str, int] = {}
        self.change: ChangeContext | None = None
        self.take: TakeUse | None = None

    @contextmanager
    def reported(self) -> Iterator[None]:
        """What the user's code raises is told as a finding, with its last line in the file."""
        try:
            yield
        except Exception as error:
            lines = [
                frame.lineno
                for frame in traceback.extract_tb(error.__traceback__)
                if frame.filename == str(self.written.path)
            ]
            where = f" (line {lines[-1]})" if lines else ""
            problem = f"{type(error).__name__}: {error}{where}"
            raise refused(ModuleRaises, module=self.written.module, problem=problem) from error

    # A subject

    def make(self, dims: Mapping[str, int], device: str) -> Any:
        state = torch.get_rng_state()
        config = self.emitted.make(dims, device)
        torch.set_rng_state(state)
        with self.reported():
            self.model = undisturbed(self.names[self.written.name](config).to(device))
        self.adopt()
        self.wanted = {}
        return config

    def adopt(self) -> None:
        """Gives the emitted models the parameters, by their names."""
        mine = dict(self.model.named_parameters())
        theirs = dict(self.emitted.model.named_parameters())
        known = self.known(theirs)
        called = {name: known.get(name) or known.get(_stem(name)) for name in mine}
        named: dict[str, list[str]] = {}
        for name, own in called.items():
            if own is not None:
                named.setdefault(own, []).append(name)
        unknown = [name for name, own in called.items() if own is None]
        if problems := list(_differences(mine, theirs, named, unknown)):
            more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
            problem = "; ".join(problems[:MOST]) + more
            raise refused(ParametersDiffer, module=self.written.module, problem=problem)
        self.emitted.adopt({name: mine[own] for name, (own,) in named.items()})
        self.tensors = self.emitted.tensors

    def known(self, emitted: Iterable[str]) -> dict[str, str]:
        """What parameters may be called: as in the emitted model, or as the spec's tensors."""
        found = {name: name for name in emitted}
        for name in list(found):
            found.setdefault(_stem(name), name)
            found.setdefault(copy_name(self.program, *self.emitted.place_of(name)), name)
        return found

    def optimizer(self) -> Any:
        if "make_optimizer" not in self.names:
            return self.emitted.optimizer()
        with self.reported():
            return self.names["make_optimizer"](self.model)

    def observe(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.seen = {}
        with self.reported():
            outputs = tuple_of(self.model(*inputs))
        if not self.wanted:
            self.compare(inputs, outputs)
        return outputs

    def compare(self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
        """Holds outputs to the spec's, and learns how often each tensor is used."""
        with torch.no_grad():
            wanted = [tuple(x.shape) for x in tuple_of(self.emitted.model(*inputs))]
        found = [tuple(x.shape) for x in outputs]
        if found != wanted:
            shapes = {"found": _shapes(found), "wanted": _shapes(wanted)}
            raise refused(OutputsDiffer, module=self.written.module, **shapes)
        self.emitted.uses(inputs, None)
        self.wanted = self.emitted.calls

    def is_whole(self, path: str, calls: int) -> bool:
        """Whether layers of PyTorch use a tensor as often as the spec does."""
        return calls == self.wanted[path]

    def apply(
        self, inputs: tuple[Tensor, ...], change: ChangeContext | None, take: TakeUse
    ) -> None:
        """A layer knows no multiplier: values of tensors with one are those up to a factor."""
        self.change, self.take = change, take
        layers = [m for m in self.model.modules() if type(m).forward in LINEAR]
        hooks = [m.register_forward_hook(self.use, with_kwargs=True) for m in layers]
        try:
            with torch.no_grad(), self.reported():
                self.model(*inputs)
        finally:
            for hook in hooks:
                hook.remove()

    def use(self, layer: nn.Module, given: Any, named: dict[str, Any], _: Tensor) -> None:
        """A layer was called: the size of what each of its parameters gives alone."""
        for parameter in layer.parameters(recurse=False):
            with self.change() if self.change else nullcontext(), _alone(layer, parameter):
                value = layer.forward(*given, **named)
            assert self.take is not None
            self.take(self.tensors[parameter], value, isinstance(layer, SUMS))


def _differences(
    mine: Mapping[str, nn.Parameter],
    theirs: Mapping[str, nn.Parameter],
    named: Mapping[str, list[str]],
    unknown: Iterable[str],
) -> Iterator[str]:
    """What of the parameters is not as in the emitted model, in words."""
    for name, parameter in theirs.items():
        shape = tuple(parameter.shape)
        found = named.get(name, [])
        if not found:
            yield f"there is no `{name}` {_shape(shape)}"
        elif len(found) > 1:
            yield f"`{found[0]}` and `{found[1]}` are both called as `{name}` is"
        elif (own := tuple(mine[found[0]].shape)) != shape:
            yield f"`{found[0]}` is {_shape(own)}, not {_shape(shape)}"
    for name in unknown:
        yield f"the spec has no `{name}`"


def _stem(name: str) -> str:
    return name.removesuffix(".weight")


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(_shape, shapes))


@contextmanager
def _alone(layer: nn.Module, kept: nn.Parameter) -> Iterator[None]:
    """With zeros in place of the other parameters."""
    others = [p for p in layer.parameters(recurse=False) if p is not kept]
    values = [p.data for p in others]
    for parameter in others:
        parameter.data = torch.zeros_like(parameter)
    try:
        yield
    finally:
        for parameter, value in zip(others, values, strict=True):
            parameter.data = value
