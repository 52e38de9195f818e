"""A model's operations as `torch.export` sees them, without running the model's own code again.

Everything that depends on no parameter (masks, positions, rotations) is computed on the example.
What is returned holds no tensor.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node
from torch.utils import _pytree

from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import START, Span
from abcparam.imports.alike import ReadingError
from abcparam.imports.built import HERE, LIBRARY, built
from abcparam.imports.exported import (
    DataRun,
    DifferentiatedError,
    Exported,
    NeedsValuesError,
    Run,
    SizesRun,
    names_of,
    values_of,
)
from abcparam.imports.traced import (
    Datum,
    Line,
    Ref,
    Trace,
    TracedArgument,
    TracedParameter,
    Weight,
)
from abcparam.user_code.places import whole_line

if TYPE_CHECKING:
    from abcparam.imports.factory import Example

ValueSizes = Mapping[Node, tuple[float, ...]]  # of each result, its root mean square

FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')
CHECKS = ("aten._assert", "aten.sym_", "aten._check")


def exported_of(example: Example) -> Exported:
    """A model as `torch.export` gives it. Raises `ReadingError` where it cannot be traced."""
    with _told(example.model):
        return Exported(example)


def trace_of(exported: Exported, others: Iterable[Example] = (), exact: bool = False) -> Trace:
    """The operations of an exported model that depend on its parameters.

    `others` are the same, drawn by other seeds: the sizes of values are over all of them. Data are
    told apart by all their values where `exact`. Raises `ReadingError` where it cannot be read.
    """
    run = Run(exported, exact)
    with _told(exported.model), torch.no_grad():
        run.run(*exported.inputs())
        sizes = [run.sizes, *(_sizes(exported, other) for other in others)]
    hidden = run.hidden_change()
    if hidden is not None:
        what = "a change in place of what is used under another name behind it"
        raise ReadingError(rules.NoLaw.at(place(hidden), operation=_target(hidden), what=what))
    return _trace(exported, run, sizes)


def trace_without_values(exported: Exported, exact: bool = False) -> Trace:
    """The operations of an exported model whose weights have no values; nothing is measured.

    Raises `NeedsValuesError` where it has to be run.
    """
    run = DataRun(exported, False, exact)
    with _told(exported.model), torch.no_grad():
        run.run(*exported.inputs())
    return _trace(exported, run, [run.sizes])


def _trace(exported: Exported, run: DataRun, sizes: Sequence[ValueSizes]) -> Trace:
    _require_lengths(exported, run)
    reader = _LineReader(exported, run, sizes)
    lines = [reader.line(n) for n in exported.module.graph.nodes if reader.is_line(n)]
    return Trace(tuple(lines), tuple(reader.outputs()), tuple(_parameters(exported.model)))


@contextmanager
def _told(model: torch.nn.Module) -> Iterator[None]:
    """What torch raises is told at the user's line."""
    try:
        yield
    except (SpecError, NeedsValuesError):
        raise
    except Exception as error:
        raise ReadingError(_untraceable(error, model)) from error


def _untraceable(error: Exception, model: torch.nn.Module) -> Diagnostic:
    """What `torch.export` raised, at the user's line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((LIBRARY, HERE, "<"))]
    span = whole_line(own[-1].filename, own[-1].lineno or 1) if own else START
    if "data-dependent" in str(error):
        return _looks_at_values(span, model, rules.CannotTrace.values)
    if isinstance(error, DifferentiatedError):
        rule = rules.CannotTrace
        return rule.at(span, problem=rule.gradients, remedy=rule.differentiated)
    problem = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    return rules.CannotTrace.at(span, problem=problem, remedy=rules.CannotTrace.usual)


def _looks_at_values(span: Span, model: torch.nn.Module, problem: str) -> Diagnostic:
    rule = rules.CannotTrace
    remedy = rule.experts if any(map(_runs_experts_one_by_one, model.modules())) else rule.usual
    return rule.at(span, problem=problem, remedy=remedy)


def _runs_experts_one_by_one(module: torch.nn.Module) -> bool:
    """Whether it is a model of Hugging Face's whose experts take their tokens in a loop."""
    way = getattr(getattr(module, "config", None), "_experts_implementation", None)
    return way == "eager" and hasattr(module, "set_experts_implementation")


def _require_lengths(exported: Exported, run: DataRun) -> None:
    """Refuses a value of which only a run knows how many coordinates there are."""
    unknown = [n for n in exported.module.graph.nodes if _has_unknown_length(n)]
    if any(node in run.depends for node in unknown):
        problem = rules.CannotTrace.lengths
        raise ReadingError(_looks_at_values(place(unknown[0]), exported.model, problem))


def _has_unknown_length(node: Node) -> bool:
    values = _pytree.tree_leaves(node.meta.get("val"))
    lengths = (n for v in values if isinstance(v, torch.Tensor) for n in v.shape)
    return any(isinstance(n, torch.SymInt) for n in lengths)


def _sizes(exported: Exported, example: Example) -> ValueSizes:
    example.model.train()
    run = SizesRun(exported)
    run.run(*exported.inputs(example))
    return run.sizes


def _parameters(model: torch.nn.Module) -> Iterator[TracedParameter]:
    names = names_of(model)
    for name, parameter in model.named_parameters():
        yield TracedParameter(names[name], tuple(parameter.shape), parameter.requires_grad)


class _LineReader:
    """Turns nodes into lines."""

    def __init__(self, exported: Exported, run: DataRun, sizes: Sequence[ValueSizes]) -> None:
        self.exported = exported
        self.run = run
        self.all_sizes = sizes

    def is_line(self, node: Node) -> bool:
        is_call = node.op == "call_function" and node in self.run.depends
        return is_call and not _target(node).startswith(CHECKS) and _target(node) != "getitem"

    def line(self, node: Node) -> Line:
        keywords = tuple((name, self.argument(value)) for name, value in node.kwargs.items())
        modules, span = _modules(node), place(node)
        return Line(
            node.name,
            _target(node),
            tuple(self.argument(value) for value in node.args),
            keywords,
            tuple(tuple(v.shape) for v in values_of(node)),
            modules,
            span if span != START else self.made(modules),
            span != START,
            self.sizes(node),
            node.name,
        )

    def made(self, modules: Sequence[str]) -> Span:
        """What made the module of a call that no line of the user's is behind."""
        return built(self.exported.model, modules[-1] if modules else "") or START

    def sizes(self, node: Node) -> tuple[float, ...]:
        """The root mean square of each result, over all seeds."""
        found = zip(*(sizes[node] for sizes in self.all_sizes), strict=True)
        return tuple(fmean(x * x for x in result) ** 0.5 for result in found)

    def argument(self, value: Any) -> TracedArgument:
        if isinstance(value, Node):
            return self.value(value)
        if isinstance(value, (tuple, list)):
            return tuple(self.argument(item) for item in value)
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        return str(value)

    def value(self, node: Node) -> TracedArgument:
        if node.name in self.exported.weights:
            return Weight(self.exported.weights[node.name])
        if node in self.run.depends:
            if _target(node) == "getitem":
                source, index = node.args
                found = self.value(source)  # type: ignore[arg-type]
                assert isinstance(found, Ref) and isinstance(index, int)
                return Ref(found.name, index)
            return Ref(node.name)
        data = self.run.data[node]
        if isinstance(data, Datum):
            return replace(data, node=node.name)
        if isinstance(data, list):
            return tuple(data)
        return type(data).__name__ if isinstance(data, torch.nn.Module) else data

    def outputs(self) -> Iterator[tuple[str, Ref]]:
        (found,) = (n for n in self.exported.module.graph.nodes if n.op == "output")
        values = _pytree.tree_leaves(found.args)
        names = _output_names(self.exported, len(values))
        for name, node in zip(names, values, strict=True):
            value = self.value(node) if node in self.run.depends else None
            if isinstance(value, Ref):
                yield name, value


def _output_names(exported: Exported, count: int) -> Sequence[str]:
    """What the model calls its outputs, where it names them."""
    spec = exported.program.call_spec.out_spec
    mutated = count - (spec.num_leaves if spec is not None else count)
    names = [""] * mutated
    if spec is not None:
        tree = _pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
        paths, _ = _pytree.tree_flatten_with_path(tree)
        names += [output_name(path) for path, _ in paths]
    return [name or f"output{index or ''}" for index, name in enumerate(names)]


def output_name(path: Sequence[object]) -> str:
    """What an output is called by the keys that lead to it: `logits`, `2.state`, nothing at all."""
    return ".".join(str(key).strip("[].'\"") for key in path)


def _target(node: Node) -> str:
    """PyTorch's name of what is called: `aten.linear.default`, `getitem`."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target)
    return getattr(node.target, "__name__", str(node.target))


def _modules(node: Node) -> tuple[str, ...]:
    """The paths of the modules that called it, outermost first; the model itself is left out."""
    stack = node.meta.get("nn_module_stack") or {}
    return tuple(path for path, _ in stack.values() if path)


def place(node: Node) -> Span:
    """The innermost line of code outside of torch that computes it."""
    frames = FRAME.findall(_stack(node))
    for file, line in reversed(frames):
        if not file.startswith(LIBRARY):
            return whole_line(file, int(line))
    return START


def _stack(node: Node) -> str:
    """The lines of Python behind a call; of a region, those behind its first call."""
    inside = [node]
    for argument in node.all_input_nodes:
        if argument.op == "get_attr":
            module = getattr(node.graph.owning_module, str(argument.target))
            inside += getattr(module, "graph", node.graph).nodes
    return next((x.meta["stack_trace"] for x in inside if x.meta.get("stack_trace")), "")
