"""Laws of PyTorch's operations, found by looking in this folder.

A law reads a call as values of the program: mostly operations of the language, whose laws are
theirs. Each module offers its own in a dict `LAWS`, by PyTorch's names.
"""

from __future__ import annotations

import sys
from functools import cache

from abcparam.discovery import offered
from abcparam.imports.seen import Law


@cache
def laws() -> dict[str, Law]:
    """Every law, by the operation's name in PyTorch."""
    found: dict[str, Law] = {}
    for several in offered(sys.modules[__name__], "LAWS"):
        found |= several
    return found
