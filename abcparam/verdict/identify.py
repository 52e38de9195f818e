"""Which shipped parametrization a program is, in another gauge.

Only `a`, `b` and `c` are compared, each tensor with its role's: what a spec does about epsilon,
weight decay and constants is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import GrowthPowers, Polynomial, leading_growth
from abcparam.algebra.record import Record
from abcparam.language import syntax
from abcparam.language.parser import comments
from abcparam.language.reader import read
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, Tensor, exponents_by_key
from abcparam.resolve.parametrizations import fits, shipped, shipped_name
from abcparam.resolve.tensors import affine

FIRST = "mup"  # what others are called where they are the same up to gauge
LETTERS = "abc"
MOST_GROUPS = 4
ZERO = Fraction(0)

Roles = Mapping[str, Mapping[str, Fraction]]  # role -> letter -> exponent of the own width


class Identity(Record):
    """A shipped parametrization, where it is published, and each tensor's shift to it.

    That is θ in `(a + θ, b - θ, c - gauge * θ)`, from the shipped exponents to the program's.
    """

    name: str
    citation: str
    shifts: Mapping[str, GrowthPowers]


def identify(program: Program) -> Identity | None:
    """None where none fits, and where one fits as it is: taken by its name, or spelled out."""
    exponents = _exponents_of(program)
    if exponents is None:
        return None
    found = None
    for path, offered in shipped(FIRST):
        shifts = _fit(program, exponents, _by_optimizer(program, offered))
        if shifts is not None and not any(shifts.values()):
            return None
        if shifts is not None and found is None:
            found = Identity(shipped_name(path), _citation(path), shifts)
    return found


def _fit(
    program: Program,
    exponents: Mapping[str, Mapping[str, GrowthPowers]],
    offered: Mapping[str, Roles],
) -> dict[str, GrowthPowers] | None:
    """The θ of every tensor, None where a tensor has none."""
    shifts: dict[str, GrowthPowers] = {}
    for path, tensor in program.tensors.items():
        rule = program.optimizers[tensor.optimizer].rule
        if rule.form not in offered or tensor.role is None:
            return None
        mine = exponents[path]
        own, shipped = mine[OWN], offered[rule.form].get(tensor.role, {})
        rest = {k: _plus(mine[k], own, -shipped.get(k, ZERO)) for k in LETTERS}
        theta = rest["a"]
        if not tensor.init.is_zero and _plus(rest["b"], theta, Fraction(-rule.shift["b"])):
            return None
        if not tensor.frozen and _plus(rest["c"], theta, Fraction(-rule.shift["c"])):
            return None
        shifts[path] = theta
    return shifts


def _plus(x: GrowthPowers, y: GrowthPowers, by: Fraction) -> GrowthPowers:
    if not y or not by:
        return x
    total = {name: x.get(name, ZERO) + by * y.get(name, ZERO) for name in {**x, **y}}
    return {name: value for name, value in total.items() if value}


# The program's


def _exponents_of(program: Program) -> dict[str, dict[str, GrowthPowers]] | None:
    """Of each tensor its `a`, `b` and `c`, as totals by growth dim, and how its own width grows.

    None where symbols are left.
    """
    growths: dict[Polynomial, GrowthPowers] = {}

    def growth(length: Polynomial) -> GrowthPowers:
        if length not in growths:
            growths[length] = leading_growth(length, program.growth_of, program.growth_order)
        return growths[length]

    found = {}
    for path, tensor in program.tensors.items():
        if any(x.symbols for key, x in exponents_by_key(tensor).items() if key[0] in LETTERS):
            return None
        own = growth(tensor.own) if tensor.own is not None else {}
        totals = {letter: _total(program, tensor, letter, own, growth) for letter in LETTERS}
        totals["c"] = _plus(totals["c"], growth(tensor.lr.value), Fraction(-1))
        found[path] = {OWN: own, **totals}
    return found


def _total(
    program: Program,
    tensor: Tensor,
    letter: str,
    own: GrowthPowers,
    growth: Callable[[Polynomial], GrowthPowers],
) -> GrowthPowers:
    total: GrowthPowers = {}
    for dim, exponent in tensor.exponents[letter].items():
        length = own if dim == OWN else growth(program.dims[dim].value)
        total = _plus(total, length, exponent.constant)
    return total


# The shipped ones


def _citation(path: str) -> str:
    """Where a parametrization is published: the first comment of its file."""
    return comments(read(path))[0].text.removeprefix("# ")


def _by_optimizer(program: Program, offered: Iterable[syntax.Parametrization]) -> dict[str, Roles]:
    """What is offered for each optimizer of a program, as exponents by role."""
    optimizers = {optimizer.rule.form for optimizer in program.optimizers}
    found: dict[str, Roles] = {}
    for declared in offered:
        if served := [form for form in optimizers if fits(declared, form)]:
            roles = {role.role.id: dict(_numbers(role.settings)) for role in declared.roles}
            found |= dict.fromkeys(served, roles)
    return found


def _numbers(settings: tuple[syntax.Setting, ...]) -> Iterator[tuple[str, Fraction]]:
    for setting in settings:
        exponent = affine(setting.value, frozenset(), "?")
        if setting.key in LETTERS and exponent is not None:
            assert setting.dim is None, "shipped parametrizations are about the own width"
            yield setting.key, exponent.constant


def described(program: Program, identity: Identity) -> str:
    """`W1`, `b1` a - 1/2, b + 1/2; `W4` …: the tensors that are in another gauge, and in which."""
    from abcparam.presentation.words import listed
    from abcparam.program.gauge_text import shifted

    groups: dict[str, list[str]] = {}
    for path, theta in identity.shifts.items():
        tensor = program.tensors[path]
        shift = program.shift_of(tensor)
        letters = {letter: shift[letter] for letter in ("ab" if tensor.frozen else "abc")}
        shifts = {dim: Affine(by) for dim, by in theta.items()}
        groups.setdefault(shifted(program, tensor, shifts, letters), []).append(f"`{path}`")
    texts = [f"{listed(paths)} {text}" for text, paths in groups.items() if text]
    return "; ".join(texts[:MOST_GROUPS]) + ("; …" if len(texts) > MOST_GROUPS else "")
