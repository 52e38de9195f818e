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
    behind: dict[tuple[Size, Size], list[Parameter]] = {}
    for p in falling:
        if _within_reach(program, p, gradients.get(p.tensor.path, 1.0)):
            behind.setdefault((p.d, p.gamma), []).append(p)
    return [_lags(program, found, gradients) for found in behind.values()]


def _falls(program: Program, p: Parameter) -> bool:
    """Whether the gradient of a tensor falls below its epsilon from some width on."""
    trained = rule_of(program, p).epsilon and not p.tensor.frozen
    return trained and p.has_epsilon and -p.d > p.gamma and bool(p.gamma.vectors)


def _lags(program: Program, found: list[Parameter], gradients: dict[str, float]) -> Diagnostic:
    first = found[0]
    d, gamma = first.d, first.gamma
    fields = {
        "name": first.tensor.path,
        "eps": "is constant" if d == d.space.one else f"is of size {-d}",
        "gradient": gamma,
        "also": f" (and of {len(found) - 1} more)" if len(found) > 1 else "",
        "d": _settings_of("d", -gamma, first.rho_in | first.rho_out),
    }
    where = _crossing(program, first, gradients.get(first.tensor.path, 1.0))
    return rules.ConstantEpsilon.at(first.tensor.span, where=where, **fields)


def _within_reach(program: Program, parameter: Parameter, gradient: float) -> bool:
    """Whether a gradient of this size at base reaches epsilon at a size that anybody has."""
    epsilon = _epsilon_of(program, parameter)
    if epsilon <= 0:
        return True
    if gradient <= epsilon:
        return gradient > 0
    meets = _meetings(program, parameter, gradient / epsilon)
    return any(digits <= log10(FARTHEST) for digits in meets.values())


def _epsilon_of(program: Program, parameter: Parameter) -> float:
    epsilon = parameter.tensor.epsilon
    assert epsilon is not None
    return evaluate(epsilon.value, program.base_values())


def _meetings(program: Program, parameter: Parameter, ratio: float) -> dict[str, float]:
    """By each dim with which a gradient sinks, the logarithm of where it has, by this ratio."""
    gap = -parameter.d - parameter.gamma
    return {
        name: log10(program.dims[name].base or 1) + log10(ratio) / float(exponent)
        for name, exponent in numeric(gap).exponents().items()
        if exponent > 0
    }


def _crossing(program: Program, parameter: Parameter, gradient: float) -> str:
    """Where a gradient of this size at base reaches epsilon, along each dim with which it sinks."""
    epsilon = _epsilon_of(program, parameter)
    if epsilon <= 0:
        return "the update shrinks once the gradient is below it"
    if gradient <= epsilon:
        return f"it is about {gradient:.0e} at base, below it already"
    meets = _meetings(program, parameter, gradient / epsilon)
    places = [f"{n} {10**x:.0e}" for n, x in meets.items() if x <= log10(FARTHEST)]
    return f"about {gradient:.0e} at base, it meets it at {' or '.join(places)}"


def _settings_of(letter: str, size: Size, own: Size) -> str:
    """`d = 1`, and `d[depth] = 1` for a dim that is not the tensor's width."""
    widths = {name for name, power in numeric(own).exponents().items() if power}
    parts = []
    for name, value in numeric(size).exponents().items():
        if value:
            parts.append(f"{letter} = {value}" if name in widths else f"{letter}[{name}] = {value}")
    return ", ".join(parts) or f"{letter} = 0"
