"""How each parameter of a model is trained, as powers of the sizes.

Read from the groups of the user's optimizer, at each setting.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer as TorchOptimizer

from abcparam.algebra.record import NamedTuple, Record
from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError
from abcparam.diagnostics.rules.imports import (
    FactoryRaises,
    NoPower,
    NotOneGroup,
    NoUpdateLaw,
    ReadsValues,
    UnreadKey,
)
from abcparam.imports.empty import ValueReads
from abcparam.imports.factory import Factory, called_with, written
from abcparam.imports.leading import growing_of, power_for, shown
from abcparam.imports.made_models import LIMIT, MadeModels, parameters_of
from abcparam.imports.numbers import Power, Sizes
from abcparam.optimizers import optimizers
from abcparam.optimizers.base import OptimizerRule
from abcparam.optimizers.refused import REFUSED
from abcparam.user_code.named import running
from abcparam.user_code.places import definition

Option = float | bool | str | tuple[float, ...]

BESIDE = frozenset(("params", "lr", "weight_decay", "eps", "initial_lr"))  # in all groups
DEFAULT_LR = 1e-3  # where no optimizer is named: AdamW
NAMESAKES = {  # emitted, beside those of the usual settings
    "SpectralMuon": ("muon", {"adjust": "spectral"}),
    "MatchingNorMuon": ("normuon", {"adjust": "match_rms_adamw"}),
}


class Rate(Record):
    """How a parameter is trained: the optimizer of the language, and what its group says.

    A parameter that is not trained has the learning rate 0. `note` says what a power leaves out.
    """

    rule: str
    lr: Power
    weight_decay: Power
    eps: Power | None
    options: Mapping[str, Option]
    note: str = ""


def rates_of(
    function: Callable[..., Any] | None,
    models: MadeModels,
    settings: Sequence[Sizes],
    lr_key: str | None = None,
    growing: Iterable[str] | None = None,
) -> dict[str, Rate]:
    """How each parameter at the first setting is trained; one that has two names is there twice.

    `function` makes the optimizer, or several, of a model, and may take sizes by their names; a
    class of optimizers is given the model's parameters. Without it, it is AdamW. A learning rate is
    multiplied by what its group has under `lr_key`. `growing` is as for `starts_of`.

    Raises `SpecError` where an optimizer has no law, has groups with keys that it does not read, or
    holds a parameter not at all or twice, or uses values of weights of a model that is made without
    any; and where a rate is no power of the sizes.
    """
    grow = frozenset(growing_of(settings) if growing is None else growing)
    reader = _Groups(function, models.factory, lr_key)
    looked = []
    for sizes in settings:
        model = models.at(sizes).example.model
        with reader.held_back(model, models.is_small(sizes)):
            looked.append(reader.look(model, sizes))
    return {name: reader.rate(name, settings, looked, grow) for name in looked[0]}


def optimizers_made(
    function: Callable[..., Any] | None, factory: Factory, model: nn.Module, sizes: Sizes
) -> list[TorchOptimizer]:
    """What a user's function makes of a model; AdamW without one. Raises `SpecError`."""
    return _Groups(function, factory, None).optimizers(model, sizes)


class GroupAt(NamedTuple):
    """What a group says of its parameters, at one setting."""

    rule: str
    lr: float
    weight_decay: float
    eps: float | None
    options: Mapping[str, Option]


class _Groups:
    """Reads the groups of the user's optimizers."""

    def __init__(
        self, function: Callable[..., Any] | None, factory: Factory, lr_key: str | None
    ) -> None:
        self.function = function
        self.factory = factory
        self.lr_key = lr_key
        self.source, self.span = definition(function or factory.function, factory.file)

    def refused(self, rule: type[DiagnosticRule], **fields: object) -> SpecError:
        return SpecError(self.source, [rule.at(self.span, **fields)])

    @contextmanager
    def held_back(self, model: nn.Module, filled: bool) -> Iterator[None]:
        """Refuses a function that uses the values of weights which have none."""
        reads = ValueReads(model)
        with nullcontext() if filled else reads:
            yield
        if reads.read is not None:
            raise self.refused(ReadsValues, parameter=reads.read, limit=LIMIT)

    def look(self, model: nn.Module, sizes: Sizes) -> dict[str, GroupAt]:
        """What trains each parameter of a model."""
        held: dict[int, list[GroupAt]] = {}
        for optimizer in self.optimizers(model, sizes):
            rule, more = self.rule(optimizer)
            for group in optimizer.param_groups:
                read = self.read(optimizer, group, rule, more)
                for parameter in group["params"]:
                    held.setdefault(id(parameter), []).append(read)
        return dict(self.named(model, held))

    def named(
        self, model: nn.Module, held: Mapping[int, Sequence[GroupAt]]
    ) -> Iterator[tuple[str, GroupAt]]:
        """The one group of each parameter."""
        some = next((groups[0] for groups in held.values()), None)
        for name, parameter in parameters_of(model):
            groups = held.get(id(parameter), [])
            if parameter.requires_grad and len(groups) != 1:
                raise self.refused(NotOneGroup, parameter=name, found=len(groups) or "none")
            if parameter.requires_grad:
                yield name, groups[0]
            else:
                yield name, GroupAt(some.rule if some else "sgd", 0.0, 0.0, None, {})

    def optimizers(self, model: nn.Module, sizes: Sizes) -> list[TorchOptimizer]:
        """The optimizers that the user's function makes of a model."""
        if self.function is None:
            trained = [p for p in model.parameters() if p.requires_grad]
            return [torch.optim.AdamW(trained, lr=DEFAULT_LR)] if trained else []
        name = getattr(self.function, "__name__", "optimizer")
        files, at = (self.source.file, self.factory.file), f"at {written(sizes)}"
        code = running(files[0], name, at, *files[1:], remedy=FactoryRaises.optimizer)
        with torch.random.fork_rng(devices=[]), code:
            torch.manual_seed(0)
            made = self.made(self.function, model, sizes)
        found = list(_optimizers(made))
        if not found:
            raise self.unlawful(type(made).__name__, "it is no `torch.optim.Optimizer`")
        return found

    def made(self, function: Callable[..., Any], model: nn.Module, sizes: Sizes) -> Any:
        if isinstance(function, type) and issubclass(function, TorchOptimizer):
            return function(model.parameters())  # type: ignore[call-arg]
        return called_with(function, sizes, model)

    # What a group says

    def rule(self, optimizer: TorchOptimizer) -> tuple[OptimizerRule, Mapping[str, Option]]:
        """The rule of an optimizer, and the options that its class stands for."""
        kind = type(optimizer)
        known = optimizers()
        ours = {rule.torch: rule for rule in known.values()}
        bases = (k for k in kind.__mro__ if issubclass(k, TorchOptimizer))
        base = next(k for k in bases if k.__module__.startswith("torch.optim"))
        if base is TorchOptimizer:
            if kind.__name__ in NAMESAKES:
                name, options = NAMESAKES[kind.__name__]
                return known[name], options
            rule = ours.get(kind.__name__)
            if rule is None or rule.step is None:
                raise self.unlawful(kind.__name__, _reason(kind.__name__, rule))
            return rule, {}
        if inspect.unwrap(kind.step) is not inspect.unwrap(base.step):
            raise self.unlawful(kind.__name__, f"it has a `step` other than {base.__name__}'s")
        if base.__name__ not in ours:
            raise self.unlawful(base.__name__, _reason(base.__name__, None))
        return ours[base.__name__], {}

    def unlawful(self, name: str, reason: str) -> SpecError:
        known = ", ".join(sorted({rule.torch for rule in optimizers().values()}))
        told = f": {reason}" if reason else ""
        return self.refused(NoUpdateLaw, name=name, reason=told, known=known)

    def read(
        self,
        optimizer: TorchOptimizer,
        group: Mapping[str, Any],
        rule: OptimizerRule,
        more: Mapping[str, Option],
    ) -> GroupAt:
        """A group of an optimizer, as a rule of the language has it."""
        self.hold(optimizer, group)
        rule = self.decoupled(rule, group)
        factor = group.get(self.lr_key, 1.0) if self.lr_key else 1.0
        lr = _number(group.get("initial_lr", group["lr"])) * _number(factor)
        eps = group.get("eps") if rule.epsilon else None
        options = {**_options(rule, group), **more}
        decay = _number(group.get("weight_decay", 0.0))
        return GroupAt(rule.name, lr, decay, None if eps is None else _number(eps), options)

    def hold(self, optimizer: TorchOptimizer, group: Mapping[str, Any]) -> None:
        """Refuses numbers that the optimizer does not read."""
        read = {*optimizer.defaults, *BESIDE, self.lr_key}
        unread = [key for key, value in group.items() if key not in read and _is_number(value)]
        if unread:
            raise self.refused(UnreadKey, key=unread[0], optimizer=type(optimizer).__name__)

    def decoupled(self, rule: OptimizerRule, group: Mapping[str, Any]) -> OptimizerRule:
        """The rule whose weight decay is as the group has it: PyTorch's Adam may be AdamW."""
        apart = group.get("decoupled_weight_decay")
        if apart is None or bool(apart) == rule.decoupled or not group["weight_decay"]:
            return rule
        if rule.name in ("adam", "adamw"):
            return optimizers()["adamw" if apart else "adam"]
        raise self.unlawful(rule.torch, "with decoupled weight decay it is another")

    # Powers

    def rate(
        self,
        name: str,
        settings: Sequence[Sizes],
        looked: Sequence[Mapping[str, GroupAt]],
        growing: frozenset[str],
    ) -> Rate:
        """Of a parameter of the first setting, at all settings that have it."""
        at = [i for i, groups in enumerate(looked) if name in groups]
        groups = [looked[i][name] for i in at]
        there = [settings[i] for i in at]
        first = groups[0]
        self.same("the optimizer", name, [group.rule for group in groups], there)
        for key in first.options:
            self.same(f"`{key}`", name, [group.options[key] for group in groups], there)
        notes: list[str] = []

        def power(what: str, values: Sequence[float]) -> Power:
            found = power_for(values, there, growing)
            if found is None:
                raise self.no_power(what, name, shown(values, there))
            notes.extend([f"{what}: {found[1]}"] if found[1] else [])
            return found[0]

        return Rate(
            first.rule,
            power("the learning rate", [group.lr for group in groups]),
            power("the weight decay", [group.weight_decay for group in groups]),
            None if first.eps is None else power("epsilon", [g.eps or 0.0 for g in groups]),
            first.options,
            "; ".join(notes),
        )

    def same(self, what: str, name: str, values: Sequence[Any], settings: Sequence[Sizes]) -> None:
        """Refuses an option that depends on sizes."""
        if len(set(values)) > 1:
            pairs = zip(values, settings, strict=True)
            raise self.no_power(what, name, [f"{v} at {written(sizes)}" for v, sizes in pairs])

    def no_power(self, what: str, name: str, values: Sequence[str]) -> SpecError:
        return self.refused(NoPower, what=f"{what} of `{name}`", values=", ".join(values[:3]))


def _optimizers(made: Any) -> Iterator[TorchOptimizer]:
    """Those in what a function returned, in lists and dicts too."""
    if isinstance(made, TorchOptimizer):
        yield made
    elif isinstance(made, tuple | list | Mapping):
        for item in made.values() if isinstance(made, Mapping) else made:
            yield from _optimizers(item)


def _reason(name: str, namesake: OptimizerRule | None) -> str:
    """Why an optimizer has no law, where that is known."""
    if namesake is not None:
        return f"it is not `torch.optim.{name}`, only called as that is"
    refusal = REFUSED.get(name.lower())
    return refusal.reason if refusal else ""


def _options(rule: OptimizerRule, group: Mapping[str, Any]) -> dict[str, Option]:
    """The settings of a rule that a group has, but for what scales with sizes."""
    names = [name for name in rule.settings if name not in BESIDE and name in group]
    found: dict[str, Option] = {name: _option(group[name]) for name in names}
    if "adjust" in rule.words:
        found["adjust"] = group.get("adjust_lr_fn") or rule.words["adjust"][0]
    return found


def _option(value: Any) -> Option:
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, tuple | list):
        return tuple(_number(x) for x in value)
    return _number(value)


def _number(value: Any) -> float:
    return float(value.item()) if isinstance(value, Tensor) else float(value)


def _is_number(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, Real) and not isinstance(value, bool)
