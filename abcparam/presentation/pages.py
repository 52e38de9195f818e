"""Pages that stand alone: no network, no scripts."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template

from abcparam.presentation.markup import shown
from abcparam.storage.resources import read_resource


def framed(template: str, values: Mapping[str, str], title: str) -> str:
    """The template's page, in the frame of all pages; `values` are HTML, the title is a text."""
    frame = Template(read_resource("templates", "page.html"))
    body = filled(template, values)
    return frame.substitute(title=shown(title), body=body, style=style())


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with the values, without the lines of those that are empty."""
    lines = read_resource("templates", template).rstrip("\n").split("\n")
    kept = [line for line in lines if not (line[:1] == "$" and not values.get(line[1:], line))]
    return Template("\n".join(kept)).substitute(values)


def style() -> str:
    """The style of all pages, for what is inside of an element of the class `abcparam`."""
    return read_resource("templates", "style.css").rstrip("\n")
