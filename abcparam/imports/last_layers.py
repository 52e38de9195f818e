"""Last layers of lists, which may have to be other than those before them."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.imports.alike import Model, Repeated
from abcparam.imports.coincidences import OddOnes
from abcparam.imports.numbers import Sizes, as_fractions


def without_last_layers(
    model: Model, settings: Sequence[Sizes], names: Sequence[str]
) -> OddOnes | None:
    """What is in no loop if the last layer of each is in none; None where no list has one.

    The last map of a tower whose scores are sums over the width is to be started smaller than the
    maps before it, which compute the same. A list whose length grows has no last layer. `names` are
    those of all parameters.
    """
    known = [as_fractions(sizes) for sizes in settings]
    found = set[tuple[int, int]]()
    for part in model.parts:
        if not isinstance(part, Repeated):
            continue
        counts = {int(part.count.evaluate(sizes)) for sizes in known}
        if len(counts) > 1:
            return None
        own = tuple(of.own(max(counts) - 1) for of in part.lists)
        found |= {(0, place) for place, name in enumerate(names) if f"{name}.".startswith(own)}
    if not found:
        return None
    return OddOnes(model.odd.before | found, model.odd.behind)
