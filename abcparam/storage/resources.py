"""Where the grammar, the templates and the examples lie."""

from __future__ import annotations

import os

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def resource(*parts: str) -> str:
    """The path of a file or folder under `grammar/`, `templates/` or `examples/`.

    They lie inside an installed package, and beside it in a checkout.
    """
    installed = os.path.join(PACKAGE, *parts)
    return installed if os.path.exists(installed) else os.path.join(PACKAGE, os.pardir, *parts)


def read_resource(*parts: str) -> str:
    with open(resource(*parts), encoding="utf-8", newline="\n") as file:
        return file.read()


def names(folder: str, ending: str) -> list[str]:
    """The names of the files there that end so, without the ending, in order."""
    found = os.listdir(resource(folder))
    return sorted(name.removesuffix(ending) for name in found if name.endswith(ending))
