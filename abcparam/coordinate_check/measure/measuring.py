"""One training run of a model at one width, and the sizes of everything in it.

What is measured is a subject: here the emitted model, in `foreign` one written by hand. Of the
emitted one two modules are made: that which trains and shows its named values, and the emitted form
of the program with every use of a tensor named, which shares its parameters and computes `W·x` and
`ΔW·x`. Dropout and weight decay are off: the laws are about neither.
"""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from abcparam.algebra.record import Record
from abcparam.coordinate_check.laws import (
    AT_INIT,
    CHANGE,
    GRADIENT,
    RELATIVE,
    UPDATE,
    RowKey,
    copy_name,
)
from abcparam.coordinate_check.measure.aligning import (
    AlignmentMeasure,
    ChangeContext,
    TakeUse,
    placed,
)
from abcparam.coordinate_check.measure.batch import batch_of, loss_of
from abcparam.coordinate_check.measure.explicit import explicit
from abcparam.coordinate_check.measure.observing import SEEN, USED, observed
from abcparam.coordinate_check.ranges import WEIGHT, WEIGHT_GRADIENT
from abcparam.data.batch import Data, tuple_of
from abcparam.emission.emit import emit
from abcparam.emission.execute import executed
from abcparam.emission.lowering.uses import CodeUses, is_plain
from abcparam.pipeline import emit_program
from abcparam.program.expressions import Assign
from abcparam.program.model import Module, Program
from abcparam.verdict.report import Report

# Root mean squares: one at init, for changes those of `each` step.
RunSizes = dict[RowKey, list[float]]
MAKING = threading.Lock()  # of torch's random numbers, which all threads share


class RunSetting(Record):
    """How a run is made, beside its width and seed."""

    steps: int = 4
    batch: int = 16
    device: str = "cpu"
    compiled: bool = False
    data: Data | None = None  # random numbers if none is given
    each: bool = False  # changes are measured after every step, not only after the last
    alignment: bool = False  # whether that of updates and inputs is measured after every step


class Subject(ABC):
    """A model of a program that can be made at any width; the one last made is in `model`."""

    program: Program
    model: nn.Module
    seen: dict[str, Tensor]  # the named values of the last forward pass that was observed
    scaled: Collection[str] = ()  # tensors whose sizes are known up to a factor of the width
    tensors: dict[nn.Parameter, str]  # the path of the tensor that each parameter is
    calls: Counter[str]  # of each tensor, when its uses were last measured

    def run(self, dims: Mapping[str, int], seed: int, setting: RunSetting) -> RunSizes:
        """Trains a model with these growth dims and measures it."""
        with in_double():
            return _TrainingRun(self, dims, seed, setting).sizes()

    @abstractmethod
    def make(self, dims: Mapping[str, int], device: str) -> Any:
        """Makes a model in the default dtype; its config."""

    @abstractmethod
    def optimizer(self) -> Any:
        """What trains the model: an optimizer, or a list of them."""

    @abstractmethod
    def observe(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The outputs of a forward pass; its named values are in `seen`."""

    @abstractmethod
    def apply(
        self, inputs: tuple[Tensor, ...], change: ChangeContext | None, take: TakeUse
    ) -> None:
        """Hands over every use of a tensor, `W·x`, or with the change in place of W."""

    def is_whole(self, path: str, calls: int) -> bool:
        """Whether these are all uses of a tensor."""
        return True

    def uses(self, inputs: tuple[Tensor, ...], change: ChangeContext | None) -> Mapping[str, float]:
        """The mean squares of `W·x` by the paths of tensors, of `ΔW·x` where there is a change.

        An expert that no token chose has none.
        """
        squares: dict[str, list[float]] = {}
        self.calls = Counter()

        def take(path: str, value: Tensor, applied: bool) -> None:
            self.calls[path] += 1
            if value.numel():
                squares.setdefault(path, []).append(float(value.detach().square().mean()))

        self.apply(inputs, change, take)
        whole = (path for path in squares if self.is_whole(path, self.calls[path]))
        return {path: sum(squares[path]) / len(squares[path]) for path in whole}

    def keep(self, path: str, copy: tuple[int, ...], value: Tensor) -> None:
        """Takes a named value down."""
        if value.requires_grad and not value.is_leaf:
            value.retain_grad()
        self.seen.pop(path, None)
        self.seen[path] = value
        self.seen[copy_name(self.program, path, copy)] = value


class Probe(Subject):
    """The emitted code of a spec, ready to be run at any width. `code` replaces its text."""

    def __init__(self, report: Report, code: str | None = None) -> None:
        self.program = report.program
        self.code = emit_program(report) if code is None else code
        self.places = _places(self.program)
        self.seen: dict[str, Tensor] = {}
        self.module = _execute(self.code, {name for _, name in self.places}, {SEEN: self.see})
        named = explicit(self.program)
        self.used, self.applied = named.uses, named.applied
        self.uses_of, self.uses_of_twin = CodeUses(self.program), CodeUses(named.program)
        self.explicit = _execute(
            emit(named.program), _names(named.program), {USED: self.use}, frozenset(named.uses)
        )
        self.paths: dict[int, tuple[str, tuple[int, ...]]] = {}
        self.dims: Mapping[str, int] | None = None  # of the twin
        self.watching = False
        self.change: ChangeContext | None = None
        self.take: TakeUse | None = None

    # What the emitted code calls

    def see(self, module: nn.Module, name: str, value: object) -> None:
        """A local of the emitted module was assigned."""
        if not self.watching or not isinstance(value, Tensor):
            return
        home, copy = self.paths[id(module)]
        for path in self.places.get((home, name), ()):
            self.keep(path, copy, value)

    def use(self, name: str, value: Tensor, again: Callable[[], Tensor]) -> None:
        """A tensor was used: what it gives, or what its change would give."""
        assert self.take is not None
        path, applied = self.used[name], name in self.applied
        if self.change is None:
            self.take(path, value, applied)
        else:
            with self.change():  # a tensor as a value is its parameter, which holds it only here
                self.take(path, again(), applied)

    # A subject

    def make(self, dims: Mapping[str, int], device: str) -> Any:
        config = self.module["Config"](**dims)
        self.model = undisturbed(self.module[self.program.name](config).to(device))
        if self.dims != dims:
            self.dims, self.twin = dict(dims), self.parameterless(dims, device)
        self.adopt(dict(self.model.named_parameters()))
        self.paths = {id(m): _place(name) for name, m in self.model.named_modules()}
        return config

    def parameterless(self, dims: Mapping[str, int], device: str) -> nn.Module:
        """The module that computes the uses, to be given its parameters."""
        with torch.device("meta"):
            config = self.explicit["Config"](**dims)
            made = self.explicit[self.program.name](config)
        assert isinstance(made, nn.Module)
        for name, buffer in list(made.named_buffers()):
            set_member(made, name, torch.zeros_like(buffer, device=device))
        return undisturbed(made)

    def adopt(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Makes these the parameters, by their names, of both modules."""
        found = {self.place_of(name): parameter for name, parameter in parameters.items()}
        self.tensors = {parameter: path for (path, _), parameter in found.items()}
        for model, uses in ((self.model, self.uses_of), (self.twin, self.uses_of_twin)):
            for name, _ in list(model.named_parameters()):
                set_member(model, name, found[_held(uses, name)])

    def place_of(self, name: str) -> tuple[str, tuple[int, ...]]:
        """The tensor that a parameter of the emitted module holds, and of which copy."""
        return _held(self.uses_of, name)

    def optimizer(self) -> Any:
        return self.module["make_optimizer"](self.model)

    def observe(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.watching, self.seen = True, {}
        try:
            return tuple_of(self.model(*inputs))
        finally:
            self.watching = False

    def apply(
        self, inputs: tuple[Tensor, ...], change: ChangeContext | None, take: TakeUse
    ) -> None:
        self.change, self.take = change, take
        with torch.no_grad():
            self.twin(*inputs)


class _TrainingRun:
    """One model in training."""

    def __init__(
        self, subject: Subject, dims: Mapping[str, int], seed: int, setting: RunSetting
    ) -> None:
        self.subject, self.setting = subject, setting
        with MAKING:
            torch.manual_seed(seed)
            config = subject.make(dims, setting.device)
            self.batch = batch_of(
                subject.program, config, seed, setting.batch, setting.device, setting.data
            )
        self.model = subject.model
        self.optimizers = _optimizers(subject.optimizer())
        self.start = {p: p.detach().clone() for p in self.model.parameters()}
        self.trained = torch.compile(self.model) if setting.compiled else self.model
        self.first: dict[str, Tensor] = {}
        self.found: RunSizes = {}
        self.scales: dict[str, float] = {}  # of tensors whose sizes are known up to a factor
        self.alignment = (
            AlignmentMeasure(subject.apply, self.batch.inputs, self.start, seed)
            if setting.alignment
            else None
        )

    def sizes(self) -> RunSizes:
        self.begin()
        for step in range(1, self.setting.steps + 1):
            if step > 1:
                self.train(tuple_of(self.trained(*self.batch.inputs)))
            if self.setting.each or step == self.setting.steps:
                self.measure()
            if self.alignment:
                for path, quantity, ratio in self.alignment.measure():
                    self.add(path, quantity, ratio)
        return self.found

    def begin(self) -> None:
        """The first step, and all that is measured at initialization."""
        outputs = self.observe()
        for name, value in self.subject.seen.items():
            self.add(name, AT_INIT, _rms(value))
        for path, square in self.subject.uses(self.batch.inputs, None).items():
            if path in self.subject.scaled:
                self.scales[path] = math.sqrt(square)
            else:
                self.add(path, AT_INIT, math.sqrt(square))
        if self.setting.compiled:
            loss_of(self.subject.program, outputs, self.batch).backward()
            self.gradients()
            outputs = tuple_of(self.trained(*self.batch.inputs))
        if self.alignment:
            self.alignment.begin()
        self.train(outputs)
        if not self.setting.compiled:
            self.gradients()
        if self.subject.program.gradients is not None:
            self.weights()
        self.first = {name: value.detach().clone() for name, value in self.subject.seen.items()}

    def measure(self) -> None:
        """All that is measured after a step."""
        with torch.no_grad():
            self.observe()
        for name, value in self.subject.seen.items():
            self.add(name, CHANGE, _rms(value - self.first[name]))
        self.subject.seen = {}
        changes = {p: p.data - start for p, start in self.start.items()}
        uses = self.subject.uses(self.batch.inputs, lambda: placed(changes))
        for path, square in uses.items():
            if path not in self.scales:
                self.add(path, UPDATE, math.sqrt(square))
            elif self.scales[path]:
                self.add(path, RELATIVE, math.sqrt(square) / self.scales[path])
        self.tensor_gradients()

    def observe(self) -> tuple[Tensor, ...]:
        """A forward pass with every named value in it."""
        subject = self.subject
        outputs = subject.observe(self.batch.inputs)
        for name, output in zip(subject.program.outputs, outputs, strict=True):
            if name not in subject.seen:
                subject.keep(name, (), output)
        return outputs

    def train(self, outputs: tuple[Tensor, ...]) -> None:
        """A step, on these outputs."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss_of(self.subject.program, outputs, self.batch).backward()
        for optimizer in self.optimizers:
            optimizer.step()

    def gradients(self) -> None:
        for name, value in self.subject.seen.items():
            if value.requires_grad and not value.is_leaf:
                zero = value.grad is None
                self.add(name, GRADIENT, 0.0 if zero else _rms(value.grad))

    def weights(self) -> None:
        """Of every copy of a tensor, and of its first gradient."""
        for parameter, path in self.subject.tensors.items():
            self.add(path, WEIGHT, _rms(self.start[parameter]))
            if parameter.grad is not None:
                self.add(path, WEIGHT_GRADIENT, _rms(parameter.grad))

    def tensor_gradients(self) -> None:
        """The largest of the copies of each tensor: what is moved by rounding has none."""
        found: dict[str, float] = {}
        for parameter, path in self.subject.tensors.items():
            if parameter.grad is not None:
                found[path] = max(_rms(parameter.grad), found.get(path, 0.0))
        for path, size in found.items():
            self.add(path, GRADIENT, size)

    def add(self, name: str, quantity: str, size: float) -> None:
        self.found.setdefault((name, quantity), []).append(size)


def set_member(model: nn.Module, name: str, value: Tensor) -> None:
    """Puts a parameter or a buffer in its place."""
    path, _, own = name.rpartition(".")
    setattr(model.get_submodule(path), own, value)


def _held(uses: CodeUses, name: str) -> tuple[str, tuple[int, ...]]:
    return uses.tensor_of(name), _place(name)[1]


@contextmanager
def in_double() -> Iterator[None]:
    """With double precision for new tensors, in all threads."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def undisturbed(model: nn.Module) -> nn.Module:
    """Without dropout; what keeps statistics of batches normalizes by those of its own."""
    model.eval()
    for module in model.modules():
        own = dict(module.named_buffers(recurse=False))
        module.training = any(name.startswith("running_") for name in own)
    return model


def _rms(value: Tensor | None) -> float:
    assert value is not None
    return math.sqrt(float(value.detach().double().square().mean()))


def _execute(
    code: str,
    names: set[str],
    hooks: Mapping[str, object],
    uses: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """The names of an emitted module, run with hooks in its `forward` methods."""
    return executed(observed(code, names, uses), hooks)


def _names(program: Program) -> set[str]:
    """All that bodies assign."""
    return {name for module in program.root.walk() for name in _assigned(module)}


def _assigned(module: Module) -> Iterator[str]:
    for statement in module.body:
        if isinstance(statement, Assign):
            yield from statement.targets
    yield from module.carried


def _places(program: Program) -> dict[tuple[str, str], list[str]]:
    """By the path of a class and a local of its `forward`: the activations that it is."""
    found: dict[tuple[str, str], list[str]] = {}

    def visit(module: Module, home: str) -> None:
        carried = [name for child in module.children if child.count for name in child.carried]
        for name in dict.fromkeys([*_assigned(module), *carried]):
            path = f"{module.path}.{name}" if module.path else name
            found.setdefault((home, name), []).append(path)
        for child in module.children:
            visit(child, home if is_plain(child) else child.path)

    visit(program.root, "")
    return found


def _place(name: str) -> tuple[str, tuple[int, ...]]:
    """`layers.0.attention` as the path `layers.attention` and the copy (0,)."""
    parts = name.split(".") if name else []
    return ".".join(p for p in parts if not p.isdigit()), tuple(
        int(p) for p in parts if p.isdigit()
    )


def _optimizers(made: Any) -> list[torch.optim.Optimizer]:
    optimizers = made if isinstance(made, list) else [made]
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        if "weight_decay" in group:
            group["weight_decay"] = 0.0
    return optimizers
