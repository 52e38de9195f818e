"""What `--data` names: a text file, a folder of images, `digits`, or a function of the user's."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from abcparam.algebra.budgets import ran_out_of_memory
from abcparam.algebra.record import NamedTuple
from abcparam.data.batch import Batch, Data, lengths, output_shapes, values_of
from abcparam.data.digits import Digits
from abcparam.data.images import Images
from abcparam.data.text import TextFile
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import DataFails, NoData
from abcparam.program.model import Program
from abcparam.user_code.named import looked_up

IGNORED = -100  # a class that cross-entropy leaves out


def data_named(text: str | Callable[..., Any]) -> Data:
    """The data of a name, or of a function itself. Raises `SpecError` where there is none."""
    if callable(text):
        return Given(f"{text.__module__}:{text.__qualname__}", text)
    try:
        if text == "digits":
            return Digits()
        if ":" in text and not os.path.exists(text):
            return Given(text, looked_up(text, NoData).value)
        return Images(Path(text)) if os.path.isdir(text) else TextFile(Path(text))
    except (ImportError, OSError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise _none(text, problem) from None


def _none(data: str, problem: str) -> SpecError:
    return SpecError.about("--data", NoData, reference=data, problem=problem)


class Given:
    """A function of the user's: `function(config, batch size, seed)`.

    It gives an iterator of `(inputs, targets)`, each a tensor or a tuple of them. One that ends is
    started anew. A function beside it of the same name and `_held_out` gives what is held out:
    `function_held_out(config, batch size)`, which has to end.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function
        try:
            text = inspect.getsource(sys.modules[function.__module__])
        except (OSError, TypeError, KeyError):
            text = ""
        self.identity = f"{name} {hashlib.sha256(text.encode()).hexdigest()}"

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        wanted = _Wanted.of(program, config)
        while True:
            empty = True
            for found in self._given(self.function, config, size, seed):
                empty = False
                yield self._batch(found, wanted)
            if empty:
                raise _none(self.name, "it gives no batch")

    def held_out(self, program: Program, config: Any, size: int) -> Iterator[Batch] | None:
        module = sys.modules.get(self.function.__module__)
        beside = getattr(module, f"{self.function.__name__}_held_out", None)
        if beside is None:
            return None
        wanted = _Wanted.of(program, config)
        return (self._batch(found, wanted) for found in self._given(beside, config, size))

    def _given(self, function: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
        """What a function of the user's gives, who is told what goes wrong in it."""
        try:
            yield from function(*arguments)
        except (Exception, SystemExit) as error:
            if ran_out_of_memory(error):  # with fewer trials at once there may be enough
                raise
            raise self._fails(f"raises {type(error).__name__}: {str(error)[:200]}") from error

    def _batch(self, found: Any, wanted: _Wanted | None) -> Batch:
        if not (isinstance(found, tuple | list) and len(found) == 2):
            raise self._fails(f"gives {_shown(found)}")
        batch = Batch(*(_tuple(part) for part in found))
        for part in (*batch.inputs, *batch.targets):
            if not isinstance(part, Tensor):
                raise self._fails(f"gives {_shown(part)}")
        problem = wanted.problem(batch) if wanted is not None else ""
        if problem:
            raise self._fails(f"gives {problem}")
        return batch

    def _fails(self, problem: str) -> SpecError:
        return SpecError.about("--data", DataFails, data=self.name, problem=problem)


class _Wanted(NamedTuple):
    """What a model takes: of each input the name, the axes and how many classes it has.

    And of each target the number of classes, where it is one of these.
    """

    inputs: tuple[tuple[str, tuple[int, ...], int | None], ...]
    targets: tuple[int | None, ...]

    @staticmethod
    def of(program: Program, config: Any) -> _Wanted | None:
        """None of a model of the user's own, whose inputs have no names: its code tells."""
        if not all(given.name.isidentifier() for given in program.inputs):
            return None
        values, found = values_of(program, config), []
        for given in program.inputs:
            classes = lengths((given.index.value,), values)[0] if given.index else None
            axes = lengths(tuple(axis.value for axis in given.axes), values)
            found.append((given.name, axes, classes))
        shapes = output_shapes(program, values)
        targets = (
            shapes[loss.output][-1]
            if loss.kind == "cross_entropy" and shapes[loss.output]
            else None
            for loss in program.losses
        )
        return _Wanted(tuple(found), tuple(targets))

    def problem(self, batch: Batch) -> str:
        """What of a batch the model cannot take. Axes of inputs of classes may be shorter."""
        given, wanted = map(len, batch), map(len, self)
        if (counts := tuple(given)) != (needed := tuple(wanted)):
            return "{} inputs and {} targets, not {} and {}".format(*counts, *needed)
        for tensor, (name, axes, classes) in zip(batch.inputs, self.inputs, strict=True):
            shape, rank = tuple(tensor.shape), len(axes)
            own = shape[len(shape) - rank :]
            shorter = classes is not None and all(a <= b for a, b in zip(own, axes, strict=False))
            if len(shape) != rank + 1 or not (own == axes or shorter):
                wanted_shape = ", ".join(map(str, ("batch", *axes)))
                return f"`{name}` of shape {shape}, not ({wanted_shape})"
            if problem := _numbers(tensor, classes):
                return f"`{name}` {problem}"
        for number, (tensor, classes) in enumerate(zip(batch.targets, self.targets, strict=True)):
            if classes is not None and (problem := _numbers(tensor, classes, IGNORED)):
                return f"target {number} {problem}"
        return ""


def _numbers(tensor: Tensor, classes: int | None, beside: int = 0) -> str:
    """What is wrong with the numbers of a tensor, of classes or real; one more may be `beside`."""
    if tensor.is_floating_point() != (classes is None):
        return f"of {tensor.dtype}, not of {'real' if classes is None else 'whole'} numbers"
    if classes is None or not tensor.numel():
        return ""
    low, high = (int(x) for x in tensor.masked_fill(tensor == beside, 0).long().aminmax())
    fits = low >= 0 and high < classes
    return "" if fits else f"from {low} to {high}, not from 0 to {classes - 1}"


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _shown(value: Any) -> str:
    return f"a value of type {type(value).__name__}, not tensors `(inputs, targets)`"
