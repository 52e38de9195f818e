"""Where initial scales that change are made: the line, and a number of the config."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from math import isclose
from typing import TYPE_CHECKING, Any

from abcparam.imports.drawn import Drawn
from abcparam.imports.empty import empty_weights
from abcparam.imports.inits import Start
from abcparam.imports.made_models import MadeModels
from abcparam.imports.numbers import Sizes
from abcparam.imports.remedy import InitialPlace, TensorChange
from abcparam.imports.writes import Place, recorded

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config"  # what modules call what they are made of
PROBE = 2.0


def initial_places(
    changes: Iterable[TensorChange], starts: Mapping[str, Start], models: MadeModels, sizes: Sizes
) -> tuple[InitialPlace, ...]:
    """Those of tensors whose initial scale changes, at the sizes of the base."""
    found: dict[tuple[Place, str], list[str]] = {}
    first: dict[tuple[Place, str], str] = {}
    for change in changes:
        start = starts.get(change.parameters[0])
        if change.init and start is not None and start.place is not None:
            key = start.place, str(start.scale or start.kind)
            first.setdefault(key, change.parameters[0])
            found.setdefault(key, []).append(change.path)
    return tuple(
        InitialPlace(*key, _field(first[key], starts, models, sizes), tuple(paths))
        for key, paths in found.items()
    )


def _field(name: str, starts: Mapping[str, Start], models: MadeModels, sizes: Sizes) -> str:
    """The number of a config that an initial scale is: with another one, it is another one."""
    scale = starts[name].scale
    if starts[name].kind != "normal" or scale is None or scale.powers:
        return ""
    model = models.without_values(sizes).example.model
    for path, module in _with_configs(model, name):
        own = name.removeprefix(f"{path}.") if path else name
        for number, value in vars(getattr(module, CONFIG)).items():
            is_number = isinstance(value, float) and isclose(value, scale.coefficient)
            if is_number and _follows(module, own, number, PROBE * value):
                return f"{path}.{CONFIG}.{number}".removeprefix(".")
    return ""


def _with_configs(model: nn.Module, name: str) -> Iterator[tuple[str, Any]]:
    """The modules around a parameter that are made of a config, outer ones first."""
    for path, module in model.named_modules():
        is_around = not path or name.startswith(f"{path}.")
        if is_around and hasattr(getattr(module, CONFIG, None), "__dict__"):
            yield path, module


def _follows(module: Any, name: str, number: str, value: float) -> bool:
    """Whether a parameter is drawn at this scale where the config says so."""
    config = copy.deepcopy(getattr(module, CONFIG))
    setattr(config, number, value)
    try:
        with empty_weights(), recorded() as writes:
            parameters = dict(type(module)(config).named_parameters(remove_duplicate=False))
        drawn: Drawn = writes.read(parameters[name]).drawn
    except Exception:  # it is made of something else
        return False
    return drawn.family == "normal" and isclose(drawn.spread, value, rel_tol=1e-6)
