"""Makes the tables of docs/ again: `python -m docs.tables`.

In a page a table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from abcparam.storage.atomic import write_atomically
from docs.tables import findings, operations, optimizers, parametrizations, words
from docs.tables.markdown import Table

TABLES = {
    "operations": operations.table,
    "optimizers": optimizers.table,
    "laws of optimizers": optimizers.laws,
    "parametrizations": parametrizations.table,
    "findings": findings.table,
    "roles": words.roles,
    "keys": words.keys,
    "exponents": words.exponents,
}
FOLDER = Path(__file__).resolve().parents[1]
PLACE = re.compile(r"<!-- table: (.*?) -->\n(.*?)<!-- end -->", re.DOTALL)


def pages() -> list[Path]:
    return sorted(FOLDER.glob("*.md"))


def made(text: str) -> str:
    """The page with its tables made again."""
    return PLACE.sub(lambda place: written(place[1], TABLES[place[1]]()), text)


def written(name: str, table: Table) -> str:
    return f"<!-- table: {name} -->\n\n{table.text}\n\n<!-- end -->"


def main() -> None:
    for page in pages():
        before = page.read_text(encoding="utf-8")
        if (after := made(before)) != before:
            write_atomically(str(page), after)


if __name__ == "__main__":
    main()
