"""Rules and commands are found by looking in their folder: a new file needs no list of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any


def names_of(package: ModuleType) -> Iterator[str]:
    """The names of a package's modules in their order, compiled ones without source too."""
    for file in sorted(os.listdir(os.path.dirname(str(package.__file__)))):
        name, ending = os.path.splitext(file)
        if ending in (".py", ".pyc") and name != "__init__":
            yield name


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    """The modules of a package in the order of their names."""
    return (import_module(f"{package.__name__}.{name}") for name in names_of(package))


def offered(package: ModuleType, name: str) -> Iterator[Any]:
    """What the modules of a package offer under a name, those that do."""
    return (vars(module)[name] for module in modules_of(package) if name in vars(module))
