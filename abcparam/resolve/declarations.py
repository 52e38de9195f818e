"""Dims, hypers and symbols."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, atom, growth, leading_growth
from abcparam.diagnostics.diagnostic import Collector, Diagnostic
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.dims import Dim, Hyper
from abcparam.program.tensors import key_of
from abcparam.resolve.amounts import Amounts, NotStaticError
from abcparam.resolve.names import bounds


def resolve_dims(spec: syntax.Spec, collector: Collector) -> dict[str, Dim]:
    """Every dim, in the order of the source, its value in underived ones."""
    declared = {d.name.id: d for d in spec.declarations if isinstance(d, syntax.Dim)}
    return _Dims(declared, collector).run()


class _Dims:
    def __init__(self, declared: Mapping[str, syntax.Dim], collector: Collector) -> None:
        self.declared = declared
        self.collector = collector
        self.done: dict[str, Dim] = {}
        self.path: list[str] = []
        self.broken: set[str] = set()  # dims with an error; what is derived of them is not judged

    def run(self) -> dict[str, Dim]:
        for name in self.declared:
            self.resolve(name)
        return {name: self.done[name] for name in self.declared}

    def resolve(self, name: str) -> Dim:
        if name not in self.done:
            declaration = self.declared[name]
            if name in self.path:
                path = " -> ".join([*self.path[self.path.index(name) :], name])
                self.collector.add(rules.CyclicDims.at(declaration.span, name=name, path=path))
                self.broken.add(name)
                return self._patched(declaration)
            self.path.append(name)
            self.done[name] = (
                self._infinite(declaration) if declaration.infinite else self._finite(declaration)
            )
            self.path.pop()
        return self.done[name]

    def _patched(self, declaration: syntax.Dim) -> Dim:
        """What stands for a dim that has no value: a length of its own."""
        name = declaration.name
        self.broken.add(name.id)
        return Dim(name.id, atom(name.id), declaration.value, default=1, span=name.span)

    def _infinite(self, declaration: syntax.Dim) -> Dim:
        name = declaration.name.id
        options = self._options(declaration)
        base = options.get("base")
        if base is not None and (base.denominator != 1 or base < 1):
            self._not_positive(
                declaration.span, f"the base of `{name}`", base, "a positive whole number"
            )
            base = None
        rate = options.get("rate", Fraction(1))
        if rate <= 0:
            self._not_positive(declaration.span, f"the rate of `{name}`", rate, "positive")
            rate = Fraction(1)
        group = self._group(declaration)
        whole = int(base) if base is not None else None
        return Dim(
            name,
            atom(name),
            None,
            True,
            False,
            group,
            rate,
            whole,
            default=whole,
            span=declaration.name.span,
        )

    def _group(self, declaration: syntax.Dim) -> int:
        if declaration.after is None:
            return 0
        earlier = self.declared.get(declaration.after.id)
        if earlier is None or not earlier.infinite:
            dim = declaration.after.id
            self.collector.add(rules.FiniteDim.at(declaration.after.span, letter="after", dim=dim))
            return 0
        return self.resolve(declaration.after.id).group + 1

    def _options(self, declaration: syntax.Dim) -> dict[str, Fraction]:
        found: dict[str, Fraction] = {}
        for option in declaration.options:
            what = f"`{option.key}`"
            if option.value is None:
                self.collector.add(rules.NotANumber.at(option.span, what=what, wanted="a number"))
                continue
            try:
                value = Amounts({}, {}, {}).polynomial(option.value, what).constant
            except NotStaticError as error:
                self.collector.add(error.diagnostic)
            else:
                found[option.key] = value if value is not None else Fraction(1)
        return found

    def _not_positive(
        self, span: Span, what: str, value: object, wanted: str, remedy: str = ""
    ) -> None:
        remedy = remedy or "dims and their bases count things, rates say how fast they grow"
        rule = rules.NotPositive
        self.collector.add(rule.at(span, what=what, value=value, wanted=wanted, remedy=remedy))

    def _finite(self, declaration: syntax.Dim) -> Dim:
        assert declaration.value is not None
        name, span = declaration.name.id, declaration.name.span
        used = {
            n: self.resolve(n) for n in syntax.names_in(declaration.value) if n in self.declared
        }
        try:
            value = Amounts(used, {}, {}).polynomial(declaration.value, f"the dim `{name}`")
        except NotStaticError as error:
            self.collector.add(error.diagnostic)
            return self._patched(declaration)
        if self.broken & used.keys():
            return self._patched(declaration)
        constant = value.constant
        if constant is None:
            return self._derived(declaration, value)
        if constant.denominator != 1 or constant < 1:
            self._not_positive(
                declaration.value.span, f"the dim `{name}`", constant, "a positive whole number"
            )
            self.broken.add(name)
        return Dim(name, atom(name), declaration.value, default=max(1, int(constant)), span=span)

    def _derived(self, declaration: syntax.Dim, value: Polynomial) -> Dim:
        name, span = declaration.name.id, declaration.name.span
        values = {
            d.name: Fraction(d.base or d.default or 1) for d in self.done.values() if not d.derived
        }
        unbased = any(
            d.infinite and d.base is None for d in self.done.values() if d.name in value.names
        )
        try:
            at_base = value.evaluate(values)
        except (ValueError, ZeroDivisionError):
            at_base = Fraction(0)
        if (at_base.denominator != 1 or at_base < 1) and not unbased:
            grows = any(self.done[n].infinite for n in value.names)
            what = f"the dim `{name}`" + (" at base" if grows else "")
            remedy = self._evenly(value, at_base)
            self._not_positive(declaration.span, what, at_base, "a positive whole number", remedy)
        grows = any(v for g in growth(value, self._growth_of) for v in g.values())
        return Dim(name, value, declaration.value, infinite=grows, derived=True, span=span)

    def _evenly(self, value: Polynomial, at_base: Fraction) -> str:
        """Of which sizes a dim is whole: of multiples, where it is a dim that grows, divided."""
        growing = [d for d in map(self.done.get, value.names) if d and d.growing and d.base]
        if len(growing) == 1 and len(value.terms) == 1 and at_base > 0:
            (dim,) = growing
            assert dim.base is not None
            step = (at_base / dim.base).denominator
            if leading_growth(value, self._growth_of) == {dim.name: 1}:
                near = max(round(Fraction(dim.base, step)), 1) * step
                return rules.NotPositive.multiple.format(dim=dim.name, step=step, near=near)
        return rules.NotPositive.divide

    def _growth_of(self, name: str) -> Mapping[str, Fraction]:
        return {name: Fraction(1)} if self.done[name].infinite else {}


def resolve_hypers(
    spec: syntax.Spec, dims: Mapping[str, Dim], collector: Collector
) -> dict[str, Hyper]:
    """Every hyper with its exact value; one may be stated by earlier ones."""
    done: dict[str, Hyper] = {}
    for declaration in spec.declarations:
        if isinstance(declaration, syntax.Hyper):
            name = declaration.name.id
            value = _hyper_value(declaration, dims, done, collector)
            _check_range(declaration, done, collector)
            done[name] = Hyper(name, value, declaration.range, declaration.name.span)
    return done


def _check_range(
    declaration: syntax.Hyper, done: Mapping[str, Hyper], collector: Collector
) -> None:
    """Reports a search range that holds something else than numbers, or nothing."""
    what, given = f"the range of `{declaration.name.id}`", declaration.range
    values: list[Fraction] = []
    for bound in bounds(given):
        try:
            values.append(Amounts({}, {}, {}).polynomial(bound, what).nearest({}))
        except NotStaticError as error:
            collector.add(error.diagnostic)
            return
        except (ValueError, ZeroDivisionError):
            collector.add(rules.NotANumber.at(bound.span, what=what, wanted="made of numbers"))
            return
    if not isinstance(given, syntax.Interval):
        return
    low, high = values
    if low >= high or (given.log and low <= 0):
        wanted = "two numbers, the lower first" + (", both above 0" if given.log else "")
        collector.add(rules.NotANumber.at(given.span, what=what, wanted=wanted))


def _dim_in_hyper(
    declaration: syntax.Hyper, dims: Mapping[str, Dim], done: Mapping[str, Hyper], name: str
) -> Diagnostic:
    """What is said of a hyper that is stated by a dim: of exponents, where that grows."""
    help = rules.DimInHyper.finite.format(dim=name)
    growing = {dim.name for dim in dims.values() if dim.growing}
    try:
        value = Amounts(dims, done, {}).polynomial(declaration.value)
    except NotStaticError as error:
        return error.diagnostic
    powers = leading_growth(value, lambda n: {n: Fraction(1)} if n in growing else {})
    if powers:
        letters = {
            letter: ", ".join(
                f"{letter if len(powers) == 1 else key_of(letter, dim)} = {-power}"
                for dim, power in powers.items()
            )
            for letter in "abc"
        }
        help = rules.DimInHyper.grows.format(dim=" and ".join(f"`{d}`" for d in powers), **letters)
    fields = {"name": declaration.name.id, "dim": name}
    return rules.DimInHyper.at(declaration.value.span, help=help, **fields)


def _hyper_value(
    declaration: syntax.Hyper,
    dims: Mapping[str, Dim],
    done: Mapping[str, Hyper],
    collector: Collector,
) -> Fraction:
    what = f"the hyper `{declaration.name.id}`"
    stated_by = next((n for n in syntax.names_in(declaration.value) if n in dims), None)
    if stated_by is not None:
        collector.add(_dim_in_hyper(declaration, dims, done, stated_by))
        return Fraction(1)
    try:
        value = Amounts({}, done, {}).polynomial(declaration.value, what)
        return value.nearest({h.name: h.value for h in done.values()})
    except NotStaticError as error:
        collector.add(error.diagnostic)
    except (ValueError, ZeroDivisionError):
        collector.add(
            rules.NotANumber.at(declaration.value.span, what=what, wanted="an exact number")
        )
    return Fraction(1)
