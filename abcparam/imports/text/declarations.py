"""What a text declares beside its bodies: dims, hypers, exponents by role, tensors, optimizers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TypeVar

from abcparam.algebra.record import Record
from abcparam.imports.inits import Start
from abcparam.imports.numbers import Power, Sizes
from abcparam.imports.rates import Rate
from abcparam.language import syntax
from abcparam.language.printer import decimal, written
from abcparam.optimizers import optimizers
from abcparam.program.tensors import Tensor

LETTERS = ("b", "c")
ROLES = ("input", "hidden", "output")


T = TypeVar("T")


class DeclaredTensor(Record):
    """A tensor's role, and its keys as text: `init`, exponents, rates."""

    role: str
    keys: Mapping[str, str]


class TrainingText(Record):
    """How a model starts and is trained, as text."""

    hypers: tuple[str, ...]
    roles: tuple[str, ...]  # lines of `parametrization`
    tensors: Mapping[str, DeclaredTensor]
    optimizers: tuple[tuple[str, tuple[str, ...], str], ...]  # name, paths, settings


class ReadTensor(Record):
    """What was read of a tensor: as it is in the program, its start and its rate."""

    tensor: Tensor
    start: Start
    rate: Rate


def training_of(
    tensors: Mapping[str, ReadTensor], base: Sizes, grow: frozenset[str], spec: Sequence[str]
) -> TrainingText:
    """Exponents by role where most tensors of a role have them, the others by tensor."""
    reader = _Trainer(tensors, base, grow)
    return reader.training(spec)


class _Trainer:
    def __init__(
        self, tensors: Mapping[str, ReadTensor], base: Sizes, grow: frozenset[str]
    ) -> None:
        self.tensors = tensors
        self.base = base
        self.grow = grow
        trained = [x for x in tensors.values() if not x.tensor.frozen]
        self.lr = _most([self.at_base(x.rate.lr) for x in trained], 1e-3)
        self.std = self.shared_std()

    def shared_std(self) -> float | None:
        """The standard deviation that several tensors start with."""
        counts = Counter(
            x.start.scale.coefficient
            for x in self.tensors.values()
            if x.start.kind == "normal" and x.start.scale and not x.start.scale.powers
        )
        if not counts:
            return None
        value, count = counts.most_common(1)[0]
        return value if count > 1 else None

    def training(self, order: Sequence[str]) -> TrainingText:
        exponents = {path: self.exponents(x) for path, x in self.tensors.items()}
        roles: dict[str, dict[str, str]] = {}
        for role in ROLES:
            here = [exponents[p] for p, x in self.tensors.items() if self.role(x.tensor) == role]
            if here:
                roles[role] = {key: _most([e.get(key, "0") for e in here], "0") for key in LETTERS}
        declared = {}
        groups: dict[tuple[object, ...], list[str]] = {}
        for path in order:
            x = self.tensors[path]
            role = self.role(x.tensor)
            given = roles.get(role, dict.fromkeys(LETTERS, "0"))
            keys = {} if (init := self.init(x)) is None else {"init": init}
            for key, value in exponents[path].items():
                if value != given.get(key, "0"):
                    keys[key] = value
            for key, value in given.items():
                if key not in exponents[path] and value != "0":
                    keys[key] = "0"
            groups.setdefault(self.group(x), []).append(path)
            declared[path] = DeclaredTensor(role, keys)
        made = tuple(self.optimizers(groups, declared))
        return TrainingText(tuple(self.hypers()), tuple(_role_lines(roles)), declared, made)

    def role(self, tensor: Tensor) -> str:
        """Its role; a kernel for each of a growing number of channels is an input's."""
        grows = any(length.names & self.grow for length in tensor.shape)
        role = tensor.role or "scalar"
        return "input" if grows and role == "scalar" else role

    def hypers(self) -> Iterator[str]:
        yield f"hyper lr = {text_of(self.lr)}"
        if self.std is not None:
            yield f"hyper init_std = {text_of(self.std)}"

    def at_base(self, power: Power) -> float:
        return float(f"{power.at(self.base):.12g}")

    # Exponents

    def exponents(self, x: ReadTensor) -> dict[str, str]:
        """`b`, `c`, `d` and those in other dims; zeros are left out."""
        found: dict[str, str] = {}
        eps = x.rate.eps if not x.tensor.frozen else None
        scales = {"b": x.start.scale, "c": x.rate.lr, "d": eps}
        for letter, power in scales.items():
            if power is None or (letter == "b" and x.start.kind in {"zeros", "ones"}):
                continue
            if letter != "b" and x.tensor.frozen:
                continue
            for name, exponent in power.powers.items():
                if name in self.grow and power.coefficient:
                    own = self.own(x.tensor, name)
                    found[letter if own else f"{letter}[{name}]"] = str(-exponent)
        return found

    def own(self, tensor: Tensor, name: str) -> bool:
        """Whether a tensor's own width is a multiple of a size that grows."""
        width = tensor.own
        if width is None or len(width.terms) != 1:
            return False
        powers = {str(n): p for n, p in width.terms[0][0] if str(n) in self.grow}
        return powers == {name: Fraction(1)}

    # Starts

    def init(self, x: ReadTensor) -> str | None:
        """The key `init`: what it is at base."""
        start = x.start
        if start.scale is None or start.kind in {"zeros", "ones"}:
            return start.kind
        kind = "normal" if start.kind == "measured" else start.kind
        scale = start.scale
        if kind == "normal" and self.std == scale.coefficient and not scale.powers:
            return "normal(init_std)"
        return f"{kind}({written(self.scale(x.tensor, scale))})"

    def scale(self, tensor: Tensor, scale: Power) -> syntax.Expression:
        of_fan = self.of_fan(tensor, scale)
        if of_fan is not None:
            return of_fan
        finite = [(n, p) for n, p in scale.powers.items() if n not in self.grow]
        coefficient, under = rooted(scale) if finite else (scale.coefficient, 1)
        factors = [_powered(syntax.Name(name), power) for name, power in finite]
        if under != 1:
            inner = _times(syntax.Number(Fraction(under)), syntax.Name(finite[0][0]))
            factors[0] = _powered(inner, Fraction(-1, 2))
        for name, power in scale.powers.items():
            if name in self.grow:
                base = syntax.Call(syntax.Name("base"), (syntax.Argument(syntax.Name(name)),))
                factors.append(_powered(base, power))
        if coefficient != 1 or not factors:
            factors.insert(0, _root_or_number(coefficient))
        found = factors[0]
        for factor in factors[1:]:
            found = _times(found, factor)
        return found

    def of_fan(self, tensor: Tensor, scale: Power) -> syntax.Expression | None:
        """A scale as a power of fan-in, where it is one."""
        if not scale.powers or len(tensor.fan_in.terms) != 1:
            return None
        monomial, coefficient = tensor.fan_in.terms[0]
        power = next(iter(scale.powers.values())) / dict(monomial).get(next(iter(scale.powers)), 1)
        if {str(n): p * power for n, p in monomial} != dict(scale.powers):
            return None
        left = scale.coefficient / float(coefficient) ** float(power)
        if not _is_short(left):
            return None
        root = _powered(syntax.Name("fan_in"), power)
        factor = syntax.Number(rounded(float(f"{left:.4g}")))
        return root if factor.value == 1 else _times(factor, root)

    # Rates

    def group(self, x: ReadTensor) -> tuple[object, ...]:
        """What tensors of one optimizer share."""
        if x.tensor.frozen:
            return ()
        eps = None if x.rate.eps is None else self.at_base(x.rate.eps)
        return (x.rate.rule, eps, *sorted(x.rate.options.items()))

    def optimizers(
        self, groups: Mapping[tuple[object, ...], list[str]], declared: dict[str, DeclaredTensor]
    ) -> Iterator[tuple[str, tuple[str, ...], str]]:
        trained = {key: paths for key, paths in groups.items() if key}
        largest = max(trained, key=lambda key: len(trained[key]), default=())
        for key, paths in trained.items():
            tensors = [self.tensors[path] for path in paths]
            decays = [self.decay(x) for x in tensors]
            decay = _most(decays, "0")
            rule = tensors[0].rate
            settings = ["lr = lr"]
            for name, value in rule.options.items():
                default = optimizers()[rule.rule].settings.get(name)
                if str(default) != str(value) or isinstance(value, tuple):
                    settings.append(f"{name} = {option(value)}")
            if key[1] is not None:
                assert isinstance(key[1], float)
                settings.append(f"eps = {text_of(key[1])}")
            settings.append(f"weight_decay = {decay}")
            for path, x, own in zip(paths, tensors, decays, strict=True):
                keys = dict(declared[path].keys)
                rate = self.at_base(x.rate.lr)
                if rate != self.lr:
                    ratio = Fraction(repr(rate)) / Fraction(repr(self.lr))
                    keys["lr"] = (
                        f"{decimal(ratio)} * lr" if ratio.denominator < 1000 else text_of(rate)
                    )
                if own != decay:
                    keys["weight_decay"] = own
                declared[path] = DeclaredTensor(declared[path].role, keys)
            yield rule.rule, () if key == largest else tuple(paths), ", ".join(settings)
        for path in groups.get((), []):
            keys = {**declared[path].keys, "frozen": ""}
            declared[path] = DeclaredTensor(declared[path].role, keys)

    def decay(self, x: ReadTensor) -> str:
        power = x.rate.weight_decay
        found = text_of(self.at_base(power))
        for name, exponent in power.powers.items():
            ratio = syntax.Binary(
                "/",
                syntax.Name(name),
                syntax.Call(syntax.Name("base"), (syntax.Argument(syntax.Name(name)),)),
            )
            found += f" * {written(_powered(ratio, exponent))}" if power.coefficient else ""
        return found


def _role_lines(roles: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for role, keys in roles.items():
        yield f"{role} {{ a = 0, " + ", ".join(f"{k} = {v}" for k, v in keys.items()) + " }"


def rooted(scale: Power) -> tuple[float, int]:
    """The coefficient of a scale, and what goes under its root: `0.02 * (2 * depth)^(-1/2)`."""
    half = bool(scale.powers) and all(p == Fraction(-1, 2) for p in scale.powers.values())
    if half and not _is_short(scale.coefficient):
        for under in range(2, 65):
            found = scale.coefficient * under**0.5
            if _is_short(found):
                return float(f"{found:.4g}"), under
    return scale.coefficient, 1


def _root_or_number(value: float) -> syntax.Expression:
    """`20^(-1/2)` rather than its digits."""
    under = round(value**-2) if 1e-3 < value < 1 else 0
    if under and not _is_short(value) and abs(value * under**0.5 - 1) < 1e-7:
        return _powered(syntax.Number(Fraction(under)), Fraction(-1, 2))
    return syntax.Number(rounded(value))


def _is_short(value: float) -> bool:
    return abs(float(f"{value:.4g}") - value) <= 1e-9 * abs(value)


def rounded(value: float) -> Fraction:
    """A number of a spec has few digits; a quotient of small numbers is one."""
    near = Fraction(value).limit_denominator(64)
    if abs(float(near) - value) <= 1e-12 * abs(value):
        return near
    return Fraction(f"{value:.15g}")


def _most(values: Sequence[T], default: T) -> T:
    return Counter(values).most_common(1)[0][0] if values else default


def _times(left: syntax.Expression, right: syntax.Expression) -> syntax.Expression:
    return syntax.Binary("*", left, right)


def _powered(base: syntax.Expression, power: Fraction) -> syntax.Expression:
    if power == 1:
        return base
    ratio: syntax.Expression = syntax.Number(Fraction(abs(power.numerator)))
    if power.denominator > 1:
        top = syntax.Number(Fraction(power.numerator))
        ratio = syntax.Binary("/", top, syntax.Number(Fraction(power.denominator)))
    elif power < 0:
        ratio = syntax.Negative(ratio)
    return syntax.Binary("^", base, ratio)


def text_of(value: float) -> str:
    """A number of a spec: `0.001`, `1e-8`."""
    number_ = Fraction(repr(float(value)))
    if number_ and abs(number_) < Fraction(1, 1000):
        return f"{float(value):.12g}".replace("e-0", "e-")
    return decimal(number_)


def option(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"({', '.join(text_of(x) for x in value)})"
    return text_of(value) if isinstance(value, float) else str(value)
