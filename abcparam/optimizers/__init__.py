"""The optimizers of the language, found by looking in this folder."""

from __future__ import annotations

import sys
from functools import cache

from abcparam.discovery import modules_of
from abcparam.optimizers.base import Rule


@cache
def optimizers() -> dict[str, Rule]:
    """Every optimizer by name. A module of this folder offers its own in a tuple `OPTIMIZERS`."""
    modules = modules_of(sys.modules[__name__])
    return {rule.name: rule for module in modules for rule in module.OPTIMIZERS}
