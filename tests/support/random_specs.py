"""Random texts of specs: derived from the grammar, with damage done, or made to be valid."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache

from abcparam.language.parser import pieces
from abcparam.language.tables import GRAMMAR, tables
from abcparam.storage.resources import read_resource
from tests.support import paths

SPECS = sorted(paths.SPECS.glob("*.param"))
NAMES = [
    "x",
    "W1",
    "head",
    "input",
    "inf",
    "log",
    "index",
    "model",
    "dim",
    "after",
    "base",
    "loss_2",
]
NUMBERS = ["0", "1", "12", "0.5", "3e-3", "1e-12", "50304"]
LONGEST = 200
WORDS = {"STRING": '"a.param"', "_ANY": "*", "_END": "\n", "_LABEL": "as"}


def derived(count: int, seed: int) -> Iterator[str]:
    """Specs derived from the grammar; every word in the place of a name may stand there."""
    draw = random.Random(seed)
    for _ in range(count):
        words: list[str] = []
        _derive("spec", draw, draw.randrange(8, 26), words)
        yield " ".join(words)


def _derive(symbol: str, draw: random.Random, budget: int, words: list[str]) -> None:
    if symbol not in expansions():
        words.append(_word(symbol, draw))
        return
    choices = expansions()[symbol]
    if symbol == "expression":
        budget = min(budget, 8)
    budget = budget if len(words) < LONGEST else 0
    cheapest = min(_cost(choice) for choice in choices)
    allowed = [choice for choice in choices if _cost(choice) <= max(budget, cheapest)]
    for part in draw.choice(allowed):
        _derive(part, draw, budget - 1, words)


def _word(terminal: str, draw: random.Random) -> str:
    if terminal == "NAME":
        return draw.choice(NAMES)
    if terminal == "NUMBER":
        return draw.choice(NUMBERS)
    symbols = {name: text for text, name in tables().scanner.symbols.items()}
    return WORDS.get(terminal) or symbols.get(terminal) or terminal[1:].lower()


@cache
def expansions() -> dict[str, list[tuple[str, ...]]]:
    """The rules of the grammar but those for bad statements, without lists that only repeat."""
    import lark

    found: dict[str, list[tuple[str, ...]]] = {}
    made = lark.Lark(read_resource(*GRAMMAR), start="spec", parser="lalr", maybe_placeholders=False)
    for rule in made.rules:
        symbols = tuple(str(symbol.name) for symbol in rule.expansion)
        if not {"bad", "_BAD"} & set(symbols):
            found.setdefault(str(rule.origin.name), []).append(symbols)
    found.pop("bad", None)
    return {origin: sorted(choices) for origin, choices in found.items()}


@cache
def _costs() -> dict[str, int]:
    """The depth of the shallowest derivation of each symbol."""
    costs: dict[str, int] = {}
    rules = expansions()
    while len(costs) < len(rules):
        for origin, choices in rules.items():
            known = [
                1 + max([costs.get(part, 0) for part in choice], default=0)
                for choice in choices
                if all(part in costs or part not in rules for part in choice)
            ]
            if known and origin not in costs:
                costs[origin] = min(known)
    return costs


def _cost(choice: tuple[str, ...]) -> int:
    return max([_costs().get(part, 0) for part in choice], default=0)


def damaged(count: int, seed: int) -> Iterator[str]:
    """Windows of lines of the specs, one in ten a whole spec, with up to three mistakes in each."""
    draw = random.Random(seed)
    texts = _texts()
    for number in range(count):
        text = draw.choice(texts)
        if number % 10:
            text = _window(text, draw)
        for _ in range(draw.randrange(1, 4)):
            text = draw.choice((_damage_characters, _damage_words))(text, draw)
        yield text


@cache
def _texts() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in SPECS]


def damaged_words(text: str, draw: random.Random) -> str:
    """A text with one to three mistakes, each of a word."""
    for _ in range(draw.randrange(1, 4)):
        text = _damage_words(text, draw)
    return text


def _window(text: str, draw: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    start = draw.randrange(len(lines))
    return "".join(lines[start : start + draw.randrange(1, 14)])


def _damage_characters(text: str, draw: random.Random) -> str:
    return "".join(_damage(list(text), draw))


def _damage_words(text: str, draw: random.Random) -> str:
    return " ".join(_damage([piece.text for piece in pieces(text)], draw))


def _damage(parts: list[str], draw: random.Random) -> list[str]:
    """Deletes, doubles or swaps parts of a text."""
    if len(parts) < 2:
        return parts
    place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    kind = draw.randrange(3)
    if kind == 0:
        del parts[place]
    elif kind == 1:
        parts.insert(place, parts[place])
    else:
        parts[place], parts[other] = parts[other], parts[place]
    return parts


# Valid specs, from how each operation is written

DECLARED = {  # what a letter in braces stands for: a tensor of its own
    "W": ("hidden", "width, width"),
    "U": ("hidden", "4 * width, width"),
    "V": ("hidden", "width, 4 * width"),
    "Q": ("hidden", "heads * head, width"),
    "K": ("output", "head, width"),
    "O": ("output", "classes, width"),
    "Z": ("input", "width, classes"),
    "Y": ("input", "width, context"),
    "g": ("input", "width"),
    "i": ("input", "width"),
    "c": ("scalar", "1"),
    "R": ("input", "context, heads"),
    "H": ("hidden", "width / 2, width"),
    "C": ("hidden", "width, width, 3"),
    "G": ("input", "width, 1, 3"),
    "S": ("hidden", "width, width, 3, 3"),
    "D": ("input", "width, 1, 3, 3"),
    "T": ("hidden", "width, width, 2, 2"),
}
ATTENTION = "attention({Q} @ x, {Q} @ x, {Q} @ x, heads = heads, scale = {s}"
ON_SEQUENCES = (  # what a `[context, width]` may become
    "x + {W} @ {f}(x)",
    "x * {f}({W} @ x)",
    "x - {V} @ {f}({U} @ x)",
    "(1 - sigmoid({W} @ x)) * x + {i}",
    "{k} * x",
    "{W}.T @ {f}({W} @ x)",
    "{f}(x) / {n}",
    "layernorm(x)",
    "layernorm({Q} @ x, heads = heads)",
    "layernorm(x, gain = {g}, bias = {i}, eps = 1e-6)",
    "rmsnorm(x, gain = {g}, eps = 1e-5)",
    "rmsnorm({Q} @ x, heads = heads)",
    f"x + {ATTENTION}, causal = true)",
    f"{ATTENTION}, causal = true, window = 2, softcap = 3)",
    f"{ATTENTION}, bias = alibi(heads, context))",
    f"{ATTENTION}, bias = relative_bias({{R}}, context, max_distance = 4))",
    "attention({Q} @ x, {K} @ x, {K} @ x, heads = heads, kv_heads = 1, scale = {s})",
    f"{ATTENTION}, bias = relative_bias({{R}}, context, max_distance = 4, causal = true))",
    "rope({Q} @ x, heads = heads, theta = 500)",
    "rope({Q} @ x, heads = heads)",
    "{Z} @ softmax({O} @ x)",
    "{Z} @ log_softmax({O} @ x)",
    "x * unsqueeze(logsumexp({O} @ x), axis = -1)",
    "log(1 + square(x))",
    "log({k} * exp({W} @ x))",
    "{Z} @ log(softmax({O} @ x))",
    "{Z} @ ({O} @ x)",
    "x + mean(x, axis = 0)",
    "x + {n}^-1 * sum(x, axis = 0)",
    "exp({c}) * x",
    "{Y} @ similarity(layernorm(x), width^-1 * x)",
    "dropout(x, 0.1)",
    "concat({H} @ x, {H} @ x)",
    "concat({H} @ x, tile({H} @ x[0], 1), {O} @ x)",
    "concat({H} @ x, {H} @ x, heads = heads)",
    "tile({H} @ x, 2)",
    "rope({Q} @ x, heads = heads, interleaved = true)",
    "rope({Q} @ x, heads = heads, interleaved = true, in_place = true)",
    "concat({H} @ x, {H} @ x, axis = 1)",
    "x + x[0] + zeros(width)",
    "transpose(conv1d({C}, transpose(x), padding = 1))",
    "transpose(conv_transpose1d({C}, transpose(x), padding = 1))",
    "transpose(conv1d({G}, transpose(x), padding = 1, groups = width))",
    "transpose(upsample(conv1d({C}, transpose(x), padding = 1, stride = 2), factor = 2))",
    "transpose(conv_transpose1d({C}, avgpool(transpose(x), size = 2, stride = 2), stride = 2))",
    "x + mixture({O} @ x, Expert(x), top = 2)",
    "x + mixture({O} @ x, Expert(x) as {m}, top = 1, normalize = false, balanced = true)",
    (
        "x + mixture({O} @ x, Expert(x) as {m}, sigmoid = true, groups = classes, top_groups = 3, "
        "group_top = 1)"
    ),
    "x + unsqueeze({W} @ mean(x, axis = 0), axis = 0)",
    "transpose(upsample(avgpool(transpose(x), 2), factor = 2))",
    "transpose(upsample(maxpool(transpose(x), 2), factor = 2, linear = true))",
    "permute(permute(x, axis = (1, 0)), axis = (-1, 0))",
    "x + take(x, at)",
    "repeat_interleave({H} @ x, 2)",
    "{U} @ x\n    p, q, r, s = split(x, 4)\n    x = p + q * sigmoid(r) - s",
    "rescale(x, forward = 1/3, backward = {k})",
    "x + Mix(x) as {m}",
)
ON_IMAGES = (  # what a `[width, side, side]` may become
    "x + conv2d({S}, {f}(x), padding = 1)",
    "conv2d({D}, x, padding = 1, groups = width)",
    "batchnorm(x)",
    "batchnorm(x, eps = 1e-3)",
    "groupnorm(x, groups = heads, gain = {g}, bias = {i}, eps = 1e-3)",
    "upsample(conv2d({S}, x, padding = 1, stride = 2), factor = 2)",
    "conv_transpose2d({S}, maxpool(x, 2), stride = 2, padding = 1, output_padding = 1)",
    "avgpool(x, 3, stride = 1, padding = 1)",
    "batchnorm(x, gain = {g}, bias = {i})",
    "groupnorm(x, groups = heads)",
    "maxpool(x, 3, stride = 1, padding = 1)",
    "upsample(avgpool(x, 2), factor = 2)",
    "upsample(maxpool(x, 2), factor = 2, linear = true)",
    "conv_transpose2d({T}, maxpool(x, 2), stride = 2)",
    "x + unsqueeze({W} @ mean(x, axis = (-2, -1)), axis = (-2, -1))",
    "{k} * {f}(x)",
)
FUNCTIONS = (
    *("relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "softplus", "square"),
    *("elu", "selu", "mish", "leaky_relu", "hardswish", "hardsigmoid", "hardtanh", "relu6"),
    *("softsign", "tanhshrink", "logsigmoid"),
)
EXPONENTS = ("0", "0", "0", "1/2", "1/2", "1", "1", "-1", "1/3", "2/3", "-1/7", "3/5", "theta", "?")
SCALES = ("head^-1", "head^(-1/2)", "1 / 3", "0.125")
FACTORS = ("(width / base(width))^(1/3)", "depth^(-1/2)", "alpha", "1/7", "head^(-1/2)")
INITS = (
    *("zeros", "ones", "normal(0.02)", "normal(1 / 3)", "uniform(1/7)", "constant(1/3)"),
    *("normal(init_std)", "normal(1 / fan_in)"),
)
LIMITS = (  # of width, depth and the rest
    "dim width -> inf, base = 8\ndim depth = 2",
    "dim width -> inf\ndim depth = 2",
    "dim width -> inf, base = 8\ndim depth -> inf, base = 2",
    "dim width -> inf, base = 8\ndim depth -> inf after width, base = 2",
    "dim width -> inf, base = 8, rate = 3/7\ndim depth -> inf, base = 2, rate = 2/3",
)
SIZES = """dim head = 4
dim heads = width / head
dim side = 4
dim context = (side / 2)^2
dim vocab = 11
dim classes = 5
hyper lr = 1e-2 in log [1e-4, 1]
hyper init_std = 0.02
hyper alpha = 1/3 in {1/3, 1, 3}
"""
BLOCKS = """block Expert(x) {
    tensor E : hidden [width, width]
    return E @ relu(x)
}
block Mix(x) {
    tensor mix : hidden [width, width] { mult = alpha }
    tensor shift : input [width]
    return mix @ x + shift
}
"""
ASSUMED = (
    *("", "", "assume epsilon = strict\n", "assume alignment = full\n"),
    *("assume alignment = none\n", "assume alignment = tensor-programs\n"),
    *("expect kernel\n", "expect maximal-update, unstable\n"),
)
TRAINED = re.compile(r"^optimizer (\w+)", re.M)
PUBLISHED = {"sgd", "adam", "adamw", "rmsprop", "adagrad"}  # what these are shipped for
SHIPPED_FOR = {"ntk": PUBLISHED, "mfp": PUBLISHED}
OPTIMIZERS = {  # settings beside `lr`, some of them scaled
    "sgd": ("momentum = 0.9, nesterov = true", "momentum = 0, weight_decay = 1e-3"),
    "adam": (
        *("eps = 1e-8 * width^-1", "betas = (0.9, 0.95), eps = 1e-8 * width^(-1/3)"),
        "weight_decay = 1e-2 / width",
    ),
    "adamw": ("weight_decay = 0.1", "eps = 1e-12, clip_norm = 1", "betas = (0.8, 0.99)"),
    "adafactor": ("weight_decay = 1e-3", "beta2_decay = -0.7, d = 2"),
    "adagrad": ("eps = 1e-10", "lr_decay = 1e-3, weight_decay = 0.1"),
    "adamax": ("eps = 1e-8", "betas = (0.8, 0.9), weight_decay = 0.1"),
    "lamb": ("weight_decay = 0.1", "betas = (0.8, 0.9), eps = 1e-6"),
    "lars": ("momentum = 0.9", "weight_decay = 1e-3"),
    "lion": ("betas = (0.9, 0.99)", "weight_decay = 1"),
    "muon": (
        *("momentum = 0.95, adjust = original", "adjust = spectral"),
        "nesterov = false, ns_steps = 4, weight_decay = 0.1",
    ),
    "nadam": ("momentum_decay = 4e-3", "betas = (0.8, 0.9), eps = 1e-6, weight_decay = 0.1"),
    "rmsprop": ("alpha = 0.99, momentum = 0.5", "eps = 1e-6 / width, weight_decay = 0.1"),
    "shampoo": ("ridge = 1e-6", "momentum = 0.5, weight_decay = 0.1"),
    "signsgd": ("momentum = 0.9", "weight_decay = 0.1"),
    "soap": ("interval = 2", "betas = (0.8, 0.9), eps = 1e-6, weight_decay = 0.1, largest = 64"),
    "radam": ("weight_decay = 1e-2",),
    "adan": ("betas = (0.98, 0.92, 0.99)", "eps = 1e-8 * width^-1"),
    "ademamix": ("alpha = 8, warmup = 100",),
    "schedule_free_adamw": ("warmup_steps = 10, weight_decay = 0.1",),
    "adamh": ("betas = (0.9, 0.95)",),
    "muonh": ("momentum = 0.9",),
    "normuon": ("beta2 = 0.9, adjust = original", "adjust = match_rms_adamw"),
}
FOR_MATRICES = {"muon", "muonh", "normuon", "shampoo"}


class SpecWriter:
    """Writes one spec: which operations, exponents, settings and limits, a draw says.

    Most are valid; whatever is refused is so for a reason that is worth a look: infinite depth
    without a stream, say. Two in three have numbers for exponents.
    """

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.tensors: list[str] = []
        self.count = 0
        self.limits = draw.choice(LIMITS)
        numbers = draw.random() < 2 / 3
        self.exponents = EXPONENTS[:-2] if numbers else EXPONENTS

    def text(self) -> str:
        draw = self.draw
        images = draw.random() < 0.25
        body = self._images() if images else self._sequences()
        given = "x : [3, side, side]" if images else "x : index(vocab) [context]"
        if any("take(" in line for line in body):
            given += ", at : index(context) []"
        optimizers = self._optimizers()
        trained = set(TRAINED.findall(optimizers))
        shipped = draw.choice((*["mup"] * 9, "ntk", "mfp", "sp"))
        if not trained <= SHIPPED_FOR.get(shipped, trained):
            shipped = "mup"
        roles = draw.choice((self._roles(), *[f"parametrization {shipped}\n"] * 2))
        several = draw.random() < 0.15
        two = [f"    y = {body[-1]}", "    z = 1/3 * y", "    return y, z"]
        lines = [*body[:-1], *(two if several else [f"    return {body[-1]}"])]
        symbols = "exponent theta\n" if "theta" in roles + "".join(self.tensors) else ""
        return (
            f"model Fuzzed\n{self.limits}\n{SIZES}{symbols}{roles}"
            + "".join(self.tensors)
            + BLOCKS
            + f"forward({given}) {{\n"
            + "\n".join(lines)
            + f"\n}}\n{optimizers}"
            + ("loss cross_entropy(y) + 1/3 * mse(z)\n" if several else "loss cross_entropy\n")
            + draw.choice(ASSUMED)
        )

    def _sequences(self) -> list[str]:
        self._tensor("table", "input", "vocab, width")
        self._tensor("last", "output", "classes, width")
        lines = ["    x = embed(table, x)", *self._steps(ON_SEQUENCES)]
        if self.draw.random() < 0.4:
            lines += self._repeated()
        return [*lines, "last @ x"]

    def _images(self) -> list[str]:
        self._tensor("last", "output", "classes, width")
        if self.draw.random() < 0.5:
            self._tensor("stem", "input", "width, 3, 3, 3")
            lines = ["    x = conv2d(stem, x, padding = 1)", *self._steps(ON_IMAGES)]
            return [*lines, "last @ mean(x, axis = (-2, -1))"]
        self._tensor("patch", "input", "width, 12")
        lines = ["    x = patch @ unfold(x, size = 2)", *self._steps(ON_SEQUENCES)]
        self._tensor("all", "output", "classes, context * width")
        return [*lines, "all @ flatten(x)"]

    def _steps(self, forms: tuple[str, ...]) -> list[str]:
        chosen = [self.draw.choice(forms) for _ in range(self.draw.randint(1, 4))]
        return [f"    x = {self._filled(form)}" for form in chosen]

    def _repeated(self) -> list[str]:
        """Copies of a branch, with tensors of their own or shared ones; of a recurrence too."""
        if self.draw.random() < 0.3:
            state = f"tanh({self._filled('{W}')} @ h + x[t])"
            head = ["    h = zeros(width)", "    repeat context as t {"]
            return [*head, f"        h = {state}", "    }", "    x = x + h"]
        factor = self.draw.choice(("", "depth^(-1/2) * ", "depth^-1 * "))
        own = "        tensor own : hidden [width, width]"
        branch = self.draw.choice(("own @ tanh(x)", "Mix(rmsnorm(x))", "own @ (own @ x)"))
        lines = [own, f"        x = x + {factor}{branch}"]
        return ["    repeat depth as layers {", *lines, "    }"]

    def _filled(self, form: str) -> str:
        """The form with names of new tensors, functions and numbers in it."""
        draw, found = self.draw, form
        while (at := found.find("{")) >= 0:
            letter = found[at + 1]
            if letter in DECLARED:
                self.count += 1
                text = f"{letter}{self.count}"
                self._tensor(text, *DECLARED[letter])
            elif letter == "m":
                self.count += 1
                text = f"mixed{self.count}"
            else:
                text = draw.choice({"f": FUNCTIONS, "s": SCALES, "k": FACTORS}.get(letter, ("4",)))
            found = found[:at] + text + found[at + 3 :]
        return found

    def _tensor(self, name: str, role: str, shape: str) -> None:
        draw = self.draw
        keys = []
        if draw.random() < 0.25:
            keys += [f"{letter} = {draw.choice(self.exponents)}" for letter in "abc"]
        if draw.random() < 0.1 and "depth -> inf" in self.limits:
            keys.append(f"c[depth] = {draw.choice(EXPONENTS[:-2])}")
        if draw.random() < 0.2:
            keys.append(f"init = {draw.choice(INITS)}")
        if draw.random() < 0.1:
            keys.append(draw.choice(("mult = alpha", "lr = 10 * lr", "frozen", "d = 1/3")))
        written_keys = f" {{ {', '.join(keys)} }}" if keys else ""
        self.tensors.append(f"tensor {name} : {role} [{shape}]{written_keys}\n")

    def _roles(self) -> str:
        def row(role: str) -> str:
            exponents = ", ".join(f"{x} = {self.draw.choice(self.exponents)}" for x in "abc")
            return f"    {role} {{ {exponents} }}\n"

        rows = "".join(map(row, ("input", "hidden", "output")))
        return f"parametrization {{\n{rows}}}\n"

    def _optimizers(self) -> str:
        draw = self.draw
        hidden = [line for line in self.tensors if ": hidden" in line]
        matrices = hidden and all(line.partition("]")[0].count(",") == 1 for line in hidden)
        known = OPTIMIZERS if matrices else OPTIMIZERS.keys() - FOR_MATRICES
        name = draw.choice(sorted(known))
        settings = ", ".join(("lr = lr", *draw.choice([(), (draw.choice(OPTIMIZERS[name]),)])))
        if name in FOR_MATRICES or (hidden and draw.random() < 0.2):
            first = f"optimizer {name} for hidden {{ {settings} }}\n"
            return f"{first}optimizer adam {{ lr = lr * width^(-1/3) }}\n"
        return f"optimizer {name} {{ {settings} }}\n"


def written(count: int, seed: int) -> Iterator[str]:
    """Specs with every operation, optimizer, setting and limit, most of them valid."""
    draw = random.Random(seed)
    for _ in range(count):
        yield SpecWriter(draw).text()
