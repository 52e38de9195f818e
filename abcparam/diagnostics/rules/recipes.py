"""P11xx: configurations of other projects."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class MissingConfigSetting(DiagnosticRule):
    """A configuration lacks what its project has no default for.

    Read are flags (`--hidden-size 2048`, in a script or as keys of YAML), `key: value` and
    `key = value`, one or several a line; what is in a variable of a shell cannot be known.
    """

    code = "P1101"
    message = "the configuration has no `{name}`"
    help = "`abcparam explain P1101` says what is read"


class UnreadableSetting(DiagnosticRule):
    """A setting has a value that it cannot have, or that is in a variable."""

    code = "P1102"
    message = "`{name}` is `{value}`"
    label = "must be {wanted}"
    help = "write {wanted}"


class UnknownPart(DiagnosticRule):
    """A configuration is of a model, or of training, that the recipe has no spec for."""

    code = "P1103"
    message = "`{name}` is `{value}`: {reason}"
    label = "not known to the recipe"
    help = "write the model as a spec, or hand it to `abcparam audit`"


class OtherModel(DiagnosticRule):
    """`abcparam export` writes a configuration of a spec only where it is the project's own model.

    The model that the configuration makes is compared with the spec: sizes at initialization,
    updates, learning rates and multipliers are the same, exactly or by their laws.
    """

    code = "P1104"
    message = "`{recipe}` has no configuration for this spec: {problem}"
    help = "`abcparam explain P1104` says what is compared"


class NoRecipe(DiagnosticRule):
    """A project whose configurations are no model that could be judged.

    Where the code makes the model and its training from one number, the code is what to judge:
    `abcparam audit` reads it.
    """

    code = "P1105"
    message = "`{recipe}` has no recipe: {reason}"
    help = "{instead}"
