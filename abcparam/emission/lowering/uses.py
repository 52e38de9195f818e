"""How a program uses its tensors and modules.

What becomes which PyTorch layer, and what is handed from module to module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from abcparam.algebra.record import Record
from abcparam.emission.lowering.gradients import GradientRegions
from abcparam.emission.lowering.layers import (
    Layer,
    LayerFinder,
    LayerUse,
    added_bias,
    held_parameters,
    toward_map,
)
from abcparam.emission.lowering.streams import HeldValues
from abcparam.language import syntax
from abcparam.operations.base import operation_of
from abcparam.program.amounts import Amount, Setting
from abcparam.program.expressions import Apply, Expression, Invoke, Local, TensorRef, values_of
from abcparam.program.model import Module, Program


class Need(Record):
    """What a module's `forward` is handed: a tensor or module from outside, a copy's number."""

    kind: Literal["tensor", "module", "index"]
    path: str

    @property
    def hint(self) -> str:
        return self.path.rpartition(".")[2]


class CodeUses:
    """The answers, for a whole program. Needs and names in amounts are by the module's path."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.needs: dict[str, list[Need]] = {}
        self.names: dict[str, set[str]] = {}
        self.by_path = {module.path: module for module in self.program.root.walk()}
        self._finder = LayerFinder(program)
        self._module(self.program.root, "", frozenset())
        self.regions = GradientRegions(program)
        self.held = HeldValues(program)
        self.layers: dict[str, Layer] = self._finder.found()  # by the paths of their weights
        self.biases = {layer.bias for layer in self.layers.values() if layer.bias}
        self.blocks = {layer.block: layer for layer in self.layers.values() if layer.block}
        # The names of parameters of the emitted module, by the paths of their tensors.
        self.parameters = {path: path for path in self.program.tensors}
        self.parameters.update(held_parameters(self.layers.values()))
        self._tensors = {name: path for path, name in self.parameters.items()}

    def tensor_of(self, name: str) -> str:
        """The path of the tensor that a parameter of the emitted module holds."""
        return self._tensors[".".join(part for part in name.split(".") if not part.isdigit())]

    def layer_of(self, call: Apply) -> Layer | None:
        """The layer of PyTorch that does an operation."""
        operation = operation_of(call)
        if not operation.layer:
            return None
        weight = call.operands[operation.values.index(operation.layer[0])]
        found = self.layers.get(weight.tensor) if isinstance(weight, TensorRef) else None
        return found if found is not None and found.operation is operation else None

    # Walking

    def _module(self, module: Module, home: str, indices: frozenset[str]) -> None:
        """`home` is the path of the class that the body ends up in."""
        indices |= {module.index} if module.index else set()
        needs: dict[Need, None] = {}
        for child in module.children:
            inner = home if is_plain(child) else child.path
            self._module(child, inner, indices)
            needs |= dict.fromkeys(self._unmet(child, home, module))
        for statement in module.body:
            for value in values_of(statement):
                needs |= dict.fromkeys(self._expression(value, home))
        self.names[module.path] = set(self._names(module))
        outer = sorted((self.names[module.path] & indices) - {module.index})
        needs |= dict.fromkeys(Need("index", label) for label in outer)
        self.needs[module.path] = list(needs)

    def _unmet(self, child: Module, home: str, module: Module) -> list[Need]:
        """What a child needs that its parent's class does not have."""
        return [
            n for n in self.needs[child.path] if not self._has(n, home) and n.path != module.index
        ]

    def _has(self, need: Need, home: str) -> bool:
        return need.kind != "index" and relative(need.path, home) is not None

    def _expression(
        self, value: Expression, home: str, bias: TensorRef | None = None
    ) -> Iterator[Need]:
        """`bias` is added to what the value gives."""
        match value:
            case TensorRef():
                yield from self._weight(value, home)
            case Apply() if (added := added_bias(value)) is not None:
                for index, operand in enumerate(value.operands):
                    if index == added.index:
                        yield from self._weight(added.bias, home, of=added.weight)
                    elif operand is not None:
                        yield from self._expression(operand, home, added.bias)
            case Apply(operands=operands):
                toward = toward_map(value) if bias is not None else None
                for index, operand in enumerate(operands):
                    if isinstance(operand, TensorRef):
                        yield from self._operand(value, index, operand, home, bias)
                    elif operand is not None:
                        yield from self._expression(
                            operand, home, bias if index == toward else None
                        )
            case Invoke(instance=instance, operands=given, outer=outer):
                if outer and relative(instance, home) is None:
                    yield Need("module", instance)
                for operand in given:
                    yield from self._expression(operand, home)
            case _:
                pass

    def _operand(
        self, value: Apply, index: int, weight: TensorRef, home: str, added: TensorRef | None
    ) -> Iterator[Need]:
        """A tensor that an operation takes, perhaps as a layer does."""
        name, (held, *biases) = _operand_names(value)[index], operation_of(value).layer or ("",)
        main = value.operands[value.operation.values.index(held)] if held else None
        if name == held and weight.transposed:
            yield from self._weight(weight, home, way="tied")
        elif name == held:
            apart = added.tensor if added is not None else None
            bias = _own_bias(value, biases[0]) if biases else apart
            yield from self._weight(weight, home, LayerUse(value, home, bias))
        elif name in biases and isinstance(main, TensorRef):
            yield from self._weight(weight, home, of=main)
        else:
            yield from self._weight(weight, home)

    def _weight(
        self,
        weight: TensorRef,
        home: str,
        use: LayerUse | None = None,
        of: TensorRef | None = None,
        way: str = "value",
    ) -> Iterator[Need]:
        """A tensor: in a use of a layer, as the bias of one of another tensor, or in neither."""
        inside = not weight.outer or relative(weight.tensor, home) is not None
        if not inside:
            self._finder.other(weight.tensor, "outside")
            yield Need("tensor", weight.tensor)
        elif use is not None:
            self._finder.weight(weight.tensor, use)
        elif of is not None:
            self._finder.bias(weight.tensor, of.tensor)
        else:
            self._finder.other(weight.tensor, way)

    # Names

    def _names(self, module: Module) -> Iterator[str]:
        """Names in amounts: of the module's tensors and settings, its children's sizes."""
        for path in module.tensors:
            tensor = self.program.tensors[path]
            for amount in (*tensor.axes, tensor.mult, tensor.init.argument):
                yield from syntax.names_in(amount.written) if amount else ()
        for child in module.children:
            if child.count is not None:
                yield from syntax.names_in(child.count.written)
                yield from self.names[child.path] - {child.index} if child.is_repeat else ()
            for size in child.sizes.values():
                yield from syntax.names_in(size.written) if isinstance(size, Amount) else ()
        for value in module.expressions():
            for setting in value.settings.values() if isinstance(value, Apply) else ():
                yield from _in_setting(setting)


def is_plain(module: Module) -> bool:
    """A repeat whose body has nothing of its own is a plain loop."""
    return (
        module.is_repeat
        and not module.tensors
        and not any(
            isinstance(v, Apply) and v.operation.keeps_state(v.settings)
            for v in module.expressions()
        )
        and all(is_plain(c) for c in module.children)
    )


def relative(path: str, home: str) -> str | None:
    """How a class reaches what lies at `path`, None if it lies elsewhere."""
    if not home:
        return path
    return path[len(home) + 1 :] if path.startswith(f"{home}.") else None


def _operand_names(value: Apply) -> Sequence[str]:
    operation = value.operation
    return [operation.values[0]] * len(value.operands) if operation.many else operation.values


def integer_names(module: Module) -> set[str]:
    """The locals of a module that hold indices or a mask."""
    found: set[str] = set()
    for inner in (module, *(child for child in module.children if is_plain(child))):
        reads = (value for value in inner.expressions() if isinstance(value, Local))
        found |= {read.name for read in reads if read.integer}
    return found


def _own_bias(value: Apply, name: str) -> str | None:
    """The bias that an operation is given: its path, "" of one that is computed, None if none."""
    bias = value.operands[value.operation.values.index(name)]
    return bias.tensor if isinstance(bias, TensorRef) else None if bias is None else ""


def _in_setting(setting: Setting) -> Iterator[str]:
    if isinstance(setting, Amount):
        yield from syntax.names_in(setting.written)
    elif isinstance(setting, tuple):
        for amount in setting:
            yield from syntax.names_in(amount.written)


def sizes_of(uses: CodeUses, module: Module, inherited: Mapping[str, Amount]) -> dict[str, Amount]:
    """The constructor's arguments: sizes that the class uses, of its block or the one around."""
    own = {name: size for name, size in module.sizes.items() if isinstance(size, Amount)}
    around = {name: Amount(syntax.Name(name), size.value) for name, size in inherited.items()}
    known = {**around, **own} if module.is_repeat else own
    return {name: size for name, size in known.items() if name in uses.names[module.path]}
