"""`attention(q, k, v, heads, kv_heads, scale, causal, bias, mask, window, softcap)`, head by head.

It is softmax(scale * q . k + bias) v; with a softcap the scaled products go through its tanh first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.calculus.bilinear import AttendedNode, ProductNode
from abcparam.calculus.node import Node
from abcparam.calculus.pointwise import FunctionTraits, PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import ScaleNode, SumNode
from abcparam.diagnostics.rules import shapes as rules
from abcparam.diagnostics.source import Span
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import REQUIRED, Call, broadcast, finite, show
from abcparam.python_code.nodes import (
    ELLIPSIS,
    Attribute,
    Binary,
    Code,
    Negative,
    Slice,
    call,
    lift,
    method,
    path,
    subscript,
)

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


TANH = FunctionTraits("tanh", bounded=True, odd=True, value=math.tanh)

CAPPED = '''\
def _capped_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: float,
    softcap: float,
    attn_mask: Tensor | None = None,
) -> Tensor:
    """Attention whose logits stay below `softcap`; `F` has none."""
    k, v = (x.repeat_interleave(q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    logits = softcap * torch.tanh(scale / softcap * (q @ k.transpose(-1, -2)))
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        logits = logits.masked_fill(attn_mask.logical_not(), -math.inf)
    elif attn_mask is not None:
        logits = logits + attn_mask
    return logits.softmax(-1) @ v'''


class Attention(Operation):
    """`q[i (h d)], k[j (g d)], v[j (g e)] -> y[i (h e)]` with h heads, g of keys and values.

    `bias` is added to the logits, `mask` is an integer input of keys, 1 to keep. With a `window`,
    positions see what is less than that far from them. With a `softcap` t, the logits are
    `t * tanh(logits / t)` before the bias. 0 is none.
    """

    name = "attention"
    law = (
        "logits `s0 = scale + ρd/2` (or `ρd` where query and key come from one map), change "
        "`scale + ρd + …`; output: the values'"
    )
    source = "arXiv 2203.03466, Definition 4.1 (1/d)"
    example = "attention(query @ x, key @ x, value @ x, heads = heads, scale = head^-1)"
    values = ("q", "k", "v", "bias", "mask")
    optional = frozenset({"bias", "mask"})
    starts = {"bias": "zeros"}
    settings = {
        "heads": 1,
        "kv_heads": "heads",
        "scale": REQUIRED,
        "causal": False,
        "window": 0,
        "softcap": 0,
    }
    factors = ("scale",)
    indices = frozenset({"mask"})
    order = (
        *("q", "k", "v", "heads", "kv_heads", "scale", "causal", "bias", "mask"),
        *("window", "softcap"),
    )

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        q, k, v = (call.shape(i) for i in range(3))
        for shape in (q, k, v):
            if len(shape) < 2:
                raise call.refuse(rules.RankTooLow, needed=2, shape=show(shape))
        heads, groups = call.amount("heads"), call.amount("kv_heads")
        head = per_head(call, "the query", q[-1], heads)
        if k[-1] != groups * head:
            raise _uneven(call, "the key", k[-1], groups)
        value = per_head(call, "the value", v[-1], groups)
        if k[:-1] != v[:-1]:
            raise call.refuse(rules.ShapesDiffer, left=show(k), right=show(v))
        for added in filter(None, call.shapes[3:]):
            logits = (*q[:-2], heads, q[-2], k[-2])
            if broadcast(call, logits, added) != logits:
                raise call.refuse(rules.ShapesDiffer, left=show(logits), right=show(added))
        finite(call, q[-2], k[-2], call.amount("window"))
        window = call.amount("window").constant
        if window is not None and (window < 0 or window.denominator != 1):
            raise call.refuse(rules.NotWhole, name="window", wanted="a positive whole number")
        return ((*q[:-1], heads * value),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        heads, groups = call.amount("heads"), call.amount("kv_heads")
        head, value = build.rho(call.shape(0)[-1] / heads), build.rho(call.shape(2)[-1] / groups)
        group, scale = build.rho(heads / groups), build.rho(call.amount("scale"))
        cap = call.amount("softcap")
        softcap = build.rho(cap) if cap.terms else None
        sizes = Heads(head, value, group, scale, call.flag("causal"), softcap)
        bias, lacking = operands.optional(3), build.context.one
        if bias is not None:
            lacking = build.lacking(call.shape(3), (heads, call.shape(0)[-2], call.shape(1)[-2]))
        nodes = [operands.node(i) for i in range(3)]
        return attended(build, nodes, sizes, bias, lacking, call.span)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        logits = of.of(0) + of.of(1) + of.left_out("scale")
        of.vanish(logits, "the logits of `attention`")
        of.still(3, 4)
        return (of.of(2),)

    def helper(self, call: Apply) -> str:
        return CAPPED if _is_set(call.settings["softcap"]) else ""

    def usual(self, call: Apply) -> Polynomial:
        """One over the root of the size of a head."""
        query, heads = call.operands[0], call.settings["heads"]
        if query is None or not isinstance(heads, Amount):
            return ONE
        return (query.shapes[0][-1] / heads.value).power(Fraction(-1, 2))

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        for name, operand in (("heads", call.operands[0]), ("kv_heads", call.operands[2])):
            count = call.settings[name]
            if operand is not None and isinstance(count, Amount):
                yield operand.shapes[0][-1] / count.value
        window = call.settings["window"]
        if isinstance(window, Amount) and _is_set(window):
            yield window.value

    def torch(self, use: Use) -> ScaledCode:
        query, key, value = (use.value(i) for i in range(3))
        scale = use.formula("scale") * query.scale * key.scale
        heads, groups = use.length("heads"), use.length("kv_heads")
        q = use.local(_heads(query.code, heads), "q")
        k = use.local(_heads(key.code, groups), "k")
        v = use.local(_heads(value.code, groups), "v")
        capped = _is_set(use.setting("softcap"))
        mask, causal = _mask(use, q, k, is_spelled=capped)
        factor = use.factor(scale, "scale")
        if capped:
            cap = use.factor(use.formula("softcap"), "softcap")
            made = call("_capped_attention", q, k, v, factor, cap, attn_mask=mask)
        else:
            options: dict[str, object] = {"attn_mask": mask, "is_causal": True if causal else None}
            options |= {"scale": factor, "enable_gqa": True if heads != groups else None}
            made = call("F.scaled_dot_product_attention", q, k, v, **options)
        y = use.local(made, "out")
        return use.result(
            method(method(y, "transpose", -3, -2), "flatten", -2), value.scale, value.label
        )


class Heads(NamedTuple):
    """Sizes of attention: of a head of keys and of values, of the heads a key has, of the scale.

    And that of its softcap, if it has one.
    """

    key: Size
    value: Size
    group: Size
    scale: Size
    causal: bool = False
    softcap: Size | None = None


def attended(
    build: Build, qkv: Sequence[Node], sizes: Heads, bias: Node | None, lacking: Size, span: Span
) -> tuple[Node, ...]:
    """The law of attention; `lacking` is the size of the axes that the bias lacks."""
    context, one = build.context, build.context.one
    q, k, _ = qkv
    dot = ProductNode(context, q, k, sizes.key, (one, sizes.group), span)
    logits: Node = ScaleNode(context, dot, sizes.scale, span)
    if sizes.softcap is not None:
        logits = _softcapped(logits, sizes.softcap, span)
    if bias is not None:
        logits = SumNode(context, (logits, bias), (one, lacking), span)
    dot.name = "query times key"
    logits.name = "attention logits"
    weights = SoftmaxNode(context, logits, span)
    return (AttendedNode(weights, qkv, (sizes.value, sizes.group), sizes.causal, span),)


def _softcapped(logits: Node, cap: Size, span: Span) -> Node:
    """`cap * tanh(logits / cap)`."""
    context = logits.context
    logits.name = "attention scores"
    bent = PointwiseNode(context, ScaleNode(context, logits, -cap, span), TANH, span)
    return ScaleNode(context, bent, cap, span)


def _is_set(setting: Setting) -> bool:
    """Whether a setting is there whose default, 0, is none."""
    return isinstance(setting, Amount) and bool(setting.value.terms)


def per_head(call: Call, name: str, length: Polynomial, count: Polynomial) -> Polynomial:
    """The size of a head, where so many of them make up an axis."""
    size = length / count
    if any(not isinstance(a, str) for monomial, _ in size.terms for a, _ in monomial):
        raise _uneven(call, name, length, count)
    return size


def _uneven(call: Call, name: str, length: Polynomial, count: Polynomial) -> Exception:
    return call.refuse(rules.HeadsDoNotDivide, name=name, found=length, count=count)


def _heads(code: Code, heads: Code) -> Code:
    """`[… i (h d)]` as `[… h i d]`."""
    return method(method(code, "unflatten", -1, (heads, -1)), "transpose", -3, -2)


def _mask(use: Use, q: Code, k: Code, is_spelled: bool) -> tuple[Code | None, bool]:
    """What PyTorch adds to the logits or keeps of them.

    And whether it is left to PyTorch to mask the future, unless it `is_spelled`.
    """
    causal, window = use.flag("causal"), _is_set(use.setting("window"))
    bias = use.code(3) if use.has(3) else None
    if bias is not None and use.batched(3):
        bias = _aligned(use, 3, bias)
    near = causal or window
    if not use.has(4) and not (near and (bias is not None or window or is_spelled)):
        return bias, causal
    keep = _keep(use) if use.has(4) else None
    if near:
        past = use.local(_near(use, q, k), "near" if window else "past")
        keep = past if keep is None else Binary("&", keep, past)
    if bias is None:
        return use.local(keep, "keep") if keep else None, False
    assert keep is not None
    hidden = method(
        use.local(bias, "bias"),
        "masked_fill",
        method(keep, "logical_not"),
        Negative(path("math.inf")),
    )
    return use.local(hidden, "bias"), False


def _keep(use: Use) -> Code:
    """A mask over keys, or over queries and keys, as `[… h i j]` booleans."""
    return _aligned(use, 4, method(use.code(4), "bool"))


def _aligned(use: Use, index: int, code: Code) -> Code:
    """An operand with an axis of 1 for each axis of the logits that it lacks, behind the batch."""
    lacking, axes = use.rank(0) + 1 - use.rank(index), [Slice()] * use.rank(index)
    return subscript(code, ELLIPSIS, *[None] * lacking, *axes) if lacking else code


def _near(use: Use, q: Code, k: Code) -> Code:
    """Which keys a query sees: those that come no later, those in the window."""
    sizes = [subscript(Attribute(x, "shape"), -2) for x in (q, k)]
    seen = method(q, "new_ones", *sizes, dtype=path("torch.bool"))
    if not _is_set(use.setting("window")):
        return method(seen, "tril")
    number = use.amount("window").value.constant
    behind, ahead = (1 - int(number), int(number) - 1) if number is not None else _reach(use)
    seen = method(seen, "tril") if use.flag("causal") else method(seen, "tril", ahead)
    return method(seen, "triu", behind)


def _reach(use: Use) -> tuple[Code, Code]:
    """How far a window that a `Config` says goes back, and ahead."""
    window = use.length("window")
    return Binary("-", lift(1), window), Binary("-", window, lift(1))


OPERATIONS = (Attention(),)
