"""The story behind a diagnostic: the docstring of its rule."""

from __future__ import annotations

import re

from abcparam.diagnostics import rules
from abcparam.diagnostics.diagnostic import DiagnosticRule
from abcparam.discovery import modules_of

FIELD = re.compile(r"(?<!\{)\{\w+\}(?!\})")  # of a message: what is filled in


def codes() -> dict[str, type[DiagnosticRule]]:
    """Every rule by its code."""
    members = [member for module in modules_of(rules) for member in vars(module).values()]
    classes = [m for m in members if isinstance(m, type) and issubclass(m, DiagnosticRule)]
    return dict(sorted((rule.code, rule) for rule in classes if hasattr(rule, "code")))


def story(code: str) -> str | None:
    """`P0301 (error): message`, and what it means; None for an unknown code."""
    rule = codes().get(f"P{code.upper().removeprefix('P').zfill(4)}")
    if rule is None:
        return None
    return f"{rule.code} ({rule.severity}): {told(rule)}\n\n{meaning(rule)}"


def told(rule: type[DiagnosticRule]) -> str:
    """What a rule says, whatever it is about."""
    text = getattr(rule, "summary", rule.message)  # a finding's message is mostly what is filled in
    return FIELD.sub("…", text).replace("{{", "{").replace("}}", "}")


def meaning(rule: type[DiagnosticRule]) -> str:
    """What a rule means: its docstring."""
    from inspect import cleandoc

    return cleandoc(rule.__doc__ or "")
