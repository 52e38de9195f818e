"""The user's factory: a function that makes a model at the sizes that it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from abcparam.algebra.record import NamedTuple, Record, field
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.imports import FactoryRaises, NoFactory, NoFunction, NotAModel
from abcparam.imports.built import watched
from abcparam.imports.chance import FirstInputs
from abcparam.imports.hugging_face import (
    ConfigReference,
    config_of,
    is_config,
    made,
    sizes_of,
)
from abcparam.imports.numbers import Sizes
from abcparam.user_code.named import itself, looked_up, running
from abcparam.user_code.places import definition


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
    first: FirstInputs = field(default_factory=FirstInputs, compare=False, repr=False)

    def make(self, sizes: Sizes, seed: int = 0) -> Example:
        """The model at these sizes; nothing else that is random is disturbed.

        Raises `SpecError` where the factory raises, or returns something else.
        """
        at = f"at {written(sizes)}"
        source, span = definition(self.function, self.file)
        code = running(self.file, self.name, at, source.file, remedy=FactoryRaises.sizes)
        with torch.random.fork_rng(devices=[]), code:
            torch.manual_seed(seed)
            with watched():
                made = self.function(**sizes)
            if isinstance(made, nn.Module) and self.inputs is not None:
                made = (made, called_with(self.inputs, sizes))
        example = _example(made)
        if example is None:
            rule = NotAModel.at(span, name=self.name, found=_described(made))
            raise SpecError(source, [rule])
        args, kwargs = self.first.of((example.args, example.kwargs), seed)
        return example._replace(args=args, kwargs=kwargs)


def _example(made: Any) -> Example | None:
    """What a factory returned, if it is a model and what that is called with."""
    model, *rest = made if isinstance(made, tuple | list) and made else (made,)
    kwargs = rest.pop() if rest and isinstance(rest[-1], Mapping) else {}
    if not isinstance(model, nn.Module) or len(rest) > 1:
        return None
    args = rest[0] if rest else ()
    given = {**_without_cache(model), **kwargs}
    return Example(model, tuple(args) if isinstance(args, tuple | list) else (args,), given)


def _without_cache(model: nn.Module) -> dict[str, Any]:
    """What tells a model of Hugging Face's to return no keys and values for generation."""
    if not getattr(getattr(model, "config", None), "use_cache", False):
        return {}
    taken = inspect.signature(model.forward).parameters
    return {"use_cache": False} if "use_cache" in taken else {}


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
    named = looked_up(reference, NoFactory) if isinstance(reference, str) else itself(reference)
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
    function: Callable[..., Any] = looked_up(reference, NoFunction).value
    return function
