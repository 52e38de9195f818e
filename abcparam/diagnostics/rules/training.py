"""Optimizers, losses, assumptions and expectations (P042x)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class LossNeedsOutput(DiagnosticRule):
    """A model with several outputs needs a loss that says which output each term is of."""

    code = "P0421"
    message = "the model returns {count} values; the loss must say of which one it is"
    label = "of which output?"
    help = (
        "for example `loss cross_entropy({first})`: outputs are called by the names that are "
        "returned"
    )


class BadLoss(DiagnosticRule):
    """A loss is `cross_entropy` or `mse`, of an output by name where there are several, or a sum of
    such terms.
    """

    code = "P0422"
    message = "this is not a loss"
    label = "not a loss"
    help = "write `cross_entropy`, `mse`, `cross_entropy(NAME)`, or a sum of these"


class MissingSetting(DiagnosticRule):
    """An optimizer needs a learning rate: there is no default that suits every model."""

    code = "P0423"
    message = "the optimizer `{name}` has no `{key}`"
    label = "add `{key} = …`"
    help = "for example `optimizer {name} {{ lr = lr }}` after `hyper lr = 3e-3`"


class WrongAxes(DiagnosticRule):
    """An optimizer that makes orthogonal matrices (Muon) can train matrices only.

    optimizer muon for hidden { lr = 0.02 }
    optimizer adamw { lr = 3e-3 }               # takes the rest: vectors, tables, readouts
    """

    code = "P0424"
    message = "`{optimizer}` trains tensors of {wanted} axes, and `{tensor}` has {axes}"
    label = "trained by `{optimizer}`"
    help = "give it another optimizer: `optimizer adamw for {tensor} {{ lr = lr }}`"


class StaysZero(DiagnosticRule):
    """An optimizer that keeps the norm of each tensor, AdamH or MuonH, never moves what is zero.

    optimizer adamh for hidden, output { lr = lr }
    optimizer adamw { lr = lr }             # takes the rest: biases, and what else starts at zero
    """

    code = "P0426"
    message = (
        "`{optimizer}` keeps the norm of `{tensor}`, which starts at zero and would stay there"
    )
    label = "trained by `{optimizer}`"
    help = (
        "give it another optimizer: `optimizer adamw for {tensor} {{ lr = lr }}`, or another init"
    )


class NoLawForOptimizer(DiagnosticRule):
    """An optimizer whose update has no single law, so that no exponents suit it.

    Prodigy is the example. It estimates, while it trains, one learning rate for all tensors
    together, and takes no groups whose rates differ. But a tensor's rate has to follow the width by
    a power of its own: with one for all, the tensors that need a smaller one are moved too far as
    the width grows, or all others hardly move.
    """

    code = "P0425"
    message = "`{name}` has no law of its own: {reason}"
    label = "no exponents suit it"
    help = "take another: `optimizer {instead} {{ lr = lr }}`"
