"""Arguments of a call, by parameter: positional ones first, then those with a name."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.diagnostics.diagnostic import Diagnostic, did_you_mean
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import names as name_rules
from abcparam.language import syntax


class InvalidStatementError(Exception):
    """Ends a statement; the diagnostic is None where the error has been reported already."""

    def __init__(self, diagnostic: Diagnostic | None) -> None:
        super().__init__()
        self.diagnostic = diagnostic


def arguments(call: syntax.Call, name: str, order: Sequence[str]) -> dict[str, syntax.Expression]:
    """Arguments by parameter."""
    given: dict[str, syntax.Expression] = {}
    positional = [a for a in call.arguments if a.name is None]
    if len(positional) > len(order):
        most = f"{len(order)} argument{'s' if len(order) != 1 else ''}" if order else "no argument"
        fields = {"operation": name, "most": most, "count": len(positional)}
        signature = f"`{name}({', '.join(order)})`"
        raise InvalidStatementError(
            rules.TooManyArguments.at(positional[-1].span, signature=signature, **fields)
        )
    for parameter, argument in zip(order, positional, strict=False):
        given[parameter] = argument.value
    for argument in call.arguments:
        if argument.name is not None:
            _keyword(name, order, argument, given)
    return given


def _keyword(
    name: str,
    order: Sequence[str],
    argument: syntax.Argument,
    given: dict[str, syntax.Expression],
) -> None:
    assert argument.name is not None
    if argument.name not in order:
        fields = {
            "owner": f"`{name}`",
            "name": argument.name,
            "known": ", ".join(order),
            "suggestion": did_you_mean(argument.name, order, argument.name_span),
        }
        raise InvalidStatementError(name_rules.UnknownSetting.at(argument.span, **fields))
    if argument.name in given:
        raise InvalidStatementError(
            name_rules.OnlyOnce.at(argument.span, what=argument.name, line=argument.span.line)
        )
    given[argument.name] = argument.value
