"""Tensors: axes, role, exponents, init, and what a role or the optimizer leaves to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial, growth, number, product
from abcparam.algebra.record import Record, field
from abcparam.diagnostics.diagnostic import Collector
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import shapes as shape_rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.program.amounts import Amount, Shape
from abcparam.program.dims import Dim, Hyper, order_of
from abcparam.program.lengths import at_base
from abcparam.program.signature import show
from abcparam.program.tensors import OWN, Init, Tensor, default_init
from abcparam.resolve.amounts import Amounts, NotStaticError, Statics
from abcparam.resolve.names import INITS
from abcparam.resolve.parametrizations import Parametrization, by_key
from abcparam.resolve.uses import Uses

GROWS = {  # whether fan-in and fan-out go to infinity
    "scalar": (False, False),
    "input": (False, True),
    "output": (True, False),
    "hidden": (True, True),
}
ROLE_OF = {grows: role for role, grows in GROWS.items()}

Exponents = dict[str, dict[str, Affine]]
INHERITED = Amount(syntax.Name("lr"), ONE)  # a learning rate still to be taken from the optimizer


class Globals(Record):
    """What every place of the spec can see."""

    collector: Collector
    dims: Mapping[str, Dim]
    hypers: Mapping[str, Hyper]
    symbols: frozenset[str]
    parametrization: Parametrization
    uses: Uses
    inferred: set[str] = field(default_factory=set)  # paths of tensors whose role is left out
    broken: set[str] = field(default_factory=set)  # paths of tensors with an error in their shape
    contradicted: dict[str, Span] = field(default_factory=dict)  # lengths that roles contradict

    def amounts(self, statics: Statics) -> Amounts:
        return Amounts(self.dims, self.hypers, statics)

    def growth_of(self, name: str) -> Mapping[str, Fraction]:
        dim = self.dims.get(name)
        return {name: Fraction(1)} if dim and dim.growing else {}

    def at_base(self, value: Polynomial) -> Fraction | None:
        """The value at base, None where it depends on more than dims with a size there."""
        sizes = {d.name: d.base or d.default for d in self.dims.values() if not d.derived}
        known = {name: Fraction(size) for name, size in sizes.items() if size is not None}
        try:
            return value.nearest(known) if value.names <= known.keys() else None
        except (ValueError, ZeroDivisionError):
            return None

    def grows(self, length: Polynomial) -> bool:
        """Whether a length goes to infinity."""
        return any(leading > 0 for leading in self._leading_rates(length))

    def _leading_rates(self, length: Polynomial) -> list[Fraction]:
        """Of each monomial, the rate in the first limit in which it has one."""
        orders = [self.order(g) for g in growth(length, self.growth_of, self.order)]
        return [next((rate for rate in order if rate), Fraction(0)) for order in orders]

    def order(self, powers: Mapping[str, Fraction]) -> tuple[Fraction, ...]:
        return order_of(self.dims, powers)


def positive(world: Globals, span: Span, what: str, amount: Amount) -> None:
    """Reports a factor that is nothing, or less."""
    value = world.at_base(amount.value)
    if value is not None and value <= 0:
        remedy = "`frozen` keeps a tensor as it starts, `init = zeros` starts it at zero"
        fields = {"what": what, "value": value, "wanted": "positive", "remedy": remedy}
        world.collector.add(rules.NotPositive.at(span, **fields))


class Geometry(Record):
    """How a tensor's axes are read."""

    table: bool
    fan_in: Polynomial
    fan_out: Polynomial
    actual: str


def resolve_tensor(
    world: Globals, declaration: syntax.Tensor, name: syntax.Name, path: str, statics: Statics
) -> Tensor:
    """One tensor of a declaration; problems are reported and patched over."""
    return _Tensor(world, declaration, name, path, statics).run()


class _Tensor:
    def __init__(
        self,
        world: Globals,
        declaration: syntax.Tensor,
        name: syntax.Name,
        path: str,
        statics: Statics,
    ) -> None:
        self.world = world
        self.declaration = declaration
        self.name = name
        self.path = path
        self.amounts = world.amounts(statics)
        self.statics = statics
        self.role = ""
        self.report: Callable[..., None] = world.collector.add

    def run(self) -> Tensor:
        axes = tuple(self._axis(axis) for axis in self.declaration.shape)
        shape = tuple(axis.value for axis in axes)
        declared = self._declared_role()
        geometry = self._geometry(shape, declared)
        if declared and declared != geometry.actual:
            self._contradiction(shape, declared, geometry)
        self.role = role = declared or geometry.actual
        given = self.world.parametrization.settings(role, self.path)
        settings = {**given, **by_key(self.declaration.settings)}
        return self._tensor(axes, role, geometry, settings)

    def _tensor(
        self,
        axes: tuple[Amount, ...],
        role: str,
        geometry: Geometry,
        settings: Mapping[str, syntax.Setting],
    ) -> Tensor:
        frozen = self._frozen(settings)
        own = self._own(geometry)
        init_statics = {**self.statics, "fan_in": geometry.fan_in, "fan_out": geometry.fan_out}
        at_base_statics = {
            key: at_base(value, self.world.dims) if key in {"fan_in", "fan_out"} else value  # type: ignore[arg-type]
            for key, value in init_statics.items()
        }
        amounts = self.world.amounts(at_base_statics)
        return Tensor(
            path=self.path,
            name=self.name.id,
            role=role,
            axes=axes,
            table=geometry.table,
            fan_in=geometry.fan_in,
            fan_out=geometry.fan_out,
            own=own,
            exponents=self._exponents(settings, role, frozen or own is None),
            init=self._init(settings, axes, geometry, amounts),
            mult=self._constant(settings, "mult", amounts),
            lr=self._constant(settings, "lr", amounts) or INHERITED,
            weight_decay=self._setting(settings, "weight_decay", amounts),
            epsilon=None,
            frozen=frozen,
            optimizer=0,
            span=self.name.span,
            spans={key: setting.span for key, setting in by_key(self.declaration.settings).items()},
            places={key: setting.span for key, setting in settings.items()},
        )

    # Shape and role

    def _axis(self, axis: syntax.Expression) -> Amount:
        try:
            amount = self.amounts.amount(axis, "an axis")
        except NotStaticError as error:
            self.report(error.diagnostic)
            self.world.broken.add(self.path)
            return Amount(axis, ONE)
        constant = amount.value.constant
        if (constant is not None and (constant < 1 or constant.denominator != 1)) or (
            amount.value.names & self.world.hypers.keys()
        ):
            self.report(shape_rules.NotALength.at(axis.span, text=amount.value))
            self.world.broken.add(self.path)
            return Amount(axis, ONE)
        return amount

    def _declared_role(self) -> str | None:
        role = self.declaration.role
        if role is None:
            self.world.inferred.add(self.path)
            return None
        return role.id

    def _geometry(self, shape: Shape, declared: str | None) -> Geometry:
        grows = self.world.grows
        if len(shape) < 2:
            return self._fans(ONE, product(shape))
        table = grows(shape[-1]) and not grows(product(shape[:-1]))
        if table and declared == "input":
            return self._table(shape)
        as_map = self._fans(product(shape[1:]), shape[0])
        if declared == as_map.actual or self._contracted(shape):
            return as_map
        if table:
            return self._table(shape)
        return self._fans(ONE, product(shape)) if grows(as_map.fan_in) else as_map

    def _contracted(self, shape: Shape) -> bool:
        """Whether it is read as a map, or for all that is known: no axis of others is summed over.

        Rows that grow in number have no law, so that such a table is left to its axes.
        """
        uses, declared = self.world.uses, self.name.span
        if declared in uses.tables:
            return self.world.grows(shape[0])
        return declared in uses.maps or declared not in uses.named

    def _table(self, shape: Shape) -> Geometry:
        return Geometry(True, product(shape[:-1]), shape[-1], "input")

    def _fans(self, fan_in: Polynomial, fan_out: Polynomial) -> Geometry:
        actual = ROLE_OF[self.world.grows(fan_in), self.world.grows(fan_out)]
        return Geometry(False, fan_in, fan_out, actual)

    def _contradiction(self, shape: Shape, declared: str, geometry: Geometry) -> None:
        self.world.broken.add(self.path)
        role = self.declaration.role
        assert role is not None
        cause, remedy = self._remedy(declared, geometry)
        told = self.world.contradicted.setdefault(cause, role.span) if cause else role.span
        if told != role.span:
            return  # the same dim is at fault: one mistake
        words = {True: "infinite", False: "finite"}
        names = [f"`{name.id}`" for name in self.declaration.names]
        several = len(names) > 1
        self.report(
            shape_rules.RoleContradictsShape.at(
                role.span,
                remedy=remedy,
                names=f"{', '.join(names)} {'are' if several else 'is'}",
                whose="their" if several else "its",
                which="them" if several else "it",
                declared=declared,
                actual=geometry.actual,
                shape=show(shape),
                fan_in=geometry.fan_in,
                fan_out=geometry.fan_out,
                in_grows=words[self.world.grows(geometry.fan_in)],
                out_grows=words[self.world.grows(geometry.fan_out)],
            )
        )

    def _remedy(self, declared: str, geometry: Geometry) -> tuple[str, str]:
        """The length that is at fault where it must be one, and what to do."""
        dims, fans = self.world.dims, [geometry.fan_in, geometry.fan_out]
        index = 0 if self.world.grows(fans[0]) != GROWS[declared][0] else 1
        fault, other = fans[index], fans[1 - index]
        fields = {"actual": geometry.actual}
        dim = dims.get(str(fault))
        if self.world.grows(fault):
            if dim is None or dim.derived or dim.name in other.names:
                return "", shape_rules.RoleContradictsShape.declare.format(**fields)
            keep = shape_rules.RoleContradictsShape.keep.format(dim=dim.name, size=dim.base or 512)
            return dim.name, keep
        factors = sorted(fault.names)
        if len(factors) == 2 and all(name in dims for name in factors):
            second, first = factors
            grows = next(d.name for d in dims.values() if d.growing)
            fields |= {"factors": "` and `".join(factors), "factor": first, "other": second}
            return str(fault), shape_rules.RoleContradictsShape.follow.format(grows=grows, **fields)
        return "", shape_rules.RoleContradictsShape.grow.format(**fields)

    def _own(self, geometry: Geometry) -> Polynomial | None:
        if self.world.grows(geometry.fan_in):
            return geometry.fan_in
        return geometry.fan_out if self.world.grows(geometry.fan_out) else None

    # Settings

    def _frozen(self, settings: Mapping[str, syntax.Setting]) -> bool:
        setting = settings.get("frozen")
        if setting is None or setting.value is None:
            return setting is not None
        if isinstance(setting.value, syntax.Name) and setting.value.id in {"true", "false"}:
            return setting.value.id == "true"
        self.report(rules.NotANumber.at(setting.span, what="`frozen`", wanted="true or false"))
        return False

    def _setting(
        self, settings: Mapping[str, syntax.Setting], key: str, amounts: Amounts
    ) -> Amount | None:
        setting = settings.get(key)
        if setting is None or setting.value is None:
            return None
        try:
            return amounts.amount(setting.value, f"`{key}`")
        except NotStaticError as error:
            self.report(error.diagnostic)
            return None

    def _constant(
        self, settings: Mapping[str, syntax.Setting], key: str, amounts: Amounts
    ) -> Amount | None:
        amount = self._setting(settings, key, amounts)
        if amount is not None:
            self._constant_of_the_width(settings[key].span, key, amount)
            positive(self.world, settings[key].span, f"`{key}` of `{self._owner(key)}`", amount)
        return amount

    def _owner(self, key: str) -> str:
        """Who says what a key is: the tensor, or its role."""
        return self.name.id if key in by_key(self.declaration.settings) else self.role

    def _constant_of_the_width(self, span: Span, key: str, amount: Amount) -> None:
        growing = sorted(
            n for n in amount.value.names if n in self.world.dims and self.world.dims[n].infinite
        )
        if growing:
            self.report(
                rules.GrowingConstant.at(span, key=key, name=self._owner(key), dim=growing[0])
            )

    def _init(
        self,
        settings: Mapping[str, syntax.Setting],
        axes: tuple[Amount, ...],
        geometry: Geometry,
        amounts: Amounts,
    ) -> Init:
        setting = settings.get("init")
        if setting is None:
            return default_init(len(axes), geometry.table, geometry.fan_in, self.world.dims)
        value = setting.value
        if isinstance(value, syntax.Name) and value.id in {"zeros", "ones"}:
            return Init(value.id)
        if not isinstance(value, syntax.Call) or value.function.id not in INITS:
            return self._bad_init(setting)
        return self._called_init(setting, value, amounts)

    def _called_init(self, setting: syntax.Setting, value: syntax.Call, amounts: Amounts) -> Init:
        kind, arguments = value.function.id, value.arguments
        defaults = {"orthogonal": 1, "zeros": None, "ones": None}
        if kind in {"zeros", "ones"} and not arguments:
            return Init(kind)
        if kind == "orthogonal" and not arguments:
            return Init(kind, _number(defaults["orthogonal"] or 1))
        if len(arguments) != 1 or kind in {"zeros", "ones"}:
            return self._bad_init(setting)
        try:
            amount = amounts.amount(arguments[0].value, "the argument of an init")
        except NotStaticError as error:
            self.report(error.diagnostic)
            return Init("zeros")
        self._constant_of_the_width(setting.span, "init", amount)
        return Init(kind, amount)

    def _bad_init(self, setting: syntax.Setting) -> Init:
        help = rules.BadInit.forms
        value = setting.value
        kind = value.function.id if isinstance(value, syntax.Call) else ""
        if kind in rules.BadInit.alone and isinstance(value, syntax.Call) and value.arguments[1:]:
            fields = {"what": rules.BadInit.alone[kind], "kind": kind}
            last = written(value.arguments[-1].value)
            help = rules.BadInit.moments.format(value=last, **fields)
        self.report(rules.BadInit.at(setting.span, name=self._owner("init"), help=help))
        return Init("zeros")

    # Exponents

    def _exponents(
        self, settings: Mapping[str, syntax.Setting], role: str, optional: bool
    ) -> Exponents:
        found: Exponents = {letter: {} for letter in "abcd"}
        for key, setting in settings.items():
            if setting.key in found:
                self._exponent(found[setting.key], key, setting, role)
        missing = [f"`{letter}`" for letter in "abc" if OWN not in found[letter] and not optional]
        if missing:
            fields = {"name": self.name.id, "letters": ", ".join(missing), "role": role}
            self.report(rules.MissingExponent.at(self.name.span, **fields))
        return found

    def _exponent(
        self, found: dict[str, Affine], key: str, setting: syntax.Setting, role: str
    ) -> None:
        dim = setting.dim.id if setting.dim else OWN
        if dim and (dim not in self.world.dims or not self.world.dims[dim].infinite):
            assert setting.dim is not None
            self.report(rules.FiniteDim.at(setting.dim.span, letter=setting.key, dim=dim))
            return
        value = affine(setting.value, self.world.symbols, self._unknown(key, setting, role))
        if value is None:
            self.report(rules.NotAnExponent.at(setting.span, letter=key))
        found[dim] = value or Affine(Fraction(0))

    def _unknown(self, key: str, setting: syntax.Setting, role: str) -> str:
        """The name of a setting's `?`: one unknown for all tensors that it applies to."""
        names = [name.id for name in self.declaration.names]
        own = key in by_key(self.declaration.settings)
        place = f"{setting.span.line}:{setting.span.column}"
        return f"?{', '.join(names) if own else role}.{key}@{place}"


def _number(value: int) -> Amount:
    return Amount(syntax.Number(Fraction(value)), number(value))


def affine(value: syntax.Expression | None, symbols: frozenset[str], unknown: str) -> Affine | None:
    """An exponent, None if it is not affine in the symbols; `?` becomes the symbol `unknown`."""
    match value:
        case syntax.Number(value=constant):
            return Affine(constant)
        case syntax.Name(id=name) if name in symbols:
            return Affine(Fraction(0), ((name, Fraction(1)),))
        case syntax.Unknown():
            return Affine(Fraction(0), ((unknown, Fraction(1)),))
        case syntax.Negative(operand=operand):
            inner = affine(operand, symbols, unknown)
            return inner * Fraction(-1) if inner else None
        case syntax.Binary(op=op, left=left, right=right):
            x, y = affine(left, symbols, unknown), affine(right, symbols, unknown)
            return _combined(op, x, y) if x and y else None
        case _:
            return None


def _combined(op: str, x: Affine, y: Affine) -> Affine | None:
    if op == "+":
        return x + y
    if op == "-":
        return x + y * Fraction(-1)
    if op == "*" and not x.symbols:
        return y * x.constant
    if op == "*" and not y.symbols:
        return x * y.constant
    if op == "/" and not y.symbols and y.constant:
        return x * (1 / y.constant)
    return None
