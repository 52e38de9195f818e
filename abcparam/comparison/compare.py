"""Whether two parametrizations are the same.

Exactly, as functions of the width through all of training; or asymptotically, in all laws; or not,
and where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from abcparam.algebra.polynomials import leading_growth
from abcparam.algebra.sizes import NumericSize, Size, numeric
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import Judgement, TensorLaw, judgement_of
from abcparam.analysis.rows import shape_text
from abcparam.comparison.alike import folded_alike
from abcparam.comparison.difference import (
    ASYMPTOTICALLY,
    EXACTLY,
    NO,
    Difference,
    Differences,
    GaugeShift,
    ProgramVerdict,
)
from abcparam.comparison.factors import Factors, grows
from abcparam.comparison.forward import Forward, Numbering, read_forward
from abcparam.comparison.gauge import Pair
from abcparam.comparison.names import MatchedTensors
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.language.parser import comments, parse
from abcparam.language.printer import written
from abcparam.optimizers.base import rule_of
from abcparam.program.binding import require_numbers
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor


def compare(a: Program, b: Program) -> Differences:
    """How two programs differ.

    Raises `SpecError` where only laws could tell and there are none: symbols, or an operation
    without a law.
    """
    return _Comparison(a, b).run()


def compare_laws(a: Program, b: Program, match: MatchedTensors) -> Differences:
    """How the laws of two programs differ, of which one was read from a model.

    They are the same asymptotically or not: neither how values are computed nor finite sizes and
    constants are compared. Raises `SpecError` as `compare` does.
    """
    return _Comparison(a, b, match).run()


class _Comparison:
    def __init__(self, a: Program, b: Program, match: MatchedTensors | None = None) -> None:
        self.programs, self.read = (a, b), match is not None
        self.match = match or MatchedTensors.by_path(a, b)
        self.a, self.b = Factors(a), Factors(b)

    @cached_property
    def forward(self) -> tuple[Forward, Forward]:
        numbering = Numbering()
        return read_forward(self.a, numbering), read_forward(self.b, numbering)

    def _of(self, a: Program, b: Program) -> _Comparison:
        """That of other forms of the same programs."""
        return _Comparison(a, b, self.match if self.read else None)

    def run(self) -> Differences:
        structure = tuple(self._structure())
        if structure:
            return self._found(NO, *self._judged(), laws=structure)
        reasons = () if self.read else tuple(self._reasons())
        if not reasons and not self.read:
            gauge = {pair.path: pair.gauge() for pair in self.pairs}
            return self._found(EXACTLY, *self._judged(), gauge=gauge)
        alike = folded_alike(*self.programs, self.pairs)
        folded = self._of(*alike.programs) if alike else None
        if alike and folded and not self.read and not any(folded._reasons()):
            gauge = {pair.path: pair.gauge(alike.shifts(pair.path)) for pair in folded.pairs}
            return self._found(EXACTLY, *self._judged(), gauge=gauge)
        a, b = map(_judgement, self.programs)
        laws = tuple(self._laws(a, b))
        if laws and folded and not any(folded._laws(*map(_judgement, folded.programs))):
            reasons = () if self.read else tuple(folded._reasons())
            return self._found(ASYMPTOTICALLY, a, b, reasons=reasons)
        if laws:
            laws = *self._assumptions(), *laws
        return self._found(NO if laws else ASYMPTOTICALLY, a, b, laws=laws, reasons=reasons)

    def _judged(self) -> tuple[Judgement | None, Judgement | None]:
        a, b = self.programs
        return _judged(a), _judged(b)

    def _found(
        self,
        same: str,
        a: Judgement | None,
        b: Judgement | None,
        gauge: Mapping[str, GaugeShift] | None = None,
        laws: tuple[Difference, ...] = (),
        reasons: tuple[Difference, ...] = (),
    ) -> Differences:
        files = self.programs[0].source.file, self.programs[1].source.file
        return Differences(same, files, (_verdict(a), _verdict(b)), gauge or {}, laws, reasons)

    @cached_property
    def pairs(self) -> list[Pair]:
        return [Pair(self.a, self.b, *paths) for paths in self.match.pairs]

    def _reasons(self) -> Iterator[Difference]:
        """Why they are not the same at every width."""
        yield from self._forward()
        yield from self._losses()
        for pair in self.pairs:
            yield from pair.differences()

    # Dims, tensors, shapes

    def _structure(self) -> Iterator[Difference]:
        """What makes two models too different to be compared further."""
        a, b = map(_dims, self.programs)
        if a.keys() != b.keys():
            yield from self._dims()
            return
        first, second = (program.tensors for program in self.programs)
        for path in first:
            others = self.match.of(path)
            if not others:
                yield Difference(path, "tensor", self._shape(0, path), None)
            for other in others:
                if self._axes(self.a, first[path]) != self._axes(self.b, second[other]):
                    shapes = self._shape(0, path), self._shape(1, other)
                    yield Difference(path, "shape", *shapes)
        matched = {other for _, other in self.match.pairs}
        for path in second:
            if path not in matched:
                yield Difference(path, "tensor", None, self._shape(1, path))

    def _dims(self) -> Iterator[Difference]:
        a, b = map(_dims, self.programs)
        for name in dict.fromkeys([*a, *b]):
            if a.get(name) != b.get(name):
                yield Difference(name, "dim", a.get(name), b.get(name))

    def _axes(self, side: Factors, tensor: Tensor) -> tuple[object, ...]:
        axes = [side.known(axis.value) for axis in tensor.axes]
        if self.read:
            of = side.program.growth_of
            return tensor.table, *(leading_growth(length, of) for length in axes)
        copies = (side.known(count.value) for count in tensor.copies)
        return tensor.table, *axes, *copies, len(tensor.axes)

    def _shape(self, index: int, path: str) -> str | None:
        """`12 × [vocab, width]`: copies, axes, and whether it is stored as a table."""
        program = self.programs[index]
        tensor = program.tensors.get(path)
        if tensor is None:
            return None
        copies = "".join(f"{written(count.written)} × " for count in tensor.copies)
        table = " (in, out)" if tensor.table else ""
        return f"{copies}[{', '.join(shape_text(program, tensor))}]{table}"

    # Functions

    def _forward(self) -> Iterator[Difference]:
        """The first value that is computed in another way."""
        a, b = self.forward
        if a.outputs == b.outputs:
            return
        for name, number in a.names.items():
            if name in b.names and b.names[name] != number:
                yield Difference(name, "forward", self._text(0, name), self._text(1, name))
                return
        places = zip(a.outputs, b.outputs, strict=False)
        index = next((i for i, (x, y) in enumerate(places) if x != y), 0)
        spans = (program.output_span for program in self.programs)
        names = self.programs[0].outputs
        texts = (_source(p, span) for p, span in zip(self.programs, spans, strict=True))
        yield Difference(names[index] if names else "output", "forward", *texts)

    def _text(self, index: int, name: str) -> str:
        return _source(self.programs[index], self.forward[index].spans[name])

    def _losses(self) -> Iterator[Difference]:
        a, b = self.programs
        terms = [sorted((loss.gradient, loss.output) for loss in p.losses) for p in self.programs]
        losses = [_loss(program) for program in self.programs]
        texts = _loss_text(a, losses[0]), _loss_text(b, losses[1])
        weighted = any(map(_is_weighted, losses)) and texts[0] != texts[1]
        if terms[0] != terms[1] or weighted:
            yield Difference("loss", "loss", *texts)

    # Laws

    def _assumptions(self) -> Iterator[Difference]:
        """What the laws rest on, where that is not the same."""
        a, b = self.programs
        if a.alignment != b.alignment:
            yield Difference(a.name, "alignment", a.alignment, b.alignment)
        if a.strict_epsilon != b.strict_epsilon:
            yield Difference(a.name, "strict epsilon", a.strict_epsilon, b.strict_epsilon)

    def _laws(self, a: Judgement, b: Judgement) -> Iterator[Difference]:
        yield from self._dims()
        for key in ("verdict", "complete"):
            x, y = (getattr(found, key) for found in (a, b))
            if x != y:
                yield Difference(self.programs[0].name, key, x, y)
        mine, others = ({law.path: law for law in found.tensors} for found in (a, b))
        for path, other in self.match.pairs:
            yield from self._tensor(mine[path], others[other])
        yield from self._activations(a.laws.graph, b.laws.graph)

    def _tensor(self, x: TensorLaw, y: TensorLaw) -> Iterator[Difference]:
        yield from _sizes(x.path, "at_init", x.at_init, y.at_init)
        yield from _sizes(x.path, "update", x.update, y.update)
        decays = [_decay(p, law) for p, law in zip(self.programs, (x, y), strict=True)]
        if any(decay >= decay.space.one for decay in decays):
            yield from _sizes(x.path, "weight_decay", *decays)

    def _activations(self, a: Graph, b: Graph) -> Iterator[Difference]:
        """Named values, all of them if the forward passes differ; then the outputs."""
        same = self.read or self.forward[0].outputs == self.forward[1].outputs
        for name in () if self.read else dict.fromkeys([*a.activations, *b.activations]):
            x, y = a.activations.get(name), b.activations.get(name)
            if x is not None and y is not None:
                yield from _sizes(name, "at_init", x.s0, y.s0)
                yield from _sizes(name, "change", x.d, y.d)
            elif not same:
                sizes = (None if node is None else numeric(node.s) for node in (x, y))
                yield Difference(name, "activation", *sizes)
        if len(a.outputs) != len(b.outputs):
            yield Difference("output", "outputs", str(len(a.outputs)), str(len(b.outputs)))
            return
        for name, x, y in zip(self.programs[0].outputs, a.outputs, b.outputs, strict=True):
            if self.read or name not in a.activations or name not in b.activations:
                yield from _sizes(name, "at_init", x.s0, y.s0)
                yield from _sizes(name, "change", x.d, y.d)


def _judgement(program: Program) -> Judgement:
    require_numbers(program)
    return judgement_of(program)


def _judged(program: Program) -> Judgement | None:
    """None where there is no verdict."""
    try:
        return _judgement(program)
    except SpecError:
        return None


def _verdict(found: Judgement | None) -> ProgramVerdict | None:
    return None if found is None else ProgramVerdict(found.verdict, found.complete)


def _sizes(name: str, quantity: str, x: Size, y: Size) -> Iterator[Difference]:
    a, b = numeric(x), numeric(y)
    if _exponents(a) != _exponents(b):
        yield Difference(name, quantity, a, b)


def _exponents(size: NumericSize) -> object:
    """The exponents that tie."""
    if not size.vectors:
        return size.key[0]
    return {frozenset(zip(size.space.names, vector, strict=True)) for vector in size.vectors}


def _decay(program: Program, law: TensorLaw) -> Size:
    """By which fraction a step shrinks the weights.

    Decoupled decay does so by lr * weight_decay. The other kind is part of the gradient, and
    becomes part of the update as the rest of it does.
    """
    parameter = law.parameter
    rule, decay = rule_of(program, parameter), parameter.decay
    if parameter.tensor.frozen or decay.is_zero:
        return decay.space.zero
    if rule.decoupled:
        return decay - parameter.c
    if not parameter.gamma.vectors or not parameter.entry.vectors:
        return decay.space.zero
    return decay + parameter.entry - parameter.gamma


def _dims(program: Program) -> dict[str, str]:
    """The growth dims, and how they grow."""
    dims = [dim for name, dim in program.dims.items() if grows(program, name)]
    return {dim.name: f"-> inf, limit {dim.group + 1}, rate {dim.rate}" for dim in dims}


def _source(program: Program, span: Span) -> str:
    """The first line of a stretch of source, without its comment."""
    line = program.source.lines[span.line - 1]
    if span.end_line == span.line:
        return line[span.column - 1 : span.end_column - 1].strip()
    ends = (c.column - 1 for c in comments(program.source) if c.line == span.line)
    return line[span.column - 1 : next(ends, len(line))].strip()


def _loss(program: Program) -> syntax.Expression:
    declarations = parse(program.source).declarations
    return next(d.value for d in declarations if isinstance(d, syntax.Loss))


def _is_weighted(loss: syntax.Expression) -> bool:
    """Whether a term of the loss has a factor."""
    parts = syntax.parts_of(loss)
    return any(isinstance(part, syntax.Binary) and part.op == "*" for part in parts)


def _loss_text(program: Program, loss: syntax.Expression) -> str:
    """The loss as written, and the values of its hypers: programs keep no factors of its terms."""
    used = [program.hypers[name] for name in syntax.names_in(loss) if name in program.hypers]
    return ", ".join([written(loss), *(f"{h.name} = {h.value}" for h in dict.fromkeys(used))])
