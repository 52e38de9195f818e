"""The words of a spec that are not its own.

These are roles, optimizers, losses, verdicts, and the keys of settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.diagnostics.diagnostic import Collector, did_you_mean
from abcparam.diagnostics.rules import names as rules
from abcparam.diagnostics.rules import training as training_rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.optimizers import optimizers
from abcparam.optimizers.refused import REFUSED
from abcparam.program.vocabulary import VERDICTS

ROLES = ("input", "hidden", "output", "scalar")
LOSSES = ("cross_entropy", "mse")
ASSUMPTIONS = {"alignment": ("tensor-programs", "full", "none"), "epsilon": ("ignored", "strict")}
DIM_KEYS = ("base", "rate")
TENSOR_KEYS = ("a", "b", "c", "d", "init", "mult", "lr", "weight_decay", "frozen")


def check_words(spec: syntax.Spec, collector: Collector) -> None:
    """Reports every word where only certain words have a meaning, and it is none of them."""
    words = _Words(collector)
    for declaration in spec.declarations:
        words.declaration(declaration)


class _Words:
    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def word(
        self,
        node: syntax.Node,
        name: str,
        what: str,
        known: Sequence[str],
        place: Span | None = None,
    ) -> None:
        """Reports a word of a node that is none of those known; `place`, if not all of the node."""
        if name not in known:
            fields = {"name": name, "what": what, "known": ", ".join(known)}
            suggestion = did_you_mean(name, known, place or node.span)
            self.collector.add(rules.UnknownWord.at(node.span, suggestion=suggestion, **fields))

    def keys(self, settings: Iterable[syntax.Setting], owner: str, known: Sequence[str]) -> None:
        """Keys that the owner does not have, and those that stand twice."""
        first: dict[tuple[str, str], int] = {}
        for setting in settings:
            dim = setting.dim.id if setting.dim else ""
            key = f"{setting.key}[{dim}]" if dim else setting.key
            if setting.key not in known or (dim and setting.key not in {"a", "b", "c", "d"}):
                fields = {"owner": owner, "name": key, "known": ", ".join(known) or "none"}
                suggestion = did_you_mean(setting.key, known, setting.key_span)
                self.collector.add(
                    rules.UnknownSetting.at(setting.span, suggestion=suggestion, **fields)
                )
            elif (setting.key, dim) in first:
                line = first[setting.key, dim]
                self.collector.add(rules.OnlyOnce.at(setting.span, what=key, line=line))
            first.setdefault((setting.key, dim), setting.span.line)

    def declaration(self, declaration: syntax.Declaration) -> None:
        match declaration:
            case syntax.Dim(name=name, infinite=infinite, options=options):
                self.keys(options, f"the dim `{name.id}`", DIM_KEYS if infinite else ())
            case syntax.Parametrization(roles=roles):
                self.roles(roles)
            case syntax.Tensor():
                self.tensor(declaration)
            case syntax.Block(body=body) | syntax.Forward(body=body):
                self.body(body)
            case syntax.Optimizer():
                self.optimizer(declaration)
            case syntax.Loss(value=value):
                self.loss(value)
            case syntax.Assume(settings=settings):
                self.assumptions(settings)
            case syntax.Expect(values=values):
                for value in values:
                    self.word(value, value.id, "a verdict", (*VERDICTS, "complete"))
            case _:
                pass

    def roles(self, roles: Iterable[syntax.Role]) -> None:
        first: dict[str, int] = {}
        for role in roles:
            name, line = role.role.id, role.span.line
            self.word(role.role, name, "a role", ROLES)
            if first.setdefault(name, line) != line:
                self.collector.add(rules.OnlyOnce.at(role.role.span, what=name, line=first[name]))
            self.keys(role.settings, f"the role `{name}`", TENSOR_KEYS)

    def body(self, body: Iterable[syntax.Statement]) -> None:
        for statement in body:
            if isinstance(statement, syntax.Tensor):
                self.tensor(statement)
            elif isinstance(statement, syntax.Repeat):
                self.body(statement.body)

    def tensor(self, tensor: syntax.Tensor) -> None:
        if tensor.role:
            self.word(tensor.role, tensor.role.id, "a role", ROLES)
        self.keys(tensor.settings, f"the tensor `{tensor.names[0].id}`", TENSOR_KEYS)

    def optimizer(self, optimizer: syntax.Optimizer) -> None:
        name, known = optimizer.name, optimizers()
        if name.id in REFUSED:
            reason, instead = REFUSED[name.id].reason, REFUSED[name.id].instead
            fields = {"name": name.id, "reason": reason, "instead": instead}
            self.collector.add(training_rules.NoLawForOptimizer.at(name.span, **fields))
            return
        self.word(name, name.id, "an optimizer", list(known))
        if name.id in known:
            keys = ["lr", *known[name.id].settings, *known[name.id].words, "clip_norm"]
            self.keys(optimizer.settings, f"the optimizer `{name.id}`", keys)

    def loss(self, value: syntax.Expression) -> None:
        match value:
            case syntax.Binary(op="+", left=left, right=right):
                self.loss(left)
                self.loss(right)
            case syntax.Binary(op="*", right=right):
                self.loss(right)
            case syntax.Name(id=kind):
                self.word(value, kind, "a loss", LOSSES)
            case syntax.Call(function=function):
                self.word(function, function.id, "a loss", LOSSES)
            case _:
                pass

    def assumptions(self, settings: Iterable[syntax.Setting]) -> None:
        settings = tuple(settings)
        for setting in settings:
            if setting.key in ASSUMPTIONS:
                what = f"an assumption about {setting.key}"
                value, known = hyphenated(setting.value), ASSUMPTIONS[setting.key]
                place = setting.value.span if setting.value else None
                self.word(setting, value, what, known, place)
            else:
                known = tuple(ASSUMPTIONS)
                self.word(setting, setting.key, "an assumption", known, setting.key_span)


def hyphenated(value: syntax.Expression | None) -> str:
    """A word, with its hyphens."""
    match value:
        case syntax.Name(id=name):
            return name
        case syntax.Binary(op="-", left=left, right=right):
            return f"{hyphenated(left)}-{hyphenated(right)}"
        case _:
            return "?"
