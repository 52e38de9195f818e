"""The optimizers of the language, found by looking in this folder."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module

from abcparam.optimizers.base import Rule


@cache
def optimizers() -> dict[str, Rule]:
    """Every optimizer by name. A module of this folder offers its own in a tuple `OPTIMIZERS`."""
    found: dict[str, Rule] = {}
    for file in sorted(os.listdir(os.path.dirname(__file__))):
        if file.endswith(".py") and file not in {"__init__.py", "base.py"}:
            module = import_module(f"abcparam.optimizers.{file[:-3]}")
            found |= {rule.name: rule for rule in module.OPTIMIZERS}
    return found
