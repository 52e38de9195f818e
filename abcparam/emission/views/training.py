"""The view of `param_groups` and `make_optimizer`: tensors in groups that share a law."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import gauges
from abcparam.emission.lowering.numbers import CodePlace, Names
from abcparam.emission.lowering.scope import ModuleScope, amount, factor
from abcparam.language.printer import decimal
from abcparam.optimizers.base import rule_behind
from abcparam.program.amounts import Amount, Setting
from abcparam.program.fingerprint import mark_of
from abcparam.program.model import Optimizer, Program
from abcparam.program.tensors import Tensor, exponents_by_key
from abcparam.python_code import formula, nodes
from abcparam.python_code.formula import Formula
from abcparam.python_code.layout import Text, definition, entry, lines, python, trusted
from abcparam.python_code.nodes import Code, Constant, Name, Number, call, path
from abcparam.python_code.optimizer_classes import clipped_name, clipped_text

GROUPED = ("lr", "weight_decay", "eps", "clip_norm")  # settings that differ from group to group
ROLES = ("input", "hidden", "output", "scalar")


class GroupView(Record):
    """A group: its entries, and the names of its parameters."""

    entries: tuple[Text, ...]
    members: tuple[Text, ...]


class Access(Record):
    """How functions come by the config and the parameters of a model, whose class may be ours."""

    arguments: tuple[str, ...]
    config: Code
    parameters: Code


MODEL = Name("model")
INNER = call("_inner", MODEL)
OF_EMITTED = Access(
    ("model: nn.Module",), nodes.Attribute(INNER, "config"), call("_parameters", INNER)
)


class TrainingView(Record):
    """Groups, and the optimizers over them."""

    signature: Text
    make_signature: Text
    config: Text
    parameters: Text
    groups: tuple[GroupView, ...]
    told_apart: bool  # groups have some copies of tensors
    mark: Text
    doc: Text
    make: tuple[Text, ...]
    fused: bool
    has_eps: bool
    helpers: tuple[Text, ...]


class GroupLaw(Record):
    """What the tensors of a group have in common."""

    optimizer: int
    lr: Formula
    scale: Formula
    decay: Formula | None
    epsilon: Formula | None


class Member(Record):
    """A tensor of a group, or some copies of it: from the first to before the last."""

    tensor: Tensor
    copies: tuple[int, int | None] | None = None

    def text(self, name: str, several: bool) -> Text:
        """Its name, where copies are told apart with those that are in the group."""
        if not several:
            return python(Constant(name))
        bounds = self.copies or (0, None)
        return python(nodes.Tuple((Constant(name), *map(_bound, bounds))))


def _bound(number: int | None) -> Code:
    return Constant(None) if number is None else Number(Fraction(number))


class Group(Record):
    """Tensors with one law."""

    law: GroupLaw
    members: tuple[Member, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(member.tensor for member in self.members)


def training_view(
    program: Program, names: Names, members: Mapping[str, str], access: Access = OF_EMITTED
) -> TrainingView:
    """`members` are the names of parameters by the paths of their tensors."""
    groups = make_groups(program)
    optimizers = optimizers_used(program)
    labels = _labels(optimizers)
    titles = _titles(groups)
    several = len(optimizers) > 1
    told_apart = any(member.copies for group in groups for member in group.members)
    views = []
    for group, title in zip(groups, titles, strict=True):
        label = labels[group.law.optimizer] if several else None
        clip = optimizers[group.law.optimizer].clip_norm
        limit = ModuleScope(program).amount(clip) if clip else None
        texts = tuple(m.text(members[m.tensor.path], told_apart) for m in group.members)
        views.append(_group_view(group, title, (label, limit), CodePlace(names), texts))
    classes = [_class(o) for o in optimizers.values()]
    result = "list[torch.optim.Optimizer]" if several else classes[0]
    return TrainingView(
        signature=definition("param_groups", access.arguments, "list[dict[str, Any]]"),
        make_signature=definition("make_optimizer", access.arguments, result),
        config=python(access.config),
        parameters=python(access.parameters),
        groups=tuple(views),
        told_apart=told_apart,
        mark=python(Constant(mark_of(program))),
        doc=Text(" and ".join(name.rpartition(".")[2] for name in classes)),
        make=tuple(lines(_make(ModuleScope(program), optimizers, (names, access)), 4)),
        fused=any(rule_behind(o).fused for o in optimizers.values()),
        has_eps=any(group.law.epsilon is not None for group in groups),
        helpers=tuple(dict.fromkeys(_helpers(optimizers.values()))),
    )


def optimizers_used(program: Program) -> dict[int, Optimizer]:
    """The optimizers that train something, in the order in which `make_optimizer` returns them."""
    used = {t.optimizer for t in program.tensors.values() if not t.frozen} or {0}
    return {index: program.optimizers[index] for index in sorted(used)}


# Groups


def make_groups(program: Program) -> list[Group]:
    """The trained tensors by law, in the order of the source.

    Where none is trained it is one group of none: no optimizer of PyTorch takes no group.
    """
    scope = ModuleScope(program)
    groups: dict[GroupLaw, list[Member]] = {}
    for tensor in program.tensors.values():
        for member in _members(tensor):
            if not tensor.frozen:
                groups.setdefault(_law(scope, member.tensor), []).append(member)
    found = [Group(law, tuple(members)) for law, members in groups.items()]
    return found or [Group(GroupLaw(0, _stated(scope, 0), formula.ONE, None, None), ())]


def _members(tensor: Tensor) -> Iterator[Member]:
    """A tensor, or its copies that are trained alike."""
    ends = [*(run.first for run in tensor.by_copy[1:]), None]
    for run, end in zip(tensor.by_copy, ends, strict=bool(tensor.by_copy)):
        trained = {"lr": run.lr, "weight_decay": run.weight_decay, "epsilon": run.epsilon}
        yield Member(replace(tensor, **trained), (run.first, end))
    if not tensor.by_copy:
        yield Member(tensor)


def _written(value: Amount | None) -> str:
    """A value as people write it, a constant as a decimal."""
    if value is None:
        return "none"
    constant = value.value.constant
    return str(value.value) if constant is None else decimal(constant)


def _decay_of(tensor: Tensor) -> str:
    return _written(tensor.weight_decay)


def _epsilon_of(tensor: Tensor) -> str:
    """`1e-12, d = 1`: the epsilon, and how it falls with the width."""
    powers = (f"{k} = {d}" for k, d in exponents_by_key(tensor).items() if k.startswith("d"))
    return ", ".join([_written(tensor.epsilon), *powers])


def require_single_groups(program: Program) -> None:
    """Raises `SpecError` where the tensors of an optimizer are more than one group."""
    errors, firsts = [], dict[int, Group]()
    for group in make_groups(program):
        first = firsts.setdefault(group.law.optimizer, group)
        if group is first:
            continue
        one, other = group.tensors[0], first.tensors[0]
        same = group.law.epsilon == first.law.epsilon
        has = _decay_of if same else _epsilon_of
        fields = {"what": "weight decay" if same else "eps", "tensor": one.path}
        fields |= {"value": has(one), "first": has(other)}
        fields |= {"remedy": "`weight_decay` by role" if same else "`d`, or `eps = 0`"}
        errors.append(gauges.SeveralGroups.at(one.span, other=other.path, **fields))
    if errors:
        raise SpecError(program.source, errors)


def _law(scope: ModuleScope, tensor: Tensor) -> GroupLaw:
    settings = scope.program.optimizers[tensor.optimizer].settings
    lr = amount(scope, tensor, tensor.lr) * factor(scope, tensor, "c")
    stated = _stated(scope, tensor.optimizer)
    scale = lr / stated if stated.constant != 0 else formula.ONE
    decay = tensor.weight_decay if "weight_decay" in settings else None
    epsilon = tensor.epsilon if "eps" in settings else None
    return GroupLaw(
        tensor.optimizer,
        lr,
        scale,
        _or_zero(amount(scope, tensor, decay)) if decay else None,
        _or_zero(amount(scope, tensor, epsilon) * factor(scope, tensor, "d")) if epsilon else None,
    )


def _stated(scope: ModuleScope, optimizer: int) -> Formula:
    """The learning rate that the spec gives an optimizer."""
    rate = scope.program.optimizers[optimizer].settings["lr"]
    assert isinstance(rate, Amount)
    return scope.amount(rate)


def _or_zero(value: Formula) -> Formula:
    """Zero times anything is one and the same formula."""
    return value if value.coefficient else formula.number(0)


def _titles(groups: list[Group]) -> list[str]:
    """A unique, readable name for each group: its roles, or its one tensor."""
    plain = [_roles(group) for group in groups]
    titles: list[str] = []
    for group, title in zip(groups, plain, strict=True):
        if plain.count(title) > 1 and len(group.tensors) == 1:
            title = group.tensors[0].path
        titles.append(_unused(title, titles))
    return titles


def _unused(title: str, taken: list[str]) -> str:
    number, found = 1, title
    while found in taken:
        number += 1
        found = f"{title}_{number}"
    return found


def _roles(group: Group) -> str:
    found = {tensor.role for tensor in group.tensors}
    return "_".join(role for role in ROLES if role in found) or "tensors"


def _group_view(
    group: Group,
    title: str,
    shared: tuple[str | None, Formula | None],
    place: CodePlace,
    members: tuple[Text, ...],
) -> GroupView:
    """`shared` is what all groups of an optimizer have: its label and what it clips to."""
    optimizer, limit = shared
    entries: dict[str, Code] = {"name": Constant(title)}
    if optimizer:
        entries["optimizer"] = Constant(optimizer)
    entries |= {"lr": place.real(group.law.lr), "lr_scale": place.real(group.law.scale)}
    if group.law.decay is not None:
        entries["weight_decay"] = place.real(group.law.decay)
    if group.law.epsilon is not None:
        entries["eps"] = _epsilon(place, group.law.epsilon)
    if limit is not None:
        entries["clip_norm"] = place.real(limit)
    return GroupView(
        tuple(line for key, code in entries.items() for line in entry(key, code, 12)),
        members,
    )


def _epsilon(place: CodePlace, value: Formula) -> Code:
    """Zero makes NaN in torch where a gradient is exactly zero, the smallest normal number none."""
    if value.coefficient == 0:
        return nodes.Attribute(call("torch.finfo", path("torch.float32")), "tiny")
    return place.real(value)


# Optimizers


def _labels(optimizers: Mapping[int, Optimizer]) -> dict[int, str]:
    labels: dict[int, str] = {}
    for index, optimizer in optimizers.items():
        labels[index] = _unused(optimizer.rule.name, list(labels.values()))
    return labels


def _class(optimizer: Optimizer) -> str:
    return clipped_name(rule_behind(optimizer).torch) if optimizer.clip_norm else _plain(optimizer)


def _plain(optimizer: Optimizer) -> str:
    rule = rule_behind(optimizer)
    return rule.torch if rule.step else f"torch.optim.{rule.torch}"


def _helpers(optimizers: Iterable[Optimizer]) -> Iterable[Text]:
    """Classes that torch does not have, each after what it is made from."""
    for optimizer in optimizers:
        if helper := rule_behind(optimizer).helper:
            yield trusted(helper)
        if optimizer.clip_norm:
            yield trusted(clipped_text(_plain(optimizer)))


def _make(
    scope: ModuleScope, optimizers: Mapping[int, Optimizer], shared: tuple[Names, Access]
) -> Iterable[nodes.Statement]:
    (names, access), labels, groups = shared, _labels(optimizers), Name("groups")
    given = [Name(argument.partition(":")[0]) for argument in access.arguments]
    yield nodes.Assign((groups,), call("param_groups", *given))
    made = []
    for index, optimizer in optimizers.items():
        mine: Code = groups
        if len(optimizers) > 1:
            mine = nodes.Chosen(groups, "optimizer", labels[index])
        made.append(_call(scope, CodePlace(names), optimizer, mine))
    if any("config." in python(code) for code in made):
        yield nodes.Assign((Name("config"),), access.config)
    yield nodes.Return(made[0] if len(made) == 1 else nodes.List(tuple(made)))


def _call(scope: ModuleScope, place: CodePlace, optimizer: Optimizer, groups: Code) -> Code:
    rule, keywords = rule_behind(optimizer), list[tuple[str, Code]]()
    for name, setting in optimizer.settings.items():
        if name not in GROUPED and not _is_default(setting, rule.settings.get(name)):
            keywords.append((name, _setting(scope, place, setting)))
    keywords += [(name, Constant(word)) for name, word in rule.fixed.items()]
    if rule.fused:
        keywords.append(("fused", call("_fused", groups)))
    return nodes.Call(path(_class(optimizer)), (groups,), tuple(keywords))


def _setting(scope: ModuleScope, place: CodePlace, setting: Setting) -> Code:
    if isinstance(setting, bool):
        return Constant(setting)
    if isinstance(setting, tuple):
        return nodes.Tuple(tuple(_setting(scope, place, item) for item in setting))
    value = scope.amount(setting)
    whole = value.constant is not None and value.constant.denominator == 1
    return Number(value.constant or Fraction(0)) if whole else place.real(value)


def _is_default(setting: Setting, default: object) -> bool:
    if isinstance(setting, bool) or isinstance(default, bool) or default is None:
        return setting is default
    if isinstance(setting, tuple):
        assert isinstance(default, tuple)
        return all(_is_default(s, d) for s, d in zip(setting, default, strict=True))
    return setting.value.constant == Fraction(str(default))
