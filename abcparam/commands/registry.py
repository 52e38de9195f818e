"""The commands, found by looking in this folder for a `COMMAND`."""

from __future__ import annotations

import sys

from abcparam.commands.shared import Command
from abcparam.discovery import modules_of


def commands() -> list[Command]:
    """Every command, in the order of their files' names."""
    package = sys.modules[__package__ or ""]
    found = (getattr(module, "COMMAND", None) for module in modules_of(package))
    return [command for command in found if command is not None]
