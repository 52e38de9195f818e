"""The commands, found by looking in this folder for a `COMMAND`."""

from __future__ import annotations

import sys
from functools import cache

from abcparam.commands.shared import Command
from abcparam.discovery import offered


@cache
def commands() -> dict[str, Command]:
    """Every command by name, in the order of their files' names."""
    found = offered(sys.modules[__package__ or ""], "COMMAND")
    return {command.name: command for command in found}
