"""Models of the user's own that are read: their factory, how they start and are trained (P10xx)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class NoFactory(DiagnosticRule):
    """A factory is a function of yours that makes the model at the sizes that it is asked for.

    def build(width=64, depth=2, heads=4):
        model = GPT(width, depth, heads)
        return model, (torch.randint(96, (5, 7)),)

    It is named by its file and its name, `model.py:build`, or by a module that Python finds,
    `package.model:build`. Each parameter whose default is a whole number is a size; the others keep
    their defaults. It returns the model, or the model and what the model is called with: a tuple,
    and a dict behind it for what is passed by name. A class of modules does as well, if sizes are
    parameters of its `__init__`.
    """

    code = "P1001"
    message = "there is no factory `{reference}`: {problem}"
    help = (
        "name a function that makes the model, `model.py:build`, with a whole number as default of "
        "each size: `def build(width=64, depth=2): …`"
    )


class FactoryRaises(DiagnosticRule):
    """The code that makes the model, or its optimizer, raises.

    A model is made a few times: at the defaults, with what grows at two and at four times its size,
    with every other size doubled or, where that raises, halved. Sizes that are to fit each other
    should follow from one: `head` from `width // heads`, or `width` from `heads * head`, as what
    grows is varied alone too.
    """

    code = "P1002"
    message = "`{name}` raises {at}: {problem}"
    label = "here"
    help = "{remedy}"
    sizes = "make it work at these sizes, or name others: `--grow width=64,128,256`"
    imported = "mend it: the file is run as `import` runs it, with its folder at hand"
    optimizer = (
        "mend it: it is called with the model that the factory makes, and sizes by their names"
    )
    data = "mend the model, or give it other batches with `--data`"


class NoPower(DiagnosticRule):
    """What a parametrization is made of are powers of sizes: an initial scale or a learning rate is
    a number times `width^(-1/2)`, say. What was found at the sizes that were tried is none.

    Where it is a sum, as Xavier's `sqrt(2 / (n + m))`, its leading term counts, if there is one.
    """

    code = "P1007"
    message = "{what} is no power of the sizes: {values}"
    help = "make it a number times powers of sizes, such as `0.02 * width**-0.5`"


class MeasuredStart(DiagnosticRule):
    """How a parameter starts is read from the calls that write it, exactly. Where something else
    wrote it, or where what was written is no single distribution around zero, this says what was
    taken instead.
    """

    code = "P1008"
    severity = "note"
    message = "the start of `{name}`: {what}"
    help = "it is exact where `torch.nn.init.normal_`, `uniform_` or `constant_` writes all of it"


class NoUpdateLaw(DiagnosticRule):
    """The exponents of a learning rate depend on the optimizer: what it makes of a gradient has to
    be known as a law. Optimizers that have one are listed in the reference; `abcparam compile`
    emits classes of those that PyTorch lacks.
    """

    code = "P1009"
    message = "the optimizer `{name}` has no law here{reason}"
    help = "use one of {known}"


class UnreadKey(DiagnosticRule):
    """Groups of parameters have a key that the optimizer's class does not read, such as `lr_scale`.
    As it stands it does nothing; training loops of several projects multiply the learning rate by
    it. Whether yours does cannot be seen here.

    abcparam audit model.py:build --grow width --optimizer train.py:optimizer --lr-key lr_scale
    """

    code = "P1010"
    message = "groups have the key `{key}`, which {optimizer} does not read"
    help = (
        "say `--lr-key {key}` if your training loop multiplies the learning rate by it; else take "
        "it out, or multiply `lr` itself"
    )


class NotAModel(DiagnosticRule):
    """A factory returns the model, a `torch.nn.Module`; or it and a tuple of what the model is
    called with; or these and a dict of what is passed by name. A function `inputs` beside a factory
    that returns the model alone gives that tuple, from the sizes that it has as parameters.
    """

    code = "P1017"
    message = "`{name}` returns {found}, not a model"
    label = "makes it"
    help = "return `model`, `(model, args)` or `(model, args, kwargs)`; `args` is a tuple"


class SparseWeights(DiagnosticRule):
    """Which entries a sparse parameter has is part of its values: how many numbers a map sums over
    is said by no shape, so there is no law for it. Its optimizer is another one too, such as
    `torch.optim.SparseAdam`. Gradients may be sparse, as those of `nn.Embedding(sparse=True)`.
    """

    code = "P1028"
    message = "`{parameter}` is {layout}: which entries it has is in no shape, so it has no law"
    label = "makes the model"
    help = "make it dense, and multiply it by a buffer that is its mask"


class DoesNotGrow(DiagnosticRule):
    """Nothing in the model depends on a size that should grow: no parameter's shape, no number that
    a module holds, none of the inputs.
    """

    code = "P1018"
    message = "the model does not grow with `{size}`: at {small} and {large} it is the same"
    label = "makes it"
    help = "pass `{size}` on to the layers, or grow another size"


class NoSuchSize(DiagnosticRule):
    """What grows is a size of the factory: a parameter of it with a whole number as default."""

    code = "P1019"
    message = "`{name}` has no size `{size}`"
    label = "its sizes are {known}"
    help = "name one of its sizes: `--grow {first}`.{suggestion}"


class NotOneGroup(DiagnosticRule):
    """Each parameter that is trained belongs to one group of one optimizer. One that is in none
    keeps its initial value, without a word; one that is in two takes two steps.
    """

    code = "P1020"
    message = "`{parameter}` is in {found} of the optimizer's groups"
    label = "makes them"
    help = "put it into one group, or say `requires_grad_(False)` if it is not to be trained"


class NoFunction(DiagnosticRule):
    """A function of yours is named by its file and its name, or by a module that Python finds.

    abcparam audit model.py:build --grow width --optimizer train.py:optimizer

    That of an optimizer is called with the model, and with those sizes that it has as parameters.
    It returns an optimizer, or several in a list.
    """

    code = "P1021"
    message = "there is no function `{reference}`: {problem}"
    help = "name it by its file, `train.py:optimizer`, or by its module, `package.train:optimizer`"


class NeverWritten(DiagnosticRule):
    """A parameter that is made by `torch.empty` holds what was in memory before, until something
    writes it. In this one nothing does, or nothing that PyTorch sees.
    """

    code = "P1022"
    message = "nothing initializes `{name}`"
    label = "made here"
    help = "write it, `nn.init.normal_(parameter, std=0.02)`, or make it by `torch.zeros`"


class CannotTrace(DiagnosticRule):
    """The model cannot be traced by `torch.export`, without running it on other values too.

    What is computed must not depend on what values are: a branch on a value, a loop that ends by
    one, or a number taken out by `.item()` to be one. Branches on sizes and flags are fine.

    A gradient that is taken inside, of an energy or of a solution of an equation, is no call of the
    forward either. The value that is differentiated can be judged by itself.

    A loop over experts that gives each the tokens that chose it is such code: how many these are
    depends on values. Where each sees all tokens, and its output is times a weight that is zero
    where it was not chosen, it is the same model.

        weight = (chances * (chosen == i)).sum(-1, keepdim=True)
        out = out + weight * expert(x)
    """

    code = "P1003"
    message = "the model cannot be traced: {problem}"
    label = "here"
    help = "{remedy}"
    usual = (
        "write it without Python that looks at values: `torch.where` for `if`, masks for lengths, "
        "for experts weights that are zero where they are not chosen"
    )
    experts = (
        'let its experts run together: `model.set_experts_implementation("grouped_mm")` in the '
        'factory, or `experts_implementation="grouped_mm"` where the model is made of its config'
    )
    values = "what runs depends on values, which only a run knows"
    lengths = "how many there are depends on values, which only a run knows"
    gradients = "it takes a gradient of its own values, by `torch.autograd.grad`"
    differentiated = (
        "judge the model that it differentiates, by a factory whose model returns that value: by "
        "inputs whose number does not grow, its derivatives have the same exponents"
    )


class OtherGraph(DiagnosticRule):
    """The model computes something else at other sizes.

    It is traced at several sizes, and what it computes has to be the same calls in the same order,
    but for lengths, numbers, and how often a layer is repeated. A branch that depends on a size, or
    layers that differ among themselves in a way that depends on it, are two models. So is a model
    whose layers are no modules or parameters of a list, or whose last one is another one than
    those before it, where their number grows: its other sizes grow all the same.
    """

    code = "P1004"
    message = "the model calls {first} here, and {other} at other sizes ({place})"
    label = "this is where they part"
    help = "grow sizes that leave what is computed as it is, or set a size that decides it"


class NoLaw(DiagnosticRule):
    """A call has no law: what it does to sizes at large width is not known here.

    Nothing is guessed and nothing is skipped, so that the model is not judged.
    """

    code = "P1005"
    message = "`{operation}`: there is no law for {what}"
    label = "here"
    help = "write it with operations that have one, or take it out of the model that is judged"


class NoLength(DiagnosticRule):
    """A length is no formula of the sizes.

    Lengths are sums of products of sizes, `3 * width` or `heads * head + 2 * kv_heads * head`. One
    that is rounded, or that jumps, is none of them at the sizes tried.
    """

    code = "P1006"
    message = "a length is no formula of the sizes: {values}"
    label = "here"
    help = "make it a product of sizes, or choose sizes at which it is: `--grow width=256,512,1024`"


class NothingTrained(DiagnosticRule):
    """No output of the model depends on its parameters."""

    code = "P1023"
    message = "no output of the model depends on its parameters"
    label = "here"
    help = "return what is trained: the logits, or the loss"


class NoConfig(DiagnosticRule):
    """A model of Hugging Face's may be named by its config: `config.json`, the folder that it lies
    in, or the name of a class of configs in transformers, `LlamaConfig`. It is made anew from that,
    small, and never downloaded; code that lies beside a config is not run.
    """

    code = "P1024"
    message = "there is no config `{reference}`: {problem}"
    help = "name a `config.json`, the folder of one, or a class such as `LlamaConfig`"


class NotAsMeasured(DiagnosticRule):
    """A value does not grow with a size as its law says.

    The model is run at init at several sizes, and every call is held to its law: from the root mean
    squares of its operands, how that of its result has to grow. Where the two differ by more than
    small sizes and chance leave, the model or its start was read wrongly, and nothing is said about
    it.
    """

    code = "P1014"
    message = (
        "`{operation}` was measured to grow like {measured} at init, where its law says {derived}: "
        "the model is not judged"
    )
    label = "here"
    help = "try it at larger sizes, `--grow width=256,512,1024`; if it stays, write it another way"


class NoNumbers(DiagnosticRule):
    """An output is NaN at init, for what the factory calls the model with. What is measured of it
    would be of no numbers, so that the model could not be held to what was read of it.

    Inputs that are NaN where nothing was observed are fine if the model takes them out, by
    `torch.nan_to_num` say, so that its outputs are numbers.
    """

    code = "P1030"
    message = "the model gives NaN at init: {what}"
    label = "here"
    help = "let the factory call it with numbers at which it gives numbers"


class SameIndices(DiagnosticRule):
    """All indices of the example are the same, as `torch.zeros(2, 64, dtype=torch.long)` has them.

    A table then gives one row, and every token is the same: what is measured over a batch is
    measured of one token. It is said where a size was measured that its law does not have.
    """

    code = "P1029"
    severity = "note"
    message = (
        "every index of the example's `{name}` is {value}: sizes are measured of one row alone"
    )
    help = "let the factory give others, such as `torch.randint(vocab, (2, 64))`"


class Unused(DiagnosticRule):
    """A parameter that no output depends on has no gradient: it is never trained. It has no laws.

    Of several outputs it is about those that are judged: where one is a loss, `logits` or `output`
    it alone, else all that are not as wide as the model.
    """

    code = "P1011"
    severity = "note"
    message = "no output depends on {names}"
    help = "take it out, or name the output that counts: `--output NAME`"


class OtherGradient(DiagnosticRule):
    """What was traced computes what the model does, but its gradient is another one.

    The laws are those of the calls that were traced, so what a function of yours makes of a
    gradient is not in them: a `torch.autograd.Function` with a backward pass of its own, or a hook
    on a gradient. Straight-through estimators are of this kind.
    """

    code = "P1015"
    message = "the gradient of `{name}` is not that of what was traced"
    label = "it is used here"
    help = "judge the model without what changes its gradient"


class NoGrowth(DiagnosticRule):
    """What grows is looked at where it is of different sizes, and sizes are positive.

    The first of them is the base; three, each twice the one before, tell most.
    """

    code = "P1025"
    message = "`{size}` is to grow, which {given} does not show"
    help = "give it different positive sizes, `--grow {size}=64,128,256`, or none"


class NoSpelling(DiagnosticRule):
    """The text of a model is made of the language's own operations, and of nothing else.

    A call that is none of them, however it is put together with its neighbours, has no spelling.
    The model is judged and adapted as it is all the same: `abcparam audit` and `abcparam adapt`
    need no text.
    """

    code = "P1013"
    message = "`{operation}` has no spelling in the language: {what}"
    label = "here"
    help = (
        "write it with what docs/language.md lists, or stay with `abcparam audit` and `abcparam "
        "adapt`, which need no text"
    )


class OtherValues(DiagnosticRule):
    """The text of a model is compiled, given the model's weights, and run beside it, at two
    settings: outputs and gradients have to be the same, to 1e-10 in double precision where all of
    the model computes in it, and to 1e-5 in single precision. They are not, so no text is written.
    """

    code = "P1012"
    message = "the text computes something else than the model at {sizes}: {what} differs by {by}"
    label = "here"
    help = "this is a fault of `abcparam import`; `audit` and `adapt` do not depend on it"


class OtherRow(DiagnosticRule):
    """A row of a table that stands for padding gets no gradient in the model (`padding_idx`). The
    language has no such rows: the text trains it like any other. Nothing else depends on it unless
    padding is read, or the table is tied to a readout.
    """

    code = "P1016"
    severity = "note"
    message = "row {row} of `{name}` is for padding: the model does not train it, the text does"
    help = "leave out `padding_idx` if the two have to train alike on padded texts"


class OtherOrder(DiagnosticRule):
    """What a model gives at last are the numbers that its text computes, moved to other places: an
    image put together of patches, say, or a matrix turned. The language has no words for that; no
    law depends on it. The proof moves them in the same way before it compares.
    """

    code = "P1026"
    severity = "note"
    message = "the text leaves its output's coordinates in the order in which they are computed"
    help = "what compares it with targets has them in that order too"


class ReadsValues(DiagnosticRule):
    """A model of many weights is made without values: its shapes say how it is trained. A function
    that makes groups of what weights are, their norms say, would go by whatever is in memory.
    """

    code = "P1027"
    message = (
        "values of `{parameter}` are read, which models of more than {limit:,} weights lack here"
    )
    label = "makes the optimizer"
    help = (
        "let it go by names and shapes, or read the model at smaller sizes: `--grow width=64,128`"
    )
