"""Gauges that a module cannot be emitted in (P043x)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class Clipped(DiagnosticRule):
    """`compile --gauge` changes the scale of gradients, which clipping by their joint norm sees."""

    code = "P0431"
    message = "clipping sees the scale of gradients, which the gauge would change for `{tensor}`"
    label = "clips"
    help = "emit it `--gauge as-written`, or without `clip_norm`"


class NotInvariant(DiagnosticRule):
    """Adafactor, LAMB and LARS take steps relative to their weights, from a constant floor, AdamH
    and MuonH at a constant norm, RAdam's first steps are SGD's, and Muon rounds to bfloat16: in
    another gauge they would not take the very same steps.
    """

    code = "P0432"
    message = "`{optimizer}` does not take the same steps in another gauge of `{tensor}`"
    label = "trains `{tensor}`"
    help = "emit it `--gauge as-written`, or train `{tensor}` by another optimizer"


class NotFolded(DiagnosticRule):
    """A factor of the forward is folded into tensors by taking each times a power of a dim, so that
    every output stays. An epsilon in a norm, a number that is added, a softmax or a nonlinearity
    sees such a power at its input, and so do clipping, and optimizers without a gauge. Where every
    tensor that could take the factor meets one of them, the forward has to have it.
    """

    code = "P0434"
    message = "the factor `{factor}` cannot be folded into tensors"
    label = "has to be in the forward"
    help = "without it these would not all stay as they are: {reasons}"


class SeveralGroups(DiagnosticRule):
    """One group needs one epsilon and one weight decay. In the gauge of one learning rate an
    epsilon is taken times κ, and so is weight decay; where they then differ there is no such gauge.
    """

    code = "P0433"
    message = "`{tensor}` needs another {what} than `{other}`, so they are not one group"
    label = "would have {what} {value}; `{other}`, {first}"
    help = "change {what} so that they agree ({remedy}), or emit it `--gauge as-written`"
