"""What `abcparam solve` has to say: no solution, or no proof of one."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class NoSolution(DiagnosticRule):
    """The exponents that are written contradict each other: no values of the unknown ones make the
    spec what it should be.

    The places named are a smallest set that cannot hold together: with any one of them changed, the
    others leave room for a solution. Where the search for it takes longer than it may (`--budget`),
    all that are written are named together.

        tensor W3 : output [classes, width] { a = 0, b = 1/2, c = ? }   # a + b must be 1
    """

    code = "P0701"
    message = "no exponents make it {goal} as long as {written}"
    label = "{label}"
    help = "{help}"
    one = ("this rules it out", "write `?` here, and `abcparam solve` finds it")
    several = (
        "one of {count} that rule it out together",
        "write `?` for any one of these, and `abcparam solve` finds it",
    )
    place = "`{key}` of `{owner}` is {value}"
    all_of_them = "the exponents that are written stay"
    absent = "`{key}` of `{owner}` is not written, and so 0"


class GaveUp(DiagnosticRule):
    """The solver found neither a solution nor a proof that there is none, in the time it has.

    Fewer unknowns are easier: write the exponents that you know.
    """

    code = "P0703"
    message = "neither a solution nor a proof that there is none was found"
    label = "undecided"
    help = "write some of the exponents, and leave `?` for fewer"


class NoExponents(DiagnosticRule):
    """Whatever its exponents are, the model cannot be what it should be: the graph itself stands in
    the way.
    """

    code = "P0704"
    message = "no exponents whatever make it {goal}: {why}"
    label = "the output of the graph"
    help = (
        "change the forward graph: `abcparam check` with any exponents says what goes wrong where"
    )


class DependsOnSymbols(DiagnosticRule):
    """The spec has symbols of its own beside `?`, and no exponents that are affine in them make it
    what it should be for all their values.

    There may be some for one value of the symbols, and others for another.
    """

    code = "P0705"
    message = "no exponents affine in {symbols} make it {goal} for all values"
    label = "may have any value"
    help = "give it one: `--set {first}=1/2`"


class NoFamily(DiagnosticRule):
    """Two specs that no family of exponents connects: they are not the same model, or they differ
    in how something else than an exponent scales.

    `interpolate` and `map` change initial scales and learning rates alone, and keep all else as the
    first spec has it: dims, tensors and the forward pass, optimizers and their settings.
    """

    code = "P0706"
    message = "no change of exponents leads from {a} to {b}: the {what}"
    label = "the first of the two"
    help = "`abcparam diff` says all that is different; let them differ in exponents alone"
