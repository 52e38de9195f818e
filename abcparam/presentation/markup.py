"""Pieces of HTML and SVG: whatever is in a text, it is shown and never read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

# What a browser would not show, or would show the rest of a line in another order for.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]"
)
CODE = re.compile(r"`([^`]+)`")


def shown(text: object) -> str:
    """A text as it is to be seen, quotes and all."""
    return escape(UNSEEN.sub("\ufffd", str(text)))


def prose(text: str) -> str:
    """The same of a sentence: what stands between backticks is code."""
    return CODE.sub(r"<code>\1</code>", shown(text))


def element(tag: str, inner: str, **attributes: object) -> str:
    """An element around what is HTML already; `class_` is `class`, empty ones are left out."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{shown(value)}"'
        for name, value in attributes.items()
        if value not in ("", None)
    )
    return f"<{tag}{given}>{inner}</{tag}>"


def items(tag: str, texts: Iterable[str]) -> str:
    """A list, `ol` or `ul`; nothing where it is empty."""
    found = "\n".join(f"<li>{text}</li>" for text in texts)
    return f"<{tag}>\n{found}\n</{tag}>" if found else ""


def table(
    header: Sequence[str],
    rows: Iterable[str],
    numbers: Sequence[str] = (),
) -> str:
    """A table that scrolls in its own box; `numbers` are the heads of columns of numbers."""
    heads = "".join(
        element("th", shown(head), scope="col", class_="number" if head in numbers else "")
        for head in header
    )
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table">\n<table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )
