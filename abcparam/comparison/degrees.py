"""What a program asks of its gauges: equations in the θ of tensors and the powers of factors.

A tensor that is taken times `r^-θ` takes values along, and a factor `r^p` of the forward that is
left out does. Training is the same where outputs, and whatever else is no power of its input, stay.
The equations are the same in every growing dim; only powers differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.elimination import Elimination, LinearEquation, LinearTerms
from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import NamedTuple, Record
from abcparam.comparison.regauge import is_clipped, is_invariant
from abcparam.diagnostics.source import START
from abcparam.operations.base import operation_of
from abcparam.operations.degrees import UNCHANGED, Degrees, Equation, Equations
from abcparam.program.amounts import Amount
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Repeat,
    Return,
    TensorRef,
)
from abcparam.program.model import Module, Program
from abcparam.program.tensors import Tensor

TENSOR, FACTOR = "tensor ", "factor "  # what names of unknowns begin with, unless they are values
OF_VALUES, OF_TENSORS = 0, 1
MINUS_ONE = Fraction(-1)
DimPowers = Mapping[str, Fraction]  # by growing dim


class ForwardFactor(Record):
    """A factor of the forward: the setting of a use of an operation."""

    number: int
    call: Apply
    setting: str
    amount: Amount

    @property
    def symbol(self) -> str:
        """The power of it that is left out, in equations."""
        return f"{FACTOR}{self.number}"


def powers_of(program: Program, value: Polynomial) -> DimPowers | None:
    """The powers of growing dims in a factor; None where it depends on them in another way."""
    growing = {dim.name for dim in program.growing}
    if not growing & value.names:
        return {}
    if len(value.terms) != 1:
        return None
    powers: dict[str, Fraction] = {}
    for a, power in value.terms[0][0]:
        if isinstance(a, str):
            powers |= {a: power} if a in growing else {}
        elif growing & value_names(a.arguments):
            return None
    return powers


def value_names(values: tuple[Polynomial, ...]) -> frozenset[str]:
    return frozenset().union(*(value.names for value in values))


class Flow(NamedTuple):
    """The degree of a value, and how many operations lead to it."""

    degree: Affine
    depth: int


class ProgramDegrees:
    """The equations of a program, solved.

    Tensors of one key in `together` share their θ; those that `keep` names have none.
    """

    def __init__(
        self,
        program: Program,
        together: Callable[[str], str] = str,
        keep: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self.program = program
        self.together = together
        walk = _Walk(program, together)
        walk.run()
        for path, tensor in program.tensors.items():
            if why := _why_kept(program, tensor, keep(path)):
                walk.equations.ask(walk.tensor(path), why, tensor.span)
        self.factors: tuple[ForwardFactor, ...] = tuple(walk.factors.values())
        self.depths: Mapping[str, int] = walk.depths  # of the last use of each tensor, by path
        self.equations: list[Equation] = walk.equations.all
        self.solved = Elimination(_rank)
        for equation in self.equations:
            self.solved.add(dict(equation.degree.symbols))

    def conditions(self) -> list[LinearEquation]:
        """What is asked of factors, whatever tensors do."""
        return self.solved.conditions

    def rows(self) -> dict[str, LinearTerms]:
        """What is asked of tensors and factors, each solved for a tensor."""
        return self.solved.of_rank(OF_TENSORS)

    def reasons(self, condition: LinearEquation) -> tuple[str, ...]:
        """What stays as it is, and so makes a condition of factors, in the order of the program."""
        asked = [self.equations[number] for number in sorted(condition.parts)]
        return tuple(dict.fromkeys(_placed(equation) for equation in asked if equation.what))

    def hold(self, theta: Mapping[str, DimPowers], left_out: Mapping[str, DimPowers]) -> bool:
        """Whether training is the same: θ by path, powers by the symbols of factors."""
        known = {f"{TENSOR}{self.together(path)}": powers for path, powers in theta.items()}
        known |= left_out
        rows = [*self.rows().values(), *(found.terms for found in self.conditions())]
        return all(not total(row, known, dim.name) for dim in self.program.growing for row in rows)


def total(terms: LinearTerms, known: Mapping[str, DimPowers], dim: str) -> Fraction:
    """`Σ k x` of what is known."""
    found = (k * known[x].get(dim, Fraction(0)) for x, k in terms.items() if x in known)
    return sum(found, Fraction(0))


def _rank(name: str) -> int | None:
    if name.startswith(FACTOR):
        return None
    return OF_TENSORS if name.startswith(TENSOR) else OF_VALUES


def _placed(equation: Equation) -> str:
    place = "" if equation.span == START else f" (line {equation.span.line})"
    return f"{equation.what}{place}"


def _why_kept(program: Program, tensor: Tensor, keep: bool) -> str:
    """Why a tensor cannot take a factor, if it cannot."""
    if keep:
        return f"`{tensor.path}`, which is kept"
    if is_clipped(program, tensor):
        return f"`{tensor.path}`, whose gradients are clipped"
    if not is_invariant(program, tensor):
        rule = program.optimizers[tensor.optimizer].rule
        return f"`{tensor.path}`, as `{rule.name}` has no other gauge"
    return ""


class _Walk:
    """Reads a program as the forward pass goes; a repeat once, with what it carries unchanged."""

    def __init__(self, program: Program, together: Callable[[str], str]) -> None:
        self.program = program
        self.together = together
        self.equations = Equations()
        self.factors: dict[tuple[int, str], ForwardFactor] = {}
        self.depths: dict[str, int] = {}

    def run(self) -> None:
        names = (source.name for source in self.program.inputs)
        outputs = self.module(self.program.root, dict.fromkeys(names, Flow(UNCHANGED, 0)))
        for name, output in zip(self.program.outputs, outputs, strict=True):
            what = f"the output `{name}`" if len(outputs) > 1 else "the output"
            self.equations.ask(output.degree, what, self.program.output_span)

    def tensor(self, path: str) -> Affine:
        return Affine(Fraction(0), ((f"{TENSOR}{self.together(path)}", Fraction(1)),))

    def module(self, module: Module, given: Mapping[str, Flow]) -> tuple[Flow, ...]:
        names = dict(given)
        for statement in module.body:
            match statement:
                case Assign(targets=targets, value=value):
                    names.update(zip(targets, self.value(value, module, names), strict=True))
                case Repeat(instance=instance):
                    self.loop(module.child(instance), names)
                case Return(values=values):
                    return tuple(self.value(value, module, names)[0] for value in values)
        return ()

    def loop(self, body: Module, names: dict[str, Flow]) -> None:
        given = {name: names[name] for name, _ in body.inputs}
        results = self.module(body, given)
        for name, result in zip(body.carried, results, strict=True):
            what = f"`{name}` from copy to copy"
            self.equations.ask(result.degree + names[name].degree * MINUS_ONE, what, body.span)
            names[name] = result

    def value(
        self, value: Expression, module: Module, names: Mapping[str, Flow]
    ) -> tuple[Flow, ...]:
        match value:
            case Local(name=name):
                return (names[name],)
            case TensorRef(tensor=path):
                return (Flow(self.tensor(path), 0),)
            case Invoke():
                target = self.program.called(value, module)
                operands = [self.value(o, module, names)[0] for o in value.operands]
                pairs = zip(target.inputs, operands, strict=True)
                return self.module(target, {name: flow for (name, _), flow in pairs})
            case Apply():
                return self.apply(value, module, names)

    def apply(self, call: Apply, module: Module, names: Mapping[str, Flow]) -> tuple[Flow, ...]:
        given = [self.value(o, module, names)[0] if o is not None else None for o in call.operands]
        depth = 1 + max((flow.depth for flow in given if flow is not None), default=0)
        for operand in call.operands:
            if isinstance(operand, TensorRef):
                self.depths[operand.tensor] = max(depth, self.depths.get(operand.tensor, 0))
        operands = tuple(flow and flow.degree for flow in given)
        left_out = {factor.setting: _one(factor.symbol) for factor in self.factor(call)}
        use = Degrees(self.equations, call, operands, left_out)
        return tuple(Flow(degree, depth) for degree in operation_of(call).degrees(call, use))

    def factor(self, call: Apply) -> Iterator[ForwardFactor]:
        """The factors of a use of an operation, each with a number of its own."""
        for setting in call.operation.factors:
            amount, key = call.settings[setting], (id(call), setting)
            if isinstance(amount, Amount):
                if key not in self.factors:
                    self.factors[key] = ForwardFactor(len(self.factors), call, setting, amount)
                yield self.factors[key]


def _one(symbol: str) -> Affine:
    return Affine(Fraction(0), ((symbol, Fraction(1)),))
