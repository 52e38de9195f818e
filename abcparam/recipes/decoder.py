"""A decoder-only transformer as projects configure it, written as a spec.

Every line of the spec has a subject, by which a recipe says what of a configuration it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from abcparam.algebra.record import Record
from abcparam.pipeline import exact
from abcparam.recipes.settings import text_of

SpecLine = tuple[str, str]  # its text, its subject
INNER = {
    "gelu": "down @ gelu(up @ x{up})",
    "relu2": "down @ square(relu(up @ x{up}))",
    "swiglu": "down @ (silu(gate @ x{gate}) * (up @ x{up}))",
}


class Scaling(Record):
    """Exponents of the tensors of one kind: initial scale, learning rate, epsilon."""

    b: Fraction = Fraction(0)
    c: Fraction = Fraction(0)
    d: Fraction = Fraction(0)

    def __str__(self) -> str:
        return f"a = 0, b = {self.b}, c = {self.c}, d = {self.d}"


class Decoder(Record):
    """Such a model, and how it is trained. Numbers are as texts of the language."""

    name: str
    base: int  # the width at which hyperparameters are stated
    depth: int
    heads: int  # at base
    head: int  # at base
    head_grows: bool = False  # heads are as many at every width; else each is as large
    group: int = 1  # query heads for each head of keys and values
    vocab: int = 50304
    context: int = 1024
    inner: Fraction = Fraction(4)  # of the feed-forward network, in widths
    activation: str = "gelu"  # or relu2, swiglu
    norm: str = "layernorm"
    norm_shift: bool = True
    bias: bool = True
    qkv_bias: bool = True
    positions: str = "learned"  # or rope, none
    tied: bool = True
    init_std: str = "0.02"  # of hidden maps, at base
    embedding_std: str = "0.02"
    project_std: str = (
        "(2 * depth)^(-1/2)"  # what maps into the stream start at, in those of others
    )
    up_std: str = "1"  # what maps to the inside of the feed-forward network start at, in those
    down_std: str | None = None  # what maps out of it start at, in those; else as `project_std`
    readout_std: str = "embedding_std"
    attention_rates: str = "1"  # of queries, keys and values, in the learning rates of others
    up_rates: str = "1"  # of maps to the inside of the feed-forward network, in those
    down_rates: str = "1"  # of the map out of it, in those
    readout_rates: str = "1"  # of an untied readout, in those
    scale: tuple[float, Fraction] = (1.0, Fraction(-1))  # of attention: a factor, head's power
    embedding_mult: str = "1"
    residual_mult: str = "1"
    output_mult: str = "1"
    output_falls: bool = True  # the multiplier of logits is that at base, by the width
    output_power: Fraction = Fraction(1)  # by which power of the width
    hidden: Scaling = Scaling()
    vector: Scaling = Scaling()  # of embeddings, gains, shifts and biases
    output: Scaling = Scaling()
    lr: str = "1e-3"
    embedding_decays: bool = True
    vectors_decay: bool = False  # gains, shifts and biases
    optimizer: str = "adamw"
    betas: tuple[str, str] = ("0.9", "0.95")
    eps: str = "1e-8"
    momentum: str = "0.9"  # of sgd
    weight_decay: str = "0.1"
    clip: str = "1"  # of the joint norm of gradients; 0: none

    def head_at(self, width: int) -> int:
        """The size of a head at a width."""
        return width // self.heads if self.head_grows else self.head

    def heads_at(self, width: int) -> int:
        """How many heads there are at a width."""
        return width // self.head_at(width)

    def scale_at(self, width: int) -> float:
        """What attention multiplies its logits by at a width."""
        factor, power = self.scale
        return float(factor * self.head_at(width) ** float(power))

    def lines(self) -> Iterator[SpecLine]:
        """The spec, line by line."""
        yield from self._sizes()
        yield from self._embeddings()
        yield from self._norm()
        yield from self._attention()
        yield from self._feed_forward()
        yield from self._forward()
        yield f"optimizer {self.optimizer} {{ {self._settings()} }}", "optimizer"
        yield "loss cross_entropy", "loss"

    def _settings(self) -> str:
        """Those of the optimizer."""
        by_kind = f"betas = ({', '.join(self.betas)}), eps = {self.eps}"
        own = f"momentum = {self.momentum}" if self.optimizer == "sgd" else by_kind
        clip = "" if self.clip == "0" else f", clip_norm = {self.clip}"
        return f"lr = lr, {own}, weight_decay = {self.weight_decay}{clip}"

    def _scale(self) -> str:
        factor, power = self.scale
        times = text_of(exact(factor)) if factor != 1 or not power else ""
        of_head = f"head^({power})" if power else ""
        return " * ".join(text for text in (times, of_head) if text)

    def _sizes(self) -> Iterator[SpecLine]:
        yield f"model {self.name}", "model"
        yield f"dim width -> inf, base = {self.base}", "width"
        yield f"dim depth = {self.depth}", "depth"
        if self.head_grows:
            yield f"dim heads = {self.heads}", "heads"
            yield "dim head = width / heads", "head"
        else:
            yield f"dim head = {self.head}", "head"
            yield "dim heads = width / head", "heads"
        yield f"dim kv_heads = {f'heads / {self.group}' if self.group > 1 else 'heads'}", "groups"
        yield f"dim vocab = {self.vocab}", "vocab"
        yield f"dim context = {self.context}", "context"
        yield f"hyper lr = {self.lr}", "lr"
        yield f"hyper init_std = {self.init_std}", "init"
        yield f"hyper embedding_std = {self.embedding_std}", "embedding_init"

    def _embeddings(self) -> Iterator[SpecLine]:
        decay = "" if self.embedding_decays else ", weight_decay = 0"
        keys = f"{{ {self.vector}, init = normal(embedding_std){decay} }}"
        yield f"tensor embedding : input [vocab, width] {keys}", "embedding"
        if self.positions == "learned":
            yield f"tensor position_embedding : input [context, width] {keys}", "embedding"
        if not self.tied:
            rate = _rate(self.readout_rates)
            keys = f"{{ {self.output}, init = normal({self.readout_std}){rate}{decay} }}"
            yield f"tensor readout : output [vocab, width] {keys}", "readout"

    def _vector(self, names: str, axis: str, start: str) -> SpecLine:
        decay = "" if self.vectors_decay else ", weight_decay = 0"
        keys = f"{self.vector}, init = {start}{decay}"
        return f"    tensor {names} : input [{axis}] {{ {keys} }}", "vector"

    def _map(self, names: str, axes: str, times: str = "", rates: str = "1") -> SpecLine:
        keys = f"{self.hidden}, init = normal(init_std{times}){_rate(rates)}"
        return f"    tensor {names} : hidden [{axes}] {{ {keys} }}", "hidden"

    def _norm(self) -> Iterator[SpecLine]:
        yield "block Norm(x) {", "norm"
        yield self._vector("gain", "width", "ones")
        if self.norm_shift:
            yield self._vector("shift", "width", "zeros")
        shift = ", bias = shift" if self.norm_shift else ""
        yield f"    return {self.norm}(x, gain = gain{shift})", "norm"
        yield "}", "norm"

    def _attention(self) -> Iterator[SpecLine]:
        times = f" * {self.project_std}" if self.project_std else ""
        yield "block Attention(x) {", "attention"
        yield self._map("query", "heads * head, width", rates=self.attention_rates)
        yield self._map("key, value", "kv_heads * head, width", rates=self.attention_rates)
        yield self._map("project", "width, heads * head", times)
        biases = {"q": "query_bias", "k": "key_bias", "v": "value_bias"} if self.qkv_bias else {}
        if biases:
            yield self._vector("query_bias", "heads * head", "zeros")
            yield self._vector("key_bias, value_bias", "kv_heads * head", "zeros")
        if self.bias:
            yield self._vector("bias", "width", "zeros")
        for local, tensor in (("q", "query"), ("k", "key"), ("v", "value")):
            added = f" + {biases[local]}" if biases else ""
            yield f"    {local} = {tensor} @ x{added}", "attention"
        if self.positions == "rope":
            yield "    q = rope(q, heads = heads)", "attention"
            yield "    k = rope(k, heads = kv_heads)", "attention"
        heads = "heads = heads, kv_heads = kv_heads"
        yield (
            f"    y = attention(q, k, v, {heads}, scale = {self._scale()}, causal = true)",
            "scale",
        )
        yield f"    return project @ y{' + bias' if self.bias else ''}", "attention"
        yield "}", "attention"

    def _feed_forward(self) -> Iterator[SpecLine]:
        up, gate = (" + up_bias", " + gate_bias") if self.bias else ("", "")
        inner, last = self._inner(), self.project_std if self.down_std is None else self.down_std
        times, first = (
            f" * {part}" if part not in ("", "1") else "" for part in (last, self.up_std)
        )
        gated = self.activation == "swiglu"
        yield "block FeedForward(x) {", "feed_forward"
        yield self._map("gate, up" if gated else "up", f"{inner}, width", first, self.up_rates)
        yield self._map("down", f"width, {inner}", times, self.down_rates)
        if self.bias:
            yield self._vector("gate_bias, up_bias" if gated else "up_bias", inner, "zeros")
            yield self._vector("down_bias", "width", "zeros")
        found = INNER[self.activation].format(up=up, gate=gate)
        yield f"    return {found}{' + down_bias' if self.bias else ''}", "feed_forward"
        yield "}", "feed_forward"

    def _inner(self) -> str:
        """The length inside of the feed-forward network."""
        top, bottom = self.inner.numerator, self.inner.denominator
        times = f"{top} * width" if top != 1 else "width"
        return times if bottom == 1 else f"{times} / {bottom}"

    def _forward(self) -> Iterator[SpecLine]:
        yield "forward(tokens : index(vocab) [context]) {", "forward"
        yield f"    x = {self._looked_up()}", "embedding_mult"
        yield "    repeat depth as layers {", "depth"
        times = "" if self.residual_mult == "1" else f"{self.residual_mult} * "
        for block, norm in (("Attention", "attention_norm"), ("FeedForward", "ffn_norm")):
            yield f"        x = x + {times}{block}(Norm(x) as {norm})", "residual"
        yield "    }", "depth"
        yield "    h = Norm(x)", "forward"
        logits = "embedding.T @ h" if self.tied else "readout @ h"
        falls = "base(width) / width" if self.output_falls else ""
        if falls and self.output_power != 1:
            falls = f"({falls})^({self.output_power})"
        factors = [text for text in (self.output_mult, falls) if text not in ("", "1")]
        yield f"    return {' * '.join([*factors, f'({logits})'])}", "output"
        yield "}", "forward"

    def _looked_up(self) -> str:
        found = "embed(embedding, tokens)"
        if self.positions == "learned":
            found += " + position_embedding"
        return found if self.embedding_mult == "1" else f"{self.embedding_mult} * ({found})"


def _rate(times: str) -> str:
    """The key of a learning rate that is a multiple of others."""
    return "" if times == "1" else f", lr = {times} * lr"
