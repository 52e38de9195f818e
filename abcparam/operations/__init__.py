"""The operations of the language, found by looking in this folder."""

from __future__ import annotations

import sys
from functools import cache

from abcparam.discovery import modules_of
from abcparam.operations.base import Operation


@cache
def operations() -> dict[str, Operation]:
    """Every operation by name. A module of this folder offers its own in a tuple `OPERATIONS`."""
    modules = modules_of(sys.modules[__name__])
    return {operation.name: operation for module in modules for operation in module.OPERATIONS}
