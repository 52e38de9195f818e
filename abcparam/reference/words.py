"""The language's own words: roles, keys of tensors, declarations, and the words of a report.

The tables of roles and of keys in docs/language.md are made from these.
"""

from __future__ import annotations

from abcparam.language.syntax_errors import FORMS
from abcparam.reference.entry import GlossaryEntry
from abcparam.verdict.tensor_table import LEGEND, SLACK

ROLE_LAW = "W·x and ΔW·x follow from the graph; the role says which exponents are taken"
ROLES = (  # name, fan-in, fan-out, examples, how one is written
    (
        "input",
        "finite",
        "infinite",
        "embeddings, first layers; biases and norm gains (fan-in 1)",
        "tensor first : input [width, pixels]",
    ),
    (
        "hidden",
        "infinite",
        "infinite",
        "everything inside",
        "tensor up : hidden [4 * width, width]",
    ),
    (
        "output",
        "infinite",
        "finite",
        "readouts; keys and values with a fixed number of heads",
        "tensor readout : output [classes, width]",
    ),
    ("scalar", "finite", "finite", "the bias of a readout", "tensor shift : scalar [classes]"),
)
INITS = "`normal(std)`, `uniform(bound)`, `orthogonal(gain)`, `zeros`, `ones`, `constant(x)`"
INIT = (
    "`normal(1/sqrt(fan_in))` with fan-in at base; `normal(1)` for a table; zeros for one axis; "
    "what it is used as goes first, see below"
)
KEYS = (  # keys, what they mean, the default, an example
    (("a", "b", "c", "d"), "exponents, see below", "the role's; `d` 0", ""),
    (
        ("init",),
        INITS,
        INIT,
        "tensor up : hidden [width, width] { init = normal(0.02) }",
    ),
    (("mult",), "a constant multiplier", "1", "tensor up : [width, width] { mult = 2 }"),
    (
        ("lr", "weight_decay"),
        "replace the optimizer's: `lr = 10 * lr`",
        "the optimizer's",
        "tensor up : [width, width] { lr = 2 * lr, weight_decay = 0.1 * width / base(width) }",
    ),
    (
        ("frozen",),
        "no gradient, in no group; `frozen = false` undoes a role's",
        "not frozen",
        "tensor fixed : hidden [width, width] { frozen }",
    ),
)
EXPONENTS = (  # letter, what it scales, its form at a width
    ("a", "the multiplier's", "mult * r^-a"),
    ("b", "the initial scale's", "S * r^-b"),
    ("c", "the learning rate's", "lr * r^-c"),
    ("d", "epsilon's", "eps * r^-d"),
)
SETTINGS = {  # of keys that need more than the table says
    "lr": (
        "the learning rate; a tensor's or role's own replaces the optimizer's",
        "`lr * (n / n_base)^-c`: exponents say how it falls with the width, not `lr` itself",
    ),
    "weight_decay": (
        "what weights lose in a step; a tensor's or role's own replaces the optimizer's",
        "decoupled, `w *= 1 - lr * weight_decay`: growth as n^c keeps the product (P0603, P0604)",
    ),
}
OF_TENSORS = (
    "`tensor NAME : ROLE [axes] {{ {key} = … }}`, or of a role in `parametrization {{ … }}`"
)
DECLARED = {
    "model": "what the emitted class is called",
    "import": "parametrizations from another file of the spec's folder",
    "dim": "a length; one that goes to infinity is a growth dim, and laws are powers of those",
    "hyper": "a number that does not depend on the width, with a range to search",
    "exponent": "a symbol that exponents may hold",
    "parametrization": "exponents by role, written out or a shipped one's",
    "tensor": "a parameter of the model: axes (out, in), a role, exponents, how it starts",
    "block": "a part of the model that is called, with tensors of its own in each instance",
    "forward": "what the model computes of its inputs; axes leave the batch out",
    "optimizer": "what trains the tensors, all of them or those that are named after `for`",
    "loss": "`cross_entropy` or `mse`; only the size of its gradient matters",
    "assume": "the alignment under which is judged, and whether epsilon is",
    "expect": "the verdict that `check` succeeds with",
    "repeat": "copies of statements, each with tensors of its own",
    "return": "what a body gives",
}
EXAMPLES = {
    "dim": "dim width -> inf, base = 256\ndim heads = width / 64",
    "hyper": "hyper lr = 1e-3 in log [1e-4, 1e-1]",
    "parametrization": "parametrization mup { hidden { weight_decay = 0.1 } }",
    "tensor": "tensor second : hidden [width, width] { init = normal(0.02) }",
    "block": "block MLP(x) {\n    tensor up : hidden [width, width]\n    return relu(up @ x)\n}",
    "forward": "forward(x : [pixels], y : index(classes) []) { return readout @ x }",
    "optimizer": "optimizer adamw for hidden { lr = lr, betas = (0.9, 0.95) }",
    "loss": "loss cross_entropy(words) + cross_entropy(next)",
    "assume": "assume epsilon = strict",
    "expect": "expect maximal-update, complete",
    "repeat": "repeat depth as layers { x = x + Layer(x) }",
}
VERDICTS = {
    "unstable-at-init": "outputs or softmax logits grow with the width at initialization, or the "
    "input of a nonlinearity is not Θ(1)",
    "unstable": "training changes an activation by more than it can bear, by a power of the width",
    "trivial": "it is stable, and no output moves in the limit",
    "kernel": "outputs move, features do not: in the limit a linear model in fixed features",
    "feature-learning": "features move, and the update of some tensor could be larger",
    "maximal-update": "features move, and every update is as large as stability allows",
}
REPORT = {
    "W·x": "the size of what a tensor makes of its input, at initialization",
    "ΔW·x": "the size of what the tensor's own update makes of its input",
    "complete": "the input of every nonlinearity is moved by its own size by the tensors of its "
    "own block, in residual branches too",
    "gauge": "a shift `(a + θ, b - θ, c - gθ, d + θ)` of a tensor that is the same training: g is "
    "2 for SGD, 1 for optimizers that do not see the gradient's scale, 0 for those that scale by "
    "weights",
    "alignment": "whether changes and weights point along each other: Tensor Programs' derivation "
    "follows it on the graph, `assume alignment = full` or `none` take it for granted",
    "base": "the size of a dim at which hyperparameters are stated: every scale factor is 1 there; "
    "`base(width)` is that number",
    "round_up": "`round_up(x, multiple)`: a length rounded up, which grows as x does",
    "sqrt": "`sqrt(x)`: `x^(1/2)`, of dims, hypers and numbers",
    "table": "an `input` tensor whose last axis grows, stored (in, out) as `nn.Embedding` is: "
    "looked up by `embed(table, tokens)`, applied as a map by `table.T @ x`",
    "index": "an input of integers from 0: `tokens : index(vocab) [context]`, one an example is "
    "`y : index(classes) []`",
    "eps": "what Adam and its kin add to the root that they divide by, scaled by `d`: `eps * "
    "(n / n_base)^-d`. A constant one outgrows gradients that fall with the width (P0602). Of a "
    "norm it is what is added to the mean square",
    "scale": "what attention multiplies its logits by. It has no default: PyTorch's 1/sqrt(head) "
    "is wrong once the size of a head grows, and `scale = head^-1` is what lets it change "
    "(arXiv 2203.03466, Definition 4.1)",
    "clip_norm": "a setting of every optimizer: the gradients of its tensors are scaled so that "
    "their joint norm is at most that",
}


def entries() -> dict[str, GlossaryEntry]:
    """Every word by itself."""
    found = [*_declarations(), *_roles(), *_keys(), *_exponents()]
    found += [GlossaryEntry(word, "verdict", meaning) for word, meaning in VERDICTS.items()]
    _, _, slack = SLACK.partition(": ")
    found.append(GlossaryEntry("slack", "word of a report", slack, more=(("status", _statuses()),)))
    for word, line in LEGEND.items():
        found.append(GlossaryEntry(word, "status of a tensor", line.partition(": ")[2]))
    maximal = "its update is as large as stability allows"
    found.append(GlossaryEntry("maximal", "status of a tensor", maximal))
    found += [GlossaryEntry(word, "word", meaning) for word, meaning in REPORT.items()]
    return {entry.name: entry for entry in found}


def _statuses() -> str:
    return "\n".join(
        (
            "0 is maximal; positive: under, negative: over",
            "what `(…)` surrounds is over only because of what is wrong elsewhere",
        )
    )


def _declarations() -> list[GlossaryEntry]:
    return [
        GlossaryEntry(
            word,
            "declaration" if word not in ("repeat", "return") else "statement",
            meaning,
            written=FORMS[f"_{word.upper()}"].removeprefix("write "),
            example=EXAMPLES.get(word, ""),
        )
        for word, meaning in DECLARED.items()
    ]


def _roles() -> list[GlossaryEntry]:
    return [
        GlossaryEntry(
            name,
            "role",
            f"fan-in {fan_in}, fan-out {fan_out}: {used}",
            written=f"`tensor NAME : {name} [out, in]`",
            law=ROLE_LAW,
            example=example,
        )
        for name, fan_in, fan_out, used, example in ROLES
    ]


def _keys() -> list[GlossaryEntry]:
    return [
        GlossaryEntry(
            key,
            "setting of a tensor or role",
            SETTINGS.get(key, (meaning, ""))[0],
            law=SETTINGS.get(key, (meaning, ""))[1],
            written=OF_TENSORS.format(key=key),
            example=example,
            more=(("default", default),),
        )
        for keys, meaning, default, example in KEYS[1:]
        for key in keys
    ]


def _exponents() -> list[GlossaryEntry]:
    return [
        GlossaryEntry(
            letter,
            "exponent",
            f"{of} power of the tensor's own width n",
            written=f"`{letter} = 1/2`, `{letter} = ?` to have it solved, `{letter}[depth] = 1` in "
            "another growth dim",
            law=f"`{form}` with r = n / n_base",
            example=f"tensor second : hidden [width, width] {{ {letter} = 1/2 }}",
        )
        for letter, of, form in EXPONENTS
    ]
