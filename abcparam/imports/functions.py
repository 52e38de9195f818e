"""Functions of one value, coordinate by coordinate, as chains of calls compute them.

`0.5 * x * (1 + tanh(…))` is one function of x, and its traits are seen on a grid: whether it is
bounded, where it is zero and flat, how fast it grows. Known ones have their name in the language.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache

from abcparam.algebra.polynomials import number
from abcparam.algebra.record import NamedTuple
from abcparam.calculus.pointwise import FunctionTraits
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import Numbers, Operand, TracedStep
from abcparam.imports.seen import CASTS, Seen, amount
from abcparam.imports.slopes import with_slopes
from abcparam.imports.traced import Ref, Weight
from abcparam.operations import operations
from abcparam.operations.pointwise import OPERATIONS, LeakyRelu, Pointwise
from abcparam.program.amounts import Setting

Function = Callable[[float], float]


# The language's own, each by its name; PyTorch's clamps have ends of their own.
CLAMPS = {"clamp", "clamp_min", "clamp_max", "hardtanh"}
WORDS: dict[str, Function] = {
    operation.name: operation.traits.value
    for operation in OPERATIONS
    if operation.traits.value is not None and operation.traits.degree
}
_exp, _softplus, _elu = WORDS["exp"], WORDS["softplus"], WORDS["elu"]
ONE_VALUE: dict[str, Function] = {
    **{name: function for name, function in WORDS.items() if name not in CLAMPS},
    "log_sigmoid": WORDS["logsigmoid"],
    "celu": _elu,
    "hardshrink": lambda x: x if abs(x) > 0.5 else 0.0,
    "softshrink": lambda x: max(x - 0.5, 0.0) + min(x + 0.5, 0.0),
    "sinh": lambda x: (_exp(x) - _exp(-x)) / 2,
    "cosh": lambda x: (_exp(x) + _exp(-x)) / 2,
    "asinh": math.asinh,
    "exp2": lambda x: _exp(x * math.log(2)),
    "erf": math.erf,
    "erfc": math.erfc,
    "expm1": lambda x: _exp(x) - 1,
    "sin": math.sin,
    "cos": math.cos,
    "atan": math.atan,
    "abs": abs,
    "neg": lambda x: -x,
}
GRID = (-30.0, -7.3, -3.1, -1.7, -0.9, -0.31, -0.02, 0.03, 0.27, 0.8, 1.3, 2.6, 6.1, 25.0)
OF_POSITIVE: dict[str, Function] = {
    "reciprocal": lambda x: 1 / x,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
}
LEAST = 1e-3  # of what is divided by, or has a logarithm


class Chain(NamedTuple):
    """A function of the value `base`; `curved` if it is not just a multiple of it plus a number."""

    base: Operand
    function: Function
    curved: bool


def chain_of(see: Seen, operand: Operand) -> Chain | None:
    """A value as a function of the one that it is computed from, itself where it is not."""
    operand = see.origin(operand)
    if not isinstance(operand, (Ref, Weight)):
        return None
    step = see.definition(operand)
    found = _chain(see.with_step(step), step) if step is not None else None
    return found or Chain(operand, lambda x: x, False)


def _chain(see: Seen, step: TracedStep) -> Chain | None:
    """The chain that ends with a call; None where it is none."""
    name = step.call
    function = ONE_VALUE.get(name)
    if function is not None:
        inner = chain_of(see, step.arguments[0])
        outer = _with_options(see, name, function)
        if inner is None:
            return None
        return Chain(inner.base, lambda x: outer(inner.function(x)), inner.curved or name != "neg")
    if name in OF_POSITIVE:
        return _of_positive(see, OF_POSITIVE[name])
    if name in CLAMPS:
        return _clamped(see, name)
    if name == "threshold":
        return _thresholded(see)
    if name == "pow":
        return _raised(see)
    if name in {"add", "sub", "rsub", "mul", "div", "maximum", "minimum"}:
        return _combined(see, name)
    return None


def _with_options(see: Seen, name: str, function: Function) -> Function:
    """A function as a call has it, whose second argument and third may change it."""
    if name == "gelu" and see.step.keywords.get("approximate", see.get(1)) == "tanh":
        return WORDS["gelu_tanh"]
    make = OPTIONS.get(name)
    option = see.get(1, make[0]) if make is not None else None
    return make[1](option.first) if make is not None and isinstance(option, Numbers) else function


def _elu_of(alpha: float) -> Function:
    return lambda x: _elu(x) if x > 0 else alpha * _elu(x)


OPTIONS: dict[str, tuple[str, Callable[[float], Function]]] = {
    "leaky_relu": ("negative_slope", lambda slope: lambda x: x if x > 0 else slope * x),
    "elu": ("alpha", _elu_of),
    "celu": ("alpha", lambda alpha: lambda x: alpha * _elu(x / alpha) if x < 0 else x),
    "softplus": ("beta", lambda beta: lambda x: _softplus(beta * x) / beta),
    "hardshrink": ("lambd", lambda least: lambda x: x if abs(x) > least else 0.0),
    "softshrink": ("lambd", lambda by: lambda x: max(x - by, 0.0) + min(x + by, 0.0)),
}


def function_of(see: Seen) -> Function | None:
    """What a call computes of its first argument, where it is a function of it alone."""
    if see.call in CLAMPS:
        return _clamp(see, see.call)
    function = ONE_VALUE.get(see.call)
    return None if function is None else _with_options(see, see.call, function)


def _is_at_least(function: Function, least: float) -> bool:
    return all(function(x) >= least for x in (*GRID, 0.0))


def _of_positive(see: Seen, function: Function) -> Chain | None:
    """A root or reciprocal of what is a function, and nowhere near zero."""
    inner = chain_of(see, see.get(0))
    if inner is None or not inner.curved or not _is_at_least(inner.function, LEAST):
        return None
    return Chain(inner.base, lambda x: function(inner.function(x)), True)


def _thresholded(see: Seen) -> Chain | None:
    inner, least, other = chain_of(see, see.get(0)), see.get(1), see.get(2, "value")
    if inner is None or not isinstance(least, Numbers) or not isinstance(other, Numbers):
        return None
    low, value = least.first, other.first

    def function(x: float) -> float:
        y = inner.function(x)
        return y if y > low else value

    return Chain(inner.base, function, True)


def _clamped(see: Seen, name: str) -> Chain | None:
    inner, clamp = chain_of(see, see.get(0)), _clamp(see, name)
    if inner is None or clamp is None:
        return None
    return Chain(inner.base, lambda x: clamp(inner.function(x)), True)


def _clamp(see: Seen, name: str) -> Function | None:
    """What a clamp computes; None where its ends are values."""
    ends = _ends(see, name)
    return None if ends is None else _between(*ends)


def _between(bottom: float, top: float) -> Function:
    return lambda x: min(max(x, bottom), top)


def _ends(see: Seen, name: str) -> tuple[float, float] | None:
    """Between what a clamp keeps a value; None where that are values."""
    low, high = see.get(1, "min"), see.get(2, "max")
    if name == "clamp_max":
        low, high = None, low
    ends = (-1.0, 1.0) if name == "hardtanh" else (-math.inf, math.inf)
    found = [end if x is None else x for x, end in zip((low, high), ends, strict=True)]
    bottom, top = (x.first if isinstance(x, Numbers) else x for x in found)
    if not isinstance(bottom, (int, float)) or not isinstance(top, (int, float)):
        return None
    return bottom, top


def _raised(see: Seen) -> Chain | None:
    inner, by = chain_of(see, see.get(0)), see.get(1, "exponent")
    if inner is None or not isinstance(by, Numbers) or by.first not in {2.0, 3.0, 4.0}:
        return None
    power = int(by.first)
    return Chain(inner.base, lambda x: inner.function(x) ** power, True)


def _combined(see: Seen, name: str) -> Chain | None:
    left, right = _side(see, see.get(0)), _side(see, see.get(1))
    if left is None or right is None:
        return None
    alpha = see.get(2, "alpha")
    by = alpha.first if isinstance(alpha, Numbers) else 1.0
    bases = [side.base for side in (left, right) if side.base is not None]
    if not bases or any(base != bases[0] for base in bases):
        return None
    f, g = left.function, right.function
    made: dict[str, Function] = {
        "add": lambda x: f(x) + by * g(x),
        "sub": lambda x: f(x) - by * g(x),
        "rsub": lambda x: g(x) - by * f(x),
        "mul": lambda x: f(x) * g(x),
        "div": lambda x: f(x) / g(x),
        "maximum": lambda x: max(f(x), g(x)),
        "minimum": lambda x: min(f(x), g(x)),
    }
    both = left.base is not None and right.base is not None
    curved = left.curved or right.curved or name in {"maximum", "minimum"}
    curved = curved or (both and name in {"mul", "div"})
    if name == "div" and right.base is not None and not _is_at_least(g, LEAST):
        return None
    return Chain(bases[0], made[name], curved)


def _side(see: Seen, operand: Operand) -> Chain | None:
    """An operand as a function, a constant one where it is a number that no size changes."""
    power = see.scalar(operand)
    if power is not None:
        value = power.coefficient
        return None if power.powers else Chain(None, lambda x: value, False)
    return chain_of(see, operand)


def is_curved(see: Seen) -> Chain | None:
    """The chain that ends with the call at hand, where it is no mere multiple."""
    if see.step.target in CASTS:
        return None
    found = _chain(see, see.step)
    return found if found is not None and found.curved else None


def is_above(see: Seen, operand: Operand, least: float) -> bool:
    """Whether a value is a function of another one that is nowhere below a number."""
    chain = chain_of(see, operand)
    return chain is not None and _is_at_least(chain.function, least)


def operation_for(see: Seen, chain: Chain) -> tuple[Pointwise, Mapping[str, Setting]]:
    """The language's operation of this function and its settings, or one of its own.

    What it gives at a number that is known, and its gradient there, are PyTorch's.
    """
    known = known_as(chain.function)
    operation, settings = known or (_of_its_own(see, chain.function), {})
    itself = see.call == operation.name and see.origin(see.get(0)) == chain.base
    if known and (itself or settings):
        return operation, settings
    return _named(with_slopes(operation.traits, see, chain.base)), settings


def operation_computing(see: Seen, function: Function) -> tuple[Pointwise, Mapping[str, Setting]]:
    """The language's operation of a function and its settings, or one of its own."""
    return known_as(function) or (_of_its_own(see, function), {})


def _of_its_own(see: Seen, function: Function) -> Pointwise:
    module = see.step.modules[-1].rpartition(".")[2] if see.step.modules else ""
    traits = traits_of(function, module if module.isidentifier() else see.call)
    if traits is None:
        see.refuse(rules.NoLaw, operation=see.step.target, what="a function that grows like x^3")
    return _named(traits)


def known_as(function: Function) -> tuple[Pointwise, Mapping[str, Setting]] | None:
    """The language's operation that computes a function, and its settings."""
    leaky = operations()["leaky_relu"]
    assert isinstance(leaky, LeakyRelu)
    slope = round(-function(-1.0), 12)
    if 0 < slope < 1 and _alike(function, lambda x: max(x, slope * x)):
        return leaky, {"slope": amount(number(Fraction(repr(slope))))}
    for operation in operations().values():
        if isinstance(operation, Pointwise) and operation.traits.degree:
            value = operation.traits.value
            if value is not None and _alike(function, value):
                return operation, {}
    return None


@cache
def _named(traits: FunctionTraits) -> Pointwise:
    return Pointwise(traits)


def _alike(f: Function, g: Function) -> bool:
    return all(math.isclose(f(x), g(x), rel_tol=1e-6, abs_tol=1e-7) for x in GRID)


def traits_of(function: Function, name: str) -> FunctionTraits | None:
    """What the calculus needs to know of a function; None where it grows faster than a square."""
    far = [max(abs(function(x)), abs(function(-x))) for x in (1e3, 1e4)]
    degree = math.log10(far[1] / far[0]) if far[0] > 0 and far[1] > 0 else 0.0
    exponential = far[1] > 1e30
    if not exponential and degree > 2.2:
        return None
    step = 1e-5
    at_zero = function(0.0)
    slopes = [(function(step) - at_zero) / step, (at_zero - function(-step)) / step]
    return FunctionTraits(
        name,
        bounded=not exponential and degree < 0.1,
        zero_at_zero=abs(at_zero) < 1e-9,
        flat_at_zero=min(map(abs, slopes)) < 1e-4,
        homogeneous=all(math.isclose(function(2 * x), 2 * function(x)) for x in GRID),
        odd=all(math.isclose(function(x), -function(-x), abs_tol=1e-9) for x in GRID),
        degree=2 if not exponential and degree > 1.8 else 1,
    )
