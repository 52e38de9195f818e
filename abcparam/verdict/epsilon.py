"""Gradients that fall below a constant epsilon, and from which width on they do."""

from __future__ import annotations

from collections.abc import Iterable
from math import log10

from abcparam.algebra.sizes import Size, numeric
from abcparam.calculus.parameter import Parameter
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import findings as rules
from abcparam.optimizers.base import rule_of
from abcparam.program.model import Program
from abcparam.verdict.magnitudes import evaluate, gradients_at_base

FARTHEST = 10**6  # what lies beyond, nobody meets


def lagging(program: Program, parameters: Iterable[Parameter]) -> list[Diagnostic]:
    """Where epsilon does not keep up with gradients at a size within reach; one for each law."""
    falling = [p for p in parameters if _falls(program, p)]
    gradients = gradients_at_base(program) if falling else {}
    behind: dict[tuple[Size, Size], list[tuple[Parameter, str]]] = {}
    for p in falling:
        where = _crossing(program, p, gradients.get(p.tensor.path, 1.0))
        if where is not None:
            behind.setdefault((p.d, p.gamma), []).append((p, where))
    return [_lags(found) for found in behind.values()]


def _falls(program: Program, p: Parameter) -> bool:
    """Whether the gradient of a tensor falls below its epsilon from some width on."""
    trained = rule_of(program, p).epsilon and not p.tensor.frozen
    return trained and p.has_epsilon and -p.d > p.gamma and bool(p.gamma.vectors)


def _lags(found: list[tuple[Parameter, str]]) -> Diagnostic:
    first, where = found[0]
    d, gamma = first.d, first.gamma
    fields = {
        "name": first.tensor.path,
        "eps": "is constant" if d == d.space.one else f"is of size {-d}",
        "gradient": gamma,
        "also": f" (and of {len(found) - 1} more)" if len(found) > 1 else "",
        "d": _settings_of("d", -gamma, first.rho_in | first.rho_out),
    }
    return rules.ConstantEpsilon.at(first.tensor.span, where=where, **fields)


def _crossing(program: Program, parameter: Parameter, gradient: float) -> str | None:
    """Where a gradient of this size at base reaches epsilon, along each dim with which it sinks.

    None where that is at no size that anybody has, or nowhere.
    """
    assert parameter.tensor.epsilon is not None
    epsilon = evaluate(parameter.tensor.epsilon.value, program.base_values())
    if epsilon <= 0:
        return "the update shrinks once the gradient is below it"
    if gradient <= epsilon:
        return f"it is about {gradient:.0e} at base, below it already" if gradient > 0 else None
    places = []
    for name, exponent in numeric(-parameter.d - parameter.gamma).exponents().items():
        if exponent > 0:
            base = program.dims[name].base or 1
            digits = log10(base) + log10(gradient / epsilon) / float(exponent)
            places += [f"{name} {10**digits:.0e}"] if digits <= log10(FARTHEST) else []
    return f"about {gradient:.0e} at base, it meets it at {' or '.join(places)}" if places else None


def _settings_of(letter: str, size: Size, own: Size) -> str:
    """`d = 1`, and `d[depth] = 1` for a dim that is not the tensor's width."""
    widths = {name for name, power in numeric(own).exponents().items() if power}
    parts = []
    for name, value in numeric(size).exponents().items():
        if value:
            parts.append(f"{letter} = {value}" if name in widths else f"{letter}[{name}] = {value}")
    return ", ".join(parts) or f"{letter} = 0"
