"""A user's own model as a text of the language, with the proof that it is the same model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import START, Source, Span
from abcparam.imports.alike import Numbers, ReadingError, told_in
from abcparam.imports.aten.losses import OWN_VALUE
from abcparam.imports.capture import exported_of
from abcparam.imports.made_models import MadeModels
from abcparam.imports.numbers import Sizes
from abcparam.imports.reading import Read, read
from abcparam.imports.result import Audit, ImportedModel
from abcparam.imports.text.again import called_again, with_stacks
from abcparam.imports.text.data import ModelValues
from abcparam.imports.text.declarations import ReadTensor, training_of
from abcparam.imports.text.formulas import Formulas
from abcparam.imports.text.idioms import IDIOMS
from abcparam.imports.text.layout import Laid, Lengths, in_graph, in_text
from abcparam.imports.text.printing import TextPrinter, text_paths
from abcparam.imports.text.proof import (
    Compared,
    TextModel,
    TextWeight,
    compared,
    first_numbers,
    like,
    output_place,
    stir,
)
from abcparam.imports.text.steps import HANDLERS
from abcparam.imports.text.structure import TextScope, structured
from abcparam.imports.text.values import WrittenBody, WrittenPart
from abcparam.imports.text.writer import TextWriter
from abcparam.imports.titles import starred
from abcparam.operations.mixture import BIAS
from abcparam.program.expressions import Local, Return
from abcparam.program.reserved_names import owner
from abcparam.storage.atomic import MARK
from abcparam.verdict.check import judged, load
from abcparam.verdict.report import Report

RESERVED = {"lr", "init_std"}
OWN_LOSS = "a loss by a formula; give what it is of, and name that by `--output`"
OWN_NORM = (
    "a norm by a deviation that is corrected (`unbiased`), or that a number is added to, is no "
    "`layernorm`; `nn.LayerNorm` is one"
)
WRITTEN_LOSSES = {"binary_cross_entropy": "cross_entropy", "huber": "mse"}  # of the same targets
CALLED_AGAIN = (
    "these layers are called more than once with the same tensors, and not alike: a block that "
    "holds them can be called again only with one value that goes through them"
)
LITTLE = 0.02  # around what a buffer is everywhere


def imported(audit: Audit) -> ImportedModel:
    """The text of a model that was read, once it is proved.

    Raises `SpecError` where a call has no spelling, or where the two compute different values.
    """
    with told_in(audit.program.source):
        return _Importer(audit).imported()


def proof_settings(audit: Audit) -> list[Sizes]:
    """The first setting and the last; the smallest and the largest small model, if some are not."""
    models, settings = MadeModels(audit.factory), list(audit.settings)
    small = [sizes for sizes in settings if models.is_small(sizes)]
    if 1 < len(small) < len(settings):
        settings = sorted(small, key=lambda sizes: models.without_values(sizes).entries)
    return settings[:1] + settings[1:][-1:]


class _Importer:
    def __init__(self, audit: Audit) -> None:
        self.audit = audit
        grow = frozenset(audit.grow)
        first = audit.output if len(audit.program.outputs) == 1 else audit.model.outputs[0][0]
        self.read: Read = read(
            audit.model, audit.settings[0], grow, first, inline=False, entitled=False
        )
        example = audit.factory.make(audit.settings[0])
        stir(example.model.parameters())
        stir(example.model.buffers(), LITTLE)  # scores still decide which experts are taken
        self.exported = exported_of(example)
        self.sizes: Sizes = audit.settings[0]
        result = self.read.root.body[-1]
        assert isinstance(result, Return) and isinstance(result.values[0], Local)
        name = result.values[0].name
        self.last = next(s for s in self.read.names.steps.values() if s.name == name)
        if len(result.values) > 1:
            between = any(label.endswith(" target") for label in self.read.outputs)
            what = "a loss between two values" if between else "a sum of losses of several values"
            raise ReadingError(rules.NoLaw.at(self.last.span, operation=what, what="it"))
        if self.read.losses[0].kind == OWN_VALUE:
            raise ReadingError(
                rules.NoSpelling.at(self.last.span, operation=self.last.target, what=OWN_LOSS)
            )
        self.output = output_place(self.exported, self.last.node)

    def require_one_call(self, parts: Sequence[WrittenPart]) -> None:
        """Refuses layers that are called again otherwise, of which a `repeat` has no spelling."""
        loop = called_again(parts)
        if loop is not None:
            span = next(m.span for m in self.read.root.walk() if m.block == loop.path)
            found = {"operation": f"{loop.path}.*", "what": CALLED_AGAIN}
            raise ReadingError(rules.NoSpelling.at(span, **found))

    def imported(self) -> ImportedModel:
        audit = self.audit
        formulas = Formulas()
        formulas.taken |= {*self.sizes, *RESERVED}
        writer = TextWriter(
            self.read,
            Lengths(audit.settings),
            formulas,
            ModelValues(self.exported),
            HANDLERS,
            IDIOMS,
        )
        body = writer.body()
        inputs = {given.name for given in body.inputs}
        body = replace(body, parts=with_stacks(body.parts, inputs))
        self.require_one_call(body.parts)
        copies = {path: len(t.copies) for path, t in audit.program.tensors.items()}
        taken = {*self.sizes, *RESERVED, *formulas.named_dims()}
        root = structured(body, taken, copies, self.class_of)
        text = self.text(body, root, formulas)
        weights = self.weights(body, root)
        report = self.judged(text)
        biases = dict(self.biases(root))
        model = TextModel(report.program, weights, biases, body.inputs, self.output, body.layout)
        results = tuple(self.proved(model))
        notes = tuple(self.notes(weights, body.layout))
        return ImportedModel(text, audit, report, weights, results, notes)

    # The text

    def text(self, body: WrittenBody, root: TextScope, formulas: Formulas) -> str:
        audit = self.audit
        trained = {}
        for parameter, (path, _) in self.read.paths.items():
            if path in body.tensors and path not in trained and parameter in audit.starts:
                tensor = audit.program.tensors[path]
                trained[path] = ReadTensor(tensor, audit.starts[parameter], audit.rates[parameter])
        order = [path for scope in root.walk() for path in scope.tensors]
        training = training_of(trained, self.sizes, frozenset(audit.grow), order)
        name = self.class_of("")
        comment = f"{name}, read {MARK} {audit.factory.file}:{audit.factory.name}"
        for given in body.inputs:
            comment += f"\n{given.name} is computed from {given.made}" if given.made else ""
        printer = TextPrinter(root, body.inputs, body.tensors, training)
        kind, dims = self.read.losses[0].kind, formulas.named_dims()
        loss = WRITTEN_LOSSES.get(kind, kind)
        return printer.text(comment, name, self.sizes, dims, audit.grow, loss)

    def class_of(self, module: str) -> str:
        """The name of a module's class, as one of the language."""
        made = self.exported.model.get_submodule(module)
        name = re.sub(r"\W", "", type(made).__name__)
        name = name if re.match("[A-Za-z]", name) else "Model"
        return f"{name}Module" if owner(name) else name

    # The proof

    def judged(self, text: str) -> Report:
        """The report of the text, which the language may refuse as a whole."""
        try:
            return judged(load(Source(text, "model.param")))
        except SpecError as error:
            what = f"its text would be refused, {error.diagnostics[0].message}"
            found = rules.NoSpelling.at(self.last.span, operation=self.class_of(""), what=what)
            raise ReadingError(found) from error

    def weights(self, body: WrittenBody, root: TextScope) -> dict[str, TextWeight]:
        found = {}
        padding = dict(self.padded())
        for path, name in text_paths(root).items():
            used = body.tensors[path]
            first = first_numbers(path, used.parameter)
            row = padding.get(used.parameter)
            found[name] = TextWeight(starred(path), first, used.turned, row, used.copied)
        return found

    def biases(self, root: TextScope) -> Iterator[tuple[str, TextWeight]]:
        """The buffers that count for the choice of experts, by what they are in the text."""
        for scope in root.walk():
            if scope.bias is None or scope.outer is None:
                continue
            path, parameter = next(iter(scope.tensors.items()))
            path = like(scope.bias, parameter, path)
            first = first_numbers(path, scope.bias)
            yield ".".join((*scope.outer.path, BIAS)), TextWeight(starred(path), first, False)

    def padded(self) -> list[tuple[str, int]]:
        """Rows that stand for padding, by the table's parameter."""
        found = []
        for step in self.read.names.steps.values():
            if step.target == "aten.embedding.default" and len(step.arguments) > 2:
                table, row = step.arguments[0], step.arguments[2]
                if isinstance(row, Numbers) and row.first >= 0:
                    found.append((getattr(table, "name", ""), int(row.first)))
        return found

    def notes(self, weights: Mapping[str, TextWeight], layout: Laid) -> list[Diagnostic]:
        moved = in_text(layout) != in_graph(layout)
        order = [rules.OtherOrder.at(self.last.span)] if moved else []
        return order + [
            rules.OtherRow.at(self.place(weight.parameter), row=weight.padding, name=path)
            for path, weight in weights.items()
            if weight.padding is not None
        ]

    def proved(self, model: TextModel) -> list[Compared]:
        """The text beside the model, at two settings and in two precisions."""
        found = []
        for at in proof_settings(self.audit):
            for double in (False, True):
                result = compared(model, self.audit.factory, at, double)
                if result is None:
                    continue
                if result.wrong is not None:
                    raise ReadingError(self.differs(model, result, *result.wrong))
                found.append(result)
        return found

    def differs(self, model: TextModel, result: Compared, name: str, by: float) -> Diagnostic:
        deviation = next(
            (s for s in self.read.names.steps.values() if s.call in {"std", "var"}), None
        )
        if deviation is not None:  # what `layernorm` divides by is a little less
            target = deviation.target
            return rules.NoSpelling.at(deviation.span, operation=target, what=OWN_NORM)
        sizes = ", ".join(f"{n} = {s}" for n, s in result.sizes.items())
        if not name:
            span = self.last.span
            return rules.OtherValues.at(span, sizes=sizes, what="the output", by=f"{by:.1e}")
        weight = model.weight(name)
        what = f"the gradient of `{weight.parameter}`"
        span = self.place(weight.parameter)
        return rules.OtherValues.at(span, sizes=sizes, what=what, by=f"{by:.1e}")

    def place(self, parameter: str) -> Span:
        """The line that first takes a parameter."""
        pattern = re.compile(re.escape(parameter).replace(r"\*", r"\d+"))
        for step in self.read.names.steps.values():
            for operand in step.arguments:
                if pattern.fullmatch(getattr(operand, "name", "")):
                    return step.span
        return START
