"""Rules and commands are found by looking in their folder: a new file needs no list of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    """The modules of a package in the order of their names."""
    for file in sorted(os.listdir(os.path.dirname(str(package.__file__)))):
        if file.endswith(".py") and file != "__init__.py":
            yield import_module(f"{package.__name__}.{file[:-3]}")


def offered(package: ModuleType, name: str) -> Iterator[Any]:
    """What the modules of a package offer under a name, those that do."""
    return (vars(module)[name] for module in modules_of(package) if name in vars(module))
