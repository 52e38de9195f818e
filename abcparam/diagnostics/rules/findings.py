"""What the laws say about a parametrization (P05xx), and what is worth knowing all the same
(P06xx).
"""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class WrongSizeAtInit(DiagnosticRule):
    """A size at initialization is not as it must be.

    Outputs and softmax logits must be O(1). The input of a nonlinearity must be Θ(1), or exactly
    zero, or smaller only where the map that makes it contracts (its fan-in grows faster than its
    fan-out): a nonlinearity that sees n^(1/2) is saturated or scale-free, one that sees n^(-1/2) is
    linear.

    A hidden matrix wants `a + b = 1/2`, an input tensor `a + b = 0`, a readout `a + b >= 1/2`.

        tensor second : hidden [width, width] { b = 0, … }      wrong: `second @ h` ~ width^(1/2)
        tensor second : hidden [width, width] { b = 1/2, … }    right: ~ 1
    """

    code = "P0501"
    summary = "a size at initialization is not as it must be (`unstable-at-init`)"
    message = "{name} is of size {size} at initialization; {must}"
    label = "{path}"
    help = "{help}"


class ChangeTooLarge(DiagnosticRule):
    """Training changes an activation by more than it can bear: the model is unstable at large
    width.

    Outputs and softmax logits may change by Θ(1), and so may the input of a nonlinearity; the input
    of a norm by no more than its initial size, or Θ(1) where a map makes few numbers of many; an
    operand of a map or product by no more than Θ(1) or its initial size. The message names the term
    that made the change, the notes the path that it took.

        hidden { a = 0, b = 1/2, c = 0 }    wrong under Adam: `second @ h` changes by width
        hidden { a = 0, b = 1/2, c = 1 }    right: its learning rate is lr / width
    """

    code = "P0502"
    summary = (
        "training changes an activation by more than it can bear (`unstable`); the notes "
        "trace the path"
    )
    message = "{name} {change}: {path}"
    label = "{bound}"
    help = "{help}"


class GrowsForEver(DiagnosticRule):
    """The sizes of updates do not settle: each step's are larger, by a power of the width, than
    those of the step before. The tensors named feed each other's gradients.

        tensor first : input [width, pixels] { c = -3, … }      wrong under SGD
        tensor first : input [width, pixels] { c = -1, … }      right
    """

    code = "P0503"
    summary = "updates grow from step to step (`unstable`)"
    message = "updates grow from step to step: {tensors}"
    label = "the update of this tensor keeps growing"
    help = "{help}"


class NothingMoves(DiagnosticRule):
    """The verdict is `trivial`: it is stable, and no output moves as the width goes to infinity.

    Learning rates are too small by a power of the width.

        input { a = 0, b = 0, c = 2 }, output { a = 1, b = 0, c = 2 }       wrong under Adam
        input { a = 0, b = 0, c = 0 }, output { a = 1, b = 0, c = 0 }       right
    """

    code = "P0504"
    summary = "no output moves (`trivial`)"
    message = "no output moves: the largest change of {name} is {size}"
    label = "{path}"
    help = "{help}"


class FeaturesDoNotMove(DiagnosticRule):
    """The verdict is `kernel`: outputs move, and the features do not.

    In the limit the model is a linear one in fixed features (lazy training, the neural tangent
    kernel). Features are the infinite inputs of the maps that produce outputs.

        input { a = 0, b = 0, c = 1 }       wrong under Adam: `relu(first @ x)` stays as it is
        input { a = 0, b = 0, c = 0 }       right
    """

    code = "P0505"
    summary = "outputs move, a feature does not (`kernel`, `feature-learning`)"
    message = "the feature {name} does not move: it is of size {total} and changes by {size}"
    label = "a kernel regime: outputs move, features do not"
    help = "{help}"


class Slack(DiagnosticRule):
    """A tensor's update could be larger, by a power of the width, without harm: it stops learning
    at large width.

    Slack is the bound on the change of what the tensor produces, less what its own update
    contributes to it.

        output { a = 1, b = 0, c = 1/2 }    wrong under Adam: the readout's update vanishes
        output { a = 1, b = 0, c = 0 }      right
    """

    code = "P0506"
    summary = "a tensor's update could be larger by a power of the width (`feature-learning`)"
    message = "the update of `{name}` contributes {size} where {bound} is possible"
    label = "could be larger by {slack}"
    help = "{help}"


class NeverMoves(DiagnosticRule):
    """A trained tensor gets no gradient, at any step: it is not used, or everything behind it is
    zero and stays so.
    """

    code = "P0507"
    summary = "a trained tensor never gets a gradient"
    message = "`{name}` is never updated: its gradient is exactly zero"
    label = "never moves"
    help = "freeze it (`frozen`), or use it; two factors that both start at zero never learn"
    unused = "`{name}` is never updated: nothing uses it"
    delete = "delete it, or use it: as long as it is there the model is not maximal-update"


class PassedInPart(DiagnosticRule):
    """The initial weights of a map pass the change of their input on only in part.

    With `a + b > 1` a readout's initial weights are too small to let the features' change reach the
    output (its update does); with `a + b > 1/2` so are a hidden map's, as those of values. Zero
    initialization is sound; a small one is neither.

        hidden { a = 0, b = 1,   c = 1 }                  wrong
        hidden { a = 0, b = 1/2, c = 1 }                  right
        output { a = 1, b = 1/2, c = 0 }                  wrong
        output { a = 1, b = 0, c = 0 }                    right
        output { a = 1, b = 0, c = 0, init = zeros }      right
    """

    code = "P0508"
    summary = (
        "a map's initial weights pass the change of its input on only in part (`feature-learning`)"
    )
    message = (
        "the initial weights of `{name}` pass the change of {source} on as {size} where "
        "{bound} is possible"
    )
    label = "a + b is too large"
    help = "{help}"


class NotComplete(DiagnosticRule):
    """The spec expects `complete`: every nonlinearity's and softmax's input moved by its own size
    by the tensors of its own block. Residual branches that are scaled down as L^(-1/2) are lazy
    inside.

        x = x + (depth / base(depth))^(-1/2) * Branch(x)    lazy inside
        x = x + (depth / base(depth))^-1 * Branch(x)        complete
    """

    code = "P0509"
    summary = "`complete` is expected and some nonlinearity's input is not moved by its own block"
    message = (
        "the learning of features is not complete: {name} is of size {total} and its own "
        "block moves it by {size}"
    )
    label = "not moved by its own size"
    help = "{help}"


class UnexpectedVerdict(DiagnosticRule):
    """`expect` names another verdict. `check` fails so that a change of a spec cannot silently
    change what it is.
    """

    code = "P0510"
    summary = "the verdict is not the one in `expect`"
    message = "the verdict is {verdict}, not {expected} as expected"
    label = "expected {expected}"
    help = "correct the exponents or the expectation"


class MeanAddsUp(DiagnosticRule):
    """In a repeat over a growing dim, what a branch gives at initialization is not zero on average
    over the weights of its copy. That mean is of one kind in all copies: L copies add up to L times
    as much of it, where what is random adds up to L^(1/2) as much.

    `relu` of a map's result is one such value, for it is never negative. A branch that ends with a
    linear map, with a gate times a map of its own, or with an odd function such as `tanh` has mean
    zero. arXiv 2310.02244 subtracts the mean for this reason.
    """

    code = "P0512"
    summary = "a branch's mean adds up over the copies of a repeat over a growing dim"
    message = (
        "the mean of {name} over the weights of its copy adds up to {size} over {copies} copies"
    )
    label = "not zero on average"
    help = (
        "end the branch with a linear map of its own, subtract the mean over the width "
        "(`layernorm`), or multiply the branch by 1 / {copies}"
    )


class SameInEveryCopy(DiagnosticRule):
    """In a repeat over a growing dim, a branch adds a value that is the same in every copy: one
    that comes from outside, or that only tensors shared by all copies make of the stream. L copies
    add up to L times as much of it.
    """

    code = "P0513"
    summary = (
        "what is the same in every copy adds up over the copies of a repeat over a growing dim"
    )
    message = "{name} adds up to {size} over {copies} copies: it is the same in each"
    label = "the same in every copy"
    help = "let each copy read it through a linear map of its own, or multiply it by 1 / {copies}"


class ConstantEpsilon(DiagnosticRule):
    """Adam divides by `sqrt(v) + eps`. A gradient that falls with the width sinks below a constant
    epsilon, and from there on the update shrinks with it.

    The verdict ignores epsilon unless the spec says `assume epsilon = strict`. Let epsilon fall
    with the gradient, exponent `d`, or keep it far below any gradient.

        hidden { a = 0, b = 1/2, c = 1 }            eps is constant
        hidden { a = 0, b = 1/2, c = 1, d = 1 }     eps / width
    """

    code = "P0602"
    summary = "epsilon does not keep up with a gradient that falls with the width"
    severity = "warning"
    message = "`eps` {eps} but the gradient of `{name}`{also} is of size {gradient}: {where}"
    label = "epsilon does not keep up"
    help = (
        "scale epsilon by exponent, `{d}`, or set `eps` far below the gradients; `assume "
        "epsilon = strict` judges it"
    )


class DecayVanishes(DiagnosticRule):
    """Weight decay multiplies weights by `1 - lr * weight_decay` in each step (torch's AdamW, and
    SGD). Where the learning rate falls as n^-c, a constant weight decay has no effect in the
    limit.

    `weight_decay` proportional to n^c keeps the product: `weight_decay = wd * width / base(width)`.
    With it the relative change of weights in a step stays the same once they balance decay against
    updates (arXiv 2510.19093). To keep the gain of sublayers in that balance, decay as a root of
    the width was found best, with which the product falls (arXiv 2510.15262): then this warning
    says what is meant.
    """

    code = "P0603"
    summary = "weight decay vanishes in the limit"
    severity = "warning"
    message = (
        "weight decay acts on `{name}`{also} as lr * weight_decay = {size}: it vanishes at "
        "large width"
    )
    label = "does not survive the limit"
    help = "{help}"
    keeps = "let weight_decay grow as the learning rate falls: `weight_decay = {remedy}`"
    partly = (
        "weight_decay grows like {decay}, and the learning rate falls faster: `{remedy}` more "
        "keeps their product (arXiv 2510.19093 argues for that); a root of the width is meant to "
        "keep the gain of sublayers over a long run (arXiv 2510.15262)"
    )


class DecayGrows(DiagnosticRule):
    """Weight decay multiplies weights by `1 - lr * weight_decay` in each step, decoupled or SGD's.
    Where this product grows with the width, the weights are wiped out.

    Under SGD in `mup` the learning rates of input and output tensors grow with the width: their
    decay has to fall, `weight_decay = wd / (width / base(width))`, or be zero.
    """

    code = "P0604"
    summary = "weight decay grows with the width"
    severity = "warning"
    message = (
        "weight decay acts on `{name}`{also} as lr * weight_decay = {size}: it grows with the width"
    )
    label = "grows with the width"
    help = "let weight_decay fall as the learning rate grows: `weight_decay = {remedy}`"


class CoupledDecay(DiagnosticRule):
    """Coupled weight decay adds `weight_decay * w` to the gradient (torch's Adam, RMSprop, Adagrad,
    NAdam, Adamax; LARS) or to Adam's update (LAMB), and the optimizer divides the sum by its size.
    Where the decay is the larger part at large width, weights follow it alone; where it is the
    smaller, it has no effect in the limit.

    In `mup` a hidden gradient falls as n^-1 and hidden weights as n^(-1/2): no power of the width
    keeps both. Decoupled decay does: AdamW's.
    """

    code = "P0607"
    summary = "coupled weight decay drowns the gradient, or vanishes beside it"
    severity = "warning"
    message = (
        "under {optimizer} weight decay of size {pull} joins the update of `{name}`{also}, of size "
        "{gradient} before it is scaled: it {effect} at large width"
    )
    label = "the optimizer sees their sum"
    help = "decoupled weight decay (`adamw`) acts on the weights alone, as lr * weight_decay"


class OtherAlignment(DiagnosticRule):
    """The verdict rests on an assumption of the spec about alignment, not on Tensor Programs'
    derivation.

    `full`: updates are aligned with their inputs, initial weights are not, not even a readout's.
    `none`: nothing is. (arXiv 2407.05872.) Some parametrizations that are stable under these are
    not under Tensor Programs.
    """

    code = "P0605"
    summary = "judged under another alignment than Tensor Programs'"
    severity = "note"
    message = "judged under `assume alignment = {alignment}`"
    help = "leave the assumption out for the verdict of Tensor Programs"


class ShippedInAnotherGauge(DiagnosticRule):
    """The exponents are those of a shipped parametrization in another gauge.

    `(a + t, b - t, c - gauge * t)` is the same model at every width, for any t of any tensor: the
    multiplier, the initial scale and the learning rate trade places. `gauge` is 2 for SGD and 1 for
    optimizers that do not see the gradient's scale. Only `a`, `b` and `c` are compared; `abcparam
    diff` compares everything.
    """

    code = "P0606"
    summary = "the exponents are those of a shipped parametrization in another gauge"
    severity = "note"
    message = "this is the shipped {name} ({citation}) in another gauge: {shifts}"
    help = "`parametrization {name}` has the same exponents, in its own gauge"


class Depends(DiagnosticRule):
    """The exponents hold symbols, and the verdict is not the same for all their values.

    `abcparam derive` prints the laws in the symbols, and where each verdict holds; `--set` gives a
    symbol a value.
    """

    code = "P0511"
    summary = "the verdict depends on the symbols in the exponents"
    severity = "error"
    message = "the verdict depends on {symbols}: {verdicts}"
    label = "at {example}: {there}"
    help = "`abcparam derive` says where each verdict holds; `--set` gives a symbol its value"


class NotDecided(DiagnosticRule):
    """The exponents hold symbols, and the budget was spent before all there is to say of the
    verdict was proved.

    The laws are those that were derived by then; where there are none, those at the values that
    are named. What is said of these values needs no search, and holds.
    """

    code = "P0514"
    summary = "the budget was spent before the verdict was proved for all values of the symbols"
    severity = "error"
    message = "the verdict for other values of {symbols} is not known"
    label = "at {example}: {there}"
    help = "`--set` gives a symbol its value; {why}"
