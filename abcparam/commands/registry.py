"""The commands, found by looking in this folder for a `COMMAND`."""

from __future__ import annotations

import sys

from abcparam.commands.shared import Command
from abcparam.discovery import offered


def commands() -> list[Command]:
    """Every command, in the order of their files' names."""
    return list(offered(sys.modules[__package__ or ""], "COMMAND"))
