"""The operations of the language, found by looking in this folder."""

from __future__ import annotations

import sys
from functools import cache

from abcparam.discovery import offered
from abcparam.operations.base import Operation


@cache
def operations() -> dict[str, Operation]:
    """Every operation by name. A module of this folder offers its own in a tuple `OPERATIONS`."""
    found = offered(sys.modules[__name__], "OPERATIONS")
    return {operation.name: operation for several in found for operation in several}
