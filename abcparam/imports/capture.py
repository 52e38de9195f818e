"""A model's operations as `torch.export` sees them, without running the model's own code again.

Everything that depends on no parameter (masks, positions, rotations) is computed on the example.
What is returned holds no tensor.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from linecache import getline
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export.graph_signature import InputKind
from torch.fx import Interpreter, Node
from torch.utils import _pytree

from abcparam.diagnostics.source import START, Span
from abcparam.imports.traced import (
    LARGE,
    Datum,
    Line,
    Ref,
    Trace,
    TracedArgument,
    TracedParameter,
    Weight,
)

if TYPE_CHECKING:
    from abcparam.imports.factory import Example

FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')
LIBRARY = str(Path(torch.__file__).parent)
CHECKS = ("aten._assert", "aten.sym_", "aten._check")


class Exported:
    """A model as `torch.export` gives it, with the values of its inputs."""

    def __init__(self, example: Example, training: bool = True) -> None:
        self.model = model = example.model.train() if training else example.model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.program = torch.export.export(
                model, tuple(example.args), dict(example.kwargs), strict=False
            )
        self.names = _names(model)
        self.module = self.program.graph_module
        self.weights: dict[str, str] = {}
        self.inputs: list[Any] = []
        given = iter(_pytree.tree_leaves((tuple(example.args), dict(example.kwargs))))
        state, constants = self.program.state_dict, self.program.constants
        for spec in self.program.graph_signature.input_specs:
            if spec.kind is InputKind.PARAMETER:
                self.weights[spec.arg.name] = self.names[spec.target][0]
                self.inputs.append(state[spec.target])
            elif spec.kind is InputKind.USER_INPUT:
                self.inputs.append(next(given))
            else:
                found = state.get(spec.target)
                value = constants[spec.target] if found is None else found
                self.inputs.append(value.clone() if isinstance(value, torch.Tensor) else value)


def _names(model: torch.nn.Module) -> Mapping[str, tuple[str, ...]]:
    """All names of each parameter, by each of them."""
    by_identity: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        by_identity.setdefault(id(parameter), []).append(name)
    return {name: tuple(names) for names in by_identity.values() for name in names}


class _Run(Interpreter):
    """Runs the model once, and sees what depends on its parameters."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(exported.module, garbage_collect_values=False)
        self.depends: set[Node] = set()
        self.weights = exported.weights

    def run_node(self, n: Node) -> Any:
        is_weight = n.op == "placeholder" and n.name in self.weights
        if is_weight or (any(x in self.depends for x in n.all_input_nodes) and not _is_data(n)):
            self.depends.add(n)
        return super().run_node(n)


def _is_data(node: Node) -> bool:
    """Whether a result holds whole numbers or truth values: no gradient passes it."""
    values = _values(node)
    return bool(values) and not any(v.is_floating_point() or v.is_complex() for v in values)


def _values(node: Node) -> list[torch.Tensor]:
    found = node.meta.get("val")
    items = found if isinstance(found, (tuple, list)) else (found,)
    return [item for item in items if isinstance(item, torch.Tensor)]


def trace(example: Example, file: str) -> Trace:
    """The operations of a model that depend on its parameters; spans are in `file` where they can.

    Raises what `torch.export` raises where it cannot be traced.
    """
    return trace_of(Exported(example))


def trace_of(exported: Exported) -> Trace:
    """The operations of an exported model that depend on its parameters."""
    run = _Run(exported)
    with torch.no_grad():
        run.run(*exported.inputs)
    reader = _LineReader(exported, run)
    lines = [reader.line(n) for n in exported.module.graph.nodes if reader.is_line(n)]
    return Trace(tuple(lines), tuple(reader.outputs()), tuple(_parameters(exported.model)))


class Observer(Interpreter):
    """Runs an exported model, and keeps some of its values by the names of their nodes."""

    def __init__(self, exported: Exported, nodes: Container[str]) -> None:
        super().__init__(exported.module)
        self.exported = exported
        self.nodes = nodes
        self.seen: dict[str, Any] = {}

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self.nodes:
            self.seen[n.name] = value
        return value

    def values(self) -> dict[str, Any]:
        """The values of a forward pass, by node."""
        self.seen = {}
        self.run(*self.exported.inputs)
        return self.seen


def _parameters(model: torch.nn.Module) -> Iterator[TracedParameter]:
    for name, parameter in model.named_parameters():
        names = _names(model)[name]
        yield TracedParameter(names, tuple(parameter.shape), parameter.requires_grad)


class _LineReader:
    """Turns nodes into lines."""

    def __init__(self, exported: Exported, run: _Run) -> None:
        self.exported = exported
        self.run = run

    def is_line(self, node: Node) -> bool:
        is_call = node.op == "call_function" and node in self.run.depends
        return is_call and not _target(node).startswith(CHECKS) and _target(node) != "getitem"

    def line(self, node: Node) -> Line:
        keywords = tuple((name, self.argument(value)) for name, value in node.kwargs.items())
        return Line(
            node.name,
            _target(node),
            tuple(self.argument(value) for value in node.args),
            keywords,
            tuple(tuple(v.shape) for v in _values(node)),
            _modules(node),
            place(node),
            self.sizes(node),
            node.name,
        )

    def sizes(self, node: Node) -> tuple[float, ...]:
        """The root mean square of each result."""
        found = self.run.env.get(node)
        items = found if isinstance(found, (tuple, list)) else (found,)
        return tuple(datum(x).size for x in items if isinstance(x, torch.Tensor))

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
        return self.datum(node)

    def datum(self, node: Node) -> TracedArgument:
        value = self.run.env.get(node)
        if isinstance(value, torch.Tensor):
            return datum(value)
        if isinstance(value, (tuple, list)):
            return tuple(datum(v) if isinstance(v, torch.Tensor) else v for v in value)
        assert value is None or isinstance(value, (bool, int, float, str))
        return value

    def outputs(self) -> Iterator[tuple[str, Ref]]:
        (found,) = (n for n in self.exported.module.graph.nodes if n.op == "output")
        values = [x for x in _pytree.tree_leaves(found.args) if isinstance(x, Node)]
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
        names += [_pytree.keystr(path).strip("[].'\"") for path, _ in paths]
    return [name or f"output{index or ''}" for index, name in enumerate(names)]


def datum(value: torch.Tensor) -> Datum:
    """What is kept of a tensor that depends on no parameter."""
    if not value.is_floating_point():
        return Datum(tuple(value.shape), True, 0.0)
    entries = value.detach().double().flatten()
    entries = entries[entries.abs() < LARGE]
    size = float(entries.square().mean().sqrt()) if entries.numel() else 0.0
    same = entries.numel() == value.numel() > 0 and bool((entries == entries[0]).all())
    return Datum(tuple(value.shape), False, size, float(entries[0]) if same else None)


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
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    for file, line in reversed(frames):
        if not file.startswith(LIBRARY):
            return whole_line(file, int(line))
    return START


def whole_line(file: str, line: int) -> Span:
    """A line of a file, without its indentation."""
    text = getline(file, line).rstrip()
    start = len(text) - len(text.lstrip()) + 1
    return Span(line, start, line, len(text) + 1, file)
