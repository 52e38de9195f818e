"""Layers that are equal at some sizes by chance: `Linear(64, width)` at width = 64.

A loop is one where it is one at every setting; elsewhere its odd ones stay apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from abcparam.algebra.record import Record
from abcparam.imports.outline import Apart, Item, Loop, outline
from abcparam.imports.traced import Trace

Inside = tuple[int, str]  # a weight in a loop inside of so many others


class OddOnes(Record):
    """Weights that are in no loop, by their places among all: from the first, and from the last.

    Those behind the equal ones are counted from the last: a deeper model has more in between.
    """

    before: frozenset[tuple[int, int]] = frozenset()
    behind: frozenset[tuple[int, int]] = frozenset()

    def of(self, trace: Trace) -> Apart:
        """Their names in a trace."""
        names = names_in(trace)
        places = [(inside, place) for inside, place in self.before]
        places += [(inside, len(names) - place) for inside, place in self.behind]
        return frozenset((i, names[place]) for i, place in places if 0 <= place < len(names))


def odd_ones(traces: Sequence[Trace], known: OddOnes) -> OddOnes:
    """The weights of traces of one model that are equal to others at some settings alone.

    They are beside those that are `known`.
    """
    found = None
    while found != known:
        found = known
        for alike in _of_equal_names(traces):
            looped = [set(_looped(outline(trace, found.of(trace)))) for trace in alike]
            known = _with(known, names_in(alike[0]), looped)
    return known


def _of_equal_names(traces: Iterable[Trace]) -> list[list[Trace]]:
    groups: dict[tuple[str, ...], list[Trace]] = {}
    for trace in traces:
        groups.setdefault(names_in(trace), []).append(trace)
    return [group for group in groups.values() if len(group) > 1]


def names_in(trace: Trace) -> tuple[str, ...]:
    """Of all parameters of a trace, in order."""
    return tuple(parameter.names[0] for parameter in trace.parameters)


def _looped(items: Iterable[Item], inside: int = 0) -> Iterator[Inside]:
    """The weights of loops; of those inside others, the first copy's."""
    for item in items:
        if isinstance(item, Loop):
            yield from ((inside, name) for name in item.weights)
            yield from _looped(item.body, inside + 1)


def _with(known: OddOnes, names: Sequence[str], looped: Sequence[set[Inside]]) -> OddOnes:
    """With the weights that are in loops in some traces alone, the outermost first."""
    counts = Counter(found for of_trace in looped for found in of_trace)
    odd = [found for found, count in counts.items() if count < len(looped)]
    if not odd:
        return known
    least = min(inside for inside, _ in odd)
    kept = [
        names.index(n) for (i, n), count in counts.items() if count == len(looped) and i == least
    ]
    places = [names.index(name) for inside, name in odd if inside == least]
    behind = {p for p in places if kept and p > max(kept)}
    return OddOnes(
        known.before | {(least, p) for p in places if p not in behind},
        known.behind | {(least, len(names) - p) for p in behind},
    )
