"""What a program computes, straight from its definition: an oracle for the emitted module.

It shares nothing with the emitter: every tensor is multiplied by its multiplier where it stands,
every operation is spelled out, nothing is fused, factored out or folded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor, nn

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Opaque, Polynomial
from abcparam.program.amounts import Amount
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Repeat,
    Return,
    TensorRef,
)
from abcparam.program.model import Module, Program
from abcparam.program.tensors import OWN
from abcparam.program.tensors import Tensor as Parameter

Values = Mapping[str, float]


def evaluate(value: Polynomial, values: Values) -> float:
    """A polynomial in floating point: fractional powers are allowed."""
    total = 0.0
    for monomial, coefficient in value.terms:
        term = float(coefficient)
        for atom, power in monomial:
            base = values[atom] if isinstance(atom, str) else _opaque(atom, values)
            term *= base ** float(power)
        total += term
    return total


def _opaque(atom: Opaque, values: Values) -> float:
    left, right = (evaluate(x, values) for x in atom.arguments)
    match atom.operation:
        case "round_up":
            return -(-round(left * 360360) // round(right * 360360)) * right
        case "//":
            return left // right
        case "^":
            return left**right
        case _:
            return left / right


def at_base(program: Program, values: Values) -> dict[str, float]:
    """The same sizes with the growing dims at base."""
    bases = {d.name: float(d.base or 1) for d in program.dims.values() if d.infinite}
    return {**values, **bases}


def power_of_ratio(program: Program, tensor: Parameter, letter: str, values: Values) -> float:
    """`r^-x` times the factors of other dims."""
    result, base = 1.0, at_base(program, values)
    for key, exponent in tensor.exponents.get(letter, {}).items():
        length = tensor.own if key == OWN else program.dims[key].value
        if length is not None:
            ratio = evaluate(length, values) / evaluate(length, base)
            result *= ratio ** -float(_known(exponent))
    return result


def _known(exponent: Affine) -> Fraction:
    assert not exponent.symbols
    return exponent.constant


def initial(program: Program, tensor: Parameter, values: Values) -> float:
    """The argument of a tensor's init; zero for zeros."""
    argument = {"zeros": 0.0, "ones": 1.0}.get(tensor.init.kind)
    if argument is None:
        assert tensor.init.argument is not None
        argument = evaluate(tensor.init.argument.value, values)
    if tensor.init.kind == "orthogonal":  # entries fall as the root of the longer side
        longer = program.longer_side(tensor)
        argument *= math.sqrt(evaluate(longer, values) / evaluate(longer, at_base(program, values)))
    return argument * power_of_ratio(program, tensor, "b", values)


def multiplier(program: Program, tensor: Parameter, values: Values) -> float:
    constant = evaluate(tensor.mult.value, values) if tensor.mult else 1.0
    return constant * power_of_ratio(program, tensor, "a", values)


def learning_rate(program: Program, tensor: Parameter, values: Values) -> float:
    return evaluate(tensor.lr.value, values) * power_of_ratio(program, tensor, "c", values)


class Reference:
    """Runs a program on given weights."""

    def __init__(self, program: Program, values: Values, weights: Mapping[str, Tensor]) -> None:
        self.program = program
        self.values = dict(values)
        self.weights = weights
        self.modules = {m.path: m for m in program.root.walk()}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        env = {i.name: x for i, x in zip(self.program.inputs, inputs, strict=True)}
        return self.run(self.program.root, {}, env)

    def run(
        self, module: Module, copies: dict[str, int], env: dict[str, Tensor]
    ) -> tuple[Tensor, ...]:
        for statement in module.body:
            match statement:
                case Assign(targets=targets, value=value):
                    env.update(
                        zip(targets, self.values_of(value, module, copies, env), strict=True)
                    )
                case Repeat(instance=instance, carried=carried):
                    self.loop(module.child(instance), carried, copies, env)
                case Return(values=values):
                    return tuple(self.value(v, module, copies, env) for v in values)
        return ()

    def loop(
        self, child: Module, carried: Sequence[str], copies: dict[str, int], env: dict[str, Tensor]
    ) -> None:
        assert child.count is not None and child.index is not None
        for number in range(self.length(child.count)):
            self.values[child.index] = number
            inner = {name: env[name] for name, _ in child.inputs}
            found = self.run(child, {**copies, child.path: number}, inner)
            env.update(zip(carried, found, strict=True))

    # Values

    def amount(self, amount: object) -> float:
        assert isinstance(amount, Amount)
        return evaluate(amount.value, self.values)

    def length(self, amount: object) -> int:
        return round(self.amount(amount))

    def weight(self, path: str, copies: Mapping[str, int]) -> Tensor:
        parts, reached, name = path.split("."), [], ""
        for part in parts:
            name = f"{name}.{part}".lstrip(".")
            reached.append(part)
            if name in copies:
                reached.append(str(copies[name]))
        tensor = self.program.tensors[path]
        return multiplier(self.program, tensor, self.values) * self.weights[".".join(reached)]

    def value(
        self, value: Expression, module: Module, copies: dict[str, int], env: dict[str, Tensor]
    ) -> Tensor:
        (found,) = self.values_of(value, module, copies, env)
        return found

    def values_of(
        self, value: Expression, module: Module, copies: dict[str, int], env: dict[str, Tensor]
    ) -> tuple[Tensor, ...]:
        match value:
            case Local(name=name):
                return (env[name],)
            case TensorRef():
                found = self.weight(value.tensor, copies)
                return (found.T if value.transposed else found,)
            case Invoke(instance=instance, operands=operands, outer=outer):
                child = self.modules[instance if outer else f"{module.path}.{instance}".lstrip(".")]
                given = [self.value(o, module, copies, env) for o in operands]
                inner = {name: x for (name, _), x in zip(child.inputs, given, strict=True)}
                return self.run(child, copies, inner)
            case Apply(operation=operation) if operation.name == "mixture":
                return (self.mixture(value, module, copies, env),)
            case Apply(operands=operands):
                found_ = [self.value(o, module, copies, env) if o else None for o in operands]
                return self.apply(value, found_)

    def mixture(
        self, call: Apply, module: Module, copies: dict[str, int], env: dict[str, Tensor]
    ) -> Tensor:
        """Every expert sees every token; the weights of those that were not chosen are zero."""
        logits, expert = call.operands
        assert logits is not None and isinstance(expert, Invoke)
        scores = self.value(logits, module, copies, env)
        settings, top = call.settings, self.length(call.settings["top"])
        score = torch.sigmoid if settings["sigmoid"] is True else lambda x: x.softmax(-1)
        weights, groups = score(scores), self.length(settings["groups"])
        each = weights.detach().unflatten(-1, (groups, -1))
        if groups > 1:
            best = each.sort(-1, descending=True).values[..., : self.length(settings["group_top"])]
            order = best.sum(-1).argsort(-1, descending=True).argsort(-1)
            each = each - 2 * (order >= self.length(settings["top_groups"]))[..., None]
        kept = each.flatten(-2).topk(top).indices
        weights = weights * torch.zeros_like(weights).scatter(-1, kept, 1.0)
        if settings["normalize"] is True:
            weights = weights / weights.sum(-1, keepdim=True)
        path = f"{module.path}.{expert.instance}".lstrip(".")
        total: Tensor | None = None
        for number in range(scores.shape[-1]):
            found = self.value(expert, module, {**copies, path: number}, env)
            weight = weights[..., number]
            part = weight.reshape(*weight.shape, *[1] * (found.dim() - weight.dim())) * found
            total = part if total is None else total + part
        assert total is not None
        return total

    # Operations

    def apply(self, call: Apply, x: list[Tensor | None]) -> tuple[Tensor, ...]:
        name, settings = call.operation.name, call.settings
        first = x[0] if x else None
        ranks = [len(o.shapes[0]) if o else 0 for o in call.operands]
        if name in SIMPLE and first is not None:
            return (SIMPLE[name](first),)
        match name:
            case "@":
                return (self.matmul(call, x),)
            case "embed":
                assert first is not None and x[1] is not None
                return (first[x[1]],)
            case "+" | "-" | "*":
                return (self.arithmetic(name, x, ranks, len(call.shapes[0])),)
            case "scale":
                assert first is not None
                return (self.amount(settings["by"]) * first,)
            case "offset":
                assert first is not None
                return (first + self.amount(settings["by"]),)
            case "index":
                assert first is not None
                return (first.select(first.dim() - ranks[0], self.length(settings["at"])),)
            case "split":
                assert first is not None
                heads, several = self.length(settings["heads"]), settings["n"]
                if isinstance(several, tuple):
                    each = first.unflatten(-1, (heads, -1)) if heads > 1 else first
                    ends = [sum(map(self.length, several[:i])) for i in range(len(several) + 1)]
                    axis = -1 if heads > 1 else self.length(settings["axis"])
                    found = [each.narrow(axis, a, b - a) for a, b in itertools.pairwise(ends)]
                    return tuple(x.flatten(-2) if heads > 1 else x for x in found)
                count = self.length(several)
                if heads > 1:
                    each = first.reshape(*first.shape[:-1], heads, count, -1)
                    return tuple(each[..., i, :].flatten(-2) for i in range(count))
                return tuple(first.chunk(count, self.length(settings["axis"])))
            case "zeros":
                shape = settings["shape"]
                assert isinstance(shape, tuple)
                return (torch.zeros(*(self.length(n) for n in shape), dtype=torch.float64),)
            case "leaky_relu":
                assert first is not None
                return (torch.where(first > 0, first, self.amount(settings["slope"]) * first),)
            case "layernorm" | "rmsnorm":
                assert first is not None
                heads = self.length(settings["heads"])
                parts = first.unflatten(-1, (heads, -1)) if heads > 1 else first
                rank = ranks[0] + (heads > 1)
                more = [
                    None if v is None else self.lift(v, r, rank)
                    for v, r in zip(x[1:], ranks[1:], strict=True)
                ]
                found = self.norm(name, [parts, *more], self.amount(settings["eps"]))
                return (found.reshape(first.shape),)
            case "attention":
                return (self.attention(call, x),)
            case "concat":
                heads = self.length(settings["heads"])
                if heads > 1:
                    each = [v.unflatten(-1, (heads, -1)) for v in x if v is not None]
                    return (self.concat(each, [r + 1 for r in ranks], -1).flatten(-2),)
                return (self.concat(x, ranks, self.length(settings["axis"])),)
            case "sum":
                return (self.mean(call, first, ranks[0], sums=True),)
            case "similarity":
                assert first is not None and x[1] is not None
                return (torch.einsum("...id,...jd->...ij", first, x[1]),)
            case "mean":
                return (self.mean(call, first, ranks[0]),)
            case "rope":
                assert first is not None
                heads, theta = self.length(settings["heads"]), self.amount(settings["theta"])
                if settings["interleaved"] is True:
                    each = first.reshape(*first.shape[:-1], heads, -1)
                    first = torch.cat([each[..., ::2], each[..., 1::2]], -1).flatten(-2)
                turned = rope(first, heads, theta)
                if settings["interleaved"] is True and settings["in_place"] is True:
                    halves = turned.unflatten(-1, (heads, 2, -1))
                    turned = torch.stack((halves[..., 0, :], halves[..., 1, :]), -1).flatten(-3)
                return (turned,)
            case "relative_bias":
                assert first is not None
                length, most = (self.length(settings[n]) for n in ("length", "max_distance"))
                return (relative_bias(first, length, most, bool(settings["causal"])),)
            case "alibi":
                heads, length = (self.length(settings[n]) for n in ("heads", "length"))
                powers = [-8 * (h + 1) / heads for h in range(heads)]
                slopes = 2 ** torch.tensor(powers, dtype=torch.float64)
                place = torch.arange(length, dtype=torch.float64)
                return (-slopes[:, None, None] * (place[:, None] - place).abs(),)
            case "conv1d" | "conv2d":
                return (self.convolution(call, x),)
            case "conv_transpose1d" | "conv_transpose2d":
                return (self.transposed_convolution(call, x),)
            case "upsample":
                assert first is not None
                for axis in range(1, ranks[0]):
                    if settings["linear"] is True:
                        first = between(first, self.length(settings["factor"]), -axis)
                        continue
                    first = first.repeat_interleave(self.length(settings["factor"]), -axis)
                return (first,)
            case "permute":
                assert first is not None
                order = settings["axis"]
                assert isinstance(order, tuple)
                batch = first.dim() - ranks[0]
                axes = [self.length(axis) % ranks[0] for axis in order]
                return (first.permute(*range(batch), *(batch + axis for axis in axes)),)
            case "take":
                assert first is not None and x[1] is not None
                batch = first.dim() - ranks[0]
                flat, at = first.reshape(-1, *first.shape[batch:]), x[1].flatten()
                found = torch.stack([row[i] for row, i in zip(flat, at, strict=True)])
                return (found.reshape(*first.shape[:batch], *found.shape[1:]),)
            case "tile":
                assert first is not None
                return (torch.cat([first] * self.length(settings["n"]), -1),)
            case "repeat_interleave":
                assert first is not None
                count = self.length(settings["n"])
                copies = first[..., None].expand(*first.shape, count)
                return (copies.reshape(*first.shape[:-1], -1),)
            case "unsqueeze":
                assert first is not None
                setting = settings["axis"]
                axes = [
                    self.length(a) for a in (setting if isinstance(setting, tuple) else (setting,))
                ]
                rank, batch = ranks[0] + len(axes), first.dim() - ranks[0]
                for axis in sorted(a % rank for a in axes):
                    first = first.unsqueeze(batch + axis)
                return (first,)
            case "maxpool" | "avgpool":
                return (self.pool(call, first, ranks[0]),)
            case "unfold":
                assert first is not None
                return (patches(first, self.length(settings["size"])),)
            case "batchnorm":
                assert first is not None  # at its start a model believes in mean 0 and variance 1
                scaled = first / math.sqrt(1 + self.amount(settings["eps"]))
                return (over_space(scaled, x, ranks[0]),)
            case "groupnorm":
                return (self.groupnorm(call, x, ranks[0]),)
            case _:
                raise NotImplementedError(name)

    def matmul(self, call: Apply, x: list[Tensor | None]) -> Tensor:
        weight, value = x
        assert weight is not None and value is not None
        assert isinstance(call.operands[0], TensorRef)
        table = self.program.tensors[call.operands[0].tensor].table
        return value @ (weight if table else weight.T)

    def arithmetic(self, op: str, x: list[Tensor | None], ranks: list[int], rank: int) -> Tensor:
        left, right = (self.lift(v, r, rank) for v, r in zip(x, ranks, strict=True))
        return left + right if op == "+" else left - right if op == "-" else left * right

    def lift(self, x: Tensor | None, mine: int, rank: int) -> Tensor:
        """Axes of 1 between the batch and the declared axes."""
        assert x is not None
        batch = x.shape[: x.dim() - mine]
        return x.reshape(*batch, *[1] * (rank - mine), *x.shape[x.dim() - mine :])

    def norm(self, name: str, x: list[Tensor | None], eps: float) -> Tensor:
        value, gain, bias = x
        assert value is not None
        if name == "layernorm":
            value = value - value.mean(-1, keepdim=True)
        value = value / (value.square().mean(-1, keepdim=True) + eps).sqrt()
        value = value * gain if gain is not None else value
        return value + bias if bias is not None else value

    def attention(self, call: Apply, x: list[Tensor | None]) -> Tensor:
        q, k, v, bias, mask = x
        assert q is not None and k is not None and v is not None
        heads, groups = (self.length(call.settings[n]) for n in ("heads", "kv_heads"))
        q = q.unflatten(-1, (heads, -1)).transpose(-3, -2)
        k, v = (t.unflatten(-1, (groups, -1)).transpose(-3, -2) for t in (k, v))
        k, v = (t.repeat_interleave(heads // groups, -3) for t in (k, v))
        logits = self.amount(call.settings["scale"]) * (q @ k.transpose(-1, -2))
        cap = self.amount(call.settings["softcap"])
        logits = cap * (logits / cap).tanh() if cap else logits
        logits = logits + bias if bias is not None else logits
        if mask is not None:
            logits = logits.masked_fill(mask[..., None, None, :] == 0, -torch.inf)
        if call.settings["causal"]:
            future = torch.ones(q.shape[-2], k.shape[-2]).triu(1).bool()
            logits = logits.masked_fill(future, -torch.inf)
        window = self.length(call.settings["window"])
        if window:
            places = torch.arange(q.shape[-2])[:, None] - torch.arange(k.shape[-2])
            logits = logits.masked_fill(places.abs() >= window, -torch.inf)
        return (logits.softmax(-1) @ v).transpose(-3, -2).flatten(-2)

    def concat(self, x: list[Tensor | None], ranks: list[int], axis: int) -> Tensor:
        given = [t for t in x if t is not None]
        batch = max((t.shape[: t.dim() - ranks[0]] for t in given), key=len)
        full = [t.expand(*batch, *t.shape[t.dim() - ranks[0] :]) for t in given]
        return torch.cat(full, axis if axis < 0 else axis - ranks[0])

    def mean(self, call: Apply, x: Tensor | None, rank: int, sums: bool = False) -> Tensor:
        assert x is not None
        setting = call.settings["axis"]
        axes = [self.length(a) for a in (setting if isinstance(setting, tuple) else (setting,))]
        axes = [a if a < 0 else a - rank for a in axes]
        return x.sum(axes) if sums else x.mean(axes)

    def windows(self, call: Apply, x: Tensor, size: Sequence[int]) -> Tensor:
        """`[..., channels, *where, *window]`."""
        first = x.dim() - len(size)
        for axis, length in enumerate(size):
            x = x.unfold(first + axis, length, self.length(call.settings["stride"]))
        return x

    def convolution(self, call: Apply, x: list[Tensor | None]) -> Tensor:
        weight, value = x
        assert weight is not None and value is not None
        space, padding = weight.dim() - 2, self.length(call.settings["padding"])
        value = nn.functional.pad(value, [padding] * (2 * space))
        seen = self.windows(call, value, weight.shape[2:])  # [..., in, where, window]
        groups = self.length(call.settings["groups"])
        where = seen.shape[-2 * space : -space]
        seen = seen.unflatten(-2 * space - 1, (groups, -1))  # [..., g, in / g, where, window]
        seen = seen.movedim(-2 * space - 1, -space - 1).flatten(-space - 1)
        seen = seen.flatten(-space - 1, -2)  # [..., g, where, in / g * window]
        maps = weight.unflatten(0, (groups, -1)).flatten(2)
        found = torch.einsum("...gwi,goi->...gow", seen, maps)
        return found.flatten(-3, -2).unflatten(-1, where)

    def transposed_convolution(self, call: Apply, x: list[Tensor | None]) -> Tensor:
        """Each place adds its window, times its channels, to what it makes."""
        weight, value = x
        assert weight is not None and value is not None
        space, kernel = weight.dim() - 2, weight.shape[2:]
        stride, padding, more = (
            self.length(call.settings[n]) for n in ("stride", "padding", "output_padding")
        )
        batch, places = value.shape[: -space - 1], value.shape[-space:]
        sizes = [(n - 1) * stride + k + more for n, k in zip(places, kernel, strict=True)]
        found = torch.zeros(*batch, weight.shape[0], *sizes, dtype=value.dtype)
        every = [slice(None)] * (len(batch) + 1)
        for at in itertools.product(*map(range, places)):
            here = value[tuple(every + [slice(i, i + 1) for i in at])].flatten(-space - 1)
            starts = zip(at, kernel, strict=True)
            window = tuple(every + [slice(stride * i, stride * i + k) for i, k in starts])
            found[window] += torch.tensordot(here, weight, dims=([-1], [1]))
        return found[tuple(every + [slice(padding, n - padding) for n in sizes])]

    def pool(self, call: Apply, x: Tensor | None, rank: int) -> Tensor:
        assert x is not None
        most, space = call.operation.name == "maxpool", rank - 1
        size, padding = self.length(call.settings["size"]), self.length(call.settings["padding"])
        x = nn.functional.pad(x, [padding] * (2 * space), value=-torch.inf if most else 0.0)
        seen = self.windows(call, x, [size] * space).flatten(-space)
        return seen.amax(-1) if most else seen.mean(-1)

    def groupnorm(self, call: Apply, x: list[Tensor | None], rank: int) -> Tensor:
        value = x[0]
        assert value is not None
        grouped = value.unflatten(-rank, (self.length(call.settings["groups"]), -1)).flatten(-rank)
        grouped = grouped - grouped.mean(-1, keepdim=True)
        eps = self.amount(call.settings["eps"])
        grouped = grouped / (grouped.square().mean(-1, keepdim=True) + eps).sqrt()
        return over_space(grouped.reshape(value.shape), x, rank)


def over_space(y: Tensor, x: list[Tensor | None], rank: int) -> Tensor:
    """Times a gain and plus a bias for each channel."""
    gain, bias = (t[..., *[None] * (rank - 1)] if t is not None else None for t in x[1:])
    y = y if gain is None else y * gain
    return y if bias is None else y + bias


def rope(x: Tensor, heads: int, theta: float) -> Tensor:
    """As complex numbers: the first half of a head is real, the second imaginary."""
    x = x.unflatten(-1, (heads, 2, -1))
    pairs = torch.complex(x[..., 0, :], x[..., 1, :])
    count, length = pairs.shape[-1], pairs.shape[-3]
    angles = torch.outer(torch.arange(length), theta ** (-torch.arange(count).double() / count))
    turned = pairs * torch.polar(torch.ones_like(angles), angles)[:, None, :]
    return torch.cat((turned.real, turned.imag), -1).flatten(-2)


def relative_bias(table: Tensor, length: int, most: int, causal: bool) -> Tensor:
    """Bucket by bucket, as arXiv 1910.10683 describes them."""
    buckets = table.shape[0] if causal else table.shape[0] // 2
    exact = buckets // 2
    rows = []
    for i in range(length):
        for j in range(length):
            away, right = abs(i - j), j > i
            if causal and right:
                away = 0
            if away >= exact:
                step = math.log(away / exact) / math.log(most / exact) * (buckets - exact)
                away = min(exact + math.floor(step), buckets - 1)
            rows.append(table[away + (buckets if right and not causal else 0)])
    return torch.stack(rows).unflatten(0, (length, length)).permute(2, 0, 1)


def patches(image: Tensor, size: int) -> Tensor:
    rows, columns = image.shape[-2] // size, image.shape[-1] // size
    found = [
        image[..., r * size : (r + 1) * size, c * size : (c + 1) * size].flatten(-3)
        for r in range(rows)
        for c in range(columns)
    ]
    return torch.stack(found, -2)


def between(x: Tensor, factor: int, axis: int) -> Tensor:
    """Places `factor` times as dense along an axis, each on the line between its neighbours."""
    length = x.shape[axis]
    place = ((torch.arange(length * factor) + 0.5) / factor - 0.5).clamp(0, length - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=length - 1)
    part = (place - below).to(x.dtype).reshape(-1, *[1] * (-axis - 1))
    return x.index_select(axis, below) * (1 - part) + x.index_select(axis, above) * part


SIMPLE = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "gelu_tanh": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "silu": nn.functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": nn.functional.softplus,
    "square": torch.square,
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * x.expm1()),
    "mish": lambda x: x * (1 + x.exp()).log().tanh(),
    "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
    "hardsigmoid": lambda x: (x + 3).clamp(0, 6) / 6,
    "tanhshrink": lambda x: x - x.tanh(),
    "relu6": lambda x: x.clamp(0, 6),
    "hardtanh": lambda x: x.clamp(-1, 1),
    "softsign": lambda x: x / (1 + x.abs()),
    "logsigmoid": lambda x: x.sigmoid().log(),
    "exp": torch.exp,
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x - x.exp().sum(-1, keepdim=True).log(),
    "logsumexp": lambda x: x.exp().sum(-1).log(),
    "log": torch.log,
    "dropout": lambda x: x,
    "transpose": lambda x: x.transpose(-1, -2),
}
