"""The optimizers of the language, found by looking in this folder."""

from __future__ import annotations

import sys
from functools import cache

from abcparam.discovery import offered
from abcparam.optimizers.base import OptimizerRule


@cache
def optimizers() -> dict[str, OptimizerRule]:
    """Every optimizer by name. A module of this folder offers its own in a tuple `OPTIMIZERS`."""
    found = offered(sys.modules[__name__], "OPTIMIZERS")
    return {rule.name: rule for several in found for rule in several}
