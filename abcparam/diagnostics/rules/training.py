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


class NoLawForOptimizer(DiagnosticRule):
    """An optimizer whose update has no single law, so that no exponents suit it.

    RAdam is the example. While its estimate of the variance is too rough (the first five steps at a
    second beta of 0.999) its update is the mean gradient itself, as SGD's; from then on it is
    divided by the gradient's size, as Adam's. In the maximal update parametrization for Adam the
    gradients of hidden matrices fall as 1/n, so that the first steps vanish; in the one for SGD the
    later ones explode. What RAdam wants, small steps at first, a warm-up of Adam's learning rate
    does.
    """

    code = "P0425"
    message = "`{name}` has no law of its own: {reason}"
    label = "no exponents suit it"
    help = "take another: `optimizer {instead} {{ lr = lr }}`"
