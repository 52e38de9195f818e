"""Functions of one value, coordinate by coordinate, as chains of calls compute them.

`0.5 * x * (1 + tanh(…))` is one function of x, and its traits are seen on a grid: whether it is
bounded, where it is zero and flat, how fast it grows. Known ones have their name in the language.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.pointwise import FunctionTraits
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import Numbers, Operand, TracedStep
from abcparam.imports.seen import CASTS, Seen
from abcparam.imports.traced import Ref, Weight
from abcparam.operations import operations
from abcparam.operations.pointwise import Pointwise

Function = Callable[[float], float]


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


def sigmoid(x: float) -> float:
    return 1 / (1 + _exp(-x))


def _softplus(x: float) -> float:
    return x if x > 30 else math.log1p(_exp(x))


def _gelu(x: float) -> float:
    return x * math.erfc(-x / math.sqrt(2)) / 2


def _gelu_tanh(x: float) -> float:
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ONE_VALUE: dict[str, Function] = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "gelu": _gelu,
    "silu": lambda x: x * sigmoid(x),
    "tanh": math.tanh,
    "sigmoid": sigmoid,
    "softplus": _softplus,
    "mish": lambda x: x * math.tanh(_softplus(x)),
    "hardswish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "hardsigmoid": lambda x: min(max(x + 3, 0.0), 6.0) / 6,
    "elu": lambda x: x if x > 0 else _exp(x) - 1,
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * (_exp(x) - 1)),
    "celu": lambda x: x if x > 0 else _exp(x) - 1,
    "exp": _exp,
    "expm1": lambda x: _exp(x) - 1,
    "erf": math.erf,
    "sin": math.sin,
    "cos": math.cos,
    "atan": math.atan,
    "abs": abs,
    "square": lambda x: x * x,
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "neg": lambda x: -x,
}
NAMES = {"gelu_tanh": _gelu_tanh, **{n: ONE_VALUE[n] for n in ("relu", "gelu", "silu", "tanh")}} | {
    n: ONE_VALUE[n] for n in ("sigmoid", "softplus", "square")
}
GRID = (-30.0, -7.3, -3.1, -1.7, -0.9, -0.31, -0.02, 0.03, 0.27, 0.8, 1.3, 2.6, 6.1, 25.0)
LINEAR = {"add", "sub", "rsub", "mul", "div", "neg"}


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
    name = step.target.removeprefix("aten.").partition(".")[0].rstrip("_")
    function = ONE_VALUE.get(name)
    if function is not None:
        inner = chain_of(see, step.arguments[0])
        outer = _with_options(see, name, function)
        if inner is None:
            return None
        return Chain(inner.base, lambda x: outer(inner.function(x)), inner.curved or name != "neg")
    if name in {"clamp", "clamp_min", "clamp_max", "hardtanh"}:
        return _clamped(see, name)
    if name == "pow":
        return _raised(see)
    if name in {"add", "sub", "rsub", "mul", "div"}:
        return _combined(see, name)
    return None


def _with_options(see: Seen, name: str, function: Function) -> Function:
    if name == "gelu" and see.step.keywords.get("approximate", see.get(1)) == "tanh":
        return _gelu_tanh
    slope = see.get(1, "negative_slope")
    if name == "leaky_relu" and isinstance(slope, Numbers):
        below = slope.first
        return lambda x: x if x > 0 else below * x
    return function


def _clamped(see: Seen, name: str) -> Chain | None:
    inner = chain_of(see, see.get(0))
    if inner is None:
        return None
    low, high = see.get(1, "min"), see.get(2, "max")
    if name == "clamp_max":
        low, high = None, low
    bottom = low.first if isinstance(low, Numbers) else -math.inf
    top = high.first if isinstance(high, Numbers) else math.inf
    return Chain(inner.base, lambda x: min(max(inner.function(x), bottom), top), True)


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
    }
    both = left.base is not None and right.base is not None
    curved = left.curved or right.curved or (both and name in {"mul", "div"})
    if name == "div" and right.base is not None:
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
    return chain is not None and all(chain.function(x) >= least for x in (*GRID, 0.0))


def operation_for(see: Seen, function: Function) -> Pointwise:
    """The language's operation of this function, or one of its own."""
    for name, known in NAMES.items():
        if _alike(function, known):
            found = operations()[name]
            assert isinstance(found, Pointwise)
            return found
    module = see.step.modules[-1].rpartition(".")[2] if see.step.modules else ""
    name = see.step.target.removeprefix("aten.").partition(".")[0]
    traits = traits_of(function, module if module.isidentifier() else name)
    if traits is None:
        see.refuse(rules.NoLaw, operation=see.step.target, what="a function that grows like x^3")
    return _named(traits)


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
        odd=all(math.isclose(function(x), -function(-x), abs_tol=1e-9) for x in GRID),
        degree=2 if not exponential and degree > 1.8 else 1,
    )
