"""The rules behind every diagnostic, one module per phase, loaded when one of them is broken.

A rule's docstring is what `abcparam explain` prints.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

_FOLDER = os.path.dirname(__file__)


class _Later:
    """A module of rules, which is loaded when a rule of it is asked for."""

    def __init__(self, name: str) -> None:
        self.module = f"{__name__}.{name}"

    def __getattr__(self, rule: str) -> Any:
        return getattr(import_module(self.module), rule)

    def __dir__(self) -> list[str]:
        return dir(import_module(self.module))


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not os.path.isfile(os.path.join(_FOLDER, f"{name}.py")):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _Later(name)
