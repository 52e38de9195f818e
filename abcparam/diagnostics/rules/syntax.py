"""What may be wrong with a spec before its names mean anything (P0101 to P0199)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class UnexpectedToken(DiagnosticRule):
    """Something stands where the language has no place for it.

    The message names what could have stood there.

        dim width -> 256        wrong: only `inf` follows an arrow
        dim width = 256         right
    """

    code = "P0101"
    message = "expected {expected}, found {found}"
    label = "{label}"
    help = "{help}"


class Unclosed(DiagnosticRule):
    """A bracket is opened and never closed.

    The place is that of the opening bracket; where several `{` are open, indentation tells which.

        y = relu(W @ x          wrong
        y = relu(W @ x)         right
    """

    code = "P0102"
    message = "this `{opener}` is never closed"
    label = "opened here"
    help = "add the `{closer}` that belongs to it"


class StrayBracket(DiagnosticRule):
    """A bracket closes nothing: it was never opened, or another one is open.

    y = relu(W @ x))        wrong
    y = relu(W @ x)         right
    """

    code = "P0103"
    message = "this `{bracket}` closes nothing"
    label = "no `{opener}` is open here"
    help = "remove it, or add the `{opener}` that belongs to it"


class BadCharacter(DiagnosticRule):
    """A character that means nothing in a spec outside of comments.

    dim depth = 12 %        wrong
    dim depth = 12          right
    """

    code = "P0104"
    message = "`{text}` means nothing in a spec"
    label = "not part of the language"
    help = "{help}"


class BadName(DiagnosticRule):
    """A name is a letter of the ASCII alphabet, then letters, digits and underscores.

    hyper η = 0.1           wrong
    hyper eta = 0.1         right
    """

    code = "P0105"
    message = "`{text}` cannot be a name"
    label = "{label}"
    help = "a name is a letter from a to z or A to Z, then letters, digits and `_`"


class BadNumber(DiagnosticRule):
    """A number is digits, with an optional fraction and an optional exponent, and nothing else.

    dim vocab = 50_304      wrong
    hyper lr = .1           wrong
    dim vocab = 50304       right
    hyper lr = 0.1          right
    """

    code = "P0106"
    message = "`{text}` is not a number"
    label = "not a number"
    help = "{help}"


class LongNumber(DiagnosticRule):
    """A number has at most 18 digits, and a power of ten from -99 to 99.

    hyper lr = 0.1000000000000000000001     wrong
    hyper lr = 0.1                          right
    """

    code = "P0107"
    message = "{number} is too long"
    label = "more than {digits} digits, or a power of ten beyond {exponent}"
    help = "write at most {digits} digits, and powers of ten from -{exponent} to {exponent}"


class LargeFraction(DiagnosticRule):
    """The parts of a fraction of two numbers are at most a million.

    hyper std = 1/16777216      wrong
    hyper std = 2^-24           right
    """

    code = "P0108"
    message = "this fraction is too large"
    label = "more than {limit}"
    help = "the parts of a fraction are at most {limit}; write it as a decimal or with a power"


class LongName(DiagnosticRule):
    """A name has at most 64 characters."""

    code = "P0109"
    message = "this name has {length} characters"
    label = "more than {limit}"
    help = "shorten it to at most {limit} characters"


class KeywordName(DiagnosticRule):
    """A word of Python cannot be a name, because what is compiled is Python.

        dim lambda = 3          wrong
        dim rank = 3            right

    True and false are written `true` and `false`.
    """

    code = "P0110"
    message = "`{name}` is a word of Python"
    label = "cannot be a name"
    help = "{help}"


class PythonStatement(DiagnosticRule):
    """A line starts with a word of Python that is not part of a spec.

    def block(x): ...               wrong
    block Block(x) { return x }     right

    for i in range(depth): ...      wrong
    repeat depth as layers { ... }  right
    """

    code = "P0111"
    message = "`{word}` starts a statement of Python, not of a spec"
    label = "not part of the language"
    help = "{help}"
    forward = (
        "write `forward(x : [pixels]) { … }`, with the axes of each input, and the body in braces"
    )


class UnclosedText(DiagnosticRule):
    """A text in quotes ends on the line on which it starts.

    import "mine.param      wrong
    import "mine.param"     right
    """

    code = "P0112"
    message = "this text is never closed"
    label = "opened here"
    help = 'add the closing `"` on the same line'


class MisplacedText(DiagnosticRule):
    """A text in quotes stands only after `import`; everything else is a word.

    { init = "zeros" }      wrong
    { init = zeros }        right
    """

    code = "P0113"
    message = "a text in quotes has no place here"
    label = "only `import` takes one"
    help = "write the word without quotes"


class TooDeep(DiagnosticRule):
    """Brackets and operators nest at most 64 levels deep.

    A sum counts a level for each of its signs.
    """

    code = "P0114"
    message = "this is more than {limit} levels deep"
    label = "the level that is too much"
    help = "give a part of it a name on a line of its own"


class UnknownDeclaration(DiagnosticRule):
    """Every statement at the top of a file starts with the word that says what it declares.

    width = 256             wrong
    dim width = 256         right
    """

    code = "P0115"
    message = "`{found}` does not start a declaration"
    label = "not a declaration"
    help = "{help}"


class MisplacedStatement(DiagnosticRule):
    """`repeat` and `return` compute, and so stand in a block or in `forward`.

    return W @ x                            wrong at the top of a file
    forward(x : [pixels]) { return W @ x }  right
    """

    code = "P0116"
    message = "`{word}` has no place at the top of a file"
    label = "belongs in a body"
    help = "move it into a block or into `forward`"


class MisplacedDeclaration(DiagnosticRule):
    """Bodies hold tensors and computations; everything else is declared at the top of the file.

    block A(x) { dim k = 2; … }             wrong
    dim k = 2                               right, before the block
    """

    code = "P0117"
    message = "`{word}` has no place in a body"
    label = "belongs at the top of the file"
    help = "move it out of the braces"


class NotAStatement(DiagnosticRule):
    """A line of a body assigns to names, returns, repeats or declares tensors.

    relu(W @ x)             wrong: nothing uses the value
    y[0] = relu(W @ x)      wrong: only whole values are assigned
    y = relu(W @ x)         right
    """

    code = "P0118"
    message = "this is not a statement"
    label = "expected `=`"
    help = "{help}"
    forms = "a line of a body is `name = value`, `return value`, `repeat`, or `tensor`"
    result = "what a body gives stands after `return`: `return {value}`"


class MissingEquals(DiagnosticRule):
    """A name and its value are joined by `=`.

    hyper lr 0.1            wrong
    hyper lr: 0.1           wrong
    hyper lr = 0.1          right
    """

    code = "P0119"
    message = "`=` is missing after `{name}`"
    label = "expected `=`"
    help = "write `{name} = …`"


class MissingColon(DiagnosticRule):
    """What a tensor or an input is follows a colon.

    tensor W hidden [width, width]          wrong
    tensor W : hidden [width, width]        right
    forward(x) { … }                        wrong
    forward(x : [pixels]) { … }             right
    """

    code = "P0120"
    message = "`:` is missing after `{name}`"
    label = "expected `:`"
    help = "{help}"


class MissingShape(DiagnosticRule):
    """Tensors and inputs say their axes in square brackets.

    tensor W : hidden                       wrong
    tensor W : hidden (width, width)        wrong
    tensor W : hidden [width, width]        right
    """

    code = "P0121"
    message = "the shape is missing"
    label = "expected `[`"
    help = "{help}"
    axes = "write the axes in square brackets, the output axis first: `[width, pixels]`"
    of_indices = (
        "one index an example is `{name} : {classes} []`, a sequence of them `{name} : {classes} "
        "[length]`"
    )


class MissingBraces(DiagnosticRule):
    """Settings, roles and bodies stand in braces; the opening one is on the same line.

    optimizer adamw(lr = lr)        wrong
    optimizer adamw { lr = lr }     right
    block Twice(x):                 wrong
    block Twice(x) {                 right
    """

    code = "P0122"
    message = "{what} in braces"
    label = "expected `{{`"
    help = "{help}"
    of_optimizers = "write `optimizer {name} {braces}`"


class MissingSeparator(DiagnosticRule):
    """The parts of a list are separated by commas, in braces by newlines and `;` too.

    { a = 0 b = 1 }         wrong
    { a = 0, b = 1 }        right
    """

    code = "P0123"
    message = "{separator} is missing between `{before}` and `{after}`"
    label = "expected {separator}"
    help = "{help}"
    applied = "`{before}` is a tensor: apply it as `{before} @ {after}`"


class ChainedPower(DiagnosticRule):
    """Powers do not chain, because readers disagree on what a chain means.

    a^b^c                   wrong
    a^(b * c)               right
    """

    code = "P0124"
    message = "`^` does not chain"
    label = "a second power"
    help = "say with parentheses which power comes first"


class BadPower(DiagnosticRule):
    """What follows `^` is a number, a name or in parentheses, with an optional minus before it.

    depth^--1               wrong
    depth^(1 / 2)           right
    """

    code = "P0125"
    message = "this cannot be an exponent"
    label = "expected a number, a name or `(`"
    help = "put the exponent in parentheses"


class NegativeOperand(DiagnosticRule):
    """A minus after `@` stands in parentheses.

    W @ -x                  wrong
    -W @ x                  right
    W @ (-x)                right
    """

    code = "P0126"
    message = "a minus cannot follow `@`"
    label = "needs parentheses"
    help = "put the operand in parentheses, or the minus in front"


class ForeignOperator(DiagnosticRule):
    """An operator of another language.

    depth ** 2              wrong
    depth^2                 right
    x += y                  wrong
    x = x + y               right
    """

    code = "P0127"
    message = "`{text}` is not an operator of the language"
    label = "{label}"
    help = "{help}"


class MisplacedAs(DiagnosticRule):
    """`as` names a call, or the copies of a `repeat`.

    x = W @ x as h                  wrong
    x = Attention(x) as first       right
    """

    code = "P0128"
    message = "`as` does not follow a call"
    label = "names nothing"
    help = "`as` names the instance of the call right before it; a value is named by `name = value`"


class BraceOnNextLine(DiagnosticRule):
    """A `{` stands on the line of what it opens, because a statement ends at the end of its line.

    block Twice(x)
    {                       wrong
    block Twice(x) {        right
    """

    code = "P0129"
    message = "this `{{` starts a line"
    label = "opens nothing"
    help = "put it at the end of the line before"


class Unfinished(DiagnosticRule):
    """A line ends where a value should follow, and the next line starts something else.

    y = x +                 wrong
    return y

    y = x + 1               right
    return y
    """

    code = "P0130"
    message = "nothing follows `{text}`"
    label = "expected a value"
    help = (
        "a line that ends in `{text}` goes on in the next, and that starts a statement of its own"
    )


class TorchModule(DiagnosticRule):
    """A module of PyTorch is made. A spec declares tensors, and operations apply them.

    fc = nn.Linear(width, width)            wrong
    tensor fc : hidden [width, width]       right, and `fc @ x` where it is used
    """

    code = "P0131"
    message = "`{path}` makes a module of PyTorch"
    label = "not part of a spec"
    help = "{help}"
    declared = "declare its tensor: {form}"
    called = "operations are called where they are used, such as `{function}(x)`, on tensors"


class CalledByPath(DiagnosticRule):
    """An operation is called by its name alone.

    h = F.relu(x)           wrong
    h = relu(x)             right
    """

    code = "P0132"
    message = "`{path}` is called by a path"
    label = "operations, blocks and instances have one name"
    help = "write `{name}(…)`; `abcparam explain operations` lists what there is"


class Unreadable(DiagnosticRule):
    """The file cannot be read: it is missing, a folder, or not yours to read."""

    code = "P0141"
    message = "cannot read the file: {reason}"
    help = "check the path; `-` is standard input.{suggestion}"


class FileTooLarge(DiagnosticRule):
    """A spec is at most 16 MiB."""

    code = "P0142"
    message = "the file is larger than {limit} MiB"
    help = "a spec is a short text; is this the right file?"


class NotUtf8(DiagnosticRule):
    """A spec is UTF-8. The place is that of the first byte that is not."""

    code = "P0143"
    message = "the file is not UTF-8"
    label = "byte {byte}"
    help = "save it as UTF-8"


class HiddenCharacter(DiagnosticRule):
    """A control character, or one that turns the direction of writing.

    They make a text look different from what it says, and are refused in comments too.
    """

    code = "P0144"
    message = "the character {code} is not allowed"
    label = "does not show"
    help = "remove it"
