"""The operations of the language, found by looking in this folder."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module

from abcparam.operations.base import Operation


@cache
def operations() -> dict[str, Operation]:
    """Every operation by name. A module of this folder offers its own in a tuple `OPERATIONS`."""
    found: dict[str, Operation] = {}
    for file in sorted(os.listdir(os.path.dirname(__file__))):
        if file.endswith(".py") and file not in {"__init__.py", "base.py"}:
            module = import_module(f"abcparam.operations.{file[:-3]}")
            found |= {operation.name: operation for operation in module.OPERATIONS}
    return found
