"""Emits specs, imports what comes out, and makes inputs for it."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from abcparam.diagnostics.source import Source
from abcparam.emission.emit import emit
from abcparam.emission.lowering.uses import CodeUses
from abcparam.language.parser import parse
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.resolve.resolver import resolve
from tests.support.paths import SPECS
from tests.support.reference import evaluate

NUMBERS = itertools.count()


def program_of(text: str, file: str = "-") -> Program:
    """A resolved program; its symbols are set to 1/2."""
    source = Source(text, file)
    program = resolve(parse(source), source)
    return bind(program, dict.fromkeys(program.symbols, Fraction(1, 2)))


def spec(name: str) -> str:
    return (SPECS / f"{name}.param").read_text(encoding="utf-8")


def laws_of(program: Program) -> dict[str, str]:
    return dict.fromkeys(program.tensors, "W·x ~ 1, ΔW·x ~ 1")


def load(code: str, folder: Path) -> ModuleType:
    """The emitted module, imported."""
    name = f"emitted_{next(NUMBERS)}"
    path = folder / f"{name}.py"
    path.write_text(code, encoding="utf-8")
    found = importlib.util.spec_from_file_location(name, path)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


def build(text: str, folder: Path, file: str = "-") -> tuple[Program, ModuleType]:
    program = program_of(text, file)
    return program, load(emit(program, laws_of(program)), folder)


SMALL = {"depth": 2, "vocab": 50, "context": 12, "types": 2, "classes": 5, "pixels": 20, "time": 6}


def make(
    program: Program, module: ModuleType, sizes: Mapping[str, object] | None = None
) -> nn.Module:
    """The model at small sizes."""
    fields = {field.name for field in dataclasses.fields(module.Config)}
    given = {**SMALL, **(sizes or {})}
    missing = {
        f.name for f in dataclasses.fields(module.Config) if f.default is dataclasses.MISSING
    }
    given = {**dict.fromkeys(missing, 8), **given}
    config = module.Config(**{name: value for name, value in given.items() if name in fields})
    model = getattr(module, program.name)(config)
    assert isinstance(model, nn.Module)
    return model


def named_by_tensor(program: Program, named: Mapping[str, Any]) -> dict[str, Any]:
    """What has the names of parameters, by those of tensors: `layers.0.attention.query_bias`."""
    uses, found = CodeUses(program), {}
    for name, value in named.items():
        path = uses.tensor_of(name)
        home, _, own = path.rpartition(".")
        held = uses.parameters[path].removeprefix(f"{home}.")
        found[name.removesuffix(held) + own] = value
    return found


def by_tensor(program: Program, model: nn.Module) -> nn.Module:
    """The parameters of an emitted model, in modules that compute nothing, as tensors are named."""
    found = nn.Module()
    for name, parameter in named_by_tensor(program, dict(model.named_parameters())).items():
        home, (*path, own) = found, name.split(".")
        for part in path:
            if part not in dict(home.named_children()):
                home.add_module(part, nn.Module())
            home = home.get_submodule(part)
        home.register_parameter(own, parameter)
    return found


def values_of(program: Program, config: Any) -> dict[str, float]:
    """The values of underived dims and hypers."""
    names = [d.name for d in program.dims.values() if not d.derived]
    return {name: float(getattr(config, name)) for name in [*names, *program.hypers]}


def inputs_of(program: Program, config: Any, batch: tuple[int, ...] = (3,)) -> list[Tensor]:
    values, found = values_of(program, config), []
    for given in program.inputs:
        shape = [round(evaluate(axis.value, values)) for axis in given.axes]
        if given.index is None:
            found.append(torch.randn(*batch, *shape, dtype=torch.float64))
        else:
            classes = round(evaluate(given.index.value, values))
            indices = torch.randint(classes, (*batch, *shape))
            if shape:
                indices[..., 0] = classes - 1  # a mask keeps at least one
            found.append(indices)
    return found


def outputs_of(result: object) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)  # type: ignore[return-value]
