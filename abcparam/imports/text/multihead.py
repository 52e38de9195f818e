"""Attention over heads: its logits, masks and values."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import number
from abcparam.algebra.record import replace
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.seen import Seen, local
from abcparam.imports.text.layout import FactorAxis, Laid
from abcparam.imports.text.operands import first, laid_or
from abcparam.imports.text.values import AttentionLogits, MaskedBias, Unspelled, WrittenValue
from abcparam.imports.text.writer import StepHandler, TextWriter, in_order, nearest
from abcparam.imports.traced import Ref
from abcparam.language import syntax

FAR_BELOW = -1e4  # of a logit that no chance is left of
NO_BAND = "a mask that is neither all nor causal nor a window"


def attention(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`scaled_dot_product_attention`."""
    given = [
        laid_or(writer, first(writer, see, i, n)) for i, n in enumerate(("query", "key", "value"))
    ]
    for value in given:
        if isinstance(value, Unspelled):
            return value
    query, key, value = (x for x in given if isinstance(x, Laid))
    p = see.get(4, "dropout_p")
    if isinstance(p, Numbers) and p.first:
        return writer.refused("dropout of what attention weighs by: set it to zero")
    scale = see.get(6, "scale")
    by = see.shape(see.get(0))[-1].power(Fraction(-1, 2))
    if isinstance(scale, Numbers):
        found = see.scalar(scale)
        assert found is not None
        by = found.polynomial
    logits = AttentionLogits(query, key, by, causal=see.get(5, "is_causal") is True)
    mask = see.get(3, "attn_mask")
    masked_ = logits if mask is None else masked(writer, logits, mask)
    if isinstance(masked_, Unspelled):
        return masked_
    return attended(writer, masked_, value)


def masked(
    writer: TextWriter, logits: AttentionLogits, mask: Operand, hides: bool = False
) -> AttentionLogits | Unspelled:
    """Logits with a mask that is known, a band of all queries and keys, or with a bias."""
    if isinstance(mask, KnownData):
        kept = writer.model.keeps(mask.node, hides)
        if kept is None:
            return writer.refused(NO_BAND)
        return within(logits, kept.causal, kept.window)
    found = writer.values.get(local(mask)) if isinstance(mask, Ref) else None
    if isinstance(found, Unspelled):
        return found
    if hides or logits.bias is not None or not isinstance(found, Laid | MaskedBias):
        return writer.refused("attention with a bias that is computed")
    if isinstance(found, Laid):
        return replace(logits, bias=found)
    return replace(within(logits, found.causal, found.window), bias=found.value)


def within(logits: AttentionLogits, causal: bool, window: int) -> AttentionLogits:
    """Logits of which a mask keeps less than before."""
    windows = [n for n in (logits.window, window) if n]
    return replace(logits, causal=logits.causal or causal, window=min(windows, default=0))


def attended(writer: TextWriter, logits: AttentionLogits, value: Laid) -> WrittenValue:
    """`attention(q, k, v, …)`: heads are the outer factors of the last axis."""
    query, key = logits.query, logits.key
    heads = [heads_of(x) for x in (query, key, value)]
    if any(found is None for found in heads):
        return writer.refused("attention over heads that lie otherwise in the language")
    q_heads, k_heads, v_heads = (found for found in heads if found is not None)
    counts = [
        writer.lengths.length(tuple(f for f in h if f.kind != "copies"))
        for h in (q_heads, k_heads, v_heads)
    ]
    if not writer.lengths.same(counts[1], counts[2]):
        return writer.refused("keys and values of different heads")
    copies = [f.kind == "copies" for f in k_heads]
    if sorted(copies) != copies or any(f.kind == "copies" for f in q_heads):
        return writer.refused("heads of keys that are repeated in another order")
    named: dict[str, syntax.Expression] = {}
    if not writer.lengths.is_one(counts[0]):
        named["heads"] = writer.heads(counts[0])
    if not writer.lengths.same(counts[0], counts[1]):
        named["kv_heads"] = writer.heads(counts[1], "kv_heads")
    scale = logits.scale if logits.softcap is None else logits.scale * logits.softcap
    whole = nearest(scale.constant)
    named["scale"] = writer.formulas.written(scale if whole is None else number(whole))
    if logits.causal:
        named["causal"] = syntax.Name("true")
    if logits.window:
        named["window"] = syntax.Number(Fraction(logits.window))
    if logits.softcap is not None:
        named["softcap"] = writer.formulas.written(logits.softcap)
    if logits.bias is not None:
        bias = in_order(logits.bias)
        if bias.text != bias.graph[-3:] or not writer.lengths.alike(bias.text[0], q_heads):
            return writer.refused("a bias that is not one of heads, queries and keys")
        named["bias"] = bias.code
    arguments = [syntax.Argument(x.code) for x in (query, key, value)]
    arguments += [syntax.Argument(x, name) for name, x in named.items()]
    inner = value.graph[-1]
    graph = (*query.graph[:-1], inner)
    text = (*query.text[:-1], (*q_heads, *inner))
    return Laid(syntax.Call(syntax.Name("attention"), tuple(arguments)), text, graph)


def heads_of(x: Laid) -> FactorAxis | None:
    """The heads of a query, key or value that is laid out as `[.., heads, position, channel]`."""
    if len(x.text) < 2 or len(x.graph) < 2:
        return None
    place, head = x.graph[-2], x.graph[-1]
    inner = x.text[-1]
    if x.text[-2] != place or inner[len(inner) - len(head) :] != head:
        return None
    own = inner[: len(inner) - len(head)]
    axis = x.graph[-3] if len(x.graph) > 2 else ()
    real = tuple(f for f in axis if f.kind == "")
    if real != own:
        return None
    return tuple(f for f in axis if f.kind != "batch")


def added(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """A sum; of logits and a mask, logits that are masked."""
    for value, other in ((see.get(0), see.get(1)), (see.get(1), see.get(0))):
        found = writer.values.get(local(value)) if isinstance(value, Ref) else None
        if isinstance(found, AttentionLogits) and not found.are_chances:
            return masked(writer, found, other)
        if isinstance(found, Laid) and isinstance(other, KnownData):
            kept = writer.model.keeps(other.node)
            if kept is not None:
                return MaskedBias(found, *kept) if any(kept) else found
    return writer.by_law()


def filled(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`masked_fill` and `where`, of attention's logits or of what is added to them."""
    wheres = see.step.target.startswith("aten.where")
    mask, value = (see.get(0), see.get(1)) if wheres else (see.get(1), see.get(0))
    found = writer.values.get(local(value)) if isinstance(value, Ref) else None
    if isinstance(found, Unspelled):
        return found
    if not is_far_below(writer, see.get(2)) or not isinstance(mask, KnownData):
        return writer.refused("a choice by a mask")
    if isinstance(found, AttentionLogits):
        return masked(writer, found, mask, hides=not wheres)
    kept = writer.model.keeps(mask.node, hides=not wheres)
    if isinstance(found, Laid) and kept is not None:
        return MaskedBias(found, *kept) if any(kept) else found
    return writer.refused(NO_BAND)


def is_far_below(writer: TextWriter, value: Operand) -> bool:
    """Whether a number, or one in a tensor, leaves nothing of what it stands for."""
    if isinstance(value, Numbers):
        return max(value.values) < FAR_BELOW
    found = writer.model.tensor(value.node) if isinstance(value, KnownData) else None
    return found is not None and float(found.max()) < FAR_BELOW


ATTENTION: Mapping[str, StepHandler] = {
    "scaled_dot_product_attention": attention,
    "add": added,
    **dict.fromkeys(("masked_fill", "where"), filled),
}
