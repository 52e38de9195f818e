"""What values are called: as the user's code calls them."""

from __future__ import annotations

import re

from abcparam.imports.alike import TracedStep

ASSIGNED = re.compile(r"\s*(?:self\.)?([A-Za-z_]\w*)\s*(?::[^=]*)?[-+*/@]?=[^=]")
SEVERAL = re.compile(r"\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*=[^=]")


def title_of(step: TracedStep) -> str:
    """The variable that a call's line assigns, nothing where it assigns none or several."""
    found = ASSIGNED.match(step.text)
    return found.group(1).strip("_") if found and len(step.shapes) == 1 else ""


def titles_of_line(step: TracedStep) -> tuple[str, ...]:
    """The variables that a call's line assigns."""
    found = SEVERAL.match(step.text)
    return tuple(name.strip().strip("_") for name in found.group(1).split(",")) if found else ()
