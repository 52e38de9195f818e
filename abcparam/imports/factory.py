"""The user's factory: a function that makes a model at the sizes that it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from abcparam.algebra.record import Record, field
from abcparam.diagnostics.diagnostic import SpecError, did_you_mean
from abcparam.diagnostics.rules.imports import (
    DoesNotGrow,
    NoFactory,
    NoFunction,
    NoGrowth,
    NoSuchSize,
    NotAModel,
)
from abcparam.imports.hugging_face import (
    ConfigReference,
    config_of,
    is_config,
    made,
    sizes_of,
)
from abcparam.imports.numbers import Sizes
from abcparam.imports.user_code import definition, found, itself, running

LEVELS = 3  # of plain values inside values that a module holds
MOST_ITEMS = 200


class Example(NamedTuple):
    """A model, and what it is called with."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Factory(Record):
    """A function that makes a model, its file as given, and its sizes with their defaults.

    It returns a model, `(model, args)` or `(model, args, kwargs)`. Beside one that returns a model
    alone, a function `inputs` may give `args`, from the sizes that it has as parameters.
    """

    function: Callable[..., Any]
    file: str
    name: str
    defaults: Sizes
    inputs: Callable[..., Any] | None = field(default=None, compare=False)

    def make(self, sizes: Sizes, seed: int = 0) -> Example:
        """The model at these sizes; nothing else that is random is disturbed.

        Raises `SpecError` where the factory raises, or returns something else.
        """
        at = f"at {written(sizes)}"
        source, span = definition(self.function, self.file)
        with torch.random.fork_rng(devices=[]), running(self.file, self.name, at, source.file):
            torch.manual_seed(seed)
            made = self.function(**sizes)
            if isinstance(made, nn.Module) and self.inputs is not None:
                made = (made, called_with(self.inputs, sizes))
        example = _example(made)
        if example is None:
            rule = NotAModel.at(span, name=self.name, found=_described(made))
            raise SpecError(source, [rule])
        return example


def _example(made: Any) -> Example | None:
    """What a factory returned, if it is a model and what that is called with."""
    model, *rest = made if isinstance(made, tuple | list) and made else (made,)
    kwargs = rest.pop() if rest and isinstance(rest[-1], Mapping) else {}
    if not isinstance(model, nn.Module) or len(rest) > 1:
        return None
    args = rest[0] if rest else ()
    return Example(model, tuple(args) if isinstance(args, tuple | list) else (args,), dict(kwargs))


def _described(made: Any) -> str:
    if isinstance(made, tuple | list) and made:
        return f"a {type(made).__name__} of {', '.join(type(x).__name__ for x in made)}"
    return f"`{made}`" if made is None else f"a {type(made).__name__}"


def written(sizes: Sizes) -> str:
    """`width=64, depth=2`."""
    return ", ".join(f"{name}={size}" for name, size in sizes.items())


def called_with(function: Callable[..., Any], sizes: Sizes, *first: Any) -> Any:
    """What a function gives for these arguments, and the sizes that it has as parameters."""
    parameters = inspect.signature(function).parameters.values()
    every = any(p.kind is p.VAR_KEYWORD for p in parameters)
    taken = {p.name for p in list(parameters)[len(first) :] if p.kind in NAMED}
    return function(*first, **{n: size for n, size in sizes.items() if every or n in taken})


NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def find_factory(reference: str | Callable[..., Any]) -> Factory:
    """The factory that `file.py:function` or `module:function` names, or a class of modules.

    It may be given as it is. Raises `SpecError` where there is none, or where its file raises.
    """
    if isinstance(reference, str) and is_config(reference):
        return _of_config(config_of(reference))
    named = found(reference, NoFactory) if isinstance(reference, str) else itself(reference)
    source, span = definition(named.value, named.file)

    def refuse(problem: str) -> SpecError:
        return SpecError(source, [NoFactory.at(span, reference=reference, problem=problem)])

    try:
        parameters = [p for p in inspect.signature(named.value).parameters.values() if _named(p)]
    except (TypeError, ValueError):
        raise refuse(f"`{named.name}` does not say what its parameters are") from None
    if missing := [p.name for p in parameters if p.default is p.empty]:
        raise refuse(f"its parameter `{missing[0]}` has no default")
    defaults = {p.name: p.default for p in parameters if _whole(p.default)}
    if not defaults:
        raise refuse(f"no parameter of `{named.name}` has a whole number as default")
    beside = getattr(named.module, "inputs", None)
    return Factory(named.value, named.file, named.name, defaults, _function(beside, named.module))


def _of_config(found: ConfigReference) -> Factory:
    """The factory of the models of a config of Hugging Face's."""

    def build(**sizes: int) -> Any:
        return made(found.config, sizes)

    return Factory(build, found.file, found.name, sizes_of(found.config))


def _named(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (*NAMED, inspect.Parameter.POSITIONAL_ONLY)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _function(value: Any, module: Any) -> Callable[..., Any] | None:
    """A function that is a module's own."""
    own = inspect.isfunction(value) and value.__module__ == module.__name__
    return value if own else None


def find_function(reference: str) -> Callable[..., Any]:
    """The function that `file.py:function` or `module:function` names; `SpecError` if none does."""
    function: Callable[..., Any] = found(reference, NoFunction).value
    return function


# Settings


def settings_of(factory: Factory, grow: Mapping[str, tuple[int, ...]]) -> list[dict[str, int]]:
    """The sizes at which a model is looked at: the first is the base, the last for checks.

    What grows takes the values given, or 1, 2 and 4 times its default; several of them each alone,
    and together. Every other size is varied alone: doubled, or halved where the factory raises with
    that. One that changes nothing in the model, or that cannot be varied, stays as it is. In the
    last setting all that grows is at its largest, and the others are varied where they can be.

    Raises `SpecError` where the factory has no such size, where it raises, or does not grow.
    """
    for name, values in grow.items():
        _known(factory, name)
        _growing(factory, name, values)
    trials = _Trials(factory)
    starts = {name: values[0] for name, values in grow.items() if values}
    base = {**factory.defaults, **starts}
    trials.outline(base)
    grown = {n: values[1:] or (2 * base[n], 4 * base[n]) for n, values in grow.items()}
    settings = [base, *_each_alone(trials, base, grown)]
    together = [_at(base, grown, i) for i in range(max(map(len, grown.values()), default=0))]
    for sizes in together:
        trials.outline(sizes)
    others = _others(trials, base, grown)
    settings += [*together, *({**base, name: size} for name, size in others.items())]
    last = _last(trials, together[-1] if together else base, others)
    return [*_different(settings, last), last]


def _known(factory: Factory, name: str) -> None:
    known = factory.defaults
    if name not in known:
        source, span = definition(factory.function, factory.file)
        fields = {"name": factory.name, "size": name, "known": ", ".join(known)}
        near = did_you_mean(name, known)
        rule = NoSuchSize.at(span, **fields, first=next(iter(known)), suggestion=near)
        raise SpecError(source, [rule])


def _growing(factory: Factory, name: str, values: tuple[int, ...]) -> None:
    """Values of what grows are positive, and none is there twice."""
    if values and (min(values) < 1 or len(set(values)) < len(values)):
        source, span = definition(factory.function, factory.file)
        given = ",".join(map(str, values))
        raise SpecError(source, [NoGrowth.at(span, size=name, given=given)])


class _Trials:
    """What the model looks like at each setting, each made once: on no device where that works."""

    def __init__(self, factory: Factory) -> None:
        self.factory = factory
        self.on_meta = True
        self.seen: dict[tuple[tuple[str, int], ...], object] = {}

    def outline(self, sizes: Sizes) -> object:
        """All of a model that depends on sizes. Raises `SpecError` where the factory raises."""
        key = tuple(sizes.items())
        if key not in self.seen:
            self.seen[key] = outline(self.make(sizes))
        return self.seen[key]

    def make(self, sizes: Sizes) -> Example:
        if not self.on_meta:
            return self.factory.make(sizes)
        try:
            with torch.device("meta"):
                return self.factory.make(sizes)
        except SpecError:
            made = self.factory.make(sizes)
            self.on_meta = False  # it is the device that does not work
            return made

    def works(self, sizes: Sizes) -> bool:
        try:
            self.outline(sizes)
        except SpecError:
            return False
        return True


def _each_alone(
    trials: _Trials, base: Sizes, grown: Mapping[str, tuple[int, ...]]
) -> Iterator[dict[str, int]]:
    """What grows, one at a time; it has to change the model."""
    for name, values in grown.items():
        for value in values:
            sizes = {**base, name: value}
            if trials.outline(sizes) == trials.outline(base) and value != base[name]:
                factory = trials.factory
                source, span = definition(factory.function, factory.file)
                fields = {"size": name, "small": f"{name}={base[name]}", "large": value}
                raise SpecError(source, [DoesNotGrow.at(span, **fields)])
            yield sizes


def _at(base: Sizes, grown: Mapping[str, tuple[int, ...]], index: int) -> dict[str, int]:
    """All that grows, together."""
    return {**base, **{name: values[: index + 1][-1] for name, values in grown.items()}}


def _others(trials: _Trials, base: Sizes, grown: Iterable[str]) -> dict[str, int]:
    """Another value of each size that does not grow and can be varied."""
    found: dict[str, int] = {}
    for name in [n for n in base if n not in grown]:
        size = base[name]
        tried = [value for value in (2 * size, size // 2) if size > 0 and value > 0]
        other = next((v for v in tried if trials.works({**base, name: v})), None)
        if other and trials.outline({**base, name: other}) != trials.outline(base):
            found[name] = other
    return found


def _last(trials: _Trials, sizes: Sizes, others: Sizes) -> dict[str, int]:
    """The largest setting that works: with all others varied, or with as many as go together."""
    if trials.works({**sizes, **others}):
        return {**sizes, **others}
    last = dict(sizes)
    for name, size in others.items():
        if trials.works({**last, name: size}):
            last[name] = size
    return last


def _different(settings: Iterable[dict[str, int]], last: Sizes) -> list[dict[str, int]]:
    """Each setting once, without the last."""
    kept: list[dict[str, int]] = []
    for sizes in settings:
        if sizes not in kept and sizes != last:
            kept.append(sizes)
    return kept


# What a model looks like


def outline(example: Example) -> object:
    """Names, shapes and plain numbers of a model and its inputs, to compare with those of others.

    Values of tensors are no part of it.
    """
    modules = [(n, type(m).__qualname__, _held(m)) for n, m in example.model.named_modules()]
    tensors = [*example.model.named_parameters(), *example.model.named_buffers()]
    tensors = [(n, t) for n, t in tensors if not is_lazy(t)]
    inputs = tree_leaves((example.args, example.kwargs))
    return modules, [(n, tuple(t.shape)) for n, t in tensors], [_plain(x, LEVELS) for x in inputs]


def _held(module: nn.Module) -> object:
    """The plain values that a module holds, beside its parts."""
    inner = nn.Module().__dict__
    return [(n, _plain(v, LEVELS)) for n, v in vars(module).items() if n not in inner]


def _plain(value: Any, levels: int) -> object:
    """A value as far as it is made of numbers and text."""
    match value:
        case Tensor():
            return tuple(value.shape), value.dtype
        case bool() | int() | float() | str() | None:
            return value
        case _ if levels == 0 or callable(value) or isinstance(value, nn.Module):
            return type(value).__qualname__
        case tuple() | list():
            return [_plain(item, levels - 1) for item in value[:MOST_ITEMS]]
        case Mapping():
            items = list(value.items())[:MOST_ITEMS]
        case _:
            items = list(getattr(value, "__dict__", {}).items())[:MOST_ITEMS]
    return type(value).__qualname__, [(str(n), _plain(v, levels - 1)) for n, v in items]
