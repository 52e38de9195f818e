"""From the program to code: each module's `forward`, and what it needs from its constructor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from abcparam.algebra.record import Record
from abcparam.emission.lowering.body import FunctionLowering
from abcparam.emission.lowering.copies import CopyFactors
from abcparam.emission.lowering.numbers import BY_COPY, CodePlace, Names
from abcparam.emission.lowering.scope import ModuleScope
from abcparam.emission.lowering.spaces import Buffer, Constants
from abcparam.emission.lowering.use import OperationUse
from abcparam.emission.lowering.uses import CodeUses, integer_names, is_plain, sizes_of
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Assign, Invoke, Repeat, Return
from abcparam.program.model import Module, Program
from abcparam.python_code import nodes
from abcparam.python_code.formula import Formula
from abcparam.python_code.layout import python
from abcparam.python_code.nodes import Code, Formatted, Name, Statement, own, subscript

LONG = 24  # names longer than that make loops hard to read


class Lowered(Record):
    """One module: arguments of its constructor and of `forward`, constants, body, children."""

    module: Module
    scope: ModuleScope
    sizes: Mapping[str, Amount]
    arguments: tuple[tuple[str, str], ...]  # name and annotation
    constants: tuple[tuple[str, Code], ...]
    buffers: tuple[Buffer, ...]
    forward: tuple[Statement, ...]
    results: int
    children: tuple[Lowered, ...]

    def walk(self) -> Iterable[Lowered]:
        """Children before parents."""
        for child in self.children:
            yield from child.walk()
        yield self


class Lowering:
    """What is the same everywhere in one program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.uses = CodeUses(program)
        self.names = Names.of(program)


def lower(whole: Lowering) -> Lowered:
    """The root module, with all others below it."""
    root = whole.program.root
    batched = {name: True for name, _ in root.inputs}
    return _Module(whole, root, {}, batched, frozenset(), {}).run()


class _Module:
    """Lowers one class."""

    def __init__(
        self,
        whole: Lowering,
        module: Module,
        inherited: Mapping[str, Amount],
        batched: Mapping[str, bool],
        indices: frozenset[str],
        held: Mapping[str, Formula],
    ) -> None:
        self.whole = whole
        self.module = module
        self.sizes = {
            **sizes_of(whole.uses, module, inherited),
            **CopyFactors.of(whole.program, module.path).argument,
        }
        self.indices = indices | frozenset(_indices(module))
        self.scope = ModuleScope(
            whole.program, {name: size.value for name, size in self.sizes.items()}, self.indices
        )
        self.constants = Constants(module, CodePlace(whole.names))
        self.body = FunctionLowering(
            whole.program, whole.uses, module.path, self.scope, self.constants, OperationUse
        )
        self.body.batched.update(batched)
        self.body.scaling.held.update(held)
        self.calls: dict[str, dict[str, bool]] = {}

    def run(self) -> Lowered:
        arguments = self._arguments()
        self.body.names.reserve(_locals(self.module))
        if self.whole.program.gradients is not None:  # names tell the spec's values from ours
            for module in self.whole.program.root.walk():
                self.body.names.reserve(_locals(module))
        if not self.module.path:
            self.body.statements += _checks(self.whole.program)
        if self.module.is_repeat:
            self._enter()
        self._statements(self.module)
        children = tuple(self._child(child) for child in self._children(self.module))
        return Lowered(
            self.module,
            self.scope,
            self._sizes(children),
            arguments,
            tuple(self.constants.codes.items()),
            tuple(self.body.buffers.found),
            tuple(self.body.statements),
            self.results,
            children,
        )

    def _sizes(self, children: Sequence[Lowered]) -> dict[str, Amount]:
        """The constructor's arguments, but for the number of a copy that none asks for."""
        asked = {name for child in children for name in child.sizes}
        asked |= {BY_COPY for code in self.constants.codes.values() if BY_COPY in python(code)}
        copy = CopyFactors.of(self.whole.program, self.module.path).argument
        return {
            name: size
            for name, size in self.sizes.items()
            if name not in copy or asked & {name, BY_COPY}
        }

    def _arguments(self) -> tuple[tuple[str, str], ...]:
        """The arguments of `forward`: inputs, the copy's number, what is needed from outside."""
        module, body = self.module, self.body
        found = []
        for name, shape in module.inputs:
            body.names.reserve([name])
            body.shapes[name] = shape
            found.append((name, "Tensor"))
        if module.index and module.index in self.whole.uses.names[module.path]:
            body.names.reserve([module.index])
            found.append((module.index, "int"))
        for need in self.whole.uses.needs[module.path]:
            name = body.names.fresh(need.hint)
            body.given[need] = Name(name)
            found.append(
                (name, {"tensor": "Tensor", "module": "nn.Module", "index": "int"}[need.kind])
            )
        return tuple(found)

    def _enter(self) -> None:
        """In a copy gradients of what comes from outside may have another factor."""
        integers = integer_names(self.module)
        for name, _ in self.module.inputs:
            if name not in integers:
                self.body.scaling.enter(name, name in self.module.carried)

    def _children(self, module: Module) -> Iterable[Module]:
        for child in module.children:
            if not is_plain(child):
                yield child

    def _child(self, child: Module) -> Lowered:
        batched = self.calls.get(child.path, {name: True for name, _ in child.inputs})
        inherited = self.sizes if child.is_repeat else {}
        held = self.whole.uses.held.entering(child) | self.body.scaling.handed.get(child.path, {})
        return _Module(self.whole, child, inherited, batched, self.indices, held).run()

    # Statements

    def _statements(self, module: Module) -> None:
        for statement in module.body:
            match statement:
                case Assign(targets=targets, value=value):
                    self._note_calls(value)
                    self.body.assign(targets, value)
                case Repeat(instance=instance, carried=carried):
                    self._loop(module.child(instance), carried)
                case Return(values=values):
                    self._give(module, values)

    def _give(self, module: Module, values: Sequence[object]) -> None:
        if module is not self.module:
            return  # the end of a plain loop: its names are ours
        self.results = len(values)
        codes = []
        for value in values:
            self._note_calls(value)
            codes.append(self.body.code(value))  # type: ignore[arg-type]
        self.body.emit(nodes.Return(codes[0] if len(codes) == 1 else nodes.Tuple(tuple(codes))))

    def _note_calls(self, value: object) -> None:
        """Which operands of a submodule may lack batch axes, over all its calls."""
        if isinstance(value, Invoke) and not value.outer:
            path = f"{self.module.path}.{value.instance}".lstrip(".")
            child = self.whole.uses.by_path[path]
            known = self.calls.setdefault(path, {name: True for name, _ in child.inputs})
            for (name, _), operand in zip(child.inputs, value.operands, strict=True):
                known[name] = known[name] and self.body.is_batched(operand)
        for operand in getattr(value, "operands", ()):
            self._note_calls(operand)

    def _loop(self, child: Module, carried: tuple[str, ...]) -> None:
        streams = self.whole.uses.held
        self.body.scaling.settle((name for name, _ in child.inputs), streams.before(child))
        self.body.scaling.carry(carried)
        if is_plain(child):
            self._plain_loop(child)
            return
        self.calls[child.path] = {
            name: self.body.batched.get(name, True) for name, _ in child.inputs
        }
        uses, body = self.whole.uses, self.body
        copy = Name(body.names.fresh(copy_name(child.name)))
        copies = own(child.name)
        arguments = [body.scaling.read(name) for name, _ in child.inputs]
        targets: tuple[Name, ...] = (copy,)
        if child.index in uses.names[child.path] and child.index:
            index = Name(body.names.fresh(child.index))
            targets, copies = (index, copy), nodes.call("enumerate", copies)
            arguments.append(index)
        arguments += [body.need(need) for need in uses.needs[child.path]]
        results = tuple(Name(name) for name in carried)
        step = nodes.Call(copy, tuple(arguments))
        inner = nodes.Assign(results, step) if results else nodes.Do(step)
        body.emit(nodes.For(targets, copies, (inner,)))
        assert child.count is not None
        body.scaling.held.update(streams.leaving(child))
        for name in carried:
            if name not in integer_names(child):
                body.scaling.leave(name, child.path, self.scope.amount(child.count))

    def _plain_loop(self, child: Module) -> None:
        body = self.body
        outside, body.statements = body.statements, []
        body.indent += 4
        self._statements(child)
        inside, body.statements = body.statements, outside
        body.indent -= 4
        counted = child.index in self.whole.uses.names[child.path]
        name = Name(child.index if counted and child.index else "_")
        assert child.count is not None
        count = nodes.call("range", body.length(child.count))
        body.emit(nodes.For((name,), count, tuple(inside)))


def _indices(module: Module) -> Iterable[str]:
    """The numbers of copies that the module's own code can see."""
    if module.index:
        yield module.index
    for child in module.children:
        if is_plain(child):
            yield from _indices(child)


def singular(label: str) -> str:
    """`layers` -> `layer`."""
    plural = label.endswith("s") and not label.endswith("ss") and len(label) > 2
    return label[:-1] if plural else label


def copy_name(label: str) -> str:
    """What a loop calls one copy."""
    name = singular(label)
    if len(name) > LONG:
        return "copy"
    return name if name != label else f"{label}_copy"


def _locals(module: Module) -> Iterable[str]:
    """Names that the module's own code assigns or counts with."""
    for statement in module.body:
        if isinstance(statement, Assign):
            yield from statement.targets
    for child in module.children:
        if is_plain(child):
            yield from _locals(child)
            yield child.index or "_"


def _checks(program: Program) -> list[Statement]:
    """Inputs may be shorter than they were declared, not longer."""
    found: list[Statement] = []
    for given in program.inputs:
        for index, axis in enumerate(given.axes):
            dim = _plain_dim(program, axis)
            if dim is not None:
                found.append(_check(given.name, index - len(given.axes), dim))
    return found


def _check(name: str, axis: int, dim: str) -> Statement:
    length = subscript(nodes.Attribute(Name(name), "shape"), axis)
    limit = nodes.Attribute(own("config"), dim)
    message = Formatted((f"{name} is longer than {dim} = ", limit))
    return nodes.If(nodes.Binary(">", length, limit), (nodes.Raise(message),))


def _plain_dim(program: Program, axis: Amount) -> str | None:
    """The underived dim that an axis is."""
    names = axis.value.names
    name = next(iter(names)) if len(names) == 1 else None
    if name is None or name not in program.dims or program.dims[name].value != axis.value:
        return None
    return name
