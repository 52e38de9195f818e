"""Which tensors become layers of PyTorch, with a bias where one is added to what they give."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record, replace
from abcparam.emission.lowering.scope import ModuleScope, multiplier
from abcparam.language import syntax
from abcparam.operations.base import Operation, operation_of
from abcparam.program.amounts import Amount, Setting
from abcparam.program.expressions import Apply, Expression, Local, Return, TensorRef
from abcparam.program.model import Module, Program
from abcparam.python_code.formula import ONE


class Layer(Record):
    """A layer of PyTorch that holds a tensor as its weight, and perhaps another as its bias."""

    weight: str
    bias: str | None
    call: Apply  # one of its uses: the settings of all
    block: str | None = None  # the instance of a block that is this layer and nothing else

    @property
    def operation(self) -> Operation:
        return operation_of(self.call)


class LayerUse(Record):
    """An operation that a layer may stand for, in the class at `home`."""

    call: Apply
    home: str
    bias: str | None  # its path; "" of one that is computed


class AddedBias(Record):
    """A tensor that is added to what a map gives: its operand, that with the map, the map's."""

    index: int
    bias: TensorRef
    weight: TensorRef

    @property
    def mapped(self) -> int:
        return 1 - self.index


class LayerFinder:
    """Is told how each tensor is used, then says which layers there are."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._scope = ModuleScope(program)
        self._modules = {module.path: module for module in program.root.walk()}
        self._indices = {module.index for module in self._modules.values()}
        self._uses: dict[str, list[LayerUse]] = {path: [] for path in program.tensors}
        self._others: dict[str, set[str]] = {path: set() for path in program.tensors}
        self._biases: dict[str, set[str]] = {path: set() for path in program.tensors}

    def weight(self, path: str, use: LayerUse) -> None:
        """A tensor is what a layer has as its weight."""
        self._uses[path].append(use)

    def bias(self, path: str, weight: str) -> None:
        """A tensor is what the layer of a weight may have as its bias."""
        self._biases[path].add(weight)

    def other(self, path: str, way: str) -> None:
        """A tensor is used in a way that no layer has."""
        self._others[path].add(way)

    def found(self) -> dict[str, Layer]:
        """Layers by the paths of their weights."""
        layers = (self._layer(path) for path in self.program.tensors)
        return {layer.weight: self._with_block(layer) for layer in layers if layer is not None}

    def _with_block(self, layer: Layer) -> Layer:
        home = layer.weight.rpartition(".")[0]
        if self.program.gradients is not None:
            return layer
        return replace(layer, block=home) if self._is_block(layer, self._modules[home]) else layer

    def _is_block(self, layer: Layer, module: Module) -> bool:
        """Whether a block is the layer and has its names: tensors `weight` and `bias`, one line."""
        names = {"weight": layer.weight} | ({"bias": layer.bias} if layer.bias else {})
        mine = {f"{module.path}.{name}" for name in names}
        if not mine == {*names.values()} == {*module.tensors}:
            return False
        plain = multiplier(self._scope, self.program.tensors[layer.weight]) == ONE
        if not plain or module.children or module.count is not None:
            return False
        return _only_value(module) is layer.call and _takes_input(layer.call)

    def _layer(self, path: str) -> Layer | None:
        uses = self._uses[path]
        if not uses or self._biases[path]:
            return None
        first, tensor = uses[0].call, self.program.tensors[path]
        operation, biases = operation_of(first), {use.bias for use in uses}
        beside = {"tied"} if operation.tables else set[str]()
        if not self._others[path] <= beside or not operation.has_layer(first, tensor):
            return None
        if not self._alike(path, uses) or not (operation.weights or self._is_plain(path)):
            return None
        if self.program.gradients is not None:  # what is no map has its gradient scaled apart
            return Layer(path, None, first) if operation.weights else None
        (bias,) = biases if len(biases) == 1 else (None,)
        if not (bias and self._is_held(bias, path)):
            bias = None
        if bias is None and operation.layer[1:] and biases != {None}:
            return None
        return Layer(path, bias, first)

    def _alike(self, path: str, uses: list[LayerUse]) -> bool:
        """Whether one layer does for all uses, where the tensor is declared."""
        first = uses[0].call
        same = all(
            (use.call.operation, use.call.settings) == (first.operation, first.settings)
            for use in uses
        )
        inside = {use.home for use in uses} == {path.rpartition(".")[0]}
        known = self._is_known(first.settings.values(), inside)
        return same and known and not (first.operation.state and len(uses) > 1)

    def _is_known(self, settings: Iterable[Setting], inside: bool) -> bool:
        """Whether the constructor of the module around the tensor can say these settings."""
        written = (setting.written for setting in settings if isinstance(setting, Amount))
        names = {name for each in written for name in syntax.names_in(each)}
        return not names or (inside and not names & self._indices)

    def _is_held(self, path: str, weight: str) -> bool:
        """Whether a tensor is the bias of this layer and nothing else."""
        bias, tensor = self.program.tensors[path], self.program.tensors[weight]
        beside = path.rpartition(".")[0] == weight.rpartition(".")[0]
        alone = self._biases[path] == {weight} and not (self._others[path] or self._uses[path])
        if not (beside and alone) or bias.shape != tensor.shape[:1]:
            return False
        own = multiplier(self._scope, bias)
        return not may_be_shorter(self.program, bias.shape[0]) and (
            own == ONE or own == multiplier(self._scope, tensor)
        )

    def _is_plain(self, path: str) -> bool:
        """Whether a tensor is taken as it is: no multiplier, all of its length."""
        tensor = self.program.tensors[path]
        shorter = any(may_be_shorter(self.program, length) for length in tensor.shape)
        return multiplier(self._scope, tensor) == ONE and not shorter


def added_bias(value: Apply) -> AddedBias | None:
    """The bias that a sum adds to the map that it ends with, if it is one."""
    if value.operation.name != "+":
        return None
    for index in (1, 0):
        bias, mapped = value.operands[index], value.operands[1 - index]
        if isinstance(bias, TensorRef) and len(bias.shapes[0]) == 1 and mapped is not None:
            weight = _mapped_by(mapped)
            if weight is not None and bias.shapes[0] == mapped.shapes[0][-1:]:
                return AddedBias(index, bias, weight)
    return None


def _only_value(module: Module) -> Expression | None:
    """What a body of one line gives, without the bias that is added to it."""
    match module.body:
        case (Return(values=(value,)),):
            added = added_bias(value) if isinstance(value, Apply) else None
            return value.operands[added.mapped] if added and isinstance(value, Apply) else value
    return None


def _takes_input(call: Apply) -> bool:
    """Whether all that an operation takes beside tensors is one of the inputs."""
    given = [x for x in call.operands if x is not None and not isinstance(x, TensorRef)]
    return len(given) == 1 and isinstance(given[0], Local)


def toward_map(value: Apply) -> int:
    """The operand of a value with a bias that leads on to the map."""
    return 1 if value.operation.name == "+" else 0


def _mapped_by(value: Expression, summed: bool = False) -> TensorRef | None:
    """The tensor of the map whose result a value is, or is a multiple of, or ends with."""
    if not isinstance(value, Apply):
        return None
    first, last = value.operands[0], value.operands[-1]
    match value.operation.name:
        case "@" if isinstance(first, TensorRef) and not first.transposed:
            return first
        case "scale" if first is not None:
            return _mapped_by(first, summed=True)
        case "+" if not summed and last is not None and len(last.shapes[0]) == len(value.shapes[0]):
            return _mapped_by(last, summed=True)
    return None


def may_be_shorter(program: Program, length: Polynomial) -> bool:
    """Whether an axis is as long as one of the inputs, which may be shorter than declared."""
    plain = (d for d in program.dims.values() if not d.derived and d.value == length)
    axes = (axis.value for given in program.inputs for axis in given.axes)
    return any(True for _ in plain) and length in axes


def held_parameters(layers: Iterable[Layer]) -> Iterator[tuple[str, str]]:
    """The names of parameters that layers hold, by the paths of their tensors."""
    for layer in layers:
        name = layer.block or layer.weight
        yield layer.weight, f"{name}.weight"
        if layer.bias is not None:
            yield layer.bias, f"{name}.bias"
