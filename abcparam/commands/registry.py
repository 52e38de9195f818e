"""The commands, found by looking in this folder for a `COMMAND`."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType

from abcparam.commands.shared import Command
from abcparam.discovery import names_of, offered


@cache
def commands() -> dict[str, Command]:
    """Every command by name, in the order of their files' names."""
    found = offered(_package(), "COMMAND")
    return {command.name: command for command in found}


def command_named(name: str) -> Command | None:
    """The command of a name, for which no other is loaded where its file has that name too."""
    file = name.replace("-", "_")
    if file in names_of(_package()):
        module = import_module(f"{_package().__name__}.{file}")
        found: Command | None = getattr(module, "COMMAND", None)
        if found and found.name == name:
            return found
    return commands().get(name)


def _package() -> ModuleType:
    return sys.modules[__package__ or ""]
