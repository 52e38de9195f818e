"""Paths of parameters for models of any depth: of which layers of a list a law is."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.imports.titles import LAYERS

Star = tuple[str, ...]  # the parts of a path up to where it has the numbers of layers


def deep_paths(paths: Mapping[str, str]) -> dict[str, str]:
    """Paths as they are written for deeper models, by what they are in the one that was read.

    `paths` are those of parameters, by their names: `layers.1-3.weight` of `layers.2.weight`. The
    equal layers of a list become `*`, several that alternate `0::2` and `1::2`, several runs `0:2`
    and `2:4`, as Python's slices; odd layers behind them are counted from the last, -1.
    """
    numbers: dict[Star, dict[str, set[int]]] = {}  # by a list and its layers: which these are
    for name, path in paths.items():
        parts = path.split(".")
        for index, part in enumerate(parts):
            if part.isdigit() or LAYERS.fullmatch(part):
                of_list = numbers.setdefault(tuple(parts[:index]), {})
                of_list.setdefault(part, set()).add(int(name.split(".")[index]))
    written = {start: _written(layers) for start, layers in numbers.items()}
    found = {}
    for path in dict.fromkeys(paths.values()):
        parts = path.split(".")
        found[path] = ".".join(
            written.get(tuple(parts[:index]), {}).get(part, part)
            for index, part in enumerate(parts)
        )
    return found


def _written(layers: Mapping[str, set[int]]) -> dict[str, str]:
    """What the layers of a list are called, by what they are called where it was read."""
    loops = {part: sorted(found) for part, found in layers.items() if LAYERS.fullmatch(part)}
    if not loops:
        return {}
    last = max(max(found) for found in layers.values())
    behind = max(found[-1] for found in loops.values())
    odd = {
        part: str(number - last - 1)
        for part, (number, *_) in layers.items()
        if part not in loops and number > behind
    }
    return {**_loops(loops), **odd}


def _loops(loops: Mapping[str, list[int]]) -> dict[str, str]:
    firsts = [found[0] for found in loops.values()]
    steps = {_step(found) for found in loops.values()}
    if len(loops) == 1 and steps == {1}:
        return dict.fromkeys(loops, "*")
    (step, *others) = steps
    if not others and len(loops) <= step and max(firsts) - min(firsts) < step:
        return {part: f"{found[0]}::{step}" for part, found in loops.items()}
    return {part: _slice(found) for part, found in loops.items()}


def _step(numbers: list[int]) -> int:
    return numbers[1] - numbers[0] if len(numbers) > 1 else 1


def _slice(numbers: list[int]) -> str:
    step = f":{_step(numbers)}" if _step(numbers) > 1 else ""
    return f"{numbers[0]}:{numbers[-1] + 1}{step}"
