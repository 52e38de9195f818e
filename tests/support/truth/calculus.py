"""The scaling calculus a second time, written from `docs/theory.md` alone, for one growing width.

An oracle for the compiler that shares no code with it: sizes are plain fractions, `-inf` an exact
zero, and a graph is a list of values that a generator made beside the text of a spec. Laws that the
page does not give for one width (infinite depth, several limits, symbols) are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf

Size = Fraction | float  # a float is -inf (an exact zero) or inf (no bound)
HALF, ZERO, ONE = Fraction(1, 2), Fraction(0), Fraction(1)

BOUNDED = {"tanh", "sigmoid", "hardsigmoid", "hardtanh", "relu6", "softsign"}
ODD = {"tanh", "hardtanh", "softsign", "tanhshrink"}
LIFTED = {"sigmoid", "softplus", "exp", "hardsigmoid", "logsigmoid"}  # not zero at zero
SOFTMAXES = {"softmax", "log_softmax", "logsumexp"}
NONLINEAR = {"function", *SOFTMAXES}
FLAT = {"relu", "square", "relu6", "tanhshrink"}  # no derivative at zero
RELATIVE = {"adafactor", "lamb", "lars", "adamh", "muonh"}
SPECTRAL, ROTATING = {"muon", "normuon", "shampoo"}, {"soap", "normuon", "muonh"}
ADAMW = "match_rms_adamw"

# A number as parts of the inverses of lengths, "" for what is none; None: not known.
Number = dict[str, Fraction] | None

# Rows of a tensor, by a number of heads in all of them: where in each head they are. Key 0: in all.
Rows = dict[Fraction, tuple[Fraction, Fraction]]


@dataclass(eq=False)
class Tensor:
    """`W = n^-a w`; the letters are exponents of the width itself, `rows` by `columns` its fans."""

    name: str
    a: Fraction
    b: Fraction
    c: Fraction
    fan_in: Fraction
    fan_out: Fraction
    start: str = "normal"  # or "zeros", "ones"
    frozen: bool = False
    optimizer: str = "sgd"
    adjust: str = "original"
    rows: Fraction = ZERO  # as it is stored
    columns: Fraction = ZERO
    epsilon: Fraction | None = None  # `d`, where an optimizer has an epsilon that counts
    clip: Fraction | None = None  # what the limit of its gradients' norm grows by
    group: int = 0  # of those that are clipped together
    entries: Fraction | None = None  # what each starts at, of sigma 0, where that is one number

    @property
    def sigma(self) -> Size:
        return -inf if self.start == "zeros" else -self.a - self.b

    @property
    def contracts(self) -> bool:
        return self.fan_in > self.fan_out

    @property
    def spectral(self) -> bool:
        """Whether `entry` is a spectral norm."""
        return self.optimizer in SPECTRAL and (self.optimizer, self.adjust) != ("normuon", ADAMW)


@dataclass(eq=False)
class Value:
    """One activation: what makes it, of what, and how long its axes are."""

    kind: str
    inputs: tuple[Value, ...] = ()
    tensor: Tensor | None = None
    volume: Fraction = ZERO  # the size of all its axes together
    fan_in: Fraction = ZERO  # as a map reads the tensor
    fan_out: Fraction = ZERO
    beside: Fraction = ZERO  # the axes of its input that a map is applied to side by side
    lacking: tuple[Fraction, ...] = ()  # per input, the axes that it is stretched over
    over: Fraction = ZERO  # what a product, or a mean, sums over
    axis: str = ""  # that a softmax is over
    last: bool = False  # whether a norm is over the last axis alone, a mean over that too
    factor: Fraction = ZERO
    back: Fraction | None = None  # the factor of its gradient, if it is another
    function: str = ""
    centres: bool = False
    channel_by_channel: bool = False  # a norm of each channel over what is not one
    alike: bool = False  # copies of a single number
    transposed: bool = False
    rows: bool = False  # whether the rows of its tensor lie along its last axis
    part: tuple[Fraction | int, Fraction | int] | None = None  # of a `split`: which, of how many
    heads: Fraction | None = None  # of that split: how many heads, in units of those that there are
    name: str = ""
    amount: Fraction | None = None  # of a number, or a factor, where it is one and no power
    minus: int | None = None  # which input of a sum is subtracted
    termwise: bool = False  # a product of coordinates, of which none are summed


@dataclass(eq=False)
class Graph:
    """A model: its values in order, its outputs with their losses, what is assumed of alignment."""

    values: list[Value]
    outputs: list[tuple[Value, str]]
    tensors: list[Tensor]
    alignment: str = "tensor-programs"
    strict: bool = False


@dataclass
class Found:
    """What is known of a value."""

    s0: Size = -inf
    d: Size = -inf
    along: Size = -inf
    g0: Size = -inf
    gd: Size = -inf
    galong: Size = -inf
    centred: bool = False
    spread: Size = -inf  # of s0, what differs from coordinate to coordinate
    maps: dict[Tensor, Rows | None] = field(default_factory=dict)
    rows: dict[Tensor, Rows] = field(default_factory=dict)
    contracted: bool = False  # a map that contracts made it
    number: Fraction | None = None  # all of it at init, at any width, where that is known

    @property
    def s(self) -> Size:
        return max(self.s0, self.d)

    @property
    def g(self) -> Size:
        return max(self.g0, self.gd)


@dataclass
class Said:
    """The verdict, and per tensor at init, update, slack and status."""

    verdict: str
    complete: bool
    tensors: dict[str, tuple[Size, Size, Size | None, str]]
    found: dict[Value, Found]


def less(x: Size, y: Size) -> Size:
    """`x - y` where x may be exactly zero."""
    return x if x == -inf else x - y


class Calculus:
    """The rounds of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.of: dict[Value, Found] = {v: Found() for v in graph.values}
        self.entry: dict[Tensor, Size] = dict.fromkeys(graph.tensors, -inf)
        self.gamma: dict[Tensor, Size] = dict.fromkeys(graph.tensors, -inf)
        self.readers: dict[Value, list[Value]] = {v: [] for v in graph.values}
        for value in graph.values:
            for x in value.inputs:
                if value not in self.readers[x]:
                    self.readers[x].append(value)
        self.directions()

    # Directions: which changes are followed reader by reader, which gradients term by term

    def directions(self) -> None:
        self.toward: dict[tuple[Value, Value], Size] = {}
        self.share: dict[tuple[Value, Value], Size] = {}
        self.partial = self.graph.alignment == "tensor-programs"
        self.enlarged = set[Value]()
        if not self.partial:
            return
        uses: dict[Tensor, int] = {}
        for value in self.graph.values:
            if value.tensor is not None:
                uses[value.tensor] = uses.get(value.tensor, 0) + 1
        shared = {v for v in self.graph.values if v.tensor is not None and uses[v.tensor] > 1}
        behind: set[Value] = set()  # made of a shared tensor without another map
        self.enlarged = enlarged = set[Value]()  # made of what enlarges small parts of gradients
        for v in self.graph.values:
            if v in shared or (v.kind != "map" and any(x in behind for x in v.inputs)):
                behind.add(v)
            t = v.tensor
            turned = t is not None and not t.frozen and t.optimizer in SPECTRAL | ROTATING
            if turned or any(x in enlarged for x in v.inputs):
                enlarged.add(v)
        before: set[Value] = set()  # read by a shared map without another map
        for v in reversed(self.graph.values):
            near = v.kind != "map" and any(r in before for r in self.readers[v])
            if (v in shared and v.kind == "map") or near:
                before.add(v)
        outputs = {v for v, _ in self.graph.outputs}
        for x in self.graph.values:
            several = len(self.readers[x]) + (x in outputs) > 1
            selected = any(r.kind == "part" for r in self.readers[x])
            if several and x.volume > 0 and not (x in enlarged or x in behind or selected):
                for reader in self.readers[x]:
                    if reader not in before:
                        self.toward[x, reader] = -inf
            if x.kind == "sum" and x.volume > 0 and not enlarged and x not in before:
                for term in x.inputs:
                    if term not in behind and term.inputs:
                        self.share[x, term] = -inf

    def along(self, x: Value, reader: Value) -> Size:
        """The part of the change of x that points along the gradient through a reader."""
        if not self.partial:
            return self.of[x].d
        return self.toward.get((x, reader), self.of[x].along)

    # At initialization

    def start(self) -> None:
        for v in self.graph.values:
            f, xs = self.of[v], [self.of[x] for x in v.inputs]
            f.number = self.number(v, xs)
            f.centred = self.is_centred(v, xs)
            self.take_maps(v, f, xs)
            f.s0 = self.initial(v, xs)
            f.spread = self.spread_of(v, xs)
            if f.number is not None:
                f.centred, f.spread = f.number == 0, -inf
                f.s0 = ZERO if f.number else -inf
            elif f.s0 == -inf:
                f.number = ZERO

    def number(self, v: Value, xs: Sequence[Found]) -> Fraction | None:
        """What all of it is exactly."""
        if v.kind in ("lookup", "value", "number"):
            if v.tensor is None:
                return v.amount
            if v.tensor.start == "ones":
                return v.tensor.entries if v.tensor.sigma == 0 else None
            return ZERO if v.tensor.start == "zeros" else None
        if v.kind == "map" and v.tensor is not None and v.tensor.start == "zeros":
            return ZERO
        if v.kind == "product" and any(x.number == 0 for x in xs):
            return ZERO
        if self.kept(v):
            ((number, _),) = self.sums_to(v.inputs[0])
            if number is not None and number.keys() <= {""}:
                return number.get("", ZERO)
        known = [x.number for x in xs if x.number is not None]
        if not xs or len(known) < len(xs):
            return None
        first = known[0]
        match v.kind:
            case "sum":
                return sum((-k if i == v.minus else k for i, k in enumerate(known)), ZERO)
            case "product":
                return first * known[1] if v.termwise else None
            case "scale":
                return ZERO if first == 0 else None if v.amount is None else first * v.amount
            case "function":
                return exact_value(v.function, first)
            case "norm":
                return ZERO if first == 0 or v.centres else None
            case "part" | "copies" | "concat" | "mean" | "largest":
                return first if len(set(known)) == 1 else None
            case "map" | "same":
                return ZERO if first == 0 else None
        return None

    def initial(self, v: Value, xs: Sequence[Found]) -> Size:
        largest = max((x.s0 for x in xs), default=-inf)
        match v.kind:
            case "input" | "number":
                return ZERO + v.factor
            case "zeros":
                return -inf
            case "lookup" | "value":
                assert v.tensor is not None
                return v.tensor.sigma
            case "map":
                assert v.tensor is not None
                summed = v.fan_in / 2
                if self.tied(v):
                    summed = self.summed_along(v)
                return v.tensor.sigma + summed + xs[0].s0
            case "product":
                x, y = xs
                random = apart(x, y) and (x.centred or y.centred)
                return x.s0 + y.s0 + (v.over / 2 if random else v.over)
            case "scale":
                return largest + v.factor
            case "log_softmax" | "logsumexp":
                return max(largest, ZERO)
            case "function":
                return function_size(v.function, largest)
            case "softmax":
                return ZERO
            case "norm":
                return ZERO if self.starts(v) > -inf else -inf
            case "mean" if self.kept(v):
                return self.sums_to(v.inputs[0])[0][1]
            case "mean":
                return largest - v.over / 2 if xs[0].centred else largest
        return largest

    def kept(self, mean: Value) -> bool:
        """Whether a mean is one number, whatever it is of: of a softmax, or a layer norm."""
        return mean.kind == "mean" and mean.last and bool(self.sums_to(mean.inputs[0]))

    def sums_to(self, v: Value) -> list[tuple[Number, Size]]:
        """That number of the last axis, a sum of parts of lengths, and its size.

        Empty where there is none.
        """
        xs = [self.sums_to(x) for x in v.inputs]
        match v.kind:
            case "softmax":
                return [({v.axis: ONE} if v.axis else None, ZERO)]
            case "number":
                known = v.amount is not None and v.factor == 0
                return [({"": v.amount or ZERO} if known else None, v.factor)]
            case "norm" if v.centres and v.last:
                return [({}, -inf)]
            case "zeros":
                return [({}, -inf)]
            case "scale" if xs[0]:
                ((number, size),) = xs[0]
                if number == {}:
                    return [({}, -inf)]
                if number is None or v.amount is None:
                    return [(None, size + v.factor)]
                return [({k: n * v.amount for k, n in number.items()}, size + v.factor)]
            case "sum" if all(xs):
                largest = max(size for ((_, size),) in xs)
                total: dict[str, Fraction] = {}
                for index, ((number, _),) in enumerate(xs):
                    if number is None:
                        return [(None, largest)]
                    for key, part in number.items():
                        sign = -1 if index == v.minus else 1
                        total[key] = total.get(key, ZERO) + sign * part
                left = {key: part for key, part in total.items() if part}
                return [(left, largest if left else -inf)]
            case "mean" if xs[0] or not v.last:
                return xs[0]
        return []

    def starts(self, norm: Value) -> Size:
        """What a norm divides by at initialization; exact zero is held up by its epsilon."""
        x = self.of[norm.inputs[0]]
        return x.spread if norm.centres else x.s0

    def divisor(self, norm: Value) -> Size:
        """What it divides by."""
        return max(self.starts(norm), self.of[norm.inputs[0]].d)

    def spread_of(self, v: Value, xs: Sequence[Found]) -> Size:
        largest = max((x.spread for x in xs), default=-inf)
        match v.kind:
            case "number" | "zeros":
                return -inf
            case "mean" if self.kept(v):
                return -inf
            case "value":
                return self.of[v].s0 if v.tensor and v.tensor.start == "normal" else -inf
            case "copies" if v.alike:
                return -inf
            case "sum" | "concat" | "same" | "part" | "copies":
                return largest
            case "scale":
                return largest + v.factor
            case "function" if v.function == "log":
                return less(largest, xs[0].s0)
            case "function":
                size = largest + xs[0].s0 if v.function == "square" else largest
                return min(size, ZERO) if v.function in BOUNDED else size
            case "product" if v.over == 0:
                return max(xs[0].spread + xs[1].s0, xs[0].s0 + xs[1].spread)
            case "norm" if self.starts(v) > -inf:
                return largest - self.starts(v)
        return self.of[v].s0

    def is_centred(self, v: Value, xs: Sequence[Found]) -> bool:
        match v.kind:
            case "input" | "number" | "softmax" | "log_softmax" | "logsumexp" | "largest":
                return False
            case "lookup" | "value":
                assert v.tensor is not None
                return v.tensor.start != "ones"
            case "map":
                return v.fan_out > 0 or v.beside == 0 or xs[0].centred
            case "zeros":
                return True
            case "product":
                return apart(*xs) and any(self.even(v, xs))
            case "sum" | "concat" | "copies":
                return all(self.even(v, xs))
            case "function":
                return xs[0].centred and v.function in ODD
            case "norm":
                return xs[0].centred or (v.centres and not v.channel_by_channel)
        return all(x.centred for x in xs)

    def even(self, v: Value, xs: Sequence[Found]) -> Iterable[bool]:
        """Per input, whether it is centred along the axes that it is stretched over too."""
        for x, lacking in zip(xs, v.lacking, strict=True):
            yield x.centred and (lacking == 0 or x.s0 == -inf)

    def take_maps(self, v: Value, f: Found, xs: Sequence[Found]) -> None:
        """Which tensors' products it last came from, and of which rows."""
        t = v.tensor
        if t is not None:
            f.maps, f.contracted = {t: None}, t.contracts
            if v.rows:
                f.rows = {t: {}}
            return
        for x, lacking in zip(xs, v.lacking or [ZERO] * len(xs), strict=True):
            f.contracted |= x.contracted and not lacking > 0
            for tensor in x.maps:
                f.maps[tensor] = None
        for tensor in f.maps:
            held = [x.maps[tensor] for x in xs if tensor in x.maps]
            known = [h for h in held if h is not None]
            if known and len(known) == len(held):
                places = set.intersection(*(set(h) for h in known))
                f.maps[tensor] = {
                    p: (min(h[p][0] for h in known), max(h[p][1] for h in known)) for p in places
                }
        mapped = [i for i in range(len(xs)) if self.maps_by_value(v, i)]
        if mapped:
            x, weights = xs[mapped[0]], xs[1 - mapped[0]]
            f.maps, f.contracted = dict(weights.maps), v.over > v.lacking[mapped[0]]
        if v.kind in ("function", "scale"):
            f.rows = dict(xs[0].rows)
        if v.kind == "sum":
            for tensor in {t for x in xs for t in x.rows}:
                first, *others = [x.rows.get(tensor) for x in xs if tensor in x.maps]
                if first is not None and all(rows == first for rows in others):
                    f.rows[tensor] = first
        if v.kind == "part" and v.part is not None:
            for tensor, rows in xs[0].rows.items():
                f.rows[tensor] = cut(rows, *v.part, v.heads)
            f.maps |= f.rows

    def tied(self, v: Value) -> bool:
        return v.transposed and v.tensor in self.of[v.inputs[0]].maps

    # Gains of maps

    def summed_along(self, v: Value) -> Size:
        """Of initial weights on what points along their rows."""
        if self.graph.alignment != "tensor-programs":
            return v.fan_in / 2
        return max(v.fan_in / 2, v.fan_in - v.fan_out / 2)

    def update_of(self, t: Tensor) -> Size:
        return self.entry[t] - t.a

    def updated(self, t: Tensor, fan_in: Fraction, fan_out: Fraction) -> Size:
        """The gain of an update on what it is aligned with."""
        if t.spectral:
            return self.update_of(t) + (fan_in - fan_out) / 2
        return self.update_of(t) + (fan_in / 2 if self.graph.alignment == "none" else fan_in)

    def own_update(self, v: Value) -> Size:
        """What the update of its own tensor adds to a value."""
        t = v.tensor
        if t is None:
            return -inf
        if v.kind == "map":
            return self.updated(t, v.fan_in, v.fan_out) + self.of[v.inputs[0]].s
        spread = max(t.rows, t.columns) / 2 if t.spectral else ZERO
        return self.update_of(t) - spread

    def strays(self, v: Value) -> bool:
        x = v.inputs[0]
        return not self.tied(v) and self.along(x, v) < self.of[x].d

    def map_gain(self, v: Value) -> Size:
        """What initial weights make of the change of their input, over that change."""
        assert v.tensor is not None
        x = v.inputs[0]
        if not self.strays(v):
            return v.tensor.sigma + self.summed_along(v)
        part = self.along(x, v) - self.of[x].d
        return v.tensor.sigma + max(v.fan_in / 2, v.fan_in - v.fan_out / 2 + part)

    def gains(self, v: Value) -> list[Size]:
        """Per input: by how much its change grows."""
        xs = [self.of[x] for x in v.inputs]
        match v.kind:
            case "map":
                return [self.map_gain(v)]
            case "product":
                over = v.over / 2 if self.graph.alignment == "none" else v.over
                gains = [self.product_gain(v, i, v.over, v.lacking[i], over) for i in (0, 1)]
                return [gain - self.unmet(v, i) for i, gain in enumerate(gains)]
            case "scale":
                return [v.factor]
            case "mean" if self.kept(v):
                return [-inf]
            case "function" if v.function == "square":
                return [xs[0].s]
            case "function" if v.function == "log":
                return [-xs[0].s]
            case "norm":
                return [-self.divisor(v) if self.starts(v) > -inf else ZERO]
        return [ZERO] * len(xs)

    def product_gain(
        self, v: Value, i: int, over: Fraction, beside: Fraction, summed: Fraction
    ) -> Size:
        """What the other factor makes of a change of the i-th, over that change."""
        x, y = self.of[v.inputs[i]], self.of[v.inputs[1 - i]]
        change = y.d - self.unmet(v, 1 - i) + summed
        if not (self.weights(v.inputs[1 - i]) and y.centred and apart(x, y)):
            return max(y.s0 + summed, change)
        most = max(over / 2, over - beside / 2) if self.partial else over / 2
        return max(y.s0 + most, change)

    def unmet(self, v: Value, i: int) -> Fraction:
        """What a sum over a spectral update lacks of one over entries that are aligned."""
        x = v.inputs[i]
        while x.kind == "scale":
            (x,) = x.inputs
        t = x.tensor
        if v.over == 0 or x.kind != "value" or t is None or not t.spectral:
            return ZERO
        axes = sorted((v.over, v.lacking[1 - i]))
        return axes[0] / 2 if axes == sorted((t.rows, t.columns)) else ZERO

    def maps_by_value(self, v: Value, i: int) -> bool:
        """Whether the other factor of an inner product is the weights of a map, this one none."""
        if v.kind != "product" or v.over == 0 or self.weights(v.inputs[i]):
            return False
        x, y = (self.of[v.inputs[j]] for j in (i, 1 - i))
        return self.weights(v.inputs[1 - i]) and y.centred and apart(x, y)

    def weights(self, v: Value) -> bool:
        """Whether it is made of tensors alone, each entry of others than the rest."""
        long = [lacking > 0 for lacking in v.lacking]
        match v.kind:
            case "value":
                return v.tensor is not None
            case "sum":
                own = not any(long)
            case "product" if self.draws_entries(v):
                return True
            case "product":
                own = v.over == 0 and not all(long)
            case "scale" | "function" | "norm" | "same" | "part" | "mean" | "softmax":
                own = True
            case _:
                own = False
        return own and all(self.weights(x) for x in v.inputs)

    def draws_entries(self, v: Value) -> bool:
        """Of a product, whether a factor has all entries at random, and the other is of tensors."""
        x, y = (self.of[z] for z in v.inputs)
        if v.over > 0 or x.maps.keys() & y.maps.keys() or not all(map(self.given, v.inputs)):
            return False
        return any(
            self.weights(z) and self.of[z].centred and not lacking > 0
            for z, lacking in zip(v.inputs, v.lacking, strict=True)
        )

    def given(self, v: Value) -> bool:
        """Whether it is of tensors and numbers alone."""
        if v.kind in ("value", "number"):
            return True
        inner = v.kind != "map" and not (v.kind == "product" and v.over > 0)
        return inner and bool(v.inputs) and all(map(self.given, v.inputs))

    def clamped(self, v: Value, size: Size) -> Size:
        holds = v.kind == "softmax" or (v.kind == "function" and v.function in BOUNDED)
        held_up = v.kind == "norm" and self.starts(v) == -inf
        return min(size, ZERO) if holds or held_up else size

    # Rounds

    def forward(self) -> None:
        for v in self.graph.values:
            f, own, gains = self.of[v], self.own_update(v), self.gains(v)
            sizes = [g + self.of[x].d for g, x in zip(gains, v.inputs, strict=True)]
            f.d = self.clamped(v, max([own, *sizes]))
            f.along = self.points_along(v, own, gains) if self.partial else f.d
            for reader in self.readers[v]:
                if (v, reader) in self.toward:
                    turned = self.turned(v, reader)
                    self.toward[v, reader] = max(self.toward[v, reader], turned)

    def points_along(self, v: Value, own: Size, gains: Sequence[Size]) -> Size:
        """The part of its change that points along its gradient."""
        d, parts = self.of[v].d, [self.along(x, v) for x in v.inputs]
        passed = [g + p for g, p in zip(gains, parts, strict=True)]
        match v.kind:
            case "map" if not self.tied(v):
                assert v.tensor is not None
                along = v.tensor.sigma + v.fan_in - v.fan_out / 2 + parts[0]
                return max(own, min(along, d))
            case "sum" | "concat" | "copies":
                return max(p - w / 2 for p, w in zip(parts, v.lacking, strict=True))
            case "product" if v.over == 0:
                found: list[Size] = []
                for i, lacking in enumerate(v.lacking):
                    x, y = self.of[v.inputs[i]], self.of[v.inputs[1 - i]]
                    if x.d == -inf:
                        continue
                    stretched = x.d + max(y.s - lacking / 2, parts[1 - i])
                    found.append(stretched if lacking > 0 else parts[i] + y.s)
                return max(found, default=-inf)
            case "same" | "part" | "scale" | "function" | "norm":
                return self.clamped(v, max(passed))
        return d

    def turned(self, x: Value, reader: Value) -> Size:
        """Of a change made by the gradients at hand, the part along one reader's."""
        whole_, through = self.of[x].g, self.through[x, reader]
        if through >= whole_:
            return self.of[x].along
        return self.of[x].along + less(through, whole_)

    def weigh(self) -> bool:
        """The parts of sums that their terms are, the largest so far."""
        uneven = False
        for (total, term), share in self.share.items():
            s, part = self.of[total].s, self.of[term].s
            new = ZERO if part >= s else max(share, less(part, s))
            self.share[total, term] = new
            uneven |= new < 0
        return uneven

    def backward(self) -> None:
        bent = [v for v in self.graph.values if v.kind in ("function", "norm")]
        strays = any(self.along(v.inputs[0], v) < self.of[v.inputs[0]].d for v in bent)
        self.uneven = self.weigh() or (strays and not self.enlarged)
        self.through = dict.fromkeys(self.toward, -inf)
        for f in self.of.values():
            f.g0 = f.gd = f.galong = -inf
        for t in self.gamma:
            self.gamma[t] = -inf
        for v, loss in self.graph.outputs:
            f = self.of[v]
            f.g0 = max(f.g0, ZERO if loss == "cross_entropy" else max(f.s0, ZERO))
            f.gd = max(f.gd, min(f.d, ZERO) if loss == "cross_entropy" else f.d)
            f.galong = max(f.galong, f.gd)
        for v in reversed(self.graph.values):
            f = self.of[v]
            if f.g == -inf:
                continue
            if not self.uneven:
                f.galong = f.gd
            for x, g0, gd, along in self.passed_back(v):
                fx = self.of[x]
                fx.g0, fx.gd = max(fx.g0, g0), max(fx.gd, gd)
                fx.galong = max(fx.galong, along)
                if (x, v) in self.through:
                    self.through[x, v] = max(self.through[x, v], g0, gd)
            if v.tensor is not None:
                self.gamma[v.tensor] = max(self.gamma[v.tensor], self.gradient(v) - v.tensor.a)

    def gradient(self, v: Value) -> Size:
        f = self.of[v]
        if v.kind != "map":
            return f.g
        x = self.of[v.inputs[0]]
        first = f.g0 + x.s0 + v.beside / 2
        return max(first, f.gd + x.s + v.beside, f.g + x.d + v.beside)

    def passed_back(self, v: Value) -> Iterable[tuple[Value, Size, Size, Size]]:
        """(input, g0, gd, the part of gd that points along the value), what it contributes."""
        f, xs = self.of[v], [self.of[x] for x in v.inputs]
        match v.kind:
            case "map":
                yield self.back_through(v)
            case "product":
                for i in (0, 1):
                    y, lacking = xs[1 - i], v.lacking[i]
                    gain = self.product_gain(v, i, lacking, v.over, lacking)
                    gd = max(gain + f.gd, y.d - self.unmet(v, 1 - i) + f.g + lacking)
                    yield v.inputs[i], y.s0 + f.g0 + lacking / 2, gd, gd
            case "sum" | "concat" | "copies":
                for x, lacking in zip(v.inputs, v.lacking, strict=True):
                    share = self.share.get((v, x), ZERO)
                    along = f.galong + lacking + share
                    yield x, f.g0 + lacking / 2, f.gd + lacking, along
            case "scale":
                back = v.factor if v.back is None else v.back
                yield v.inputs[0], f.g0 + back, f.gd + back, f.galong + back
            case "mean" if self.kept(v):
                return
            case "mean":
                yield v.inputs[0], f.g0 - v.over, f.gd - v.over, f.gd - v.over
            case "softmax" | "log_softmax" | "logsumexp":
                gd = max(f.gd, f.g + min(xs[0].d, ZERO))
                yield v.inputs[0], f.g0, gd, gd
            case "function":
                yield self.back_function(v)
            case "norm":
                x = xs[0]
                starts, size = self.starts(v), self.divisor(v)
                if starts == -inf:
                    first, later = ZERO, -max(size, ZERO)
                else:
                    first, later = -min(size, self.held_to(v)), -size
                turned = -inf if size == -inf else f.g + x.d - size + later
                yield (
                    v.inputs[0],
                    f.g0 + first,
                    max(f.gd + later, turned),
                    max(f.galong + later, self.turned_along(v, turned)),
                )
            case "largest":
                x = xs[0]
                turned = -inf if x.s == -inf else f.g + x.d - x.s
                gd = max(f.gd, turned)
                yield v.inputs[0], f.g0, gd, gd
            case "same" | "part":
                yield v.inputs[0], f.g0, f.gd, f.galong

    def back_through(self, v: Value) -> tuple[Value, Size, Size, Size]:
        t, f = v.tensor, self.of[v]
        assert t is not None
        tied = self.tied(v)
        random, along = v.fan_out / 2, v.fan_out - v.fan_in / 2
        most = max(random, along) if self.partial else random
        update = self.updated(t, v.fan_out, v.fan_in) + f.g
        g0 = t.sigma + (most if tied else random) + f.g0
        if tied or f.galong >= f.gd:
            gd = max(t.sigma + most + f.gd, update)
            return v.inputs[0], g0, gd, gd
        pointing = t.sigma + along + f.galong
        gd = max(t.sigma + random + f.gd, pointing, update)
        return v.inputs[0], g0, gd, max(pointing, update)

    def back_function(self, v: Value) -> tuple[Value, Size, Size, Size]:
        f, x = self.of[v], self.of[v.inputs[0]]
        if v.function == "square":
            turned = f.g + x.d
            return (
                v.inputs[0],
                f.g0 + x.s0,
                max(f.gd + x.s, turned),
                max(f.galong + x.s, self.turned_along(v, turned)),
            )
        if v.function == "log":
            turned = f.g + x.d - 2 * x.s
            return (
                v.inputs[0],
                f.g0 - x.s0,
                max(f.gd - x.s, turned),
                max(f.galong - x.s, self.turned_along(v, turned)),
            )
        flat = v.function in FLAT
        level = x.number is not None and is_level(v.function, x.number)
        g0 = -inf if level or (flat and x.s0 == -inf) else f.g0
        gone = (flat and x.s == -inf) or (level and x.d == -inf)
        turned = -inf if x.s == -inf else f.g + x.d - x.s
        gd = -inf if gone else f.gd
        along = max(-inf if gone else f.galong, self.turned_along(v, turned))
        return v.inputs[0], g0, max(gd, turned), along

    def turned_along(self, v: Value, turned: Size) -> Size:
        """Of what a change of the input makes of the gradient, what its part along that makes."""
        (x,) = v.inputs
        return turned if self.of[x].d == -inf else turned + less(self.along(x, v), self.of[x].d)

    def updates(self) -> bool:
        """New updates from the gradients at hand; whether one grew."""
        clipped, grew = self.clipped(), False
        for t in self.graph.tensors:
            if t.frozen or self.gamma[t] == -inf:
                continue
            cancels = t.optimizer in ("lamb", "adamh") and max(t.sigma, self.entry[t]) > -inf
            size = self.update_entry(t, self.gamma[t] - clipped.get(t.group, ZERO))
            if t.epsilon is not None and self.graph.strict and not cancels:
                gamma = self.gamma[t] - clipped.get(t.group, ZERO)
                size += gamma - max(gamma, -t.epsilon)
                if t.optimizer == "radam":  # its first steps have no epsilon
                    size = max(size, gamma - t.c)
            grew |= size > self.entry[t]
            self.entry[t] = max(self.entry[t], size)
        return grew

    def update_entry(self, t: Tensor, gamma: Size) -> Size:
        match t.optimizer:
            case "sgd":
                return gamma - t.c
            case "adafactor" | "lamb" | "lars":
                weights = max(t.sigma + t.a, self.entry[t])
                if weights == -inf:
                    return gamma - t.c if t.optimizer == "lars" else -t.c
                return weights - t.c
            case "radam":
                return max(gamma, ZERO) - t.c
            case "adamh" | "muonh":
                return max(t.sigma + t.a, self.entry[t]) + min(-t.c, ZERO)
            case "normuon" if t.adjust == ADAMW:
                return -t.c
            case "muon" | "normuon":
                grown = {
                    "original": max(t.rows - t.columns, ZERO),
                    ADAMW: max(t.rows, t.columns),
                    "spectral": t.rows - t.columns,
                }[t.adjust]
                return grown / 2 - t.c
        return -t.c

    def clipped(self) -> dict[int, Size]:
        """What clipping takes from the gradients of an optimizer."""
        most: dict[int, Size] = {}
        for t in self.graph.tensors:
            if t.clip is not None and not t.frozen:
                norm = self.gamma[t] + (t.fan_in + t.fan_out) / 2 - t.clip
                most[t.group] = max(most.get(t.group, ZERO), norm)
        return most

    def turning(self) -> bool:
        return any(self.turned(*pair) > size for pair, size in self.toward.items())

    def rounds(self) -> bool:
        """Trains until nothing grows; whether it settled."""
        self.start()
        self.backward()
        patience = 3 + sum(not t.frozen for t in self.graph.tensors)
        broken = 0
        for _ in range(100):
            turning, grew = self.turning(), self.updates()
            if not grew and not turning:
                return True
            self.forward()
            self.backward()
            broken += bool(self.broken())
            if broken > 2 * patience:
                return False
        return False

    # Limits, bounds, verdict

    def limits(self) -> Iterable[tuple[Value, Size]]:
        """(value, bound): where a change may be so large at most."""
        for v in self.graph.values:
            for x in v.inputs:
                s0 = self.of[x].s0
                if v.kind in ("map", "product"):
                    yield x, max(s0, ZERO, -self.beside(v, x))
                elif v.function == "square":
                    yield x, max(s0, ZERO, -self.factors_after(v) / 2)
                elif v.kind in NONLINEAR:
                    yield x, ZERO
                elif v.kind == "norm":
                    yield x, self.held_to(v)
        for v, _ in self.graph.outputs:
            yield v, ZERO

    def beside(self, v: Value, x: Value) -> Size:
        """Constant factors of a result and of its other operand, which may be taken for those of x.

        Less what the other operand needs of them, to change by Θ(1) at most itself.
        """
        if v.kind == "product" and v.over > 0:
            return ZERO
        factor: Size = self.factors_after(v)
        others = list(v.inputs)
        others.remove(x)
        for y in others:
            factor += self.factors_of(y)
            if self.of[y].d > max(self.of[y].s0, ZERO):
                factor += self.of[y].d
        return factor

    def factors_of(self, v: Value) -> Fraction:
        return v.factor + self.factors_of(v.inputs[0]) if v.kind == "scale" else ZERO

    def factors_after(self, v: Value) -> Fraction:
        return self.factors_behind(v) or ZERO

    def factors_behind(self, v: Value) -> Fraction | None:
        """The largest constant factor of what reads it; None where one reads it as it is."""
        passes = {"same", "part", "sum", "concat", "copies", "mean"}
        if any(v is output for output, _ in self.graph.outputs):
            return None
        found: list[Fraction] = []
        for reader in self.readers[v]:
            behind = self.factors_behind(reader)
            if reader.kind == "scale":
                behind = reader.factor + (behind or ZERO)
            if behind is None or reader.kind not in {"scale", *passes}:
                return None
            found.append(behind)
        return max(found, default=None)

    def held_to(self, norm: Value) -> Size:
        """How far the input of a norm may change: as far as it starts, or its few numbers learn."""
        (x,) = norm.inputs
        starts = self.starts(norm) if self.starts(norm) > -inf else ZERO
        few = ZERO if self.of[x].contracted else self.released(x)
        return starts if few is None else max(starts, few)

    def broken(self) -> bool:
        return any(self.of[x].d > bound for x, bound in self.limits())

    def unsound(self) -> bool:
        """Whether a size at initialization is not as it must be."""
        for v in self.graph.values:
            for x in v.inputs:
                s0 = self.of[x].s0
                if v.kind in SOFTMAXES and s0 > 0:
                    return True
                if v.kind == "function" and v.function == "log":
                    if s0 != ZERO:
                        return True
                elif v.kind == "function" and v.function != "square" and not self.is_sound(x):
                    return True
        return any(self.of[v].s0 > 0 for v, _ in self.graph.outputs)

    def is_sound(self, x: Value) -> bool:
        return self.of[x].s0 in (ZERO, -inf) or self.starts_small(x)

    def starts_small(self, x: Value) -> bool:
        """Below Θ(1) as a bottleneck is, and no longer once that has learnt."""
        return self.of[x].s0 < 0 and self.released(x) == 0

    def released(self, x: Value) -> Size | None:
        """How large a value is when its few numbers are Θ(1); None of others."""
        f = self.of[x]
        if f.contracted:
            return max(f.s0, ZERO)
        if f.s0 == -inf:
            return None
        inner = [self.released(y) for y in x.inputs]
        known = [size for size in inner if size is not None]
        if not known:
            return None
        match x.kind:
            case "map":
                return known[0] + f.s0 - self.of[x.inputs[0]].s0
            case "scale":
                return known[0] + x.factor
            case "product" if x.over > 0:
                of = [i for i in (0, 1) if self.maps_by_value(x, i) and inner[i] is not None]
                return inner[of[0]] + f.s0 - self.of[x.inputs[of[0]]].s0 if of else None
            case "product" if x.over == 0:
                pairs = zip(x.inputs, inner, strict=True)
                return sum((self.of[y].s0 if r is None else r for y, r in pairs), ZERO)
            case "function":
                return function_size(x.function, known[0])
            case "same" | "part":
                return known[0]
            case "sum" | "concat" | "copies":
                other = [y for y, r in zip(x.inputs, inner, strict=True) if r is None]
                return None if any(self.of[y].s0 > -inf for y in other) else max(known)
        return None

    def bounds(self) -> dict[Value, Size]:
        found: dict[Value, Size] = dict.fromkeys(self.graph.values, inf)
        for x, bound in self.limits():
            found[x] = min(found[x], bound)
        for v in reversed(self.graph.values):
            gains = self.gains(v)
            if v.kind == "map" and v.tensor is not None:
                gains = [max(gains[0], self.updated(v.tensor, v.fan_in, v.fan_out))]
            for x, gain in zip(v.inputs, gains, strict=True):
                if gain > -inf:
                    found[x] = min(found[x], found[v] - gain)
        return found

    def judged(self) -> Said:
        settled = self.rounds()
        bounds = self.bounds()
        tensors = {t.name: self.tensor_law(t, bounds) for t in self.graph.tensors}
        stable = settled and not self.broken() and not self.unsound()
        if self.unsound():
            verdict = "unstable-at-init"
        elif not stable:
            verdict = "unstable"
        else:
            verdict = self.stable_verdict(bounds, [t[3] for t in tensors.values()])
        nonlinear = [x for v in self.graph.values if v.kind in NONLINEAR for x in v.inputs]
        complete = stable and all(self.moves(x) for x in nonlinear if self.trained(x))
        return Said(verdict, complete, tensors, self.of)

    def tensor_law(
        self, t: Tensor, bounds: dict[Value, Size]
    ) -> tuple[Size, Size, Size | None, str]:
        """Over all uses of all its copies."""
        uses = [v for v in self.graph.values if v.tensor and v.tensor.name == t.name]
        at_init = max((self.of[v].s0 for v in uses), default=-inf)
        updates = [(v, self.own_update(v)) for v in uses]
        slack = min((bounds[v] - u for v, u in updates if u > -inf), default=inf)
        update = max((u for _, u in updates), default=-inf)
        if t.frozen:
            return at_init, update, None, "frozen"
        if slack == inf:
            return at_init, update, None, "under"
        status = "maximal" if slack == 0 else "under" if slack > 0 else "over"
        return at_init, update, slack, status

    def moves(self, x: Value) -> bool:
        return self.of[x].d > -inf and self.of[x].d >= self.of[x].s

    def trained(self, x: Value) -> bool:
        """Whether a tensor that is not frozen makes it."""
        todo, seen = [x], set[Value]()
        while todo:
            v = todo.pop()
            if v.tensor is not None and not v.tensor.frozen:
                return True
            todo += [y for y in v.inputs if y not in seen]
            seen.update(v.inputs)
        return False

    def features(self) -> list[Value]:
        found: list[Value] = []
        for output, _ in self.graph.outputs:
            todo, seen = [output], set[Value]()
            while todo:
                v = todo.pop()
                if v in seen:
                    continue
                seen.add(v)
                summed = v.fan_in if v.kind == "map" else v.over
                if v.kind in ("map", "product", "mean") and summed > 0:
                    found += v.inputs
                else:
                    todo += v.inputs
        return found

    def stable_verdict(self, bounds: dict[Value, Size], statuses: Sequence[str]) -> str:
        if all(self.of[v].d < 0 for v, _ in self.graph.outputs):
            return "trivial"
        features = self.features()
        moving = [self.moves(x) for x in features if self.trained(x)] or [False] * len(features)
        if moving and not any(moving):
            return "kernel"
        in_part = any(
            v.tensor is not None
            and v.tensor.sigma > -inf
            and self.of[v.inputs[0]].d > -inf
            and self.along(v.inputs[0], v) > -inf
            and self.map_gain(v) + self.of[v.inputs[0]].s < bounds[v]
            for v in self.graph.values
            if v.kind == "map"
        )
        full = all(s in ("maximal", "frozen") for s in statuses) and all(moving) and not in_part
        return "maximal-update" if full else "feature-learning"


def function_size(function: str, size: Size) -> Size:
    """What a function makes of a size."""
    if function == "log":
        return ZERO
    if function == "square":
        size = 2 * size
    if function in LIFTED:
        size = max(size, ZERO)
    return min(size, ZERO) if function in BOUNDED else size


def is_level(function: str, x: Fraction) -> bool:
    """Whether a function is the same all around a number, or on one side of it."""
    ends: dict[str, tuple[Size, Size]] = {
        "relu": (ZERO, inf),
        "relu6": (ZERO, Fraction(6)),
        "hardtanh": (-ONE, ONE),
        "hardsigmoid": (Fraction(-3), Fraction(3)),
        "hardswish": (Fraction(-3), inf),
    }
    low, high = ends.get(function, (-inf, inf))
    return x <= low or x >= high


def exact_value(function: str, x: Fraction) -> Fraction | None:
    """That of a function, where it is rational."""
    if function == "relu":
        return max(x, ZERO)
    if function == "square":
        return x * x
    third = max(min((x + 3) / 6, ONE), ZERO)
    piecewise = {
        "leaky_relu": x if x > 0 else x / 100,
        "relu6": max(min(x, Fraction(6)), ZERO),
        "hardtanh": max(min(x, ONE), -ONE),
        "softsign": x / (1 + abs(x)),
        "hardsigmoid": third,
        "hardswish": x * third,
    }
    if function in piecewise:
        return piecewise[function]
    if x == 0:
        known = {"sigmoid": HALF, "exp": ONE, "softplus": None, "logsigmoid": None}
        return known.get(function, ZERO)
    return ZERO if function == "log" and x == 1 else None


def apart(x: Found, y: Found) -> bool:
    """Whether they last came from different maps, or from different rows of one."""
    for tensor in x.maps.keys() & y.maps.keys():
        mine, theirs = x.maps[tensor], y.maps[tensor]
        if mine is None or theirs is None:
            return False
        both = mine.keys() & theirs.keys()
        if not any(max(mine[p][0], theirs[p][0]) >= min(mine[p][1], theirs[p][1]) for p in both):
            return False
    return bool(x.maps and y.maps)


def cut(rows: Rows, index: Fraction | int, count: Fraction | int, heads: Fraction | None) -> Rows:
    """One part of so many, of each head of what holds these rows; all where cuts may cross."""
    start, end = rows.get(ZERO, (ZERO, ONE))
    key = ZERO if heads is None else heads / (end - start)
    finer = rows.keys() - {ZERO, key}
    if heads is not None and finer:
        return rows
    low, high = rows.get(key, (ZERO, ONE))
    step = (high - low) / count
    return {**rows, key: (low + index * step, low + (index + 1) * step)}


def judged(graph: Graph) -> Said:
    """What the theory says of a graph."""
    return Calculus(graph).judged()
