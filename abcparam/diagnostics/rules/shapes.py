"""Shapes and roles (P03xx)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class ShapesDiffer(DiagnosticRule):
    """Two values meet whose axes do not match.

    Shapes are compared as formulas, so `heads * head` is `width` where `heads = width / head`, but
    two dims that merely have the same value are different: somebody may change one of them.

        h = W1 @ x + b1        # W1 @ x is [width], b1 is [classes]

    Give both the same axes. Axes are aligned at the last one, as PyTorch broadcasts; an axis of 1
    is stretched.
    """

    code = "P0301"
    message = "`{operation}` of shapes {left} and {right}, which do not match"
    label = "these shapes do not match"
    help = "axes are aligned at the last one; they must be the same formula, or 1"


class ContractedAxisDiffers(DiagnosticRule):
    """A tensor is applied to a value whose last axis is not the tensor's in axis.

        tensor W : hidden [width, pixels]
        h = W @ relu(y)        # y is [width], not [pixels]

    `W @ x` contracts the in axis (the last of [out, in]) with the last axis of x; `W.T @ x`
    contracts the out axis.
    """

    code = "P0302"
    message = (
        "`@`: the tensor contracts an axis of `{wanted}`, but the last axis of what it is applied "
        "to is `{found}`"
    )
    label = "applied to a value of shape {shape}"
    help = (
        "`W @ x` contracts the in axis of W [out, in] with the last axis of x, `W.T @ x` the "
        "out axis"
    )


class NoSuchAxis(DiagnosticRule):
    """An axis is named that the value does not have. Declared axes are counted, not batch axes; -1
    is the last.
    """

    code = "P0303"
    message = "`{operation}`: there is no axis {axis} in shape {shape}"
    label = "no such axis"
    help = (
        "axes count from 0 (declared axes only, the batch is left out), or from the end when "
        "negative"
    )


class RankTooLow(DiagnosticRule):
    """An operation needs more declared axes than its operand has: attention needs a sequence axis
    before the last.
    """

    code = "P0304"
    message = (
        "`{operation}` needs an operand of {needed} or more declared axes, not one of shape {shape}"
    )
    label = "an operand has shape {shape}"
    help = (
        "declare the missing axis on the input, for example `forward(tokens : index(vocab) "
        "[context])`"
    )


class HeadsDoNotDivide(DiagnosticRule):
    """The last axis of an operand of attention is not heads times a head size.

    dim heads = width / head
    attention(query @ x, …, heads = heads)      # query @ x must be [context, heads * head]
    """

    code = "P0305"
    message = (
        "`{operation}`: the last axis of {name} is `{found}`, which is not `{count}` heads of "
        "equal size"
    )
    label = "`{found}` does not divide by `{count}`"
    help = (
        "the last axis of queries, keys and values must be the number of heads times the head size"
    )


class GrowingAxis(DiagnosticRule):
    """An axis that grows stands where the theory has no law for one: under a softmax, a sequence, a
    vocabulary.

    The scaling calculus takes sequences, batches, space and vocabularies to be finite. A softmax
    over an axis that goes to infinity is not covered, and abcparam refuses rather than guesses.

    A number of experts that grows has no one law: the logits of the experts that a token takes
    change by another power of it than those of all do. arXiv 2601.20205 has rules for a fixed share
    of active experts behind sigmoids.
    """

    code = "P0306"
    message = "`{operation}`: there is no law for an axis (`{axis}`) that grows here"
    label = "`{axis}` goes to infinity"
    help = "{remedy}"
    usual = (
        "keep this axis finite (`dim NAME = 512`): the calculus covers finite sequences, "
        "classes and experts"
    )
    experts = (
        "keep the number of experts finite (`dim NAME = 64`): the logits of the experts that a "
        "token takes change by another power of it than those of all, and an expert's gradient is "
        "its share of the tokens, which depends on the batch"
    )


class RoleContradictsShape(DiagnosticRule):
    """A declared role does not fit the tensor's shape.

    Roles follow from which of fan-in and fan-out grow: finite to infinite is `input`, infinite to
    infinite `hidden`, infinite to finite `output`, finite to finite `scalar`. A `kv_heads = 8` that
    does not grow makes key and value *output* tensors: they contract the width to something finite.
    """

    code = "P0307"
    message = "{names} declared `{declared}`, but {whose} shape {shape} makes {which} `{actual}`"
    label = "fan-in `{fan_in}` is {in_grows}, fan-out `{fan_out}` is {out_grows}"
    help = "{remedy}"
    grow = (
        "declare it `{actual}`, leave the role out, or make the axis grow with a dim that "
        "goes to infinity"
    )
    follow = (  # where the axis that should grow is a product, such as of heads
        "declare it `{actual}`, leave the role out, or let one of `{factors}` follow a dim that "
        "goes to infinity, such as `dim {factor} = {grows} / {other}`"
    )
    keep = (  # where both fans grow: a dim that should not
        "vocabularies, classes and sequences stay finite, for the theory has no law for their "
        "growth: `dim {dim} = {size}`"
    )
    declare = "declare it `{actual}`, or leave the role out"


class NotATensor(DiagnosticRule):
    """The operand of `@`, `embed` or a convolution that must be a tensor of the model is something
    else.
    """

    code = "P0308"
    message = "`{operation}`: {operand} must be {wanted}, not {found}"
    label = "{found}"
    help = "declare it with `tensor NAME : ROLE [out, in]` and apply it as `NAME @ x`"


class NotAValue(DiagnosticRule):
    """A value (an array) is needed where a number, a length or a flag stands.

    y = relu(1)
    """

    code = "P0309"
    message = "`{operation}` needs a value here, not {found}"
    label = "{found}"
    help = (
        "values are inputs, locals, tensors and results of operations; a number can only be added "
        "to one, multiply or divide it"
    )


class NotAnIndex(DiagnosticRule):
    """`embed` looks rows up by integer; a float array was given, or an integer array where floats
    are needed.
    """

    code = "P0310"
    message = "`{operation}`: `{name}` must be {wanted}, not {found}"
    label = "{found}"
    help = (
        "an input of indices is declared `tokens : index(vocab) [context]`, and looked up with "
        "`embed(table, tokens)`"
    )


class CarriedShapeChanges(DiagnosticRule):
    """A name that a repeat carries from copy to copy changes its shape inside.

        repeat depth as layers { x = down @ x }    # [width] goes in, [width / 2] comes out

    Every copy hands it to the next one, so it must keep its shape.
    """

    code = "P0311"
    message = "`{name}` goes into `{label}` with shape {before} and comes out with {after}"
    label = "carried from copy to copy"
    help = "keep the shape inside the repeat, or give the result another name"


class NotALength(DiagnosticRule):
    """A shape holds something that is not a positive whole length made of dims and numbers."""

    code = "P0312"
    message = "`{text}` is not a length"
    label = "must be made of dims and numbers"
    help = (
        "axes are expressions in dims: `4 * width`, `width / head`, `round_up(8 * width / 3, 256)`"
    )


class OutputGrows(DiagnosticRule):
    """The loss is taken of an output with an axis that grows: the theory has no law for a growing
    vocabulary.
    """

    code = "P0313"
    message = (
        "the loss of an output of shape {shape}: there is no law for an output axis that grows"
    )
    label = "`{axis}` goes to infinity"
    help = (
        "end the model with a readout to a finite axis, such as `tensor readout : output "
        "[classes, width]`"
    )


class NotWhole(DiagnosticRule):
    """A setting that must be a plain whole number, such as an axis or a number of parts.

    The shapes of results depend on it, so it is written out, not computed from dims that may
    change.
    """

    code = "P0314"
    message = "`{operation}`: `{name}` must be {wanted}"
    label = "`{name}` is not {wanted}"
    help = "write the number out, for example `axis = -1` or `split(x, 4)`"
    lengths = "their sum has to be that of the axis, or of a head: `split(x, (1, n - 1))`"


class IndexOutOfRange(DiagnosticRule):
    """`x[i]` takes the i-th of the first declared axis, counted from 0, or from the end when
    negative.
    """

    code = "P0315"
    message = "there is no `[{index}]` in an axis of `{axis}`, which is {length} long at base"
    label = "out of range"
    help = "indices are whole numbers from 0, or from -1 backwards"


class OddHead(DiagnosticRule):
    """Rotary positions turn pairs of coordinates, so a head has an even number of them."""

    code = "P0316"
    message = "`{operation}`: a head of {head} coordinates has no pairs"
    label = "a head must be even"
    help = "choose an even size of heads, or tell `heads` how many there are"


class ChannelsDiffer(DiagnosticRule):
    """A convolution's tensor does not take as many channels as its operand has.

        tensor W : hidden [width, width, 3, 3]
        y = conv2d(W, image)           # image has [colours, rows, columns]

    A tensor is [out, in / groups, kernel …], a value [channels, space …], as in PyTorch.
    """

    code = "P0317"
    message = "`{operation}`: the tensor takes `{wanted}` channels, but its operand has `{found}`"
    label = "the operand has shape {shape}"
    help = "tensors are [out, in / groups, kernel ...], values [channels, space ...]"


class WrongRank(DiagnosticRule):
    """A convolution or a pooling has an operand with another number of axes than it needs.

    Values are [channels, space …], tensors [out, in / groups, kernel …]; the batch is left out.
    """

    code = "P0318"
    message = "`{operation}`: {operand} must have the axes {wanted}, not {shape}"
    label = "{operand} has shape {shape}"
    help = "shapes leave the batch out; kernels have as many axes as space"


class EmptyResult(DiagnosticRule):
    """A window is longer than the axis that it slides over, so that nothing is left."""

    code = "P0319"
    message = "`{operation}`: a window of {size} does not fit into an axis of {length}"
    label = "nothing is left of this axis"
    help = "make the window smaller, or add `padding`"


class NotABlock(DiagnosticRule):
    """A mixture is told its expert by a call of a block, of which it makes one instance per logit.

        y = mixture(router @ x, Expert(x), top = 2)

    The block takes one value, that of a single token: the axes that the logits have before their
    last one are left out of its shape. Sizes and numbers can be handed to it as well.
    """

    code = "P0320"
    message = "`{operation}`: `{name}` must be a call of a block of one value"
    label = "no such call"
    help = "write `mixture(router @ x, Expert(x), top = 2)` with `block Expert(x) {{ … }}`"


class RoleNeeded(DiagnosticRule):
    """A tensor without a role is looked up, and applied as a map stored the other way round.

        tensor embedding : [vocab, width]
        x = embed(embedding, tokens)        # a table: (in, out), an `input` tensor
        return embedding @ x                # a map: (out, in), an `output` tensor

    The two want different multipliers and learning rates. As an `input` tensor it is applied by
    `embedding.T @ x`; as an `output` tensor, by `embedding @ x`.
    """

    code = "P0321"
    message = (
        "`{name}` {shape} has no role: looked up it is an `input` tensor, stored as a table "
        "(in, out), and here it is applied as a map (out, in)"
    )
    label = "contracts the other axis than that of a table"
    help = "declare it `input` and write `{table} @ …`, or give it the role of the map, `output`"


class NothingGrows(DiagnosticRule):
    """Roles are declared, and no dim goes to infinity.

        dim width = 256                     wrong, where width is what will grow
        dim width -> inf, base = 256        right

    Roles say which of fan-in and fan-out grow, and exponents how things scale with that. The base
    is the size at which hyperparameters are stated.
    """

    code = "P0322"
    message = "no dim goes to infinity, so that no tensor can be `{role}`"
    label = "finite"
    help = "say what grows: `dim {dim} -> inf, base = {size}`"


class CountGrows(DiagnosticRule):
    """A vocabulary or a sequence goes to infinity.

        dim vocab -> inf, base = 512        wrong
        dim vocab = 50304                   right

    The limit is one of widths (and of depths): how a loss over ever more classes, or attention over
    ever longer sequences, behaves is another theory, which is not covered. Rates for a vocabulary
    that grows are in arXiv 2506.15025.
    """

    code = "P0323"
    message = "`{dim}` goes to infinity, and is {what}: there is no law for its growth"
    label = "counts {counted}"
    help = "keep it finite: `dim {dim} = {size}`; {why}"
    classes = (
        "the number of classes of an input of indices",
        "classes",
        "a row's gradient goes with how often its class occurs, which is no power of their number",
    )
    positions = (
        "the length of an input of indices",
        "positions",
        "how much of a softmax each of them gets depends on the data and is no power of it",
    )


class MapMultiplied(DiagnosticRule):
    """A tensor that is a map stands in a product of entries with the value that it should map.

        h = relu(second * h)    wrong: entries of [width, width] times those of [width]
        h = relu(second @ h)    right

    `*` multiplies entry by entry, axes aligned at the last one, as in PyTorch.
    """

    code = "P0324"
    message = "`*` of the tensor `{name}` {shape} and a value of shape {other} is entry by entry"
    label = "of shape {result}"
    help = "did you mean `{applied}`?"


class TensorOnTheRight(DiagnosticRule):
    """`@` has its tensor on the right. It is written as in mathematics: the tensor, then the value.

    h = h @ second          wrong, as rows of PyTorch are multiplied
    h = second @ h          right: sums over the in axis of [out, in]
    h = second.T @ h        sums over the out axis
    """

    code = "P0325"
    message = "`@`: the tensor `{name}` stands on the right of the value that it is applied to"
    label = "of shape {shape}"
    help = "the tensor stands on the left: `{applied}`"


class ValuesMultiplied(DiagnosticRule):
    """`@` of two values: it applies a tensor of the model, and neither side is one.

    Products of values are those of `attention`, `similarity`, row by row, and `*`, entry by entry.

        return u @ v.T                                  wrong
        return similarity(u, v)                         right: each sample with each, for a
        loss cross_entropy                              contrastive loss
    """

    code = "P0326"
    message = "`@` of two values: one side must be a tensor of the model"
    label = "neither is a tensor"
    help = (
        "values are multiplied by `attention(q, k, v, …)`, by `similarity(x, y)` for `x @ y.T`, or "
        "by `*`, entry by entry"
    )


class NotJoined(DiagnosticRule):
    """Values are joined that differ in another axis than the one along which they are joined, or in
    how many axes they have.

        tensor token : [width]
        concat(token, x, axis = 0)          wrong where x is [context, width]
        tensor token : [1, width]           right: the same axes, one of them joined
    """

    code = "P0327"
    message = "`{operation}` of shapes {left} and {right} along axis {axis}"
    label = "these shapes do not join"
    help = "{help}"
    others = "all axes but the joined one must be the same formula"
    ranks = "{one} has {few} where {other} has {many}: declare it `{as_many}`"


class MapStoredAsTable(DiagnosticRule):
    """An `input` tensor whose last axis grows is a table, stored (in, out) as an embedding is, and
    starts at N(0, 1). It is applied by `@` and never looked up, so a map stored as PyTorch stores
    it, (out, in), is what is meant.

        tensor first : input [pixels, width]     # entries of size 1: `first @ x` is too large
        tensor first : input [width, pixels]     # entries of size pixels^(-1/2)

    A readout that is tied to an embedding is looked up too, and is not warned of.
    """

    code = "P0608"
    summary = "an `input` tensor is stored as a table (in, out), and `@` alone reads it"
    severity = "warning"
    message = "`{name}` {shape} is stored as a table (in, out), and no `embed` reads it"
    label = "`@` wants `{wanted}`"
    help = "maps are stored (out, in), and start at 1/sqrt(fan_in): `{name} : input {wanted}`"


class NotOfChannels(DiagnosticRule):
    """The gain and the bias of a `batchnorm` or `groupnorm` have one entry for each channel, which
    is the first axis of what is normed, and so one axis, whatever axes follow the channels.

        tensor gain : input [width, 1, 1] { init = ones }       wrong: as PyTorch would broadcast it
        tensor gain : input [width] { init = ones }             right
    """

    code = "P0328"
    message = "`{operation}`: its {name} is of shape {found}, where each channel has one entry"
    label = "the {name} must be of shape {wanted}"
    help = "declare the {name} as `{wanted}`: all places of a channel share its entry"


class MayBeNegative(DiagnosticRule):
    """A logarithm is taken of what is positive alone: of what `exp`, `softplus`, `sigmoid` or
    `softmax` gives, of products, sums and means of these, and of what is not negative, such as a
    `square`, plus a positive number. Near zero it has no size.

        log(W @ x)                 negative as often as not
        log(1 + square(W @ x))     right
    """

    code = "P0329"
    message = "`{operation}` of what may be negative or zero"
    label = "nothing says that this is positive"
    help = (
        "take it of what is positive: `exp(x)`, `softplus(x)`, `softmax(x)`, or `1 + square(x)`; "
        "the name of a value says so too, but not a block's parameter"
    )
