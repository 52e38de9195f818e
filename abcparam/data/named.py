"""What `--data` names: a text file, a folder of images, `digits`, or `module:function`."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from abcparam.data.batch import Batch, Data
from abcparam.data.digits import Digits
from abcparam.data.images import Images
from abcparam.data.text import TextFile
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoData
from abcparam.program.model import Program


def data_named(text: str | Callable[..., Any]) -> Data:
    """The data of a name, or of a function itself. Raises `SpecError` where there is none."""
    if callable(text):
        return Given(f"{text.__module__}:{text.__qualname__}", text)
    try:
        if text == "digits":
            return Digits()
        module, colon, function = text.partition(":")
        if colon and not os.path.exists(text):
            return Given(text, _function(module, function))
        return Images(Path(text)) if os.path.isdir(text) else TextFile(Path(text))
    except (ImportError, AttributeError, OSError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise _none(text, problem) from None


def _none(data: str, problem: str) -> SpecError:
    return SpecError.about("--data", NoData, data=data, problem=problem)


def _function(module: str, function: str) -> Callable[..., Any]:
    """A function of a module, which may lie in the folder at hand."""
    sys.path.insert(0, os.getcwd())
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return found
    finally:
        sys.path.remove(os.getcwd())


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
        while True:
            empty = True
            for inputs, targets in self.function(config, size, seed):
                empty = False
                yield Batch(_tuple(inputs), _tuple(targets))
            if empty:
                raise _none(self.name, "it gives no batch")

    def held_out(self, program: Program, config: Any, size: int) -> Iterator[Batch] | None:
        module = sys.modules.get(self.function.__module__)
        beside = getattr(module, f"{self.function.__name__}_held_out", None)
        if beside is None:
            return None
        return (Batch(_tuple(inputs), _tuple(targets)) for inputs, targets in beside(config, size))


def _tuple(value: Tensor | tuple[Tensor, ...] | list[Tensor]) -> tuple[Tensor, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)
