"""Powers that numbers grow as, where they are no powers themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, leading_growth
from abcparam.imports.factory import written
from abcparam.imports.numbers import Power, Sizes, polynomial_of, power_of, tidied, varying

LARGEST = 10**4  # denominator of a squared scale that is a sum


def growing_of(settings: Sequence[Sizes]) -> list[str]:
    """The sizes that take the most values: as settings are made, those that grow."""
    counts = {name: len({sizes[name] for sizes in settings}) for name in settings[0]}
    return [name for name, count in counts.items() if count == max(counts.values()) > 1]


def power_for(
    values: Sequence[float], settings: Sequence[Sizes], growing: frozenset[str]
) -> tuple[Power, str] | None:
    """The power that values are, or grow as with some sizes; and a note of what it leaves out."""
    exact = power_of(values, settings)
    return leading_power(values, settings, growing) if exact is None else (exact, "")


def leading_power(
    values: Sequence[float], settings: Sequence[Sizes], growing: frozenset[str]
) -> tuple[Power, str] | None:
    """The power that values grow as with some sizes, and what it leaves out.

    That is the leading term of a sum under a root, as Xavier's; or the power at the base values of
    the sizes that do not grow.
    """
    found = _leading_term(values, settings, growing)
    if found is not None:
        return found
    base = settings[0]
    fixed = [n for n in varying(settings) if n not in growing]
    at = [i for i, s in enumerate(settings) if all(s[n] == base[n] for n in fixed)]
    if len(at) < 3 or len(at) == len(settings):
        return None
    inner = [settings[i] for i in at]
    part = power_of([values[i] for i in at], inner)
    return None if part is None else (part, f"as at {written({n: base[n] for n in fixed})}")


def _leading_term(
    values: Sequence[float], settings: Sequence[Sizes], growing: frozenset[str]
) -> tuple[Power, str] | None:
    if not all(v and math.isfinite(v) for v in values):
        return None
    inverse = [Fraction(1 / (v * v)).limit_denominator(LARGEST) for v in values]
    pairs = zip(inverse, values, strict=True)
    if not all(q and math.isclose(1 / math.sqrt(q), abs(v), rel_tol=1e-9) for q, v in pairs):
        return None
    common = math.lcm(*(q.denominator for q in inverse))
    total = polynomial_of([int(q * common) for q in inverse], settings)
    powers = None if total is None else _leading(total, growing)
    if powers is None:
        return None
    scaled = {name: -p / 2 for name, p in powers.items() if p}
    shape = Power(1.0, scaled)
    power = Power(tidied(values[0] / shape.at(settings[0])), scaled)
    return power, f"a number over sqrt({total}), whose leading term counts"


def _leading(total: Polynomial, growing: frozenset[str]) -> dict[str, Fraction] | None:
    """The powers of the one term that grows fastest."""

    def of(name: str) -> Mapping[str, Fraction]:
        return {name: Fraction(1)} if name in growing else {}

    first = leading_growth(total, of)
    alone = [leading_growth(Polynomial({m: c}), of) for m, c in total.terms]
    degree = sum(first.values())
    rivals = [powers for powers in alone if sum(powers.values()) == degree]
    return first if all(powers == first for powers in rivals) else None


def shown(values: Sequence[float], settings: Sequence[Sizes]) -> list[str]:
    names = varying(settings)
    pairs = zip(values, settings, strict=True)
    return [f"{value:.4g} at {written({n: s[n] for n in names} or s)}" for value, s in pairs]
