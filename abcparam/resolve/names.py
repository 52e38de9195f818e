"""The first phase of resolution: every name means something, and one thing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.diagnostic import (
    Collector,
    DiagnosticRule,
    Replacement,
    Suggestion,
    did_you_mean,
)
from abcparam.diagnostics.rules import exponents as rules_of_exponents
from abcparam.diagnostics.rules import names as rules
from abcparam.diagnostics.source import START, Span
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.operations import operations
from abcparam.program.reserved_names import owner
from abcparam.resolve.circles import circles
from abcparam.resolve.suggestions import declared_as
from abcparam.resolve.uses import Uses

AMOUNT_FUNCTIONS = {"round_up": 2, "base": 1, "sqrt": 1}
RECURRENCES = frozenset({"mamba", "ssm", "selective_scan", "associative_scan"})  # have no law
INITS = ("normal", "uniform", "orthogonal", "zeros", "ones", "constant")


class Entry(NamedTuple):
    """What a name is: dim, hyper, symbol, tensor, block, instance, label, parameter or local."""

    kind: str
    span: Span
    node: syntax.Node | None = None


class NameReference(NamedTuple):
    """A place where a name is declared or used, and what it is there.

    `span` is that of the node: of an attribute, all of it; of a name in parentheses, with those.
    """

    name: str
    span: Span
    entry: Entry


FIXED = {"dim", "hyper", "symbol", "tensor", "block", "instance", "label"}


class Scope:
    """Names in reach: those of the place at hand, then those around it."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.entries: dict[str, Entry] = {}

    def find(self, name: str) -> Entry | None:
        found = self.entries.get(name)
        return found or (self.outer.find(name) if self.outer else None)

    def node(self, name: str) -> syntax.Node | None:
        """What a name is declared by."""
        found = self.find(name)
        return found.node if found else None

    def known(self) -> list[str]:
        return [*self.entries, *(self.outer.known() if self.outer else [])]


def snake_case(name: str) -> str:
    """`FeedForward` -> `feed_forward`: what an instance is called by default."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def check_names(spec: syntax.Spec, collector: Collector) -> Uses:
    """Reports every name that is unknown, taken, declared twice or hides another.

    Says how the tensors are used.
    """
    names = NameResolver(spec, collector)
    names.run()
    return names.uses


class NameResolver:
    """One run over a spec.

    `references` are the places of names that mean something, `inside` the scopes of bodies by where
    their block, label or `forward` is declared.
    """

    def __init__(self, spec: syntax.Spec, collector: Collector) -> None:
        self.spec = spec
        self.collector = collector
        self.top = Scope()
        self.blocks = {d.name.id: d for d in spec.declarations if isinstance(d, syntax.Block)}
        self.uses = Uses()
        self.references: list[NameReference] = []
        self.inside: dict[Span, Scope] = {}
        self.in_body = False

    def report(self, rule: type[DiagnosticRule], span: Span, **fields: object) -> None:
        self.collector.add(rule.at(span, **fields))

    def refer(self, name: str, span: Span, entry: Entry | None) -> None:
        if entry is not None and entry.span is not START:
            self.references.append(NameReference(name, span, entry))

    def run(self) -> None:
        self._required()
        for declaration in self.spec.declarations:
            self._declare_top(declaration)
        for declaration in self.spec.declarations:
            self._visit(declaration)
        self._recursion()

    def _required(self) -> None:
        examples = {
            "model": "model MLP",
            "forward": "forward(x : [pixels]) { return readout @ x }",
            "optimizer": "optimizer adamw { lr = 1e-3 }",
            "loss": "loss cross_entropy",
        }
        for word, kind in {
            "model": syntax.Model,
            "forward": syntax.Forward,
            "loss": syntax.Loss,
        }.items():
            self._once(
                word, [d for d in self.spec.declarations if isinstance(d, kind)], examples[word]
            )
        if not any(isinstance(d, syntax.Optimizer) for d in self.spec.declarations):
            self.report(
                rules.MissingDeclaration, START, what="optimizer", example=examples["optimizer"]
            )
        spelled = [d for d in self.spec.declarations if isinstance(d, syntax.Parametrization)]
        self._repeated("parametrization", spelled)
        expects = [d for d in self.spec.declarations if isinstance(d, syntax.Expect)]
        self._repeated("expect", expects)
        assumed = [
            s for d in self.spec.declarations if isinstance(d, syntax.Assume) for s in d.settings
        ]
        for key in dict.fromkeys(setting.key for setting in assumed):
            self._repeated(f"assume {key}", [s for s in assumed if s.key == key])

    def _once(self, word: str, found: Sequence[syntax.Node], example: str) -> None:
        if not found:
            self.report(rules.MissingDeclaration, START, what=word, example=example)
        self._repeated(word, found)

    def _repeated(self, word: str, found: Sequence[syntax.Node]) -> None:
        for node in found[1:]:
            self.report(rules.OnlyOnce, node.span, what=word, line=found[0].span.line)

    # Declarations

    def _declare(
        self, scope: Scope, name: syntax.Name, kind: str, node: syntax.Node | None = None
    ) -> None:
        taken = owner(name.id, attribute=kind in {"tensor", "instance"})
        earlier = scope.find(name.id)
        if taken:
            self.report(rules.ReservedName, name.span, name=name.id, owner=taken)
        elif earlier and earlier.kind in FIXED:
            self.report(rules.DeclaredTwice, name.span, name=name.id, line=earlier.span.line)
            self.refer(name.id, name.span, earlier)
            return
        scope.entries[name.id] = entry = Entry(kind, name.span, node)
        self.refer(name.id, name.span, entry)

    def _declare_top(self, declaration: syntax.Declaration) -> None:
        match declaration:
            case syntax.Dim(name=name):
                self._declare(self.top, name, "dim", declaration)
            case syntax.Hyper(name=name):
                self._declare(self.top, name, "hyper", declaration)
            case syntax.Block(name=name):
                self._declare(self.top, name, "block", declaration)
                self._not_an_operation(name)
            case syntax.Exponent(names=names):
                for name in names:
                    self._declare(self.top, name, "symbol", declaration)
            case syntax.Tensor(names=names):
                for name in names:
                    self._declare(self.top, name, "tensor", declaration)
            case syntax.Model(name=name):
                self._model(name)
            case _:
                pass

    def _model(self, name: syntax.Name) -> None:
        taken = owner(name.id)
        if taken:
            self.report(rules.ReservedName, name.span, name=name.id, owner=taken)
        self.refer(name.id, name.span, Entry("model", name.span))

    def _not_an_operation(self, name: syntax.Name) -> None:
        operation = operations().get(name.id)
        if (operation and not operation.yields) or name.id in AMOUNT_FUNCTIONS:
            self.report(
                rules.ReservedName, name.span, name=name.id, owner="an operation of the language"
            )

    # Uses

    def _visit(self, declaration: syntax.Declaration) -> None:
        match declaration:
            case syntax.Dim(value=value, after=after, options=options):
                self._expressions([value, after], self.top)
                self._settings(options, self.top)
            case syntax.Hyper(value=value, range=given):
                self._expressions([value, *bounds(given)], self.top)
            case syntax.Tensor():
                self._tensor(declaration, self.top)
            case syntax.Parametrization(roles=roles):
                for role in roles:
                    self._settings(role.settings, self.top)
            case syntax.Optimizer(settings=settings):
                self._settings(settings, self.top)
            case syntax.Block():
                self._block(declaration)
            case syntax.Forward():
                self._forward(declaration)
            case _:
                pass

    def _tensor(self, tensor: syntax.Tensor, scope: Scope) -> None:
        self._expressions(tensor.shape, scope)
        self._settings(tensor.settings, scope)

    def _settings(self, settings: Iterable[syntax.Setting], scope: Scope) -> None:
        inner = Scope(scope)
        inner.entries |= {"fan_in": Entry("dim", START), "fan_out": Entry("dim", START)}
        for setting in settings:
            if setting.dim is not None:
                self._expression(setting.dim, scope)
            if setting.key == "init":
                self._init(setting.value, inner)
            elif setting.key not in {"frozen", "adjust"}:
                self._expression(setting.value, inner)

    def _init(self, value: syntax.Expression | None, scope: Scope) -> None:
        if isinstance(value, syntax.Call):
            self._expressions([argument.value for argument in value.arguments], scope)

    def _block(self, block: syntax.Block) -> None:
        scope = Scope(self.top)
        for parameter in block.parameters:
            self._expression(parameter.default, self.top)
            self._local(parameter.name, scope, "parameter")
        self.inside[block.name.span] = scope
        self._body(block.body, scope, f"the block `{block.name.id}`", block.span)

    def _forward(self, forward: syntax.Forward) -> None:
        scope = Scope(self.top)
        for given in forward.inputs:
            self._expressions([given.index, *given.shape], self.top)
            self._local(given.name, scope, "parameter")
        self.inside[forward.span] = scope
        self._body(forward.body, scope, "`forward`", forward.span)

    def _body(self, body: Sequence[syntax.Statement], scope: Scope, what: str, span: Span) -> None:
        returns = [s for s in body if isinstance(s, syntax.Return)]
        if len(returns) != 1 or not isinstance(body[-1], syntax.Return):
            self.report(rules.NoReturn, returns[-1].span if returns else span, what=what)
        self.in_body = True
        self._statements(body, scope)
        self.in_body = False

    def _statements(self, body: Sequence[syntax.Statement], scope: Scope) -> None:
        for statement in body:
            if isinstance(statement, syntax.Tensor):
                for name in statement.names:
                    self._declare(scope, name, "tensor", statement)
        for statement in body:
            self._statement(statement, scope)

    def _statement(self, statement: syntax.Statement, scope: Scope) -> None:
        match statement:
            case syntax.Tensor():
                self._tensor(statement, scope)
            case syntax.Assign(targets=targets, value=value):
                self._expression(value, scope)
                for target in targets:
                    self._local(target, scope, "local")
            case syntax.Return(values=values):
                self._expressions(values, scope)
            case syntax.Repeat():
                self._repeat(statement, scope)

    def _repeat(self, repeat: syntax.Repeat, scope: Scope) -> None:
        self._expression(repeat.count, scope)
        if repeat.label:
            self._declare(scope, repeat.label, "label", repeat)
        inner = Scope(scope)
        self.inside[repeat.label.span if repeat.label else repeat.span] = inner
        for statement in repeat.body:
            if isinstance(statement, syntax.Return):
                self.report(rules.NoReturn, statement.span, what="the body around a repeat")
        self._statements([s for s in repeat.body if not isinstance(s, syntax.Return)], inner)

    def _local(self, name: syntax.Name, scope: Scope, kind: str) -> None:
        """A local; one that is assigned again is the one that it was."""
        if self._local_is_free(name, scope):
            entry = scope.find(name.id) or Entry(kind, name.span)
            scope.entries[name.id] = entry
            self.refer(name.id, name.span, entry)

    def _local_is_free(self, name: syntax.Name, scope: Scope) -> bool:
        taken, earlier = owner(name.id, local=True), scope.find(name.id)
        if taken:
            self.report(rules.ReservedName, name.span, name=name.id, owner=taken)
        elif earlier and earlier.kind in FIXED:
            fields = {"name": name.id, "kind": earlier.kind, "line": earlier.span.line}
            self.report(rules.HidesDeclaration, name.span, **fields)
        return not (earlier and earlier.kind in FIXED)

    # Expressions

    def _expressions(self, values: Iterable[syntax.Expression | None], scope: Scope) -> None:
        for value in values:
            self._expression(value, scope)

    def _expression(self, value: syntax.Expression | None, scope: Scope) -> None:
        self.uses.name(self._declaration(value, scope))
        match value:
            case syntax.Name():
                self._known(value, scope)
            case syntax.Attribute():
                self._attribute(value, scope)
            case syntax.Negative(operand=operand):
                self._expression(operand, scope)
            case syntax.Binary(left=left, right=right):
                self._power_then_quotient(value)
                for operand in (left, right):
                    if isinstance(operand, syntax.Name):
                        self.uses.name(self._declaration(operand, scope))
                        self._known(operand, scope, value if self.in_body else None)
                    else:
                        self._expression(operand, scope)
                self._used(value.op, (syntax.Argument(left), syntax.Argument(right)), scope)
            case syntax.Index(value=inner, index=index):
                self._expressions([inner, index], scope)
            case syntax.Tuple(items=items):
                self._expressions(items, scope)
            case syntax.Call():
                self._call(value, scope)
            case _:
                pass

    def _known(
        self, name: syntax.Name, scope: Scope, operand_of: syntax.Binary | None = None
    ) -> None:
        entry = scope.find(name.id)
        self.refer(name.id, name.span, entry)
        if name.id not in {"true", "false"} and entry is None:
            suggestion = did_you_mean(name.id, scope.known(), name.span)
            declaration = declared_as(operand_of, name, scope.node) if operand_of else ""
            fields = {"suggestion": suggestion, "name": name.id, "declaration": declaration}
            self.report(rules.UnknownName, name.span, **fields)

    def _power_then_quotient(self, value: syntax.Binary) -> None:
        """Warns of `x^-1/2`, which is `(x^-1)/2`, where `x^(-1/2)` may be meant."""
        power, below = value.left, value.right
        if not isinstance(power, syntax.Binary) or (value.op, power.op) != ("/", "^"):
            return
        above = _whole(power.right)
        if above is None or _whole(below) is None or power.span.end != power.right.span.end:
            return  # no numbers, or parentheses around the power
        if (above / (_whole(below) or 1)).denominator != 1:
            base, text = written(power.left), written(value).replace(" / ", "/")
            fields = {"text": text, "reading": f"({written(power)}) / {written(below)}"}
            meant = f"{base}^({written(power.right)}/{written(below)})"
            meant = Suggestion(meant, [Replacement(value.span, meant)])
            self.report(rules_of_exponents.PowerThenQuotient, value.span, meant=meant, **fields)

    def _attribute(self, value: syntax.Attribute, scope: Scope) -> None:
        if not isinstance(value.value, syntax.Name) or value.name == "T":
            self._expression(value.value, scope)
            return
        entry = scope.find(value.value.id)
        if entry is None:
            self._expression(value.value, scope)
        elif entry.kind != "instance":
            fields = {"owner": value.value.id, "name": value.name, "suggestion": ""}
            self.report(
                rules.NotInstance,
                value.span,
                problem=f"`{value.value.id}` is no instance",
                **fields,
            )
        else:
            self.refer(value.value.id, value.value.span, entry)
            self._tensor_of(value, value.value.id, entry)

    def _tensor_of(self, value: syntax.Attribute, instance: str, entry: Entry) -> None:
        if not isinstance(entry.node, syntax.Block):
            return
        block = entry.node
        known = _tensors(block)
        if value.name in known:
            self.refer(value.name, value.span, Entry("tensor", known[value.name]))
        else:
            fields = {
                "owner": instance,
                "name": value.name,
                "suggestion": did_you_mean(value.name, known),
            }
            problem = f"the block `{block.name.id}` has no tensor `{value.name}`"
            self.report(rules.NotInstance, value.span, problem=problem, **fields)

    def _used(self, operation: str, arguments: Sequence[syntax.Argument], scope: Scope) -> None:
        found, entry = operations().get(operation), scope.find(operation)
        if found and not (found.yields and entry and entry.kind in {"block", "instance"}):
            self.uses.add(found, arguments, lambda value: self._declaration(value, scope))

    def _declaration(self, value: syntax.Expression | None, scope: Scope) -> Span | None:
        """Where the tensor that an expression names is declared."""
        match value:
            case syntax.Attribute(value=inner, name="T"):
                return self._declaration(inner, scope)
            case syntax.Attribute(value=syntax.Name(id=instance), name=name):
                entry = scope.find(instance)
                block = entry.node if entry else None
                return _tensors(block).get(name) if isinstance(block, syntax.Block) else None
            case syntax.Name(id=name):
                entry = scope.find(name)
                return entry.span if entry and entry.kind == "tensor" else None
            case _:
                return None

    def _call(self, call: syntax.Call, scope: Scope) -> None:
        self._expressions([argument.value for argument in call.arguments], scope)
        self._used(call.function.id, call.arguments, scope)
        name = call.function.id
        entry = scope.find(name)
        self._referred(call, entry)
        if entry and entry.kind == "block" and isinstance(entry.node, syntax.Block):
            self._instance(call, entry.node, scope)
        elif entry and entry.kind == "instance":
            return
        elif name not in AMOUNT_FUNCTIONS and (
            name not in operations() or operations()[name].hidden
        ):
            if name.lower() in RECURRENCES:
                what = f"a selective state-space recurrence, `{name}`,"
                remedy = (
                    "there is no theory of its scaling yet: use attention, or a finite `repeat`"
                )
                self.report(
                    rules_of_exponents.NotCovered, call.function.span, what=what, remedy=remedy
                )
                return
            found = scope.find(name)
            if found is not None and found.kind == "tensor":
                operand = call.arguments[0].value if call.arguments else syntax.Name("x")
                applied = written(syntax.Binary("@", call.function, operand))
                span = call.function.span
                self.report(rules.TensorCalled, span, name=name, applied=applied)
                return
            known = [o.name for o in operations().values() if not o.hidden]
            known += [
                n
                for n in scope.known()
                if (scope.find(n) or Entry("", START)).kind in {"block", "instance"}
            ]
            suggestion = did_you_mean(name, known, call.function.span)
            self.report(rules.UnknownFunction, call.function.span, name=name, suggestion=suggestion)

    def _referred(self, call: syntax.Call, entry: Entry | None) -> None:
        """A block or instance that is called, and its parameters that are named there."""
        if entry is None:
            return
        self.refer(call.function.id, call.function.span, entry)
        parameters = entry.node.parameters if isinstance(entry.node, syntax.Block) else ()
        declared = {parameter.name.id: parameter.name.span for parameter in parameters}
        for argument in call.arguments:
            if argument.name in declared:
                parameter = Entry("parameter", declared[argument.name])
                self.refer(argument.name, argument.name_span, parameter)

    def _instance(self, call: syntax.Call, block: syntax.Block, scope: Scope) -> None:
        name = call.alias or syntax.Name(snake_case(block.name.id), span=call.function.span)
        earlier = scope.find(name.id)
        if earlier and earlier.kind == "instance":
            fields = {"name": name.id, "line": earlier.span.line, "block": block.name.id}
            self.report(rules.SecondInstance, name.span, **fields)
        else:
            self._declare(scope, name, "instance", block)

    def _recursion(self) -> None:
        for path in circles(self.blocks):
            span = self.blocks[path[0]].name.span
            self.report(rules.RecursiveBlock, span, name=path[0], path=" -> ".join(path))


def _tensors(block: syntax.Block) -> dict[str, Span]:
    """The tensors of a block by name, with the places of their declarations."""
    tensors = [s for s in block.body if isinstance(s, syntax.Tensor)]
    return {name.id: name.span for tensor in tensors for name in tensor.names}


def bounds(given: syntax.Interval | syntax.Choice | None) -> tuple[syntax.Expression, ...]:
    """The numbers of a search range."""
    match given:
        case syntax.Interval(low=low, high=high):
            return (low, high)
        case syntax.Choice(values=values):
            return values
        case None:
            return ()


def _whole(value: syntax.Expression) -> Fraction | None:
    """A whole number with its sign."""
    match value:
        case syntax.Number(value=number) if number.denominator == 1:
            return number
        case syntax.Negative(operand=syntax.Number(value=number)) if number.denominator == 1:
            return -number
        case _:
            return None
