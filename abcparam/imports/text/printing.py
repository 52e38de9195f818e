"""A text from its parts, in the order in which a person writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source
from abcparam.imports.numbers import Sizes
from abcparam.imports.text.declarations import DeclaredTensor, TrainingText
from abcparam.imports.text.formulas import formula_of
from abcparam.imports.text.structure import RESULT, LoopItem, TextScope, changed
from abcparam.imports.text.values import TextInput, UsedTensor, WrittenLine
from abcparam.language import syntax
from abcparam.language.formatter import format_source
from abcparam.language.printer import written
from abcparam.resolve.names import snake_case

WIDE = 100  # of a line of tensors


class TextPrinter:
    """Prints a text; blocks that are the same are one."""

    def __init__(
        self,
        root: TextScope,
        inputs: Sequence[TextInput],
        tensors: Mapping[str, UsedTensor],
        training: TrainingText,
    ) -> None:
        self.root = root
        self.inputs = inputs
        self.tensors = tensors
        self.training = training
        self.blocks: dict[tuple[str, str], str] = {}  # class and text -> name
        self.definitions: list[str] = []
        self.titles: set[str] = set()

    def text(
        self,
        comment: str,
        name: str,
        sizes: Sizes,
        dims: Mapping[str, Polynomial],
        grow: Sequence[str],
        loss: str,
    ) -> str:
        """The whole spec, formatted."""
        self.titles.add(name)
        body = list(self.body(self.root, 1))
        given = ", ".join(map(self._input, self.inputs))
        forward = [f"forward({given}) {{", *body, "}"]
        used = self._dims_used([*self.definitions, *forward], dims)
        lines = [
            *(f"# {line}" for line in comment.splitlines()),
            f"model {name}",
            "",
            *self._dims(sizes, dims, grow, used),
            "",
            *self.training.hypers,
            "",
            "parametrization {",
            *self.training.roles,
            "}",
            "",
            *self.declared(self.root, 0),
            "",
            *self.definitions,
            *forward,
            "",
            *self._optimizers(),
            f"loss {loss}",
        ]
        text = re.sub(r"(?<=\de-)0(?=\d)", "", "\n".join(lines) + "\n")  # 1e-6
        return format_source(Source(text))

    # Declarations

    def _dims_used(self, lines: Sequence[str], dims: Mapping[str, Polynomial]) -> set[str]:
        words = set(re.findall(r"\b[A-Za-z_]\w*\b(?! = )", "\n".join(lines)))  # no keywords
        words |= set(re.findall(r"[A-Za-z_]\w*", "\n".join(self.declared(self.root, 0))))
        for name in reversed(list(dims)):
            if name in words:
                words |= dims[name].names
        return words

    def _dims(
        self, sizes: Sizes, dims: Mapping[str, Polynomial], grow: Sequence[str], used: set[str]
    ) -> Iterator[str]:
        for name in grow:
            yield f"dim {name} -> inf, base = {sizes[name]}"
        for name, size in sizes.items():
            if name not in grow and name in used:
                yield f"dim {name} = {size}"
        for name, value in dims.items():
            if name in used:
                yield f"dim {name} = {written(formula_of(value))}"

    def _input(self, given: TextInput) -> str:
        kind = "" if given.index is None else f"index({written(formula_of(given.index))}) "
        axes = ", ".join(map(written, given.axes))
        return f"{given.name} : {kind}[{axes}]"

    def declared(self, scope: TextScope, depth: int) -> Iterator[str]:
        """The tensors of a body, several on a line where they are alike."""
        rows = [(self._form(path), name) for path, name in scope.tensors.items()]
        for form, several in groupby(rows, key=lambda row: row[0]):
            yield f"tensor {', '.join(name for _, name in several)}{form}"

    def _form(self, path: str) -> str:
        tensor: DeclaredTensor = self.training.tensors[path]
        axes = ", ".join(map(written, self.tensors[path].axes))
        keys = ", ".join(f"{k} = {v}" if v else k for k, v in tensor.keys.items())
        return f" : {tensor.role} [{axes}]" + (f" {{ {keys} }}" if keys else "")

    def _optimizers(self) -> Iterator[str]:
        paths = text_paths(self.root)
        for name, several, settings in self.training.optimizers:
            chosen = f" for {', '.join(paths[path] for path in several)}" if several else ""
            yield f"optimizer {name}{chosen} {{ {settings} }}"

    # Bodies

    def body(self, scope: TextScope, depth: int) -> Iterator[str]:
        if scope.kind != "root":
            yield from self.declared(scope, depth)
        called = {block.label: self.block(block) for block in scope.blocks}
        for item in scope.items:
            if isinstance(item, LoopItem):
                yield f"repeat {written(item.count)} as {item.body.label} {{"
                yield from self.body(item.body, depth + 1)
                yield "}"
            else:
                yield self.line(scope, item, called)

    def line(self, scope: TextScope, line: WrittenLine, called: Mapping[str, str]) -> str:
        value = self._called(line.value, called)
        value = changed(value, lambda x: syntax.Name(scope.names.get(x.id, x.id)))
        if line.targets == (RESULT,):
            return f"return {written(value)}"
        return f"{', '.join(scope.names[t] for t in line.targets)} = {written(value)}"

    def _called(self, value: syntax.Expression, called: Mapping[str, str]) -> syntax.Expression:
        """The expression with the names that its blocks came to have."""
        match value:
            case syntax.Call(alias=syntax.Name(id=label), arguments=arguments):
                name = called[label]
                alias = None if snake_case(name) == label else syntax.Name(label)
                made = tuple(replace(a, value=self._called(a.value, called)) for a in arguments)
                return syntax.Call(syntax.Name(name), made, alias)
            case syntax.Call(arguments=arguments):
                made = tuple(replace(a, value=self._called(a.value, called)) for a in arguments)
                return replace(value, arguments=made)
            case syntax.Binary(left=left, right=right):
                return replace(
                    value, left=self._called(left, called), right=self._called(right, called)
                )
            case syntax.Negative(operand=operand):
                return replace(value, operand=self._called(operand, called))
            case syntax.Index(value=inner):
                return replace(value, value=self._called(inner, called))
        return value

    def block(self, block: TextScope) -> str:
        """The name of a block, which is defined where none like it is."""
        lines = list(self.body(block, 1))
        parameters = ", ".join(block.names[name] for name in block.inputs)
        text = "\n".join([f"({parameters}) {{", *lines, "}", ""])
        key = block.block, text
        if key not in self.blocks:
            name, number = block.block, 2
            while name in self.titles:
                name, number = f"{block.block}{number}", number + 1
            self.titles.add(name)
            self.blocks[key] = name
            self.definitions.append(f"block {name}{text}")
        return self.blocks[key]


def text_paths(root: TextScope) -> dict[str, str]:
    """The path of each tensor in the text, by that in the program."""
    found = {}
    for scope in root.walk():
        for path, name in scope.tensors.items():
            found[path] = ".".join((*scope.path, name))
    return found
