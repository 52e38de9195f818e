"""Layers that compute the same and are no layers of one kind: started or trained otherwise.

The first layers that a fine-tuning freezes, a rate of each layer's own, a last layer that starts at
zero: what is said of one of them does not hold for the others, and they are in no loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abcparam.imports.alike import Model
from abcparam.imports.coincidences import OddOnes
from abcparam.imports.inits import Start
from abcparam.imports.numbers import Power
from abcparam.imports.rates import Rate
from abcparam.imports.reading import Read

Kind = tuple[object, ...]


def unlike(
    model: Model,
    meaning: Read,
    starts: Mapping[str, Start],
    rates: Mapping[str, Rate],
    names: Sequence[str],
) -> OddOnes:
    """The parameters that have to be in no loop, by their places among the `names` of all.

    They are all copies of a path of which one is unlike another: which ones a deeper model would
    have more of is not known.
    """
    kinds: dict[str, dict[str, Kind]] = {}  # by path: of each copy
    for name, weights in model.weights.items():
        if name in starts:
            kind = (weights.trained, *_start(starts[name]), *_rate(rates[name]))
            kinds.setdefault(meaning.paths[name][0], {})[name] = kind
    alone = (name for copies in kinds.values() if len({*copies.values()}) > 1 for name in copies)
    return OddOnes(frozenset((0, names.index(name)) for name in alone))


def _start(start: Start) -> Kind:
    """How it starts, but for a number: layers may start each at a number of its own."""
    return start.kind, start.scale and _powers(start.scale)


def _rate(rate: Rate) -> Kind:
    options = tuple(sorted((name, str(value)) for name, value in rate.options.items()))
    powers = (rate.lr, rate.weight_decay, rate.eps)
    return rate.rule, options, *(x and (f"{x.coefficient:.6g}", _powers(x)) for x in powers)


def _powers(power: Power) -> Kind:
    return tuple(sorted((name, p) for name, p in power.powers.items() if p))
