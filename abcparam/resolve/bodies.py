"""Bodies: every expression gets its shape.

Blocks are instantiated call by call, repeats elaborated once.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from abcparam.algebra.polynomials import atom
from abcparam.algebra.record import replace
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import shapes as shape_rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import (
    Assign,
    Expression,
    Local,
    Repeat,
    Return,
    Statement,
    TensorRef,
)
from abcparam.program.model import Module
from abcparam.program.signature import ANY_SIGN, show
from abcparam.resolve.amounts import NotStaticError, Statics
from abcparam.resolve.arguments import InvalidStatementError
from abcparam.resolve.names import snake_case
from abcparam.resolve.tensors import resolve_tensor
from abcparam.resolve.values import ValueElaborator, wrong_count
from abcparam.resolve.world import Copies, Instance, LocalName, World


class Body:
    """One body at one place of the tree of modules."""

    def __init__(
        self,
        world: World,
        path: str,
        statics: Statics,
        outer: Body | None = None,
        copies: tuple[Amount, ...] = (),
    ) -> None:
        self.world = world
        self.path = path
        self.statics = dict(statics)
        self.outer = outer
        self.copies = copies
        self.locals: dict[str, LocalName] = {}
        self.tensors: dict[str, str] = {}
        self.instances: dict[str, Instance] = {}
        self.children: list[Module] = []
        self.amounts = world.globals.amounts(self.statics)
        self.free: list[str] = []
        self.values = ValueElaborator(self)

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def run(self, statements: Sequence[syntax.Statement]) -> tuple[Statement, ...]:
        for statement in statements:
            if isinstance(statement, syntax.Tensor):
                self.declare(statement)
        done = [self.statement(s) for s in statements if not isinstance(s, syntax.Tensor)]
        return tuple(s for s in done if s is not None)

    def declare(self, declaration: syntax.Tensor) -> None:
        for name in declaration.names:
            path = self.at(name.id)
            tensor = resolve_tensor(self.world.globals, declaration, name, path, self.statics)
            self.world.tensors[path] = replace(tensor, copies=self.copies)
            self.tensors[name.id] = path

    def statement(self, statement: syntax.Statement) -> Statement | None:
        match statement:
            case syntax.Assign():
                return self._assign(statement)
            case syntax.Return(values=values):
                given = [self.attempt(value) for value in values]
                return Return(tuple(value for value in given if value is not None))
            case syntax.Repeat():
                return self._repeat(statement)
            case _:
                return None

    def attempt(self, value: syntax.Expression) -> Expression | None:
        """The typed expression, or None after its error was reported."""
        try:
            return self.values.value(value)
        except NotStaticError as error:
            self.world.report(error.diagnostic)
        except InvalidStatementError as error:
            if error.diagnostic is not None:
                self.world.report(error.diagnostic)
        return None

    def _assign(self, assignment: syntax.Assign) -> Assign | None:
        value = self.attempt(assignment.value)
        names = [target.id for target in assignment.targets]
        if value is not None and len(value.shapes) != len(names):
            wanted = "one name" if len(names) == 1 else f"{len(names)} names"
            self.world.report(wrong_count(assignment.span, wanted, len(value.shapes)))
            value = None
        integer = isinstance(value, Local) and value.integer
        sign = ANY_SIGN if value is None else self.values.sign(value)
        for index, name in enumerate(names):
            shape = value.shapes[index] if value else None
            self.locals[name] = LocalName(shape, integer, sign)
        return Assign(tuple(names), value) if value else None

    # Names

    def read(self, name: str) -> LocalName | None:
        """A local of this body, or of the one around a repeat's.

        The latter becomes an input of the copy.
        """
        if name in self.locals:
            return self.locals[name]
        found = self.outer.read(name) if self.outer else None
        if found is not None:
            self.locals[name] = found
            self.free.append(name)
        return found

    def tensor(self, name: str) -> tuple[str, bool] | None:
        """A tensor's path, and whether it lies outside this module."""
        if name in self.tensors:
            return self.tensors[name], False
        body = self.outer
        while body:
            if name in body.tensors:
                return body.tensors[name], True
            body = body.outer
        return (name, bool(self.path)) if name in self.world.tensors else None

    def instance(self, name: str) -> tuple[Instance, bool] | None:
        """An instance by its name, and whether it lies outside this module."""
        if name in self.instances:
            return self.instances[name], False
        found = self.outer.instance(name) if self.outer else None
        return (found[0], True) if found else None

    def weight(self, name: syntax.Name) -> TensorRef | None:
        """The tensor of that name, its shape still to be looked up."""
        found = self.tensor(name.id)
        if found is None:
            return None
        path, outer = found
        return TensorRef(path, path if outer else name.id, (), outer=outer, span=name.span)

    # Blocks and repeats

    def instantiate(
        self,
        call: syntax.Call,
        block: syntax.Block,
        values: Mapping[str, Expression],
        sizes: Mapping[str, Amount | bool],
        shapes: Mapping[str, Shape],
        several: Copies | None = None,
    ) -> Instance:
        """An instance of a block, or `several` of which each takes some of the tokens."""
        name = call.alias.id if call.alias else snake_case(block.name.id)
        self.world.enter(call.span, self.at(name))
        statics = {k: v.value if isinstance(v, Amount) else v for k, v in sizes.items()}
        count = several.count if several else None
        copies = (*self.copies, count) if count else self.copies
        body = Body(self.world, self.at(name), statics, copies=copies)
        inputs = []
        for parameter, value in values.items():
            shape = shapes[parameter]
            body.locals[parameter] = LocalName(shape, isinstance(value, Local) and value.integer)
            inputs.append((parameter, shape))
        statements = body.run(block.body)
        given = statements[-1] if statements and isinstance(statements[-1], Return) else Return(())
        module = Module(
            path=self.at(name),
            name=name,
            block=block.name.id,
            inputs=tuple(inputs),
            sizes=dict(sizes),
            tensors=tuple(body.tensors.values()),
            children=tuple(body.children),
            body=statements,
            count=count,
            span=call.span,
        )
        signs = tuple(map(body.values.sign, given.values))
        instance = Instance(module, tuple(v.shapes[0] for v in given.values), signs)
        if several is None:
            self.instances[name] = instance
        self.children.append(module)
        if len(given.values) != len(block.body[-1].values):  # type: ignore[union-attr]
            raise InvalidStatementError(None)
        return instance

    def _repeat(self, repeat: syntax.Repeat) -> Repeat | None:
        count = self._count(repeat.count)
        if count is None:
            return None
        label = repeat.label.id if repeat.label else self._unlabelled()
        self.world.enter(repeat.span, self.at(label))
        statics = {**self.statics, label: atom(label)}
        body = Body(self.world, self.at(label), statics, outer=self, copies=(*self.copies, count))
        carried = self._carried(repeat.body)
        before = {name: self.read(name) for name in carried}
        for name, local in before.items():
            body.locals[name] = LocalName(local.shape, local.integer) if local else LocalName(None)
            if name in self.locals:
                self.locals[name] = body.locals[name]
        statements = body.run(repeat.body)
        self._unchanged(repeat, label, before, body)
        module = self._copy(repeat, label, count, carried, before, body, statements)
        self.children.append(module)
        return Repeat(label, carried)

    def _count(self, written: syntax.Expression) -> Amount | None:
        """The number of copies; None after its error was reported."""
        what, wanted = "the count of a repeat", "a positive whole number"
        try:
            count = self.amounts.amount(written, what)
        except NotStaticError as error:
            self.world.report(error.diagnostic)
            return None
        at_base = self.world.globals.at_base(count.value)
        if count.value.names & self.world.globals.hypers.keys():
            self.world.report(rules.NotANumber.at(written.span, what=what, wanted="made of dims"))
        elif at_base is not None and (at_base.denominator != 1 or at_base < 1):
            remedy = "write a number, or a dim such as `depth`"
            fields = {"what": what, "value": at_base, "wanted": wanted, "remedy": remedy}
            self.world.report(rules.NotPositive.at(written.span, **fields))
        else:
            return count
        return None

    def _unlabelled(self) -> str:
        taken = {*(child.name for child in self.children), *self.tensors, *self.world.tensors}
        numbers = (f"copies{number}" for number in itertools.count(2))
        return next(name for name in itertools.chain(["copies"], numbers) if name not in taken)

    def _carried(self, body: Sequence[syntax.Statement]) -> tuple[str, ...]:
        """Names that are assigned both before and inside.

        They are in the order in which they are assigned inside.
        """
        inside = [t.id for s in body for t in _assigned(s)]
        return tuple(dict.fromkeys(name for name in inside if self.read(name) is not None))

    def _unchanged(
        self, repeat: syntax.Repeat, label: str, before: Mapping[str, LocalName | None], body: Body
    ) -> None:
        for name, local in before.items():
            old, new = local.shape if local else None, body.locals[name].shape
            if old is not None and new is not None and old != new:
                fields = {"name": name, "label": label, "before": show(old), "after": show(new)}
                self.world.report(shape_rules.CarriedShapeChanges.at(_last(repeat, name), **fields))
                self.locals[name] = LocalName(None)

    def _copy(
        self,
        repeat: syntax.Repeat,
        label: str,
        count: Amount,
        carried: tuple[str, ...],
        before: Mapping[str, LocalName | None],
        body: Body,
        statements: tuple[Statement, ...],
    ) -> Module:
        locals_ = [
            *((name, before[name]) for name in carried),
            *((n, body.locals[n]) for n in body.free),
        ]
        inputs = tuple(
            (name, local.shape) for name, local in locals_ if local and local.shape is not None
        )
        values = []
        for name in carried:
            local = body.locals[name]
            values.append(Local(name, (local.shape or (),), local.integer))
        return Module(
            path=self.at(label),
            name=label,
            block=label,
            inputs=inputs,
            sizes={},
            tensors=tuple(body.tensors.values()),
            children=tuple(body.children),
            body=(*statements, Return(tuple(values))),
            count=count,
            index=label,
            carried=carried,
            span=repeat.span,
        )


def _assigned(statement: syntax.Statement) -> Sequence[syntax.Name]:
    match statement:
        case syntax.Assign(targets=targets):
            return targets
        case syntax.Repeat(body=body):
            return [name for inner in body for name in _assigned(inner)]
        case _:
            return ()


def _last(repeat: syntax.Repeat, name: str) -> Span:
    spans = [t.span for s in repeat.body for t in _assigned(s) if t.id == name]
    return spans[-1] if spans else repeat.span
