"""Where modules were made: the call of their class in code outside of torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from abcparam.diagnostics.source import Span
from abcparam.user_code.places import column, whole_line

LIBRARY = str(Path(torch.__file__).parent)
HERE = str(Path(__file__).parent.parent)
_PLACES: WeakKeyDictionary[nn.Module, Span] = WeakKeyDictionary()


@contextmanager
def watched() -> Iterator[None]:
    """Keeps where each module is made meanwhile."""
    kind, before = nn.Module, nn.Module.__init__

    def made(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        place = _call(sys._getframe(1))
        if place is not None and type(self).__hash__ is object.__hash__:
            _PLACES[self] = place
        before(self, *args, **kwargs)

    kind.__init__ = made  # type: ignore[method-assign]
    try:
        yield
    finally:
        kind.__init__ = before  # type: ignore[method-assign]


def _call(frame: FrameType | None) -> Span | None:
    """The innermost call outside of torch, as far as its first line goes."""
    while frame is not None and frame.f_code.co_filename.startswith((LIBRARY, HERE, "<")):
        frame = frame.f_back
    if frame is None:
        return None
    file, line = frame.f_code.co_filename, frame.f_lineno
    where = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if where is None or None in where or where[0] != where[1]:
        return whole_line(file, line)
    return Span(line, column(file, line, where[2]), line, column(file, line, where[3]), file)


def built(model: nn.Module, path: str) -> Span | None:
    """Where the module of this path was made; of a copy, the first one around it that was not."""
    while True:
        try:
            module = model.get_submodule(path)
        except AttributeError:
            module = None
        if module is not None and module in _PLACES:
            return _PLACES[module]
        if not path:
            return None
        path = path.rpartition(".")[0]
