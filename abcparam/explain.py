"""The story behind a diagnostic: the docstring of its rule."""

from __future__ import annotations

import inspect
import os
from importlib import import_module

from abcparam import rules
from abcparam.diagnostics import Rule


def codes() -> dict[str, type[Rule]]:
    """Every rule by its code."""
    found: dict[str, type[Rule]] = {}
    for file in sorted(os.listdir(os.path.dirname(rules.__file__))):
        if file.endswith(".py") and file != "__init__.py":
            module = import_module(f"abcparam.rules.{file[:-3]}")
            members = [
                m for m in vars(module).values() if isinstance(m, type) and issubclass(m, Rule)
            ]
            found |= {rule.code: rule for rule in members if hasattr(rule, "code")}
    return dict(sorted(found.items()))


def story(code: str) -> str | None:
    """`P0301 (error): message`, and what it means; None for an unknown code."""
    rule = codes().get(code.upper())
    if rule is None:
        return None
    message = rule.message.replace("{{", "{").replace("}}", "}")
    return f"{rule.code} ({rule.severity}): {message}\n\n{inspect.cleandoc(rule.__doc__ or '')}"
