"""In a notebook: the magic `%%param`, which checks the spec in a cell and shows the report."""

from __future__ import annotations

from typing import Any

from abcparam.pipeline import check
from abcparam.verdict.report import Report


def load(shell: Any) -> None:
    """Gives an IPython shell the magic."""

    def param(line: str, cell: str) -> Report:
        """Checks the spec in the cell: `%%param [NAME] [VALUE=NUMBER ...]`.

        The report is shown, and is kept as NAME; values are for dims, hypers and symbols.
        """
        name, values = _arguments(line)
        found = check(cell, set=values)
        if name:
            shell.push({name: found})
        return found

    shell.register_magic_function(param, "cell", "param")


def _arguments(line: str) -> tuple[str, dict[str, object]]:
    """The name and the values of a line: `report width=4096 lr=1e-3`."""
    names = [word for word in line.split() if "=" not in word]
    if len(names) > 1 or not all(name.isidentifier() for name in names):
        raise ValueError(f"%%param takes one name and values as in width=4096, not {line!r}")
    pairs = [word.partition("=") for word in line.split() if "=" in word]
    return "".join(names), {name: value for name, _, value in pairs}
