"""The views of the emitted `nn.Module`s: modules that are written alike share a class."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.record import Record, replace
from abcparam.emission.lowering.lower import Lowered, copy_name, singular
from abcparam.emission.lowering.numbers import CodePlace, Names
from abcparam.emission.lowering.scope import initial
from abcparam.emission.lowering.spaces import Buffer
from abcparam.emission.lowering.uses import CodeUses
from abcparam.emission.views.initial import filled
from abcparam.emission.views.laws import comment
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
            view = _Writer(self, lowered, Shared({}, {}, "")).view()
            key = (lowered.module.block, lowered.module.is_repeat, view)
            if key not in self._known:
                self._known[key] = self._name(lowered)
            self.of[lowered.module.path] = self._known[key]
            self._members.setdefault(self._known[key], []).append(lowered)

    def views(self) -> list[ClassView]:
        """Inner classes first, the model last."""
        model = self.program.name
        order = [name for name in self._members if name != model]
        return [self._view(name, self._members[name]) for name in [*order, model]]

    def _view(self, name: str, members: list[Lowered]) -> ClassView:
        docs = dict.fromkeys(_doc(member.module) for member in members)
        shared = Shared(
            laws={path: self._law(path, members) for path in members[0].module.tensors},
            types={size: self._type(size, members) for size in members[0].sizes},
            doc=next(iter(docs)) if len(docs) == 1 else "",
        )
        return replace(_Writer(self, members[0], shared).view(), name=Text(name))

    def _type(self, size: str, members: list[Lowered]) -> str:
        types = {_number_type(self.program, member.sizes[size]) for member in members}
        return "float" if "float" in types else "int"

    def _law(self, path: str, members: list[Lowered]) -> str:
        """The law of a tensor in all instances of its class."""
        name = path.rpartition(".")[2]
        paths = [f"{member.module.path}.{name}".lstrip(".") for member in members]
        return " or ".join(dict.fromkeys(self.laws.get(p, "") for p in paths))

    def _name(self, lowered: Lowered) -> str:
        module = lowered.module
        if not module.path:
            return self.program.name
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
        tensors = "Tensor" if results == 1 else f"tuple[{', '.join(['Tensor'] * results)}]"
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
        found += [self._child(child) for child in self.lowered.children]
        found += [nodes.Assign((own(name),), code) for name, code in self.lowered.constants]
        if not self.module.path and resets:
            found.append(nodes.Do(call(own("reset_parameters"))))
        return found

    def _tensor(self, tensor: Tensor) -> list[Statement]:
        kind, target = self.classes.uses.kinds[tensor.path], own(tensor.name)
        sizes = [self.place.whole(self.scope.amount(axis)) for axis in tensor.axes]
        found: list[Statement] = [
            nodes.Comment(comment(tensor, self.shared.laws.get(tensor.path, "")))
        ]
        if kind == "parameter":
            grad = False if tensor.frozen else None
            found.append(
                nodes.Assign((target,), call("nn.Parameter", _empty(sizes), requires_grad=grad))
            )
            return found
        layer = "nn.Linear" if kind == "linear" else "nn.Embedding"
        order = sizes[::-1] if kind == "linear" else sizes
        bias = False if kind == "linear" else None
        found.append(nodes.Assign((target,), call(layer, *order, bias=bias)))
        if tensor.frozen:
            found.append(nodes.Do(nodes.method(target, "requires_grad_", False)))
        return found

    def _buffer(self, buffer: Buffer) -> Statement:
        empty = _empty([self.place.whole(buffer.length)])
        return nodes.Do(nodes.method(SELF, "register_buffer", nodes.Constant(buffer.name), empty))

    def _child(self, child: Lowered) -> Statement:
        module = child.module
        name = Name(self.classes.of[module.path])
        sizes = tuple((n, self._size(size)) for n, size in child.sizes.items())
        made: Code = nodes.Call(name, (Name("config"),), sizes)
        if module.count is not None:
            count = self.place.whole(self.scope.amount(module.count))
            made = call("nn.ModuleList", nodes.Generator(made, count))
        return nodes.Assign((own(module.name),), made)

    def _size(self, size: Amount) -> Code:
        value = self.scope.amount(size)
        return (
            self.place.whole(value)
            if _number_type(self.classes.program, size) == "int"
            else self.place.real(value)
        )

    # Initialization

    def _reset(self) -> list[Statement]:
        found = [self._initialize(tensor) for tensor in self.tensors]
        found += [_refill(buffer) for buffer in self.lowered.buffers]
        if any(_uses_config(statement) for statement in found):
            found.insert(0, nodes.Assign((Name("config"),), own("config")))
        for child in self.lowered.children:
            found += _reset_child(child)
        return found

    def _initialize(self, tensor: Tensor) -> Statement:
        kind = self.classes.uses.kinds[tensor.path]
        target = own(tensor.name) if kind == "parameter" else Attribute(own(tensor.name), "weight")
        value = initial(self.scope, tensor)
        return filled(tensor.init.kind, target, value, self._kept(value))

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
    assert isinstance(statement, nodes.Do)
    return "config." in python(statement.value)


def _empty(sizes: list[Code]) -> Code:
    return call("torch.empty", *sizes) if sizes else call("torch.empty", ())


def _shape(shape: Shape) -> str:
    return f"[{', '.join(['...', *map(str, shape)])}]"


def _number_type(program: Program, size: Amount) -> str:
    """Lengths are whole; what depends on a hyper, and a fraction, is a float."""
    constant = size.value.constant
    broken = constant is not None and constant.denominator != 1
    return "float" if broken or size.value.names & program.hypers.keys() else "int"
