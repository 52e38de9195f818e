"""A coordinate check of a user's own model: its values at several sizes, beside their laws.

What is measured is the model itself, as `torch.export` traced it, trained by its own optimizer or
by the adapted one. Weight decay is off, targets are random.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from abcparam.algebra.record import Record, replace
from abcparam.coordinate_check.check import CoordCheckResult
from abcparam.coordinate_check.judging import judge
from abcparam.coordinate_check.laws import (
    AT_INIT,
    CHANGE,
    GRADIENT,
    PredictedLaw,
    PredictedLaws,
    RowKey,
    laws_of,
)
from abcparam.coordinate_check.measure.measuring import in_double, undisturbed
from abcparam.coordinate_check.measure.runs import RunKey, RunProgress, silent
from abcparam.coordinate_check.options import CheckOptions
from abcparam.coordinate_check.plan import WidthPlan, given_widths, varied_dims
from abcparam.data.losses import drawn_target, loss_value
from abcparam.imports.alike import renamed_outline, told_in
from abcparam.imports.capture import trace_of
from abcparam.imports.exported import Exported, Observer, doubled
from abcparam.imports.measured import zero_parts
from abcparam.imports.numbers import Sizes
from abcparam.imports.operations import PART, REARRANGE, STRETCH
from abcparam.imports.outline import nodes_of
from abcparam.imports.program import program_of
from abcparam.imports.reading import read
from abcparam.imports.result import Audit
from abcparam.imports.seen import local
from abcparam.imports.traced import Ref
from abcparam.imports.trained import optimizers_of, scaled_, undecayed
from abcparam.program.expressions import Apply, Assign, Expression, Local, Return
from abcparam.program.model import Module, Program
from abcparam.verdict.check import judged
from abcparam.verdict.work import at_work

DOUBLINGS = 4  # widths, where none are given
LEAST_CLASSES = 2  # that a target is drawn from
MOVES = (REARRANGE, PART, STRETCH)


class _Named(Record):
    """The program of a model with every value named, and where each is in the steps."""

    program: Program
    rows: Mapping[str, tuple[str, int]]  # row -> name of the step, which of its results
    keys: Mapping[str, tuple[str, ...]]  # row -> what the laws may call it, the first that is there


def check_of_model(
    audit: Audit,
    options: CheckOptions,
    adapted: bool = False,
    progress: RunProgress | None = None,
) -> CoordCheckResult:
    """Trains a user's model at several sizes and judges every slope.

    With `adapted` it starts and is trained as its adapter says, else as it is.
    """
    named = _named(audit, adapted)
    report = at_work()(judged)(named.program)
    varied = varied_dims(named.program, options.vary)
    laws = _seen(laws_of(report, options.steps, varied), named, zero_parts(audit.model))
    options = replace(options, steps=max(1, laws.steps))
    base = varied.lead.base or 64
    widths = options.widths or [base * 2**i for i in range(DOUBLINGS)]
    plan = given_widths(varied, widths)
    measured = dict(_measured(audit, named, plan, options, adapted, progress or silent))
    verdict = judge(laws, measured)
    return CoordCheckResult(report, plan, laws, verdict, tuple(_notes(adapted)), options.vary)


def _notes(adapted: bool) -> Iterator[str]:
    how = "as its adapter says" if adapted else "as it is"
    yield f"the model itself is measured, started and trained {how}; of equal layers, the first"
    yield "weight decay is off; targets are random"


def _named(audit: Audit, adapted: bool) -> _Named:
    """The program in which every value has a name, with the laws that are to be checked."""
    grow, base = frozenset(audit.grow), audit.settings[0]
    found = read(audit.model, base, grow, audit.output, inline=False)
    source, name = audit.program.source, audit.factory.name
    program = program_of(audit.model, found, audit.starts, audit.rates, base, grow, source, name)
    if adapted:
        program = replace(program, tensors=audit.remedy.program.tensors)
    outputs = _outputs(program)
    steps = {
        title: _split(step)
        for step, title in found.titles.items()
        if "'" not in step or title in outputs  # behind a loop
    }
    rows, keys = {}, {}
    for module, title, value in _assigned(program.root):
        if title in steps and (title in outputs or not _moves(value)):
            path = f"{module.path}.{title}" if module.path else title
            row = path.replace("*.", "0.")
            rows[row], keys[row] = steps[title], (path.replace("*.", "*.0."), path)
    return _Named(program, rows, keys)


def _assigned(module: Module) -> Iterator[tuple[Module, str, Expression]]:
    for statement in module.body:
        if isinstance(statement, Assign):
            yield from ((module, target, statement.value) for target in statement.targets)
    for child in module.children:
        yield from _assigned(child)


def _moves(value: Expression) -> bool:
    """Whether a value only has the coordinates of another one in other places."""
    return isinstance(value, Local) or (isinstance(value, Apply) and value.operation in MOVES)


def _split(name: str) -> tuple[str, int]:
    plain, _, result = name.partition("_")
    return plain, int(result or 0)


def _seen(laws: PredictedLaws, named: _Named, zero: Container[str]) -> PredictedLaws:
    """The laws of what is measured: of layers that repeat, those of the first.

    A law at init is of all parts of a parameter: nothing is said of those that are zero there.
    """
    rows: dict[RowKey, PredictedLaw] = {}
    for title, keys in named.keys.items():
        at_init = () if local(Ref(*named.rows[title])) in zero else (AT_INIT,)
        for quantity in (*at_init, CHANGE, GRADIENT):
            found = (laws.rows.get((key, quantity)) for key in keys)
            law = next((law for law in found if law is not None), None)
            if law is not None:
                rows[title, quantity] = law
    return PredictedLaws(rows, laws.steps, laws.left_out)


def _measured(
    audit: Audit,
    named: _Named,
    plan: WidthPlan,
    options: CheckOptions,
    adapted: bool,
    progress: RunProgress,
) -> Iterator[tuple[RunKey, Mapping[RowKey, list[float]]]]:
    """The sizes of every run."""
    seeds = range(options.first, options.first + options.seeds)
    runs = [(width, seed) for width in plan.dims for seed in seeds]
    for width, seed in progress(iter(runs), len(runs)):
        sizes = {**audit.settings[0], **plan.dims[width]}
        with in_double(), told_in(audit.program.source):
            found = _ModelRun(audit, named, sizes, seed, adapted).sizes(options.steps)
        yield (width, seed), found


class _ModelRun:
    """A model at some sizes, before and after a few steps of training."""

    def __init__(self, audit: Audit, named: _Named, sizes: Sizes, seed: int, adapted: bool) -> None:
        example = doubled(audit.factory.make(sizes, seed))
        model = undisturbed(example.model)
        if adapted:
            scaled_(audit, model, sizes)
        self.optimizers = undecayed(optimizers_of(audit, model, sizes, adapted))
        exported = Exported(example._replace(model=model), training=False)
        outline, _ = renamed_outline(trace_of(exported), audit.model.odd)
        nodes = dict(nodes_of(outline))
        self.values = {
            title: (nodes[step], result)
            for title, (step, result) in named.rows.items()
            if step in nodes
        }
        self.outputs = _outputs(named.program)
        self.observer = Observer(exported, {node for node, _ in self.values.values()})
        self.losses = named.program.losses
        self.random = torch.Generator().manual_seed(seed)
        self.targets: list[Tensor] = []

    def sizes(self, steps: int) -> Mapping[RowKey, list[float]]:
        """Root mean squares at init, and of the changes after so many steps."""
        before, gradients = self.step()
        for _ in range(steps - 1):
            self.step()
        with torch.no_grad():
            after = self.forward()
        found: dict[RowKey, list[float]] = {}
        for title, value in before.items():
            found[title, AT_INIT] = [_rms(value)]
            found[title, CHANGE] = [_rms(after[title] - value)]
            if title in gradients:
                found[title, GRADIENT] = [gradients[title]]
        return found

    def forward(self) -> dict[str, Tensor]:
        """The values of a forward pass; places of what is the largest are none."""
        seen = self.observer.values()
        found = {t: _result(seen[node], result) for t, (node, result) in self.values.items()}
        return {title: value for title, value in found.items() if value.is_floating_point()}

    def step(self) -> tuple[Mapping[str, Tensor], Mapping[str, float]]:
        """A step of training; the values before it, and the sizes of their gradients."""
        values = self.forward()
        for value in values.values():
            if value.requires_grad and not value.is_leaf:
                value.retain_grad()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.loss_of([values[title] for title in self.outputs]).backward()
        before = {title: value.detach().clone() for title, value in values.items()}  # no views
        gradients = {title: _rms(v.grad) for title, v in values.items() if v.grad is not None}
        for optimizer in self.optimizers:
            optimizer.step()
        return before, gradients

    def loss_of(self, outputs: Sequence[Tensor]) -> Tensor:
        """The sum of all losses, against targets that stay."""
        values = [outputs[loss.output] for loss in self.losses]
        kinds = [_kind(loss.kind, x) for loss, x in zip(self.losses, values, strict=True)]
        if not self.targets:
            self.targets = [
                drawn_target(kind, tuple(x.shape), self.random, x.dtype)
                for kind, x in zip(kinds, values, strict=True)
            ]
        found = zip(kinds, values, self.targets, strict=True)
        return torch.stack([loss_value(*each) for each in found]).sum()


def _kind(loss: str, output: Tensor) -> str:
    """The loss of an output: of what are too few for classes, squares."""
    are_classes = output.dim() > 1 and output.shape[-1] >= LEAST_CLASSES
    return "mse" if loss == "cross_entropy" and not are_classes else loss


def _outputs(program: Program) -> list[str]:
    """The titles of the outputs that losses are of."""
    statement = program.root.body[-1]
    assert isinstance(statement, Return)
    return [value.name for value in statement.values if isinstance(value, Local)]


def _result(value: Any, result: int) -> Tensor:
    found = value[result] if isinstance(value, (tuple, list)) else value
    assert isinstance(found, Tensor)
    return found


def _rms(value: Tensor) -> float:
    return math.sqrt(float(value.detach().double().square().mean()))
