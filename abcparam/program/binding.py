"""Values given from outside: `--set width=4096 lr=1e-3 theta=1/2`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, did_you_mean
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import names as name_rules
from abcparam.diagnostics.rules import tuning as tuning_rules
from abcparam.diagnostics.source import START
from abcparam.language import syntax
from abcparam.language.lexical_errors import is_out_of_range, too_long
from abcparam.program.dims import Dim, Hyper
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor, exponents_by_key, with_exponents


def bind(program: Program, values: Mapping[str, Fraction]) -> Program:
    """The program with these values; raises `SpecError` for a name that it does not have."""
    errors = [
        e for name, value in values.items() if (e := _refuse(program, name, value)) is not None
    ]
    if errors:
        raise SpecError(program.source, errors)
    bound = replace(
        program,
        dims={d.name: _dim(d, values) for d in program.dims.values()},
        hypers={h.name: _hyper(h, values) for h in program.hypers.values()},
        tensors={path: _tensor(t, values) for path, t in program.tensors.items()},
        symbols=tuple(s for s in program.symbols if s not in values),
        open_powers={
            name: {dim: _affine(power, values) for dim, power in powers.items()}
            for name, powers in program.open_powers.items()
        },
        chosen={**program.chosen, **{s: values[s] for s in program.symbols if s in values}},
    )
    errors = [e for dim in bound.dims.values() if (e := _uneven(bound, dim, values)) is not None]
    if errors:
        raise SpecError(program.source, errors)
    return bound


def _uneven(bound: Program, dim: Dim, values: Mapping[str, Fraction]) -> Diagnostic | None:
    """A derived dim that these values leave without a whole size."""
    sizes = {d.name: d.default for d in bound.dims.values() if not d.derived}
    known = {name: Fraction(size) for name, size in sizes.items() if size is not None}
    if (
        not dim.derived
        or not dim.value.names <= known.keys()
        or not dim.value.names & values.keys()
    ):
        return None
    try:
        size = dim.value.evaluate(known)
    except (ValueError, ZeroDivisionError):
        size = Fraction(0)
    if size.denominator == 1 and size >= 1:
        return None
    changed = ", ".join(
        f"{name} = {values[name]}" for name in sorted(dim.value.names & values.keys())
    )
    fields = {"value": f"{size} with {changed}", "wanted": "a positive whole number"}
    remedy = f"choose sizes that make `{dim.value}` whole"
    return rules.NotPositive.at(dim.span, what=f"the dim `{dim.name}`", remedy=remedy, **fields)


def require_numbers(program: Program) -> None:
    """Raises `SpecError` if an exponent is still unknown or symbolic; one error for each."""
    _require(program, lambda symbol: True)


def require_no_unknowns(program: Program) -> None:
    """The same for each `?` alone: symbols may be there."""
    _require(program, lambda symbol: symbol.startswith("?"))


def require_trained(program: Program) -> None:
    """Raises `SpecError` if every tensor is frozen."""
    if all(tensor.frozen for tensor in program.tensors.values()):
        span = next((tensor.span for tensor in program.tensors.values()), START)
        raise SpecError(program.source, [tuning_rules.AllFrozen.at(span)])


def _require(program: Program, refused: Callable[[str], bool]) -> None:
    errors: dict[str, Diagnostic] = {}
    for tensor in program.tensors.values():
        for key, exponent in exponents_by_key(tensor).items():
            for symbol in (s for s, _ in exponent.symbols if refused(s)):
                errors.setdefault(symbol, _open(program, tensor, key, symbol))
    if errors:
        raise SpecError(program.source, errors.values())


def _open(program: Program, tensor: Tensor, key: str, symbol: str) -> Diagnostic:
    span = tensor.places.get(key, tensor.span)
    if not symbol.startswith("?"):
        return rules.SymbolicExponent.at(span, name=symbol)
    owner, _, _ = symbol[1:].partition(".")
    fields = {"name": owner, "letter": key, "file": program.source.file}
    return rules.UnsolvedExponent.at(span, **fields)


def settable(program: Program) -> list[str]:
    """The names that can be given values: dims that are not derived, hypers, symbols."""
    dims = [d.name for d in program.dims.values() if not d.derived]
    return [*dims, *program.hypers, *program.symbols]


def _refuse(program: Program, name: str, value: Fraction) -> Diagnostic | None:
    dim = program.dims.get(name)
    known = settable(program)
    if name not in known:
        fields = {
            "name": name,
            "what": "a dim, hyper or symbol that can be set",
            "known": ", ".join(known),
        }
        return name_rules.UnknownWord.at(START, suggestion=did_you_mean(name, known), **fields)
    if is_out_of_range(value):
        return too_long(START, f"the value of `{name}`")
    if dim is not None and (value.denominator != 1 or value < 1):
        remedy = f"give it a size: `--set {name}=256`"
        fields = {
            "what": f"the dim `{name}`",
            "value": str(value),
            "wanted": "a positive whole number",
        }
        return rules.NotPositive.at(dim.span, remedy=remedy, **fields)
    return None


def _dim(dim: Dim, values: Mapping[str, Fraction]) -> Dim:
    if dim.name not in values:
        return dim
    size = values[dim.name]
    written = dim.written if dim.infinite else syntax.Number(size)
    return replace(dim, default=int(size), written=written)


def _hyper(hyper: Hyper, values: Mapping[str, Fraction]) -> Hyper:
    return replace(hyper, value=values[hyper.name]) if hyper.name in values else hyper


def _tensor(tensor: Tensor, values: Mapping[str, Fraction]) -> Tensor:
    if not any(a.symbols for by_dim in tensor.exponents.values() for a in by_dim.values()):
        return tensor
    exponents = exponents_by_key(tensor).items()
    return with_exponents(tensor, {key: _affine(exponent, values) for key, exponent in exponents})


def _affine(affine: Affine, values: Mapping[str, Fraction]) -> Affine:
    constant = affine.constant + sum(
        (k * values[s] for s, k in affine.symbols if s in values), Fraction(0)
    )
    return Affine(constant, tuple((s, k) for s, k in affine.symbols if s not in values))
