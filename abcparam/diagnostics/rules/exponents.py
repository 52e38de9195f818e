"""Dims, exponents, settings (P04xx)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class MissingExponent(DiagnosticRule):
    """A tensor's exponent is given neither by itself nor by its role.

    `W = n^-a w`, `w ~ N(0, n^-2b)` at init, learning rate `n^-c`. Each comes from the tensor, else
    from its role in `parametrization { … }`. Only `[dim]` forms, scalars and frozen tensors default
    to 0.
    """

    code = "P0401"
    message = "`{name}` has no exponent {letters}"
    label = "neither here nor for its role, `{role}`"
    help = (
        "write it here or for `{role}` in `parametrization {{ … }}`, or take a shipped one: "
        "`parametrization mup`"
    )


class NotAnExponent(DiagnosticRule):
    """An exponent is not a rational number, or not affine in symbols declared by `exponent`."""

    code = "P0402"
    message = "`{letter}` must be a rational number, affine in declared symbols, or `?`"
    label = "not an exponent"
    help = "write `1/2`, `1 - theta` after `exponent theta`, or `?` to have it solved"


class FiniteDim(DiagnosticRule):
    """An exponent about a dim that does not go to infinity: `n^-a` of a constant is a constant."""

    code = "P0403"
    message = "`{letter}[{dim}]`: `{dim}` does not go to infinity"
    label = "a finite dim has no exponent"
    help = (
        "declare it `dim {dim} -> inf, base = …`, or put the constant into `mult`, `init` or `lr`"
    )


class UnsolvedExponent(DiagnosticRule):
    """The spec holds a `?`, an exponent to be solved: `check` and `compile` cannot judge it."""

    code = "P0404"
    message = "`{name}` has an unknown exponent `{letter} = ?`"
    label = "to be solved"
    help = "`abcparam solve {file}` finds it"


class SymbolicExponent(DiagnosticRule):
    """The spec's exponents hold a symbol without a value. The place is the symbol's first."""

    code = "P0405"
    message = "the symbol `{name}` has no value"
    label = "symbolic exponent"
    help = "give it one: `--set {name}=1/2`"


class GrowingConstant(DiagnosticRule):
    """`init`, `mult` and `lr` of a tensor are constants of the width: exponents say how things
    scale.

    tensor W : hidden [width, width] { init = normal(width^-1/2) }     # write b = 1/2 instead
    """

    code = "P0406"
    message = "`{key}` of `{name}` depends on `{dim}`, which goes to infinity"
    label = "must not depend on the width"
    help = (
        "that is what the exponents are for: `a` for mult, `b` for init, `c` for lr; "
        "`base({dim})` is a number"
    )


class NotANumber(DiagnosticRule):
    """A number, dim or hyper is needed and something else stands there."""

    code = "P0407"
    message = "{what} must be {wanted}"
    label = "not {wanted}"
    help = "use numbers, dims, hypers and + - * / ^"


class FormulaTooLarge(DiagnosticRule):
    """Sizes are compared exactly: products of sums are multiplied out, and these have too many
    terms.
    """

    code = "P0427"
    message = "a product of sums is multiplied out, by more than {most} products of terms"
    label = "too many terms"
    help = "name the sums as dims of their own, with a number each"


class DimInHyper(DiagnosticRule):
    """A hyper is stated by a dim. Hypers are numbers, which stay as they are while dims grow.

        hyper lr = 1e-3 / width             wrong
        hyper lr = 1e-3                     right, and `c = 1` of the tensors or roles
        hyper std = 0.02 / depth            wrong for a finite depth too
        init = normal(0.02 / depth)         right, where it is used

    How rates, scales and multipliers fall with a dim that goes to infinity is said by exponents: a
    learning rate is `lr * (width / base(width))^-c`.
    """

    code = "P0418"
    message = "the hyper `{name}` is stated by the dim `{dim}`: hypers are numbers"
    label = "a dim"
    help = "{help}"
    grows = (
        "what scales with {dim} is said by exponents of tensors or roles: `{c}` for a learning "
        "rate, `{b}` for an initial scale, `{a}` for a multiplier"
    )
    finite = "write the number, or `{dim}` where the hyper is used"


class NotPositive(DiagnosticRule):
    """A dim, its base or its rate must be positive, a dim and its base whole.

    So must learning rates, multipliers and what norms are clipped to be, with the values of hypers
    that the spec, `--set` or `--over` gives. Deviations of an init, weight decays, momenta and
    epsilons may be 0, betas go from 0 to below 1, a share that is dropped from 0 to 1.
    """

    code = "P0408"
    message = "{what} is {value}, not {wanted}"
    label = "not {wanted}"
    help = "{remedy}"
    divide = "choose sizes that divide evenly, or round: `round_up(8 * width / 3, 256)`"
    multiple = "`{dim}` has to be a multiple of {step}: `base = {near}`"


class CyclicDims(DiagnosticRule):
    """Dims are defined by each other in a circle."""

    code = "P0409"
    message = "the dim `{name}` is defined by itself"
    label = "through {path}"
    help = "one of them must be a number or go to infinity"


class BadInit(DiagnosticRule):
    """An init is not one of `normal(std)`, `uniform(bound)`, `orthogonal(gain)`, `zeros`, `ones`,
    `constant(x)`.
    """

    code = "P0410"
    message = (
        "`init` of `{name}` must be normal(std), uniform(bound), orthogonal(gain), zeros, "
        "ones or constant(x)"
    )
    label = "not an init"
    help = "{help}"
    forms = (
        "for example `init = normal(0.02)`; the default is normal(1/sqrt(fan_in)), zeros for "
        "vectors"
    )
    moments = "the mean is 0, and `{kind}` takes {what} alone: `{kind}({value})`"
    alone = {"normal": "the standard deviation", "uniform": "the bound"}


class NoOptimizer(DiagnosticRule):
    """No optimizer takes a tensor, or two do. One without a selector takes the rest."""

    code = "P0411"
    message = "{problem}"
    label = "trained by {count}"
    help = (
        "selectors are roles, tensor paths and `path.*`; one optimizer without a selector "
        "takes the rest"
    )


class NoSuchParametrization(DiagnosticRule):
    """A shipped or imported parametrization has no form for the optimizer of the spec."""

    code = "P0412"
    message = "no parametrization `{name}` for `{optimizer}`"
    label = "not for `{optimizer}`"
    help = "there are {known}.{suggestion} Or write the exponents out in `parametrization {{ … }}`"


class MissingArgument(DiagnosticRule):
    """An operation or block is called without something that it needs."""

    code = "P0413"
    message = "`{operation}` needs `{name}`"
    label = "missing"
    help = "{remedy}"


class TooManyArguments(DiagnosticRule):
    """An operation or block is called with more than it takes."""

    code = "P0414"
    message = "`{operation}` takes at most {most}, not {count}"
    label = "too many"
    help = "it takes {signature}"


class WrongCount(DiagnosticRule):
    """A statement names another number of values than its right side gives."""

    code = "P0415"
    message = "{wanted} for {given}"
    label = "gives {given}"
    help = "write as many names on the left as the right side gives values: `a, b = split(x, 2)`"


class GraphTooLarge(DiagnosticRule):
    """The unrolled graph would be too large to analyse.

    Copies of a finite repeat and instances of blocks are analysed one by one; an infinite
    repeat is one.
    """

    code = "P0416"
    message = "{what} makes more than {most}"
    label = "too much"
    help = "let the dim go to infinity, or analyse the model at a smaller size"


class NotCovered(DiagnosticRule):
    """Something that the language can write and the theory does not cover yet: refused, never
    guessed.
    """

    code = "P0417"
    message = "{what} is not covered"
    label = "no law"
    help = "{remedy}"


class PowerThenQuotient(DiagnosticRule):
    """`head^-1/2` is `(head^-1)/2`: the exponent of `^` is a number, a name or in parentheses.

    Write `head^(-1/2)` for one over the square root.
    """

    code = "P0601"
    summary = "`head^-1/2` is a quotient"
    severity = "warning"
    message = "`{text}` is `{reading}`"
    label = "the exponent ends before the `/`"
    help = "write `{meant}` if you mean the power, `{reading}` if you mean the quotient"
