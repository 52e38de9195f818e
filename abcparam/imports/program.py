"""The program of a user's model: what it computes, how it starts, how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial, atom, number, product
from abcparam.algebra.record import replace
from abcparam.diagnostics.source import START, Source, Span
from abcparam.imports.alike import Model
from abcparam.imports.inits import Start
from abcparam.imports.numbers import Power, Sizes
from abcparam.imports.rates import Rate
from abcparam.imports.reading import Read
from abcparam.imports.seen import amount
from abcparam.imports.unused import taught_tensors, used_tensors
from abcparam.optimizers import optimizers as rules_by_name
from abcparam.program.amounts import Setting, Shape
from abcparam.program.dims import Dim
from abcparam.program.model import Optimizer, Program
from abcparam.program.tensors import Init, Tensor
from abcparam.resolve.training import setting_of
from abcparam.user_code.places import whole_line


def program_of(
    model: Model,
    read: Read,
    starts: Mapping[str, Start],
    rates: Mapping[str, Rate],
    sizes: Sizes,
    grow: frozenset[str],
    source: Source,
    name: str,
) -> Program:
    """The program: `sizes` are those at base, those of `grow` go to infinity."""
    used = used_tensors(read.root)
    optimizers: dict[tuple[object, ...], Optimizer] = {}
    tensors: dict[str, Tensor] = {}
    for parameter, weights in model.weights.items():
        path, copies = read.paths[parameter]
        if path in tensors or parameter not in starts:
            continue
        index = _optimizer(optimizers, rates[parameter], path)
        trained = weights.trained and path in used and rates[parameter].lr.coefficient != 0
        tensor = _tensor(read, parameter, weights.shape, grow)
        tensors[path] = replace(
            _trained(tensor, starts[parameter], rates[parameter], trained),
            path=path,
            name=path,
            copies=copies,
            optimizer=index,
            span=_place(starts[parameter].place),
        )
    program = Program(
        source=source,
        name=name,
        dims={n: _dim(n, size, n in grow) for n, size in sizes.items()},
        hypers={},
        symbols=(),
        tensors=tensors,
        inputs=read.inputs,
        root=read.root,
        outputs=read.outputs,
        optimizers=tuple(optimizers.values()),
        losses=read.losses,
    )
    taught = taught_tensors(program)
    reached = {
        path: tensor if path in taught else replace(tensor, frozen=True)
        for path, tensor in tensors.items()
    }
    return replace(program, tensors=reached)


def _place(place: tuple[str, int] | None) -> Span:
    """The line that makes a parameter start as it does."""
    return START if place is None else whole_line(*place)


def _dim(name: str, size: int, grows: bool) -> Dim:
    written = None if grows else amount(number(size)).written
    return Dim(
        name,
        atom(name),
        written,
        infinite=grows,
        base=size if grows else None,
        default=None if grows else size,
    )


def _optimizer(found: dict[tuple[object, ...], Optimizer], rate: Rate, path: str) -> int:
    """The index of the optimizer that a parameter has."""
    key = (rate.rule, *sorted(rate.options.items()))
    if key not in found:
        rule = rules_by_name()[rate.rule]
        words = {
            name: str(rate.options.get(name, allowed[0])) for name, allowed in rule.words.items()
        }
        settings: dict[str, Setting] = {"lr": amount(_constant(rate.lr))}
        for name, value in rate.options.items():
            if name not in words:
                settings[name] = setting_of(value)
        found[key] = Optimizer(rule.chosen(words), (path,), settings)
    return list(found).index(key)


def _tensor(read: Read, parameter: str, shape: Shape, grow: frozenset[str]) -> Tensor:
    """Its shape and fans, by how it is used."""
    values = (ONE, product(shape))  # what is no map sums over nothing
    fan_in, fan_out = read.names.fans.get(parameter, values)
    own = next((fan for fan in (fan_in, fan_out) if fan.names & grow), None)
    return Tensor(
        path=parameter,
        name=parameter,
        role=_role(fan_in, fan_out, grow),
        axes=tuple(map(amount, shape)),
        table=parameter in read.names.tables,
        fan_in=fan_in,
        fan_out=fan_out,
        own=own,
        exponents={letter: {} for letter in "abcd"},
        init=Init("normal"),
        mult=None,
        lr=amount(ONE),
        weight_decay=None,
        epsilon=None,
        frozen=False,
        optimizer=0,
    )


def _role(fan_in: Polynomial, fan_out: Polynomial, grow: frozenset[str]) -> str:
    """What a table of parametrizations calls it, for people."""
    grows = bool(fan_in.names & grow), bool(fan_out.names & grow)
    return {
        (False, True): "input",
        (True, True): "hidden",
        (True, False): "output",
        (False, False): "scalar",
    }[grows]


def _trained(tensor: Tensor, start: Start, rate: Rate, trained: bool) -> Tensor:
    """With the exponents, start and rate that it has."""
    exponents: dict[str, dict[str, Affine]] = {letter: {} for letter in "abcd"}
    argument = None
    if start.scale is not None and start.kind not in {"zeros", "ones"}:
        exponents["b"] = _exponents(start.scale)
        argument = amount(_constant(start.scale))
    exponents["c"] = _exponents(rate.lr)
    return replace(
        tensor,
        exponents=exponents,
        init=Init(start.kind if start.kind != "measured" else "normal", argument),
        lr=amount(_constant(rate.lr) if trained else ONE),
        weight_decay=amount(rate.weight_decay.polynomial),
        epsilon=None if rate.eps is None else amount(rate.eps.polynomial),
        frozen=not trained,
    )


def _exponents(power: Power) -> dict[str, Affine]:
    return {name: Affine(-p) for name, p in power.powers.items()}


def _constant(power: Power) -> Polynomial:
    return number(Fraction(repr(power.coefficient)))
