"""The code of one `forward`, statement by statement; and what operations may ask of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import replace
from abcparam.emission.lowering.layers import may_be_shorter
from abcparam.emission.lowering.numbers import CodePlace
from abcparam.emission.lowering.scaling import FunctionScaling
from abcparam.emission.lowering.scope import ModuleScope, multiplier
from abcparam.emission.lowering.spaces import Buffers, Constants, Locals
from abcparam.emission.lowering.uses import CodeUses, Need, integer_names, relative
from abcparam.operations.base import operation_of
from abcparam.operations.emitter import Use
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply, Expression, Invoke, Local, TensorRef
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.python_code import nodes
from abcparam.python_code.formula import ONE, Formula
from abcparam.python_code.nodes import (
    ELLIPSIS,
    Attribute,
    Binary,
    Call,
    Code,
    Name,
    Number,
    Slice,
    Statement,
    Subscript,
    call,
    own,
    subscript,
)
from abcparam.python_code.shorten import shorten
from abcparam.python_code.value import LinearCall, ScaledCode, times


class FunctionLowering:
    """Lowers expressions in one function."""

    def __init__(
        self,
        program: Program,
        uses: CodeUses,
        home: str,
        scope: ModuleScope,
        constants: Constants,
        use_of: Callable[[FunctionLowering, Apply], Use],
    ) -> None:
        self.program = program
        self.uses = uses
        self.home = home
        self.scope = scope
        self.constants = constants
        self.use_of = use_of
        self.buffers = Buffers(constants)
        self.names = Locals()
        self.given: dict[Need, Name] = {}
        self.pending: dict[str, Formula] = {}  # factors that locals are still to be multiplied by
        self.shapes: dict[str, Shape] = {}
        self.batched: dict[str, bool] = {}
        self.scaling = FunctionScaling(self)
        self.statements: list[Statement] = []
        self.indent = 8
        self.place = CodePlace(constants.place.names, own("config"))

    # Statements

    def emit(self, statement: Statement) -> None:
        """Adds a statement; what makes its lines too long becomes a local of its own."""
        self.statements.append(shorten(statement, self.indent, self.local))

    def local(self, code: Code, hint: str = "y") -> Code:
        """A name for the code; names stay as they are."""
        if nodes.is_name(code) or isinstance(code, Number):
            return code
        shorter = shorten(nodes.Assign((Name(hint),), code), self.indent, self.local)
        assert isinstance(shorter, nodes.Assign)
        name = Name(self.names.fresh(hint))
        self.emit(replace(shorter, targets=(name,)))
        return name

    def assign(self, targets: Sequence[str], value: Expression) -> None:
        self._assign(targets, value)
        self.scaling.assigned(targets, value)

    def _assign(self, targets: Sequence[str], value: Expression) -> None:
        batched = self.is_batched(value)
        if id(value) in self.uses.regions.pending:
            (target,) = targets
            found = self.value(value)
            self.pending[target] = found.scale
            self.emit(nodes.Assign((Name(target),), found.code))
            self.shapes[target], self.batched[target] = value.shapes[0], batched
            return
        self.emit(nodes.Assign(tuple(Name(target) for target in targets), self.code(value)))
        for target, shape in zip(targets, value.shapes, strict=True):
            self.shapes[target] = shape
            self.batched[target] = batched

    # Values

    def is_batched(self, value: Expression) -> bool:
        """Whether a value surely has the inputs' batch axes."""
        match value:
            case Local(name=name):
                return self.batched.get(name, True)
            case Apply(operands=operands) | Invoke(operands=operands):
                return any(self.is_batched(operand) for operand in operands if operand is not None)
            case _:
                return False

    def code(self, value: Expression) -> Code:
        """A value as it is."""
        return self.true(self.value(value))

    def true(self, value: ScaledCode) -> Code:
        """A value multiplied by its factor, on the smaller side of a linear map."""
        if value.scale == ONE:
            return value.code
        factor = self.factor(value.scale, f"{value.label}_scale")
        if isinstance(factor, Number):
            factor = Number(factor.value)
        if value.linear is not None and value.linear.inward:
            return value.linear.apply(factor)
        return times(factor, value.code)

    def factor(self, value: Formula, hint: str) -> Code:
        """A factor, computed at construction unless it depends on the number of a copy."""
        return self.place.real(value) if value.is_dynamic else self.constants.real(value, hint)

    def value(self, value: Expression) -> ScaledCode:
        """A value with the factor that it has still to be multiplied by."""
        return self.scaling.value(value)

    def lowered(self, value: Expression) -> ScaledCode:
        match value:
            case Local(name=name):
                code, scale = self.scaling.read(name), self.pending.get(name, ONE)
                return ScaledCode(code, scale, name, batched=self.is_batched(value))
            case TensorRef():
                return self.weight(value)
            case Apply():
                found = operation_of(value).torch(self.use_of(self, value))
                return replace(found, batched=self.is_batched(value))
            case Invoke():
                return self._invoke(value)

    def weight(self, value: TensorRef) -> ScaledCode:
        """A tensor as a value, cut to the length of the inputs."""
        tensor = self.program.tensors[value.tensor]
        code, scale = self.scaling.weight(self.parameter(value), value)
        code = self.cut(code, tensor)
        if value.transposed:
            code = Attribute(code, "T")
        vector = len(tensor.axes) == 1
        return ScaledCode(code, scale, tensor.name, batched=False, vector=vector)

    def parameter(self, value: TensorRef) -> Code:
        """The parameter of a tensor."""
        named = self.uses.parameters[value.tensor]
        return self._reach(value, named[len(value.tensor) - len(value.tensor.rpartition(".")[2]) :])

    def layer(self, value: Apply) -> Code | None:
        """PyTorch's layer that does an operation, where there is one."""
        layer = self.uses.layer_of(value)
        if layer is None:
            return None
        weight = value.operands[layer.operation.values.index(layer.operation.layer[0])]
        assert isinstance(weight, TensorRef)
        return self._reach(weight, weight.tensor.rpartition(".")[2])

    def _reach(self, value: TensorRef, own: str) -> Code:
        """What the module of a tensor calls `own`."""
        inside = value.name if not value.outer else relative(value.tensor, self.home)
        if inside is None:
            return self.given[Need("tensor", value.tensor)]
        home = inside.rpartition(".")[0]
        return nodes.path(".".join(["self", *([home] if home else []), own]))

    def need(self, need: Need) -> Code:
        """Something that a submodule is handed."""
        if need in self.given:
            return self.given[need]
        if need.kind == "index":
            return Name(need.path)
        inside = relative(need.path, self.home)
        return nodes.path(f"self.{inside}")

    def _invoke(self, value: Invoke) -> ScaledCode:
        module, needs, path = self.submodule(value)
        given = [self.scaling.given(value, path, index) for index in range(len(value.operands))]
        layer = self.uses.blocks.get(path)
        if layer is not None:
            rank = len(value.operands[0].shapes[0])
            code = layer.operation.called(module, given[0], rank)
        else:
            code = Call(module, (*given, *needs))
        return ScaledCode(code, label=path.rpartition(".")[2], batched=self.is_batched(value))

    def submodule(self, value: Invoke) -> tuple[Code, list[Code], str]:
        """The module that is called, what its `forward` needs beside its operands, its path."""
        outside = value.outer and relative(value.instance, self.home) is None
        if outside:
            module: Code = self.given[Need("module", value.instance)]
            path = value.instance
        else:
            inside = relative(value.instance, self.home) if value.outer else value.instance
            module = nodes.path(f"self.{inside}")
            path = f"{self.home}.{inside}".lstrip(".")
        return module, [self.need(need) for need in self.uses.needs[path]], path

    # Lengths at run time

    def cut(self, code: Code, tensor: Tensor) -> Code:
        """A table with an axis of the inputs, as long as they are."""
        lengths = [self.runtime_length(axis.value) for axis in tensor.axes]
        if not any(length is not None for length in lengths):
            return code
        while lengths[-1] is None:
            lengths.pop()
        return Subscript(code, tuple(Slice(stop=length) for length in lengths))

    def runtime_length(self, length: Polynomial) -> Code | None:
        """The length of an input's axis, which may be shorter than declared, else None."""
        if not may_be_shorter(self.program, length):
            return None
        for name, shape in self.shapes.items():
            if length in shape:
                return subscript(Attribute(Name(name), "shape"), shape.index(length) - len(shape))
        return None

    def length(self, amount: Amount, hint: str = "size") -> Code:
        """A length, at run time where it is an input's."""
        runtime = self.runtime_length(amount.value)
        if runtime is not None:
            return runtime
        value = self.scope.amount(amount)
        if value.is_dynamic:
            return self.place.whole(value)
        atoms = value.powers
        if (
            len(atoms) == 1
            and value.coefficient == 1
            and atoms[0][1] == 1
            and hasattr(atoms[0][0], "name")
        ):
            hint = atoms[0][0].name
        return self.constants.whole(value, hint)

    def lifted(self, code: Code, value: Expression, rank: int) -> Code:
        """A value with axes of 1 before its declared ones, so that batch axes meet batch axes."""
        missing = rank - len(value.shapes[0])
        if missing <= 0 or not self.is_batched(value):
            return code
        axes = [Slice()] * len(value.shapes[0])
        return subscript(code, ELLIPSIS, *[None] * missing, *axes)

    def linear(self, call: Apply, inward: bool, table: bool) -> ScaledCode:
        """A tensor times a value. One that is stored as (in, out) multiplies from the right."""
        weight, operand = call.operands
        assert isinstance(weight, TensorRef) and operand is not None
        x, tensor = self.value(operand), self.program.tensors[weight.tensor]
        scale = multiplier(self.scope, tensor) * x.scale
        parameter = self.parameter(weight)
        if table:
            return ScaledCode(Binary("@", x.code, parameter), scale, tensor.name)
        layer = self.uses.layer_of(call)
        biased = layer is not None and layer.bias is not None
        linear = LinearCall(self.layer(call), parameter, x.code, inward, biased)
        return ScaledCode(linear.apply(), scale, tensor.name, linear)

    def at_base(self, length: Polynomial) -> float:
        """A length at base, to tell which side of a map is smaller."""
        return float(length.evaluate(self.program.base_values()))

    def zeros(self, lengths: Sequence[Code]) -> Code:
        """Zeros of the type and on the device of what is at hand."""
        module = self.uses.by_path[self.home]
        for path in module.tensors:
            weight = TensorRef(path, path.rpartition(".")[2], ())
            return nodes.method(self.parameter(weight), "new_zeros", *lengths)
        for name in self.shapes:
            if name not in integer_names(module):
                return nodes.method(Name(name), "new_zeros", *lengths)
        devices = [Attribute(Name(name), "device") for name in self.shapes]
        return call("torch.zeros", *lengths, device=devices[0] if devices else None)
