"""Random models over the whole language: the text of a spec, and beside it the reference's graph.

Every operation, optimizer, setting and kind of initialization comes up; `Model.used` says which. A
draw starts from exponents that are right for a map of its shape and spoils some.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf

from tests.support.truth.calculus import HALF, ONE, ZERO, Graph, Tensor, Value

GRID = [Fraction(k, 4) for k in range(-2, 3)]
SPOILS = [HALF / 2, HALF / 2, -HALF / 2, HALF, -HALF, ONE]
RULES = (
    "",
    ", normalize = false",
    ", sigmoid = true, groups = 2, top_groups = 2, balanced = true",
    ", groups = 2, top_groups = 2, group_top = 1",
)
FUNCTIONS = (
    *("relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "softplus", "exp", "square"),
    *("elu", "selu", "mish", "leaky_relu", "hardswish", "hardsigmoid", "hardtanh", "relu6"),
    *("softsign", "tanhshrink", "logsigmoid"),
)
MATRICES = ("muon", "muonh", "normuon", "shampoo")
ON_SPHERES = ("adamh", "muonh")
SETTINGS = {  # what each setting of an optimizer may be
    "momentum": ("0", "0.9"),
    "nesterov": ("true", "false"),
    "weight_decay": ("0", "1e-3"),
    "betas": ("(0.9, 0.95)", "(0.8, 0.99)"),
    "eps": ("1e-30",),
    "momentum_decay": ("4e-3", "1e-3"),
    "alpha": ("0.9", "0.99"),
    "lr_decay": ("0", "1e-3"),
    "beta2_decay": ("-0.8", "-0.5"),
    "d": ("1", "2"),
    "ns_steps": ("5", "6"),
    "adjust": ("original", "match_rms_adamw", "spectral"),
    "ridge": ("1e-6", "1e-4"),
    "interval": ("1", "2"),
    "largest": ("10000",),
    "beta2": ("0.9", "0.95"),
    "adan: betas": ("(0.98, 0.92, 0.99)", "(0.9, 0.9, 0.95)"),
    "ademamix: betas": ("(0.9, 0.999, 0.9999)", "(0.8, 0.99, 0.999)"),
    "ademamix: alpha": ("2", "8"),
    "warmup": ("0", "2"),
    "warmup_steps": ("0", "2"),
}
TAKES = {  # which of them each takes
    "sgd": ("momentum", "weight_decay"),
    "adam": ("betas", "weight_decay"),
    "adamw": ("betas", "weight_decay"),
    "radam": ("betas", "weight_decay"),
    "adan": ("betas", "weight_decay"),
    "ademamix": ("betas", "alpha", "warmup", "weight_decay"),
    "schedule_free_adamw": ("betas", "warmup_steps", "weight_decay"),
    "adamh": ("betas",),
    "muonh": ("momentum", "nesterov", "ns_steps"),
    "normuon": ("momentum", "beta2", "nesterov", "ns_steps", "weight_decay"),
    "nadam": ("betas", "weight_decay", "momentum_decay"),
    "adamax": ("betas", "weight_decay"),
    "rmsprop": ("alpha", "momentum", "weight_decay"),
    "adagrad": ("lr_decay", "weight_decay"),
    "lion": ("betas", "weight_decay"),
    "signsgd": ("momentum", "weight_decay"),
    "soap": ("betas", "weight_decay", "interval", "largest"),
    "adafactor": ("beta2_decay", "d", "weight_decay"),
    "lamb": ("betas", "weight_decay"),
    "lars": ("momentum", "weight_decay"),
    "muon": ("momentum", "nesterov", "ns_steps", "weight_decay"),
    "shampoo": ("momentum", "ridge", "weight_decay"),
}
WITH_EPSILON = ("adam", "adamw", "nadam", "adamax", "rmsprop", "adagrad", "soap", "lamb")
WITH_EPSILON += ("radam", "adan", "ademamix", "schedule_free_adamw", "adamh")
ADJUSTED = {"muon": SETTINGS["adjust"], "normuon": SETTINGS["adjust"][:2]}


@dataclass(frozen=True)
class Term:
    """A value as the text has it, in the graph, and its axes."""

    text: str
    value: Value
    axes: tuple[str, ...]


@dataclass
class Training:
    """One optimizer of a spec."""

    name: str
    adjust: str
    settings: list[str]
    rate: Fraction  # what its learning rate grows by
    epsilon: Fraction | None
    clip: Fraction | None
    tensors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """A finished model."""

    text: str
    graph: Graph
    used: Counter[str]
    measurable: bool


class Writer:
    """Writes one model."""

    kind: str  # of what the model is given

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.used: Counter[str] = Counter()
        self.tensors: list[Tensor] = []
        self.declared: list[str] = []
        self.lines: list[str] = []
        self.values: list[Value] = []
        self.terms: list[Term] = []
        self.count = 0
        self.grow = draw.choice(("heads", "head"))
        self.spoilt = draw.choice((0, 0.05, 0.15, 0.3))  # how many exponents are
        self.measurable = True
        self.masked = self.taken = False
        growing = ONE if self.grow == "heads" else ZERO
        self.size = {
            "width": ONE,
            "4 * width": ONE,
            "2 * width": ONE,
            "3 * width": ONE,
            "inner": HALF,
            "width / 2": ONE,
            "width / rank": ONE,
            "heads": growing,
            "head": ONE - growing,
        }
        self.trainings = [self.training(draw.choice(list(TAKES)))]
        if self.trainings[0].name in MATRICES or draw.random() < 0.2:
            self.trainings.append(
                self.training(draw.choice([n for n in TAKES if n not in MATRICES]))
            )

    # Sizes

    def rho(self, axes: Sequence[str]) -> Fraction:
        return sum((self.size.get(axis, ZERO) for axis in axes), ZERO)

    def lacking(self, axes: Sequence[str], result: Sequence[str]) -> Fraction:
        have = [""] * (len(result) - len(axes)) + list(axes)
        return self.rho([r for r, x in zip(result, have, strict=True) if r != x])

    # Tensors

    def training(self, name: str) -> Training:
        draw = self.draw
        self.used[f"optimizer {name}"] += 1
        settings, adjust = [], "original"
        for key in TAKES[name]:
            if draw.random() < 0.25:
                chosen = draw.choice(SETTINGS.get(f"{name}: {key}") or SETTINGS[key])
                settings.append(f"{key} = {chosen}")
                self.used[f"{name}: {key}"] += 1
        if name == "sgd" and draw.random() < 0.2:
            settings = ["momentum = 0.9", "nesterov = true"]
            self.used["sgd: nesterov"] += 1
        if name in ADJUSTED:
            adjust = draw.choice(ADJUSTED[name])
            settings.append(f"adjust = {adjust}")
            self.used[f"{name}: adjust = {adjust}"] += 1
        rate = draw.choice([ZERO] * 6 + GRID)
        epsilon = clip = None
        if name in WITH_EPSILON:
            epsilon = draw.choice([ZERO] * 3 + [ONE, 2 * ONE])
            settings.append(f"eps = 1e-30 * {power(-epsilon)}")
            self.used[f"{name}: eps"] += 1
        if draw.random() < 0.1:
            clip = draw.choice((ZERO, HALF))
            settings.append(f"clip_norm = {power(clip)}")
            self.used["clip_norm"] += 1
        return Training(name, adjust, settings, rate, epsilon, clip)

    def tensor(
        self,
        shape: Sequence[str],
        use: str = "map",
        name: str = "",
        start: str = "",
        copies: int = 1,
    ) -> Tensor:
        """Declares a tensor; `use` is map, table (looked up) or value."""
        draw = self.draw
        name = name or self.fresh("W")
        if use == "map":
            fans = self.rho(shape[1:]), self.rho(shape[:1])
        else:
            fans = ZERO, self.rho(shape if use == "value" else shape[-1:])
        fan_in, fan_out = fans
        own = fan_in if fan_in > 0 else fan_out
        role = {
            (True, True): "hidden",
            (True, False): "output",
            (False, True): "input",
        }.get((fan_in > 0, fan_out > 0), "scalar")
        matrix = len(shape) == 2
        usable = [t for t in self.trainings if matrix or t.name not in MATRICES]
        training = usable[0] if draw.random() < 0.85 else draw.choice(usable)
        a, b, c = self.exponents(fan_in, fan_out, training, use, role, table=use == "table")
        total_c = c
        keys, kind, entries = [], start, None
        if not kind:
            kind = draw.choices(("", "zeros", "ones"), (0.8, 0.12, 0.08 if use == "value" else 0))[
                0
            ]
        if not kind and len(shape) < 2:
            kind = draw.choice(("normal", "ones", "zeros"))
        if kind == "zeros" and training.name in ON_SPHERES:  # it would stay zero, and is refused
            kind = "ones" if start else "normal"
        if kind == "ones":
            entries = draw.choice((ONE, ONE, HALF))
            keys.append("init = ones" if entries == 1 else "init = constant(1/2)")
        elif kind == "zeros":
            keys.append("init = zeros")
        elif use == "map" and len(shape) == 2 and draw.random() < 0.1:
            keys.append("init = orthogonal(1)")
        else:
            fan = "fan_in" if use == "map" else "1"
            keys.append(
                draw.choice(
                    (f"init = normal(1 / {fan}^(1/2))", f"init = uniform(1.7 / {fan}^(1/2))")
                )
            )
        if keys:
            self.used[keys[-1].split("(")[0]] += 1
        if entries is not None and draw.random() < 0.5:
            b = -a
        if own > 0 and own != 1:  # exponents are those of its own width
            a, b, c = (x / own for x in (a, b, c))
        dim = "" if own > 0 else "[width]"
        keys = [f"a{dim} = {a}", f"b{dim} = {b}", f"c{dim} = {c}", *keys]
        frozen = draw.random() < 0.06
        if frozen:
            keys.append("frozen")
        for key, text in (("mult", "mult = 1/2"), ("lr", "lr = 2 * lr")):
            if draw.random() < 0.05:
                keys.append(text)
                self.used[key] += 1
        if "mult = 1/2" in keys and entries is not None:
            entries /= 2
        epsilon = training.epsilon
        if epsilon is not None and own > 0 and draw.random() < 0.1:
            keys.append("d = 1")
            epsilon = epsilon + own
            self.used["d"] += 1
        self.used[f"role {role}"] += 1
        self.used["frozen"] += frozen
        line = f"tensor {name} : {role} [{', '.join(shape)}] {{ {', '.join(keys)} }}"
        self.declared.append(line)
        scale = own if own > 0 else ONE
        tensor = Tensor(
            name,
            a * scale,
            b * scale,
            total_c if "lr = 2 * lr" in keys else total_c - training.rate,
            fan_in,
            fan_out,
            kind or "normal",
            frozen,
            training.name,
            training.adjust,
            rows=self.rho(shape[:1]),
            columns=self.rho(shape[1:]),
            epsilon=epsilon,
            clip=training.clip,
            group=self.trainings.index(training),
            entries=entries,
        )
        training.tensors.append(name)
        self.tensors.append(tensor)
        return tensor

    def exponents(
        self,
        fan_in: Fraction,
        fan_out: Fraction,
        training: Training,
        use: str,
        role: str,
        table: bool,
    ) -> tuple[Fraction, Fraction, Fraction]:
        """Those that fit a map of such fans, some of them spoilt."""
        draw = self.draw
        a = draw.choice([ZERO] * 3 + GRID)
        both = fan_in / 2 if fan_out > 0 else fan_in
        rows, columns = (fan_in, fan_out) if table else (fan_out, fan_in)
        match training.name:
            case "sgd":
                c = -2 * a + (fan_in if role in ("output", "scalar") else fan_in - 1)
            case "adafactor" | "lamb" | "lars" | "adamh" | "muonh":
                c = fan_in - both
            case "normuon" if training.adjust == "match_rms_adamw":
                c = fan_in - a
            case "muon" | "normuon" | "shampoo":
                adjust = {
                    "original": max(rows - columns, ZERO),
                    "match_rms_adamw": max(rows, columns),
                    "spectral": rows - columns,
                }[training.adjust]
                adjust = adjust if training.name in ADJUSTED else ZERO
                wanted = (fan_out - fan_in) if use == "map" else max(fan_in, fan_out)
                c = -a + (adjust - wanted) / 2
            case _:
                c = fan_in - a
        spoil_b, spoil_c = (
            draw.choice(SPOILS) if draw.random() < self.spoilt else ZERO for _ in "bc"
        )
        return a, both - a + spoil_b, c + spoil_c + training.rate

    def fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    # Values

    def value(
        self, kind: str, inputs: Sequence[Value], axes: Sequence[str], **fields: object
    ) -> Value:
        volume = self.rho(axes)
        made = Value(kind, tuple(inputs), volume=volume, **fields)  # type: ignore[arg-type]
        self.values.append(made)
        return made

    def term(
        self, text: str, kind: str, inputs: Sequence[Term], axes: Sequence[str], **fields: object
    ) -> Term:
        made = self.value(kind, [x.value for x in inputs], axes, **fields)
        return Term(text, made, tuple(axes))

    def named(self, term: Term) -> Term:
        """Gives it a name of its own: a text that stands twice is computed twice."""
        name = self.fresh("h")
        self.lines.append(f"{name} = {term.text}")
        term.value.name = term.value.name or name
        return Term(name, term.value, term.axes)

    def keep(self, term: Term) -> Term:
        """The same, and offers it to what follows."""
        self.terms.append(self.named(term))
        return self.terms[-1]

    def map(self, tensor: Tensor, out: str, x: Term, transposed: bool = False) -> Term:
        fans = (tensor.fan_out, tensor.fan_in) if transposed else (tensor.fan_in, tensor.fan_out)
        self.used["@ transposed" if transposed else "@"] += 1
        return self.term(
            f"{tensor.name}{'.T' if transposed else ''} @ ({x.text})",
            "map",
            [x],
            (*x.axes[:-1], out),
            tensor=tensor,
            fan_in=fans[0],
            fan_out=fans[1],
            beside=self.rho(x.axes[:-1]),
            transposed=transposed,
            rows=not transposed and tensor.fan_in == tensor.columns,
        )

    def new_map(self, x: Term, out: str) -> Term:
        return self.map(self.tensor((out, x.axes[-1])), out, x)

    def parameter(self, axes: Sequence[str], start: str = "") -> Term:
        """A tensor as a value."""
        tensor = self.tensor(axes, "value", start=start)
        return self.term(tensor.name, "value", [], axes, tensor=tensor, rows=bool(axes))

    def function(self, x: Term, name: str = "") -> Term:
        name = name or self.draw.choice(FUNCTIONS)
        self.used[name] += 1
        return self.term(f"{name}({x.text})", "function", [x], x.axes, function=name)

    def binary(self, sign: str, x: Term, y: Term) -> Term:
        longer = x.axes if len(x.axes) >= len(y.axes) else y.axes
        axes = list(longer)
        for other in (x.axes, y.axes):
            for i, axis in enumerate(other):
                if axis != "1":
                    axes[len(axes) - len(other) + i] = axis
        lacking = (self.lacking(x.axes, axes), self.lacking(y.axes, axes))
        self.used[sign] += 1
        if sign == "-" and x.value is y.value:
            return self.term(f"({x.text} - {y.text})", "zeros", [], axes)
        kind = "product" if sign == "*" else "sum"
        minus = 1 if sign == "-" else None
        return self.term(
            f"({x.text} {sign} {y.text})",
            kind,
            [x, y],
            axes,
            lacking=lacking,
            minus=minus,
            termwise=True,
        )

    def scaled(
        self, x: Term, exponent: Fraction, text: str = "", amount: Fraction | None = None
    ) -> Term:
        self.used["scale"] += 1
        if not text and exponent == 0:
            amount = ONE
        text = text or f"({power(exponent)} * {x.text})"
        return self.term(text, "scale", [x], x.axes, factor=exponent, amount=amount)

    def offset(self, x: Term, number: Fraction, sign: str = "+", exponent: Fraction = ZERO) -> Term:
        """`x + k`, `x - k` or `k - x`, the last as sign "r"; `exponent`: of a power as k."""
        self.used["offset"] += 1
        amount = None if exponent else number
        value = self.value("number", [], x.axes, amount=amount, factor=exponent)
        by = power(exponent) if exponent else str(number)
        text = f"({by} - {x.text})" if sign == "r" else f"({x.text} {sign} {by})"
        minus = {"+": None, "-": 1, "r": 0}[sign]
        inputs = [x.value, value]
        made = self.value("sum", inputs, x.axes, lacking=(ZERO, ZERO), minus=minus)
        return Term(text, made, x.axes)

    def same(self, text: str, x: Term, axes: Sequence[str], name: str, kind: str = "same") -> Term:
        self.used[name] += 1
        return self.term(text, kind, [x], axes)

    def normed(self, x: Term, name: str, heads: bool = False) -> Term:
        """A layer or RMS norm, with a gain and a bias or without."""
        draw = self.draw
        self.used[name] += 1
        inside = (*x.axes[:-1], "heads", "head") if heads else x.axes
        made = self.term("", "norm", [x], inside, centres=name == "layernorm", last=True)
        arguments = [x.text]
        for key, kind in (("gain", "product"), ("bias", "sum")):
            if draw.random() < 0.4:
                shape = draw.choice((("head",), ("heads", "head"))) if heads else (x.axes[-1],)
                vector = self.parameter(
                    shape, draw.choice(("ones", "normal", "")) if key == "gain" else ""
                )
                arguments.append(f"{key} = {vector.text}")
                self.used[f"{name}: {key}"] += 1
                lacking = (ZERO, self.lacking(shape, inside))
                made = self.term("", kind, [made, vector], inside, lacking=lacking)
        if heads:
            arguments.append("heads = heads")
            self.used[f"{name}: heads"] += 1
        if draw.random() < 0.1:
            arguments.append("eps = 1e-12")
            self.used[f"{name}: eps"] += 1
        return Term(f"{name}({', '.join(arguments)})", made.value, x.axes)

    def attention(self, x: Term, y: Term) -> Term:
        draw, few = self.draw, self.draw.random() < 0.25
        keys = "head" if few else "width"
        if draw.random() < 0.3 and not few:
            packed = self.named(self.new_map(x, "3 * width"))
            q, k, v = self.parts(packed, 3, "width", draw.random() < 0.3)
            if draw.random() < 0.2:  # one that another way to split it shares rows with
                k = draw.choice(self.parts(packed, 3, "width", draw.random() < 0.5))
        else:
            q, k, v = self.new_map(x, "width"), self.new_map(y, keys), self.new_map(y, keys)
        if draw.random() < 0.2:
            q = self.normed(q, "rmsnorm", heads=True)
        if draw.random() < 0.15:
            self.used["rope: theta"] += 1
            q = self.same(f"rope({q.text}, heads = heads, theta = 100)", q, q.axes, "rope")
        group = self.size["heads"] if few else ZERO
        logits_axes = ("heads", "sequence", "sequence")
        scale = draw.choice(("head^-1", "head^(-1/2)"))
        exponent = -self.size["head"] if scale == "head^-1" else -self.size["head"] / 2
        dot = self.value(
            "product",
            [q.value, k.value],
            logits_axes,
            over=self.size["head"],
            lacking=(ZERO, group),
        )
        logits = self.value("scale", [dot], logits_axes, factor=exponent)
        arguments = [q.text, k.text, v.text, "heads = heads"]
        self.used["attention"] += 1
        if few:
            arguments.append("kv_heads = 1")
            self.used["attention: kv_heads"] += 1
        arguments.append(f"scale = {scale}")
        if draw.random() < 0.3:
            arguments.append("causal = true")
            self.used["attention: causal"] += 1
            if draw.random() < 0.3:
                arguments.append("window = 2")
                self.used["attention: window"] += 1
        if draw.random() < 0.2:
            arguments.append("softcap = 3")
            self.used["attention: softcap"] += 1
            logits = self.value("function", [logits], logits_axes, function="tanh")
        if draw.random() < 0.05:
            arguments.append("mask = keep")
            self.used["attention: mask"] += 1
            self.masked, self.measurable = True, False  # a random mask may keep nothing
        if draw.random() < 0.3:
            bias, lacking = self.bias()
            arguments.append(f"bias = {bias.text}")
            self.used["attention: bias"] += 1
            logits = self.value("sum", [logits, bias.value], logits_axes, lacking=(ZERO, lacking))
        weights = self.value("softmax", [logits], logits_axes)
        # each value is weighed by its head's weights, which lack what a head's value is long
        out = self.value("product", [weights, v.value], x.axes, lacking=(self.size["head"], group))
        return Term(f"attention({', '.join(arguments)})", out, x.axes)

    def bias(self) -> tuple[Term, Fraction]:
        axes = ("heads", "sequence", "sequence")
        if self.draw.random() < 0.3:
            self.used["alibi"] += 1
            return self.term("alibi(heads, sequence)", "input", [], axes), ZERO
        table = self.tensor(("5", "heads"), "table")
        self.used["relative_bias"] += 1
        causal = ", causal = true" if self.draw.random() < 0.5 else ""
        self.used["relative_bias: causal"] += bool(causal)
        text = f"relative_bias({table.name}, sequence, max_distance = 4{causal})"
        return self.term(text, "lookup", [], axes, tensor=table), ZERO

    # Steps: each takes two of the last values, of which the first is `[sequence, width]`

    def step_map(self, x: Term, y: Term) -> Term:
        return self.new_map(x, "width")

    def step_function(self, x: Term, y: Term) -> Term:
        return self.function(x)

    def step_norm(self, x: Term, y: Term) -> Term:
        return self.normed(x, self.draw.choice(("layernorm", "rmsnorm")), self.draw.random() < 0.15)

    def step_feedforward(self, x: Term, y: Term) -> Term:
        return self.new_map(self.function(self.new_map(x, "4 * width")), "width")

    def parts(self, x: Term, count: int, axis: str, by_heads: bool) -> list[Term]:
        """Parts of the last axis, or of that of each head."""
        names = [self.fresh("p") for _ in range(count)]
        heads = ", heads = heads" if by_heads else ""
        self.lines.append(f"{', '.join(names)} = split({x.text}, {count}{heads})")
        self.used["split"] += 1
        self.used["split: heads"] += by_heads
        key = ONE if by_heads else None
        axes = (*x.axes[:-1], axis)
        return [
            self.term(name, "part", [x], axes, part=(i, count), heads=key)
            for i, name in enumerate(names)
        ]

    def step_gated(self, x: Term, y: Term) -> Term:
        packed = self.named(self.new_map(x, "2 * width"))
        left, right = self.parts(packed, 2, "width", self.draw.random() < 0.3)
        return self.binary("*", self.function(left, "silu"), right)

    def step_quarters(self, x: Term, y: Term) -> Term:
        """Two of four parts of a map, each got in two ways, and their inner product."""
        packed, draw = self.named(self.new_map(x, "4 * width")), self.draw
        pair = []
        for _ in range(2):
            half = draw.choice(self.parts(packed, 2, "2 * width", draw.random() < 0.5))
            by_heads = draw.random() < 0.5 or (self.grow == "head" and half.value.heads is not None)
            pair.append(draw.choice(self.parts(half, 2, "width", by_heads)))
        return self.similar(*pair)

    def step_permuted(self, x: Term, y: Term) -> Term:
        """A map over the positions, as `step_across`, with a function of both axes."""
        order = self.draw.choice(("(1, 0)", "(-1, -2)", "(1, -2)"))
        flipped = self.permuted(x, order, ("width", "sequence"))
        return self.permuted(self.new_map(flipped, "sequence"), order, x.axes)

    def permuted(self, x: Term, order: str, axes: Sequence[str]) -> Term:
        self.used["permute: axis"] += 1
        return self.same(f"permute({x.text}, axis = {order})", x, axes, "permute")

    def step_take(self, x: Term, y: Term) -> Term:
        """A position that each sample names."""
        if self.kind == "image":
            return x
        self.taken = True
        self.used["take"] += 1
        taken = self.term(f"take({y.text}, at)", "part", [y], ("width",))
        return self.binary(self.draw.choice("+*"), x, taken)

    def copies(self, x: Term, count: str, axis: str) -> Term:
        tiled = self.used["repeat_interleave"] > self.used["tile"]
        operation = "tile" if tiled else "repeat_interleave"
        for name in ("", ": n"):
            self.used[f"{operation}{name}"] += 1
        return self.term(
            f"{operation}({x.text}, {count})",
            "copies",
            [x],
            (*x.axes[:-1], axis),
            lacking=(self.rho((count,)),),
            alike=x.axes[-1] == "1",
        )

    def step_copies(self, x: Term, y: Term) -> Term:
        """Every coordinate several times: of few numbers, of a tensor for each head, of a half."""
        draw = self.draw
        choice = draw.randrange(5)
        if choice == 0:
            made = self.copies(self.new_map(x, "rank"), "width / rank", "width")
        elif choice == 1:
            made = self.copies(self.parameter(("heads",)), "head", "width")
        elif choice == 2:
            made = self.copies(self.new_map(x, "heads"), "head", "width")
        elif choice == 3:
            made = self.copies(self.parameter(("1",)), "width", "width")
        else:
            made = self.copies(self.new_map(x, "width / 2"), "2", "width")
        if len(made.axes) == 1:
            return self.binary(draw.choice("+*"), x, made)
        if draw.random() < 0.5:
            return self.binary(draw.choice("+*"), x, made)
        return self.normed(made, draw.choice(("layernorm", "rmsnorm")))

    def step_products_of_copies(self, x: Term, y: Term) -> Term:
        """Inner products of copies with copies of another, or with what is none."""
        left = self.copies(self.new_map(x, "heads"), "head", "width")
        other = self.new_map(y, self.draw.choice(("heads", "width")))
        right = other if other.axes[-1] == "width" else self.copies(other, "head", "width")
        return self.similar(left, right)

    def step_rescale(self, x: Term, y: Term) -> Term:
        draw = self.draw
        given, factors = [], {}
        for key in ("forward", "backward"):
            factors[key] = draw.choice(GRID) if draw.random() < 0.6 else ZERO
            if factors[key] or draw.random() < 0.2:
                given.append(f"{key} = 2 * {power(factors[key])}")
                self.used[f"rescale: {key}"] += 1
        if draw.random() < 0.2:  # a gradient that is stopped
            given, factors["backward"] = ["backward = 0"], -inf
            factors["forward"] = ZERO
        self.used["rescale"] += 1
        text = f"rescale({', '.join([x.text, *given])})"
        return self.term(
            text, "scale", [x], x.axes, factor=factors["forward"], back=factors["backward"]
        )

    def step_residual(self, x: Term, y: Term) -> Term:
        inner = self.draw.choice(
            (self.step_map, self.step_feedforward, self.step_contract, self.attention)
        )
        normed = self.named(self.normed(x, self.draw.choice(("layernorm", "rmsnorm"))))
        return self.binary("+", x, inner(normed, normed))

    def step_sum(self, x: Term, y: Term) -> Term:
        return self.binary(self.draw.choice("+-"), x, y)

    def step_product(self, x: Term, y: Term) -> Term:
        return self.binary("*", x, y)

    def step_bias(self, x: Term, y: Term) -> Term:
        return self.binary("+", x, self.parameter(("width",)))

    def step_gain(self, x: Term, y: Term) -> Term:
        return self.binary("*", self.parameter(("width",)), x)

    def step_positions(self, x: Term, y: Term) -> Term:
        return self.binary("+", x, self.parameter(("sequence", "width")))

    def step_alpha(self, x: Term, y: Term) -> Term:
        alpha = self.parameter(("1",), self.draw.choice(("ones", "zeros")))
        if self.draw.random() < 0.3:
            alpha = self.function(alpha, self.draw.choice(("exp", "sigmoid", "tanh")))
        return self.binary("*", alpha, x)

    def step_scale(self, x: Term, y: Term) -> Term:
        exponent = self.draw.choice(GRID)
        texts = {0: (f"({x.text} / 3)", Fraction(1, 3)), 1: (f"(-({x.text}))", -ONE)}
        choice = self.draw.randrange(6)
        return self.scaled(x, exponent if choice >= 2 else ZERO, *texts.get(choice, ()))

    def step_offset(self, x: Term, y: Term) -> Term:
        draw = self.draw
        exponent = draw.choice(GRID) if draw.random() < 0.3 else ZERO
        return self.offset(x, *draw.choice(((HALF, "+"), (ONE, "r"), (ONE, "-"))), exponent)

    def step_cancels(self, x: Term, y: Term) -> Term:
        """Of what is a number at the start, most often, the function or less that takes it away."""
        draw = self.draw
        if draw.random() < 0.5:
            start = self.map(self.tensor(("width", "width"), start="zeros"), "width", x)
            if draw.random() < 0.3:
                start = self.normed(start, draw.choice(("layernorm", "rmsnorm")))
        else:
            start = self.parameter(("width",), draw.choice(("zeros", "ones")))
        name = draw.choice(("exp", "sigmoid", "square", "relu", "tanh", "softplus", ""))
        made = self.function(start, name) if name else start
        if draw.random() < 0.3:
            made = self.scaled(made, ZERO, f"(2 * {made.text})", Fraction(2))
        if draw.random() < 0.3:
            other = self.parameter(("width",), draw.choice(("zeros", "ones")))
            made = self.binary(draw.choice("+-*"), made, other)
        less = draw.choice((ZERO, ONE, ONE, HALF))
        if less:
            made = self.offset(made, less, draw.choice("-r"))
        if draw.random() < 0.3:
            positive = self.offset(self.function(made, "square"), ONE, "+")
            made = self.function(positive, "log")
        if draw.random() < 0.5:
            made = self.function(made, draw.choice(("relu", "square", "tanh", "sigmoid", "gelu")))
        if len(made.axes) == 2 and draw.random() < 0.3:
            return self.similar(made, y)
        return self.binary(draw.choice("+*"), x, made)

    def step_shared(self, x: Term, y: Term) -> Term:
        found = [t for t in self.tensors if t.fan_in == t.fan_out == 1 and t.name in self.square]
        tensor = self.draw.choice(found) if found else self.tensor(("width", "width"))
        self.square.add(tensor.name)
        return self.map(tensor, "width", x, self.draw.random() < 0.4)

    def step_contract(self, x: Term, y: Term) -> Term:
        inner = self.new_map(x, "rank")
        if self.draw.random() < 0.6:
            inner = self.function(inner)
        elif self.draw.random() < 0.4:
            inner = self.normed(inner, "rmsnorm")
        made = self.new_map(inner, "width")
        if self.draw.random() < 0.3:
            made = self.scaled(made, self.draw.choice([ZERO] * 4 + GRID))
        if self.draw.random() < 0.4:
            name = self.draw.choice(("layernorm", "rmsnorm", "", ""))
            return self.normed(made, name) if name else self.function(made)
        return made

    def step_inner(self, x: Term, y: Term) -> Term:
        """A bottleneck that grows, as the root of the width."""
        self.measurable = False  # few widths have a whole root
        inner = self.new_map(x, "inner")
        if self.draw.random() < 0.5:
            inner = self.function(inner)
        return self.new_map(inner, "width")

    def step_softmax(self, x: Term, y: Term) -> Term:
        name = self.draw.choice(("softmax", "softmax", "log_softmax", "logsumexp"))
        self.used[name] += 1
        logits = self.new_map(x, "rank")
        axes = logits.axes[:-1] if name == "logsumexp" else logits.axes
        made = self.term(f"{name}({logits.text})", name, [logits], axes, axis=axes[-1])
        if name == "logsumexp":
            self.used["unsqueeze"] += 1
            text = f"unsqueeze({made.text}, axis = -1)"
            return self.binary("*", x, self.term(text, "same", [made], (*axes, "1")))
        if self.draw.random() < 0.25:
            return self.binary("*", x, self.mean_of_few(self.weighed(made, x)))
        return self.new_map(made, "width")

    def weighed(self, made: Term, x: Term) -> Term:
        """Of a softmax, what sums to a number as it does, or to none."""
        draw = self.draw
        match draw.randrange(7):
            case 0:
                return self.offset(
                    made, draw.choice((ONE, HALF)), draw.choice("+-r"), draw.choice((ZERO, *GRID))
                )
            case 1:
                return self.scaled(made, ZERO, f"(3 * {made.text})", Fraction(3))
            case 2:
                return self.scaled(made, draw.choice(GRID))
            case 3 | 4:
                logits = self.new_map(x, "rank")
                name = draw.choice(("softmax", "softmax", "log_softmax"))
                self.used[name] += 1
                axes = logits.axes
                other = self.term(f"{name}({logits.text})", name, [logits], axes, axis=axes[-1])
                return self.binary(draw.choice("+-*"), made, other)
            case 5:
                return self.binary(draw.choice("+-"), made, self.parameter(("rank",), "zeros"))
        return made

    def mean_of_few(self, x: Term) -> Term:
        """Over the last axis, a finite one: that of a softmax is a number."""
        self.used["mean"] += 1
        self.used["unsqueeze"] += 1
        axes = x.axes[:-1]
        mean = self.term(f"mean({x.text}, axis = -1)", "mean", [x], axes, last=True)
        return self.term(f"unsqueeze({mean.text}, axis = -1)", "same", [mean], (*axes, "1"))

    def step_log(self, x: Term, y: Term) -> Term:
        """Of what is positive: a function of a map, a softmax, a square and a number."""
        choice = self.draw.randrange(5)
        if choice < 3:
            name = ("exp", "sigmoid", "softplus")[choice]
            positive = self.function(self.new_map(x, "width"), name)
        elif choice == 3:
            logits = self.new_map(x, "rank")
            positive = self.term(f"softmax({logits.text})", "softmax", [logits], logits.axes)
            self.used["softmax"] += 1
        else:
            inner = self.function(self.new_map(x, "width"), "square")
            positive = self.offset(inner, ONE)
        if self.draw.random() < 0.3:
            positive = self.scaled(positive, self.draw.choice(GRID))
        return self.new_map(self.function(positive, "log"), "width")

    def step_pieces(self, x: Term, y: Term) -> Term:
        names, heads = [self.fresh("p") for _ in range(2)], ""
        lengths, cuts = ("width / 2", "width / 2"), ((0, 2), (1, 2))
        if len(self.lines) % 2:  # of a quarter, and of the rest
            lengths, heads = ("width / 4", "3 * width / 4"), ", heads = heads"
            cuts = ((0, 4), (Fraction(1, 3), Fraction(4, 3)))
        parts = f"({', '.join(lengths)})" if heads else "2"
        self.lines.append(f"{', '.join(names)} = split({x.text}, {parts})")
        left, right = (
            self.term(name, "part", [x], (*x.axes[:-1], length), part=cut)
            for name, length, cut in zip(names, lengths, cuts, strict=True)
        )
        self.used["split"] += 1
        self.used["concat"] += 1
        return self.term(
            f"concat({right.text}, {left.text}{heads})",
            "concat",
            [right, left],
            x.axes,
            lacking=(ZERO, ZERO),
        )

    def step_index(self, x: Term, y: Term) -> Term:
        self.used["index"] += 1
        first = self.term(f"{x.text}[0]", "part", [x], ("width",))
        return self.binary("+", x, first)

    def step_mean(self, x: Term, y: Term) -> Term:
        self.used["mean"] += 1
        over = self.term(f"mean({y.text}, axis = 0)", "mean", [y], ("width",))
        return self.binary("+", x, over)

    def step_sum_over(self, x: Term, y: Term) -> Term:
        self.used["sum"] += 1
        mean = self.term("", "mean", [y], ("width",))
        total = self.scaled(mean, ZERO, f"sum({y.text}, axis = 0)")
        return self.binary("+", x, total)

    def step_mean_over_width(self, x: Term, y: Term) -> Term:
        self.used["mean"] += 1
        self.used["unsqueeze"] += 1
        draw = self.draw
        if draw.random() < 0.3:
            y = self.normed(y, "layernorm")
            if draw.random() < 0.5:
                y = self.offset(y, ONE, draw.choice("+-r"), draw.choice((ZERO, *GRID)))
        mean = self.term(
            f"mean({y.text}, axis = -1)", "mean", [y], ("sequence",), over=ONE, last=True
        )
        lifted = self.term(f"unsqueeze({mean.text}, axis = -1)", "same", [mean], ("sequence", "1"))
        return self.binary(self.draw.choice("+*"), x, lifted)

    def step_sum_over_width(self, x: Term, y: Term) -> Term:
        self.used["sum"] += 1
        mean = self.term("", "mean", [y], ("sequence",), over=ONE, last=True)
        total = self.scaled(mean, ONE, f"sum({y.text}, axis = -1)")
        factor = self.draw.choice((-HALF, -ONE))
        lifted = self.same(
            f"unsqueeze({total.text}, axis = -1)", total, ("sequence", "1"), "unsqueeze"
        )
        choice = self.draw.randrange(6)
        if choice == 0:  # a number that is learnt, within the factor
            lifted = self.binary("*", lifted, self.parameter(("1",), "ones"))
        elif choice == 1:  # or with it
            scaled = self.scaled(self.parameter(("1",), "ones"), factor)
            return self.binary("*", x, self.binary("*", scaled, lifted))
        return self.binary("*", x, self.scaled(lifted, factor))

    def step_attention(self, x: Term, y: Term) -> Term:
        return self.attention(x, y)

    def step_similarity(self, x: Term, y: Term) -> Term:
        if self.draw.random() < 0.3:
            x, y = (self.function(self.new_map(z, "width")) for z in (x, y))
        return self.similar(x, y)

    def similar(self, x: Term, y: Term) -> Term:
        self.used["similarity"] += 1
        dot = self.value(
            "product", [x.value, y.value], ("sequence", "sequence"), over=ONE, lacking=(ZERO, ZERO)
        )
        term = Term(f"similarity({x.text}, {y.text})", dot, ("sequence", "sequence"))
        return self.new_map(self.scaled(term, self.draw.choice((-HALF, -ONE))), "width")

    def step_weights(self, x: Term, y: Term) -> Term:
        """A map whose weights are made of a tensor: of other sizes, signs, lengths of rows."""
        draw = self.draw
        if len(x.axes) < 2:
            return x
        made = self.parameter(("width", "width"), draw.choice(("normal", "normal", "")))
        for _ in range(draw.randint(0, 2)):
            match draw.randrange(4):
                case 0:
                    made = self.function(made, draw.choice(("tanh", "softsign", "relu")))
                case 1:
                    made = self.normed(made, draw.choice(("layernorm", "rmsnorm")))
                case 2:
                    made = self.binary(draw.choice("+*"), self.parameter(("width",)), made)
                case _:
                    made = self.binary(draw.choice("+*"), self.parameter(("width", "width")), made)
        self.used["similarity"] += 1
        axes = x.axes[0], "width"
        inputs = [x.value, made.value]
        dot = self.value("product", inputs, axes, over=ONE, lacking=(ONE, ZERO))
        term = Term(f"similarity({x.text}, {made.text})", dot, axes)
        return self.scaled(term, draw.choice((-HALF, -HALF, -ONE)))

    def step_dropout(self, x: Term, y: Term) -> Term:
        return self.same(f"dropout({x.text}, 0.1)", x, x.axes, "dropout")

    def step_rope(self, x: Term, y: Term) -> Term:
        pairs = ", interleaved = true" if len(self.lines) % 2 else ""
        return self.same(f"rope({x.text}, heads = heads{pairs})", x, x.axes, "rope")

    def step_zeros(self, x: Term, y: Term) -> Term:
        self.used["zeros"] += 1
        zeros = self.term("zeros(width)", "zeros", [], ("width",))
        return self.binary("+", x, zeros)

    def step_flipped(self, x: Term, y: Term) -> Term:
        """An operation over the sequence as space."""
        flipped = self.same(f"transpose({x.text})", x, ("width", "sequence"), "transpose")
        if self.kind == "tokens" and self.draw.random() < 0.25:
            made = self.there_and_back(flipped)
        else:
            ways = (self.convolved, self.transposed_convolution, self.pooled)
            made = self.draw.choice(ways)(flipped, 1)
        return self.same(f"transpose({made.text})", made, x.axes, "transpose")

    def step_across(self, x: Term, y: Term) -> Term:
        """A map over the positions, side by side for every coordinate."""
        flipped = self.same(f"transpose({x.text})", x, ("width", "sequence"), "transpose")
        mixed = self.new_map(flipped, "sequence")
        return self.same(f"transpose({mixed.text})", mixed, x.axes, "transpose")

    def step_mixture(self, x: Term, y: Term) -> Term:
        logits = self.new_map(x, "experts")
        block, instance = self.fresh("Expert"), self.fresh("expert")
        outside, self.declared = self.declared, []
        name = f"{instance}.E"
        tensor = self.tensor(("width", "width"), name=name)
        (line,), self.declared = self.declared, outside
        self.blocks.append(
            f"block {block}(x) {{\n    {line.replace(name, 'E', 1)}\n    return E @ relu(x)\n}}\n"
        )
        self.used["block"] += 1
        inside = self.function(x, "relu")
        expert = self.map(tensor, "width", inside)
        self.used["mixture"] += 1
        lacking = (ONE, ZERO)
        top = self.draw.choice((1, 2, 3))
        rule = RULES[(top + len(self.blocks)) % len(RULES)]
        text = f"mixture({logits.text}, {block}({x.text}) as {instance}, top = {top}{rule})"
        if top == 1 and "normalize = false" not in rule:  # its weight is 1
            return self.term(text, "scale", [expert], x.axes, amount=ONE)
        if "sigmoid" in rule:
            weights = self.term("", "function", [logits], logits.axes, function="sigmoid")
        else:
            weights = self.term("", "softmax", [logits], logits.axes)
        return self.term(text, "product", [weights, expert], x.axes, lacking=lacking)

    def step_repeat(self, x: Term, y: Term) -> Term:
        """Two copies of a residual branch, with a tensor each."""
        self.used["repeat"] += 1
        block = self.fresh("layers")
        state = self.named(self.same(f"1 * {x.text}", x, x.axes, "repeat state", "scale"))
        outside, self.declared = self.declared, []
        name = f"{block}.own"
        tensor = self.tensor(("width", "width"), name=name)
        (line,), self.declared = self.declared, outside
        state.value.name = ""
        self.lines += [
            f"repeat 2 as {block} {{",
            f"    {line.replace(name, 'own', 1)}",
            f"    {state.text} = {state.text} + own @ tanh({state.text})",
            "}",
        ]
        made = state
        for copy in range(2):
            if copy:
                tensor = copy_of(tensor)
                self.tensors.append(tensor)
            inside = self.map(tensor, "width", self.function(made, "tanh"))
            summed = self.binary("+", made, inside)
            made = Term(state.text, summed.value, x.axes)
        made.value.name = state.text
        return made

    def step_recurrence(self, x: Term, y: Term) -> Term:
        self.used["repeat"] += 1
        tensor = self.tensor(("width", "width"))
        name = self.fresh("h")
        block = self.fresh("steps")
        self.lines += [
            f"{name} = zeros(width)",
            f"repeat sequence as {block} {{",
            f"    {name} = tanh({tensor.name} @ {name} + {x.text}[{block}])",
            "}",
        ]
        state = self.term(name, "zeros", [], ("width",))
        self.used["zeros"] += 1
        self.used["index"] += 1
        for _ in range(3):
            moved = self.map(tensor, "width", state)
            given = self.term("", "part", [x], ("width",))
            state = self.function(self.binary("+", moved, given), "tanh")
        return self.binary("+", x, Term(name, state.value, ("width",)))

    # Space

    def convolved(self, x: Term, axes: int) -> Term:
        kernel = ("3",) * axes
        groups = self.draw.choice(("", "", "width", "heads"))
        fan_in = {"": "width", "width": "1", "heads": "width / heads"}[groups]
        self.size["width / heads"] = self.size["head"]
        tensor = self.tensor(("width", fan_in, *kernel))
        arguments = f"padding = 1{', groups = ' + groups if groups else ''}"
        self.used[f"conv{axes}d"] += 1
        if groups:
            self.used["conv: groups"] += 1
        out = {"": ONE, "width": ZERO, "heads": self.size["head"]}[groups]
        fan = self.rho((fan_in,))
        text = f"conv{axes}d({tensor.name}, {x.text}, {arguments})"
        return self.term(text, "map", [x], x.axes, tensor=tensor, fan_in=fan, fan_out=out)

    def transposed_convolution(self, x: Term, axes: int) -> Term:
        tensor = self.tensor(("width", "width", *("3",) * axes))
        self.used[f"conv_transpose{axes}d"] += 1
        arguments = "padding = 1"
        text = f"conv_transpose{axes}d({tensor.name}, {x.text}, {arguments})"
        return self.term(text, "map", [x], x.axes, tensor=tensor, fan_in=ONE, fan_out=ONE)

    def there_and_back(self, x: Term) -> Term:
        """Three places to one, and one to three."""
        size = self.draw.choice("23")
        down, up = self.tensor(("width", "width", "3")), self.tensor(("width", "width", size))
        text = f"conv1d({down.name}, {x.text}, stride = 3)"
        one = self.term(text, "map", [x], ("width", "1"), tensor=down, fan_in=ONE, fan_out=ONE)
        more = ", output_padding = 1" if size == "2" else ""
        text = f"conv_transpose1d({up.name}, {one.text}, stride = 3{more})"
        return self.term(text, "map", [one], x.axes, tensor=up, fan_in=ONE, fan_out=ONE)

    def pooled(self, x: Term, axes: int) -> Term:
        name = self.draw.choice(("maxpool", "avgpool"))
        kind = "largest" if name == "maxpool" else "same"
        if axes == 2 and self.draw.random() < 0.3:
            text = f"{name}({x.text}, 3, stride = 1, padding = 1)"
            return self.same(text, x, x.axes, name, kind)
        if axes == 1:  # a sequence of three stays as long with a window of 3
            return self.same(f"{name}({x.text}, 3, stride = 1, padding = 1)", x, x.axes, name, kind)
        smaller = self.same(f"{name}({x.text}, 2)", x, ("width", "2", "2"), name, kind)
        choice = self.draw.randrange(3)
        if choice:
            return self.enlarged(smaller, choice == 1)
        linear = ", linear = true" if len(self.lines) % 2 else ""
        text = f"upsample({smaller.text}, factor = 2{linear})"
        return self.same(text, smaller, x.axes, "upsample")

    def enlarged(self, x: Term, padded: bool) -> Term:
        """A transposed convolution that doubles the sides."""
        size = "3" if padded else "2"
        tensor = self.tensor(("width", "width", size, size))
        self.used["conv_transpose2d"] += 1
        self.used["conv_transpose2d: stride"] += 1
        more = ", padding = 1, output_padding = 1" if padded else ""
        self.used["conv_transpose2d: output_padding"] += padded
        text = f"conv_transpose2d({tensor.name}, {x.text}, stride = 2{more})"
        axes = ("width", "side", "side")
        return self.term(text, "map", [x], axes, tensor=tensor, fan_in=ONE, fan_out=ONE)

    def strided(self, x: Term) -> Term:
        tensor = self.tensor(("width", "width", "3", "3"))
        self.used["conv2d"] += 1
        self.used["conv2d: stride"] += 1
        text = f"conv2d({tensor.name}, {x.text}, stride = 2, padding = 1)"
        smaller = self.term(
            text, "map", [x], ("width", "2", "2"), tensor=tensor, fan_in=ONE, fan_out=ONE
        )
        return self.same(f"upsample({smaller.text}, factor = 2)", smaller, x.axes, "upsample")

    def halves(self, x: Term) -> Term:
        """The channels in two halves, or the rows, and side by side again."""
        axis, half = self.draw.choice(
            ((0, ("width / 2", "side", "side")), (1, ("width", "2", "side")))
        )
        names = [self.fresh("p") for _ in range(2)]
        self.lines.append(f"{', '.join(names)} = split({x.text}, 2, axis = {axis})")
        left, right = (self.term(n, "part", [x], half) for n in names)
        text = f"concat({right.text}, {left.text}, axis = {axis})"
        return self.term(text, "concat", [right, left], x.axes, lacking=(ZERO, ZERO))

    def image_step(self, x: Term, y: Term) -> Term:
        draw = self.draw
        choice = draw.randrange(11)
        if choice <= 2:
            return self.convolved(x, 2)
        if choice == 3:
            return self.transposed_convolution(x, 2)
        if choice == 4:
            return self.pooled(x, 2)
        if choice == 5:
            return self.function(x)
        if choice == 6:
            return self.binary("+", x, self.convolved(x, 2))
        if choice == 7:
            self.used["mean"] += 1
            mean = self.term(f"mean({x.text}, axis = (-2, -1))", "mean", [x], ("width",))
            gate = self.new_map(mean, "width")
            if draw.random() < 0.5:
                gate = self.function(gate, "sigmoid")
            lifted = self.same(
                f"unsqueeze({gate.text}, axis = (-2, -1))", gate, ("width", "1", "1"), "unsqueeze"
            )
            return self.binary(draw.choice("+*"), x, lifted)
        if choice == 8:
            return self.strided(x)
        if choice == 9:
            return self.halves(x)
        return self.channel_norm(x)

    def channel_norm(self, x: Term) -> Term:
        name = self.draw.choice(("batchnorm", "groupnorm"))
        self.used[name] += 1
        by_channel = name == "batchnorm"
        made = self.term("", "norm", [x], x.axes, centres=True, channel_by_channel=by_channel)
        arguments = [x.text]
        for key, kind in (("gain", "product"), ("bias", "sum")):
            if self.draw.random() < 0.4:
                vector = self.parameter(("width",), "ones" if key == "gain" else "")
                arguments.append(f"{key} = {vector.text}")
                self.used[f"{name}: {key}"] += 1
                made = self.term("", kind, [made, vector], x.axes, lacking=(ZERO, ZERO))
        if name == "groupnorm":
            arguments.append("groups = heads")
            self.used["groupnorm: groups"] += 1
        if self.draw.random() < 0.1:
            arguments.append("eps = 1e-12")
            self.used[f"{name}: eps"] += 1
        return Term(f"{name}({', '.join(arguments)})", made.value, x.axes)

    # The whole

    def run(self, steps: int) -> Model:
        self.square: set[str] = set()
        self.blocks: list[str] = []
        draw = self.draw
        kind = self.kind = draw.choices(("tokens", "image", "patches"), (0.8, 0.12, 0.08))[0]
        if kind == "tokens":
            self.table = self.tensor(("vocab", "width"), "table")
            self.used["embed"] += 1
            x = self.term(
                f"embed({self.table.name}, given)",
                "lookup",
                [],
                ("sequence", "width"),
                tensor=self.table,
            )
            given = "given : index(vocab) [sequence]"
        else:
            source = self.term("given", "input", [], ("3", "side", "side"))
            given = "given : [3, side, side]"
            if kind == "image":
                stem = self.tensor(("width", "3", "3", "3"))
                self.used["conv2d"] += 1
                x = self.term(
                    f"conv2d({stem.name}, given, padding = 1)",
                    "map",
                    [source],
                    ("width", "side", "side"),
                    tensor=stem,
                    fan_out=ONE,
                )
            else:
                patches = self.same("unfold(given, size = 2)", source, ("sequence", "12"), "unfold")
                x = self.new_map(patches, "width")
        self.keep(x)
        for _ in range(steps):
            recent = self.terms[-3:]
            x, y = recent[-1] if draw.random() < 0.7 else draw.choice(recent), draw.choice(recent)
            step = self.image_step if kind == "image" else draw.choice(STEPS).__get__(self)
            made = step(x, y)
            self.keep(made)
        outputs = [self.readout(self.terms[-1], kind)]
        if draw.random() < 0.12:
            outputs.append(self.readout(draw.choice(self.terms[-2:]), kind))
            self.used["two outputs"] += 1
        return self.finished(outputs, given, kind)

    def readout(self, x: Term, kind: str) -> Term:
        draw = self.draw
        if kind == "image":
            self.used["mean"] += 1
            x = self.term(f"mean({x.text}, axis = (-2, -1))", "mean", [x], ("width",))
        elif draw.random() < 0.1:
            self.used["flatten"] += 1
            self.size["sequence * width"] = ONE
            x = self.term(f"flatten({x.text})", "same", [x], ("sequence * width",))
        elif kind == "tokens" and draw.random() < 0.2:
            table = self.table
            made = self.map(table, "vocab", x, True)
            return made
        if draw.random() < 0.3 and x.axes[-1] == "width":
            x = self.normed(x, draw.choice(("layernorm", "rmsnorm")))
        return self.new_map(x, "classes")

    def finished(self, outputs: list[Term], given: str, kind: str) -> Model:
        draw = self.draw
        returned, losses, kept = [], [], []
        for i, term in enumerate(outputs):
            loss = draw.choices(("cross_entropy", "mse"), (0.75, 0.25))[0]
            self.used[f"loss {loss}"] += 1
            name = f"out{i}"
            self.lines.append(f"{name} = {term.text}")
            term.value.name = name
            returned.append(name)
            losses.append(f"{loss}({name})" if len(outputs) > 1 else loss)
            kept.append((term.value, loss))
        alignment = draw.choices(("tensor-programs", "full", "none"), (0.9, 0.05, 0.05))[0]
        strict = draw.random() < 0.08
        self.used[f"alignment = {alignment}"] += 1
        self.used["epsilon = strict"] += strict
        other = {"heads": "head = 4", "head": "heads = 4"}[self.grow]
        derived = {"heads": "heads = width / head", "head": "head = width / heads"}[self.grow]
        masks = ", keep : index(2) [sequence]" if self.masked else ""
        inputs = f"{given}{masks}{', at : index(3) []' if self.taken else ''}"
        body = "".join(f"    {line}\n" for line in [*self.lines, f"return {', '.join(returned)}"])
        inner = "" if self.measurable else "dim inner = width^(1/2)\n"
        sequence = "(side / 2)^2" if kind == "patches" else "3"
        text = (
            f"model Random\ndim width -> inf, base = 64\ndim {other}\ndim {derived}\n{inner}"
            f"dim vocab = 7\ndim classes = 5\ndim side = 4\ndim sequence = {sequence}\n"
            "dim rank = 4\ndim experts = 4\nhyper lr = 0.01\n"
            + "\n".join(self.declared)
            + "\n"
            + "".join(self.blocks)
            + f"forward({inputs}) {{\n{body}}}\n"
            + self.optimizers()
            + f"loss {' + '.join(losses)}\n"
            + (f"assume alignment = {alignment}\n" if alignment != "tensor-programs" else "")
            + ("assume epsilon = strict\n" if strict else "")
        )
        graph = Graph(self.values, kept, self.tensors, alignment, strict)
        return Model(text, graph, self.used, self.measurable)

    def optimizers(self) -> str:
        lines = []
        for training in self.trainings:
            if not training.tensors:
                continue
            chosen = f" for {', '.join(training.tensors)}" if len(self.trainings) > 1 else ""
            settings = ", ".join([f"lr = lr * {power(training.rate)}", *training.settings])
            lines.append(f"optimizer {training.name}{chosen} {{ {settings} }}\n")
        return "".join(lines)


def copy_of(tensor: Tensor) -> Tensor:
    return Tensor(**vars(tensor))


def power(exponent: Fraction) -> str:
    return f"(width / base(width))^({exponent})"


STEPS: list[Callable[[Writer, Term, Term], Term]] = [
    getattr(Writer, name) for name in sorted(vars(Writer)) if name.startswith("step_")
]
STEPS += [Writer.step_map, Writer.step_map, Writer.step_function, Writer.step_residual] * 3


def random_model(draw: random.Random, steps: int = 0) -> Model:
    """A model of one to six steps."""
    return Writer(draw).run(steps or draw.randint(1, 6))
