"""Pages that stand alone: no network, no scripts."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template

from abcparam.storage.resources import read_resource


def framed(template: str, values: Mapping[str, str]) -> str:
    """The template's page, in the frame of all pages; `values` are HTML, `title` among them."""
    body = Template(read_resource("templates", template)).substitute(values)
    frame = Template(read_resource("templates", "page.html"))
    return frame.substitute(title=values["title"], body=body.rstrip("\n"))
