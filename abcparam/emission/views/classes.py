"""The views of the emitted `nn.Module`s: modules that are written alike share a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from abcparam.algebra.record import Record, replace
from abcparam.emission.lowering.copies import CopyFactors
from abcparam.emission.lowering.layers import Layer
from abcparam.emission.lowering.lower import Lowered, copy_name, singular
from abcparam.emission.lowering.numbers import CodePlace, Names
from abcparam.emission.lowering.scope import ModuleScope, initial
from abcparam.emission.lowering.spaces import Buffer
from abcparam.emission.lowering.uses import CodeUses, relative
from abcparam.emission.views.initial import filled
from abcparam.emission.views.laws import comment
from abcparam.emission.views.layer_making import LayerMaking
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Return
from abcparam.program.model import Module, Program
from abcparam.program.reserved_names import EMITTED
from abcparam.program.tensors import Tensor
from abcparam.python_code import nodes
from abcparam.python_code.formula import Argument, Formula
from abcparam.python_code.layout import Text, definition, docstring, lines, python
from abcparam.python_code.nodes import SELF, Attribute, Code, Name, Statement, call, own

BODY = 8  # the indent of a method's body


class ClassView(Record):
    """One `nn.Module`."""

    name: Text
    doc: tuple[Text, ...]
    signature: Text
    init: tuple[Text, ...]
    reset: tuple[Text, ...]
    forward_signature: Text
    forward: tuple[Text, ...]


class Shared(Record):
    """What is said once for all instances of a class: laws by path, types of sizes, shapes."""

    laws: Mapping[str, str]
    types: Mapping[str, str]
    doc: str


class Classes:
    """The classes of a program: modules that are written alike share one."""

    def __init__(
        self, program: Program, uses: CodeUses, names: Names, laws: Mapping[str, str]
    ) -> None:
        self.program = program
        self.uses = uses
        self.names = names
        self.laws = laws
        self.of: dict[str, str] = {}  # class by the module's path
        self._members: dict[str, list[Lowered]] = {}
        self._known: dict[object, str] = {}

    def add(self, root: Lowered) -> None:
        self._members[self.program.name] = []
        for lowered in root.walk():
            if lowered.module.path in self.uses.blocks:
                continue  # a layer of PyTorch's
            if not lowered.module.path:
                self._take(lowered, self.program.name)
                continue
            view = _Writer(self, lowered, Shared({}, {}, "")).view()
            key = (lowered.module.block, lowered.module.is_repeat, view)
            if key not in self._known:
                self._known[key] = self._name(lowered)
            self._take(lowered, self._known[key])

    def _take(self, lowered: Lowered, name: str) -> None:
        self.of[lowered.module.path] = name
        self._members.setdefault(name, []).append(lowered)

    def views(self) -> list[ClassView]:
        """Inner classes first, the model last."""
        model = self.program.name
        order = [name for name in self._members if name != model]
        return [self._view(name, self._members[name]) for name in [*order, model]]

    def _view(self, name: str, members: list[Lowered]) -> ClassView:
        docs = dict.fromkeys(_doc(member.module) for member in members)
        shared = Shared(
            laws={path: self._law(path, members) for path in self._tensors(members[0])},
            types={size: self._type(size, members) for size in members[0].sizes},
            doc=next(iter(docs)) if len(docs) == 1 else "",
        )
        return replace(_Writer(self, members[0], shared).view(), name=Text(name))

    def _type(self, size: str, members: list[Lowered]) -> str:
        types = {_number_type(self.program, member.sizes[size]) for member in members}
        return "float" if "float" in types else "int"

    def _tensors(self, lowered: Lowered) -> Iterator[str]:
        """The tensors that a class makes: its own, and those of blocks that are layers."""
        yield from lowered.module.tensors
        for child in lowered.children:
            if child.module.path in self.uses.blocks:
                yield from child.module.tensors

    def _law(self, path: str, members: list[Lowered]) -> str:
        """The law of a tensor in all instances of its class."""
        name = relative(path, members[0].module.path)
        paths = [f"{member.module.path}.{name}".lstrip(".") for member in members]
        return " or ".join(dict.fromkeys(self.laws.get(p, "") for p in paths))

    def _name(self, lowered: Lowered) -> str:
        module = lowered.module
        parent = module.path.rpartition(".")[0].rpartition(".")[2]
        if module.is_repeat:
            plain = camel(singular(module.block))
            candidates = [plain, f"{camel(parent)}{plain}", f"{plain}Copy"]
        else:
            plain = module.block
            candidates = [
                plain,
                camel(module.name) + plain,
                camel(parent) + camel(module.name) + plain,
            ]
        candidates += [f"{plain}{number}" for number in range(2, len(self._members) + 3)]
        taken = {*self._members, *EMITTED}
        return next(c for c in candidates if c not in taken)


def _doc(module: Module) -> str:
    """What goes in and what comes out."""
    given = module.body[-1]
    assert isinstance(given, Return)
    inputs = ", ".join(f"{name} {_shape(shape)}" for name, shape in module.inputs)
    return f"{inputs} -> {', '.join(_shape(value.shapes[0]) for value in given.values)}"


def camel(name: str) -> str:
    """`feed_forward` -> `FeedForward`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


class _Writer:
    """Writes one class."""

    def __init__(self, classes: Classes, lowered: Lowered, shared: Shared) -> None:
        self.shared = shared
        self.classes = classes
        self.lowered = lowered
        self.module = lowered.module
        self.scope = lowered.scope
        self.place = CodePlace(classes.names)
        self.tensors = [classes.program.tensors[path] for path in self.module.tensors]
        self.kept: dict[str, None] = {}  # sizes that reset_parameters needs

    def view(self) -> ClassView:
        reset = self._reset()
        return ClassView(
            name=Text(""),
            doc=tuple(docstring(self.shared.doc)),
            signature=self._signature(),
            init=tuple(lines(self._init(bool(reset), self._keeps_config(reset)), BODY)),
            reset=tuple(lines(reset, BODY)),
            forward_signature=self._forward_signature(),
            forward=tuple(lines(self.lowered.forward, BODY)),
        )

    def _signature(self) -> Text:
        sizes = [f"{python(Name(n))}: {self.shared.types.get(n, '')}" for n in self.lowered.sizes]
        return definition("__init__", ["self", "config: Config", *sizes], "None", 4)

    def _forward_signature(self) -> Text:
        arguments = [f"{python(Name(name))}: {kind}" for name, kind in self.lowered.arguments]
        results = self.lowered.results
        several = ", ".join(["Tensor"] * results) or "()"
        tensors = "Tensor" if results == 1 else f"tuple[{several}]"
        return definition("forward", ["self", *arguments], tensors, 4)

    # The constructor

    def _keeps_config(self, reset: list[Statement]) -> bool:
        """The root does for `param_groups`, others where their methods read it."""
        text = lines([*reset, *self.lowered.forward])
        return not self.module.path or any("self.config" in line for line in text)

    def _init(self, resets: bool, keeps_config: bool) -> list[Statement]:
        found: list[Statement] = [nodes.Do(call(Attribute(call("super"), "__init__")))]
        if keeps_config:
            found.append(nodes.Assign((own("config"),), Name("config")))
        found += [nodes.Assign((own(name),), Name(name)) for name in self.kept]
        for tensor in self.tensors:
            found += self._tensor(tensor)
        found += [self._buffer(buffer) for buffer in self.lowered.buffers]
        for child in self.lowered.children:
            found += self._child(child)
        found += [nodes.Assign((own(name),), code) for name, code in self.lowered.constants]
        if not self.module.path and resets:
            found.append(nodes.Do(call(own("reset_parameters"))))
        return found

    def _tensor(self, tensor: Tensor) -> list[Statement]:
        layer, target = self.classes.uses.layers.get(tensor.path), own(tensor.name)
        if layer is not None:
            return self._layer(layer, target, self.scope)
        if tensor.path in self.classes.uses.biases:
            return []  # the layer's
        sizes = [self.place.whole(self.scope.amount(axis)) for axis in tensor.axes]
        grad = False if tensor.frozen else None
        made = call("nn.Parameter", _empty(sizes), requires_grad=grad)
        return [nodes.Comment(self._comment(tensor)), nodes.Assign((target,), made)]

    def _layer(self, layer: Layer, target: Code, scope: ModuleScope) -> list[Statement]:
        """A layer of PyTorch's, whose sizes are in the names of a scope."""
        tensors = self.classes.program.tensors
        weight, bias = tensors[layer.weight], tensors[layer.bias] if layer.bias else None
        found: list[Statement] = [nodes.Comment(self._comment(weight))]
        if bias is not None:
            known = "bias" if bias.name == "bias" else f"bias ({bias.name})"
            found.append(nodes.Comment(f"{known}, {self._comment(bias)}"))
        making = LayerMaking(scope, self.place, weight, layer)
        found.append(nodes.Assign((target,), layer.operation.made(making)))
        return [*found, *self._frozen(target, weight, bias)]

    def _comment(self, tensor: Tensor) -> str:
        return comment(tensor, self.shared.laws.get(tensor.path, ""))

    def _frozen(self, layer: Code, weight: Tensor, bias: Tensor | None) -> Iterator[Statement]:
        """What keeps from training the layer, or the one of its two that is frozen."""
        if weight.frozen and (bias is None or bias.frozen):
            yield nodes.Do(nodes.method(layer, "requires_grad_", False))
        elif weight.frozen:
            yield nodes.Do(nodes.method(Attribute(layer, "weight"), "requires_grad_", False))
        elif bias is not None and bias.frozen:
            yield nodes.Do(nodes.method(Attribute(layer, "bias"), "requires_grad_", False))

    def _buffer(self, buffer: Buffer) -> Statement:
        empty = _empty([self.place.whole(buffer.length)])
        return nodes.Do(nodes.method(SELF, "register_buffer", nodes.Constant(buffer.name), empty))

    def _child(self, child: Lowered) -> list[Statement]:
        module = child.module
        if layer := self.classes.uses.blocks.get(module.path):
            return self._layer(layer, own(module.name), self._inside(child))
        name = Name(self.classes.of[module.path])
        number = CopyFactors.number_in(self.classes.program, module.path) or "_"
        number = number if number in child.sizes else "_"
        sizes = tuple(
            (n, Name(n) if n == number else self._size(size)) for n, size in child.sizes.items()
        )
        made: Code = nodes.Call(name, (Name("config"),), sizes)
        if module.count is not None:
            count = self.place.whole(self.scope.amount(module.count))
            made = call("nn.ModuleList", nodes.Generator(made, count, number))
        return [nodes.Assign((own(module.name),), made)]

    def _inside(self, child: Lowered) -> ModuleScope:
        """The names of a block that is written into this class."""
        given = {name: self.scope.amount(size) for name, size in child.sizes.items()}
        return ModuleScope(self.scope.program, {}, self.scope.indices, given)

    def _size(self, size: Amount) -> Code:
        value = self.scope.amount(size)
        return (
            self.place.whole(value)
            if _number_type(self.classes.program, size) == "int"
            else self.place.real(value)
        )

    # Initialization

    def _reset(self) -> list[Statement]:
        found = [self._initialize(tensor, self.scope) for tensor in self.tensors]
        found += [_refill(buffer) for buffer in self.lowered.buffers]
        found += self._forgetting(self.tensors)
        for child in self.lowered.children:
            if child.module.path in self.classes.uses.blocks:
                tensors = [self.classes.program.tensors[path] for path in child.module.tensors]
                scope = self._inside(child)
                found += [self._initialize(tensor, scope) for tensor in tensors]
                found += self._forgetting(tensors)
            else:
                found += _reset_child(child)
        if any(_uses_config(statement) for statement in found):
            found.insert(0, nodes.Assign((Name("config"),), own("config")))
        return found

    def _initialize(self, tensor: Tensor, scope: ModuleScope) -> Statement:
        value = initial(scope, tensor)
        return filled(tensor.init.kind, self._reached(tensor), value, self._kept(value))

    def _reached(self, tensor: Tensor) -> Code:
        """The parameter of a tensor that the class makes."""
        named = self.classes.uses.parameters[tensor.path]
        return nodes.path(f"self.{relative(named, self.module.path)}")

    def _forgetting(self, tensors: list[Tensor]) -> Iterator[Statement]:
        """Layers forget what they have seen of the data."""
        for tensor in tensors:
            layer = self.classes.uses.layers.get(tensor.path)
            if layer is not None and layer.operation.state:
                held = self._reached(tensor)
                assert isinstance(held, Attribute)
                yield nodes.Do(nodes.method(held.value, "reset_running_stats"))

    def _kept(self, value: Formula) -> Code:
        """A formula as `reset_parameters` can reach it: sizes are kept on the module."""
        sizes = [a.name for a in value.atoms() if isinstance(a, Argument)]
        self.kept |= dict.fromkeys(sizes)
        return replace(self.place, arguments={name: own(name) for name in sizes}).real(value)


def _refill(buffer: Buffer) -> Statement:
    return nodes.Do(nodes.method(own(buffer.name), "fill_", buffer.start))


def _reset_child(child: Lowered) -> list[Statement]:
    if not any(lowered.module.tensors or lowered.buffers for lowered in child.walk()):
        return []
    name = child.module.name
    if child.module.count is None:
        return [nodes.Do(call(Attribute(own(name), "reset_parameters")))]
    copy = Name(copy_name(name))
    return [nodes.For((copy,), own(name), (nodes.Do(nodes.method(copy, "reset_parameters")),))]


def _uses_config(statement: Statement) -> bool:
    return isinstance(statement, nodes.Do) and "config." in python(statement.value)


def _empty(sizes: list[Code]) -> Code:
    return call("torch.empty", *sizes) if sizes else call("torch.empty", ())


def _shape(shape: Shape) -> str:
    return f"[{', '.join(['...', *map(str, shape)])}]"


def _number_type(program: Program, size: Amount) -> str:
    """Lengths are whole; what depends on a hyper, and a fraction, is a float."""
    constant = size.value.constant
    broken = constant is not None and constant.denominator != 1
    return "float" if broken or size.value.names & program.hypers.keys() else "int"
