"""Names: what is declared, twice or not at all (P02xx)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class UnknownName(DiagnosticRule):
    """A name is used that is declared nowhere in reach.

        h = W9 @ relu(x)       # there is a W2, no W9

    Dims, hypers and tensors are declared at the top (tensors also inside blocks and repeats);
    locals must be assigned before they are used.
    """

    code = "P0201"
    message = "unknown name `{name}`"
    label = "not declared"
    help = "declare it before it is used{declaration}.{suggestion}"
    applied = ": `tensor {name} : ROLE [out, in]`"
    added = ": `tensor {name} : {role}[{axis}]`"


class UnknownFunction(DiagnosticRule):
    """A call of something that is neither an operation, nor a block, nor an instance of one."""

    code = "P0202"
    message = "unknown operation or block `{name}`"
    label = "neither an operation nor a block"
    help = (
        "`abcparam explain operations` lists operations; a block is declared with `block NAME(x) "
        "{{ … }}`.{suggestion}"
    )


class DeclaredTwice(DiagnosticRule):
    """Dims, hypers, symbols, tensors, blocks and instances share one scope: one name, one thing."""

    code = "P0203"
    message = "`{name}` is declared twice"
    label = "already declared on line {line}"
    help = (
        "rename one of them; dims, hypers, symbols, tensors, blocks and instances share one scope"
    )


class HidesDeclaration(DiagnosticRule):
    """A local may be assigned again, but may not hide a dim, hyper, symbol, tensor, block or
    instance.
    """

    code = "P0204"
    message = "the local `{name}` hides the {kind} of that name"
    label = "declared on line {line} as a {kind}"
    help = "give the local another name"


class ReservedName(DiagnosticRule):
    """A name would collide with something of PyTorch or of the emitted module.

    Tensors and instances become attributes of an `nn.Module`, which accepts a parameter called
    `training` without a word and breaks later. `Config`, `torch`, `nn`, `F` and the like are used
    by the emitted module itself.
    """

    code = "P0205"
    message = "`{name}` cannot be used as a name: {owner} has it already"
    label = "taken"
    help = "choose another name, for example `{name}_`"


class SecondInstance(DiagnosticRule):
    """A block is called twice in one body; each call is an instance of its own and needs its own
    name.

        x = x + Norm(x)
        y = Norm(x)            # which one is `norm`?

    Name the call, `Norm(x) as second`, or call the instance again to share its tensors, `norm(x)`.
    """

    code = "P0206"
    message = "a second instance called `{name}` in this body"
    label = "the first is on line {line}"
    help = (
        "name this call, `{block}(…) as NAME`, or write `{name}(…)` to share the first one's "
        "tensors"
    )


class MissingDeclaration(DiagnosticRule):
    """A spec needs a `model`, a `forward`, an `optimizer` and a `loss`."""

    code = "P0207"
    message = "the spec has no `{what}`"
    help = "add one: `{example}`"


class OnlyOnce(DiagnosticRule):
    """`model`, `forward`, `loss`, `parametrization`, and each of the assumptions may stand once."""

    code = "P0208"
    message = "a second `{what}`"
    label = "the first is on line {line}"
    help = "keep one of them"


class RecursiveBlock(DiagnosticRule):
    """A block calls itself, directly or through another: its size would be infinite."""

    code = "P0209"
    message = "the block `{name}` calls itself"
    label = "through {path}"
    help = "use `repeat N as NAME {{ … }}` for copies"


class NotInstance(DiagnosticRule):
    """`a.b` names a tensor of an instance; `a` is none, or its block has no such tensor."""

    code = "P0210"
    message = "`{owner}.{name}`: {problem}"
    label = "{problem}"
    help = (
        "`first.query` is the tensor `query` of the instance `first`; `W.T` is a tensor "
        "transposed.{suggestion}"
    )


class NoReturn(DiagnosticRule):
    """A block or `forward` ends without a `return`, or has statements after it."""

    code = "P0211"
    message = "{what} must end with one `return`"
    help = "end it with `return VALUE`; nothing may follow, and a repeat has none"


class UnknownSetting(DiagnosticRule):
    """A key that the thing at hand does not have."""

    code = "P0212"
    message = "{owner} has no setting `{name}`"
    label = "unknown"
    help = "known: {known}.{suggestion}"


class UnknownWord(DiagnosticRule):
    """A word stands where only certain words have a meaning: a role, an optimizer, a verdict, a
    loss.
    """

    code = "P0213"
    message = "`{name}` is not {what}"
    label = "unknown"
    help = "known: {known}.{suggestion}"


class TensorCalled(DiagnosticRule):
    """A tensor is called as a function. `@` applies it.

        h = second(h)           wrong
        h = second @ h          right

    Matrices are applied to the last axis of a value, which their in axis is summed over with:
    `second @ h` of `second : [out, in]` and `h : [context, in]` is `[context, out]`.
    """

    code = "P0215"
    message = "`{name}` is called, and is no operation or block"
    label = "a tensor"
    help = "`{name}` is a tensor: apply it as `{applied}`"


class ImportFailed(DiagnosticRule):
    """An `import` names a file that cannot be taken: outside the spec's folder, missing, or not a
    parametrization.

    Imports are resolved inside the folder of the spec that imports, and hold nothing but
    `parametrization` blocks.
    """

    code = "P0214"
    message = 'cannot import "{path}": {problem}'
    label = "{problem}"
    help = "an import is a `.param` file of parametrizations in the spec's own folder"
