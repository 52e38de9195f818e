"""What is written as in PyTorch: modules that are made, calls by a path, optimizers with arguments.

Each recognizer answers with what a spec says in its place, made from the words that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import syntax as rules
from abcparam.language.scanner import Token
from abcparam.language.text_place import TextPlace

ROLES: dict[tuple[bool, ...], str] = {
    (False, True): "input ",
    (True, False): "output ",
    (True, True): "hidden ",
}
LINEAR = "`tensor {name} : {role}[{1}, {0}]`, applied as `{name} @ x`"
EMBEDDING = "`tensor {name} : input [{0}, {1}]`, looked up by `embed({name}, tokens)`"
CONVOLUTION = "`tensor {name} : {role}[{1}, {0}, {2}, …]`, applied by `{function}({name}, x)`"
DECLARED: dict[str, tuple[int, str]] = {  # the arguments that it takes, and what to write
    "Linear": (2, LINEAR),
    "Embedding": (2, EMBEDDING),
    "Conv1d": (3, CONVOLUTION),
    "Conv2d": (3, CONVOLUTION),
    "Parameter": (0, "`tensor {name} : ROLE [out, in]`"),
}


def made_module(place: TextPlace) -> Diagnostic | None:
    """`fc = nn.Linear(width, width)`: a tensor is declared, and an operation applies it."""
    words = statement(place)
    if [word.type for word in words[:2]] != ["NAME", "EQUAL"]:
        return None
    opened = next((n for n, word in enumerate(words) if word.type == "LPAR"), None)
    if opened is None or opened < 3 or words[opened - 1].type != "NAME":
        return None
    called = words[opened - 1]
    by_path = words[opened - 2].type == "DOT"
    if called.text not in DECLARED and not (by_path and called.text[:1].isupper()):
        return None
    help = rules.TorchModule.called.format(function=called.text.lower())
    arguments = list(_arguments(words[opened:]))
    count, form = DECLARED.get(called.text, (0, ""))
    if form and len(arguments) >= count:
        growing = _growing(place.tokens)
        fans = [any(word.text in growing for word in argument) for argument in arguments[:2]]
        fields = {"role": ROLES.get(tuple(fans), ""), "function": called.text.lower()}
        written = form.format(*map(text_of, arguments), name=words[0].text, **fields)
        help = rules.TorchModule.declared.format(form=written)
    path = "".join(word.text for word in words[2:opened])
    return rules.TorchModule.at(words[2].span.to(called.span), path=path, help=help)


def called_by_path(place: TextPlace) -> Diagnostic | None:
    """`F.relu(x)`: an operation has one name."""
    words = place.tokens[max(place.number - 3, place.start) : place.number]
    if place.token.type != "LPAR" or [word.type for word in words] != ["NAME", "DOT", "NAME"]:
        return None
    first, _, last = words
    path = f"{first.text}.{last.text}"
    return rules.CalledByPath.at(first.span.to(last.span), path=path, name=last.text)


def optimizer_made(place: TextPlace) -> Diagnostic | None:
    """`optimizer = AdamW(lr = lr)`: its name, then its settings in braces."""
    if place.head.type != "_OPTIMIZER" or place.token.type not in ("EQUAL", "LPAR", "DOT"):
        return None
    words = statement(place)
    opened = next((n for n, word in enumerate(words) if word.type == "LPAR"), None)
    if opened is None or words[opened - 1].type != "NAME":
        return None
    given = [a for a in _arguments(words[opened:]) if any(word.type == "EQUAL" for word in a)]
    settings = ", ".join(map(text_of, given))
    braces = f"{{ {settings} }}" if settings else "{ lr = lr }"
    name = words[opened - 1].text.lower()
    help = rules.MissingBraces.of_optimizers.format(name=name, braces=braces)
    return rules.MissingBraces.at(place.span, what="settings stand", help=help)


RECOGNIZERS: tuple[Callable[[TextPlace], Diagnostic | None], ...] = (
    made_module,
    called_by_path,
    optimizer_made,
)


def statement(place: TextPlace) -> list[Token]:
    """The tokens of the statement, without its end."""
    found: list[Token] = []
    for token in place.tokens[place.start :]:
        if token.type in ("_END", "$END") and token.depth <= place.head.depth:
            break
        found.append(token)
    return found


def tensors_declared(tokens: Sequence[Token]) -> set[str]:
    """The names of all tensors that a file declares."""
    found: set[str] = set()
    declaring = False
    for token in tokens:
        declaring = token.type == "_TENSOR" or (declaring and token.type in ("NAME", "COMMA"))
        if declaring and token.type == "NAME":
            found.add(token.text)
    return found


def text_of(words: Sequence[Token]) -> str:
    """Tokens as they stand in their line."""
    text = words[0].text
    for before, word in pairwise(words):
        adjacent = before.line == word.line and before.column + len(before.text) == word.column
        text += word.text if adjacent else f" {word.text}"
    return text


def _arguments(words: Sequence[Token]) -> Iterator[list[Token]]:
    """The arguments of a call that begins with its `(`."""
    depth = words[0].depth + 1
    argument: list[Token] = []
    for word in words[1:]:
        closes = word.depth < depth
        if closes or (word.type == "COMMA" and word.depth == depth):
            if argument:
                yield argument
            argument = []
        else:
            argument.append(word)
        if closes:
            return


def _growing(tokens: Sequence[Token]) -> set[str]:
    """The dims that go to infinity, by how they are declared."""
    growing: set[str] = set()
    for n, token in enumerate(tokens[:-2]):
        if token.type == "_DIM" and tokens[n + 2].type == "ARROW":
            growing.add(tokens[n + 1].text)
        elif token.type == "_DIM":
            line = [x.text for x in tokens[n + 2 :] if x.line == token.line]
            growing |= {tokens[n + 1].text} if growing & set(line) else set()
    return growing
