"""Blocks that call themselves, by themselves or by way of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter

from abcparam.language import syntax


def circles(blocks: Mapping[str, syntax.Block]) -> Iterator[tuple[str, ...]]:
    """A path of calls from a block to itself for each circle, in the order of the blocks.

    Where there is none, the time is linear in the calls.
    """
    called = {n: [c for c in _called(block.body) if c in blocks] for n, block in blocks.items()}
    callers = _reversed(_leading_to_circles(called))
    circling = _leading_to_circles(callers)  # or between two circles
    calls = {n: [c for c in called[n] if c in circling] for n in called if n in circling}
    told: set[str] = set()
    for name in calls:
        path = () if name in told else _path(calls, name, name, set())
        told |= set(path)
        if path:
            yield path


def _leading_to_circles(calls: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The part of a graph from which edges lead to a circle."""
    sorter = TopologicalSorter(calls)
    with suppress(CycleError):  # what leads to none is handed out all the same
        sorter.prepare()
    ends: set[str] = set()
    while sorter.is_active():
        ready = sorter.get_ready()
        sorter.done(*ready)
        ends.update(ready)
    return {n: [c for c in called if c not in ends] for n, called in calls.items() if n not in ends}


def _reversed(calls: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    callers: dict[str, list[str]] = {name: [] for name in calls}
    for name, called in calls.items():
        for other in called:
            callers[other].append(name)
    return callers


def _path(
    calls: Mapping[str, Sequence[str]], start: str, goal: str, seen: set[str]
) -> tuple[str, ...]:
    """The calls that lead from a block to another, each block looked into once."""
    seen.add(start)
    for called in calls[start]:
        if called == goal:
            return (start, goal)
        if called not in seen:
            found = _path(calls, called, goal, seen)
            if found:
                return (start, *found)
    return ()


def _called(body: Iterable[syntax.Statement]) -> list[str]:
    """Names of all functions called in a body."""
    found: list[str] = []
    for statement in body:
        match statement:
            case syntax.Assign(value=value):
                found += _calls(value)
            case syntax.Return(values=values):
                found += [name for value in values for name in _calls(value)]
            case syntax.Repeat(body=inner):
                found += _called(inner)
            case _:
                pass
    return found


def _calls(value: syntax.Expression) -> list[str]:
    match value:
        case syntax.Call(function=function, arguments=arguments):
            return [function.id, *(name for a in arguments for name in _calls(a.value))]
        case syntax.Binary(left=left, right=right):
            return [*_calls(left), *_calls(right)]
        case (
            syntax.Negative(operand=inner)
            | syntax.Index(value=inner)
            | syntax.Attribute(value=inner)
        ):
            return _calls(inner)
        case syntax.Tuple(items=items):
            return [name for item in items for name in _calls(item)]
        case _:
            return []
