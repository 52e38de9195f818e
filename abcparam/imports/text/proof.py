"""The proof of a text: what is compiled from it computes what the model does, with its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from abcparam.algebra.record import NamedTuple, Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.emission.emit import emit
from abcparam.emission.execute import executed
from abcparam.emission.lowering.uses import CodeUses
from abcparam.imports.exported import Exported, Observer, doubled, in_one_precision, quietly
from abcparam.imports.factory import Example, Factory
from abcparam.imports.numbers import Sizes, as_fractions
from abcparam.imports.text.layout import Laid, in_graph, in_text
from abcparam.imports.text.values import TextInput
from abcparam.imports.titles import LAYERS
from abcparam.program.model import Program

SINGLE, DOUBLE = 1e-5, 1e-10
SMALL = 1e-2  # of the largest gradient: what is smaller is held to that
STIRRED = 0.1  # around what a parameter is everywhere
TYPES = ("dtype", "scalar type")  # what torch's messages say where two do not go together
SHORT = (torch.float32, torch.float16, torch.bfloat16)


class TextWeight(Record):
    """Which parameter of the model a tensor of the text is; `turned`: stored (in, out) there.

    `parameter` has a star for each number of a layer, `first` has the number of the first layer and
    that from one to the next.
    Where it is `copied`, each expert's is a part of the parameter.
    """

    parameter: str
    first: tuple[tuple[int, int], ...]
    turned: bool
    padding: int | None = None
    copied: bool = False

    def own(self, numbers: Sequence[int]) -> str:
        """The name in the model, in the layers of these numbers."""
        own = self.parameter
        for number, (first, step) in zip(numbers, self.first, strict=False):
            own = own.replace("*", str(first + number * step), 1)
        return own


class Compared(Record):
    """By how much a text differs from the model, at most: outputs and gradients."""

    sizes: Sizes
    outputs: float
    gradients: Mapping[str, float]  # by the text's parameters
    tolerance: float

    @property
    def gradient(self) -> float:
        return max(self.gradients.values(), default=0.0)

    @property
    def wrong(self) -> tuple[str, float] | None:
        """What differs too much: a parameter's gradient, or nothing by name for the outputs."""
        if not self.outputs <= self.tolerance:
            return "", self.outputs
        for name, by in self.gradients.items():
            if not by <= self.tolerance:
                return name, by
        return None


class OutputPlace(Record):
    """Which output of a model the text computes, or which argument of the loss that it gives."""

    index: int
    argument: int | None

    def node(self, exported: Exported) -> torch.fx.Node:
        """Its node in a graph of the model."""
        found = _outputs(exported)[self.index]
        node = found if self.argument is None else found.args[self.argument]
        assert isinstance(node, torch.fx.Node)
        return node


def output_place(exported: Exported, name: str) -> OutputPlace:
    """Where the node of this name stands among the outputs."""
    places = (OutputPlace(i, number) for number in (None, 0, 1) for i in _places(exported))
    return next(place for place in places if _is_node(place, exported, name))


def _is_node(place: OutputPlace, exported: Exported, name: str) -> bool:
    output = _outputs(exported)[place.index]
    if place.argument is None:
        return output.name == name
    given = output.args[place.argument : place.argument + 1]
    return any(isinstance(x, torch.fx.Node) and x.name == name for x in given)


def _places(exported: Exported) -> range:
    return range(len(_outputs(exported)))


def _outputs(exported: Exported) -> list[torch.fx.Node]:
    (found,) = (n for n in exported.module.graph.nodes if n.op == "output")
    return [x for x in _pytree.tree_leaves(found.args) if isinstance(x, torch.fx.Node)]


class OwnPart(NamedTuple):
    """A parameter of a text's module, and the one of the model that it is, or is a part of."""

    name: str
    parameter: nn.Parameter
    own: str
    weight: TextWeight
    expert: int | None

    def of(self, value: Tensor) -> Tensor:
        """A value of the model's parameter as the text has it: what it sums over comes second."""
        value = value if self.expert is None else value[self.expert]
        shape = self.parameter.shape
        if not self.weight.turned:
            return value.reshape(shape)
        return value.reshape(shape[1], shape[0], *shape[2:]).transpose(0, 1)


class TextModel:
    """The module that is compiled from a text, for the weights of a model."""

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, TextWeight],
        biases: Mapping[str, TextWeight],
        inputs: Sequence[TextInput],
        output: OutputPlace,
        layout: Laid,
    ) -> None:
        self.program = program
        self.names, self.uses = executed(emit(program)), CodeUses(program)
        self.weights = weights
        self.biases = biases  # buffers of routers
        self.inputs = inputs
        self.output = output
        self.layout = layout

    def laid(self, found: Tensor, sizes: Sizes, shape: torch.Size) -> Tensor:
        """What the text computes with its coordinates in the order in which the model has them."""
        order, graph = in_text(self.layout), in_graph(self.layout)
        if order == graph or {*order} != {*graph}:
            return found.reshape(shape) if found.numel() == shape.numel() else found
        at = as_fractions(sizes)
        lengths = [int(factor.length.evaluate(at)) for factor in order]
        return found.reshape(lengths).permute([order.index(f) for f in graph]).reshape(shape)

    def made(self, sizes: Sizes) -> nn.Module:
        """The module at the sizes that it has."""
        known = {n: s for n, s in sizes.items() if n in self.program.dims}
        given = {n: s for n, s in known.items() if not self.program.dims[n].derived}
        model: nn.Module = self.names[self.program.name](self.names["Config"](**given))
        return model

    def weight(self, name: str) -> TextWeight:
        """The parameter of the model that one of the text's module is."""
        return self.weights[self.uses.tensor_of(name)]

    def parameters(self, model: nn.Module) -> Iterator[OwnPart]:
        """Each parameter of the text's module, with the one of the model that it is."""
        for name, parameter in model.named_parameters():
            weight, numbers = self.weight(name), numbers_in(name)
            expert = numbers[-1] if weight.copied else None
            yield OwnPart(name, parameter, weight.own(numbers), weight, expert)

    def buffers(self, model: nn.Module) -> Iterator[tuple[Tensor, str]]:
        """Each buffer of the text's module that is one of the model's, and the name of that."""
        for name, buffer in model.named_buffers():
            path = ".".join(part for part in name.split(".") if not part.isdigit())
            if path in self.biases:
                yield buffer, self.biases[path].own(numbers_in(name))


def compared(text: TextModel, factory: Factory, sizes: Sizes, double: bool) -> Compared | None:
    """The text beside the model, at a setting; None where it does not run in double precision."""
    with _precision(torch.float64 if double else torch.float32):
        try:
            example = factory.make(sizes)
        except SpecError:
            if double:  # it mixes its own single precision with what is made here
                return None
            raise
        other = text.made(sizes)
        held = dict(example.model.named_buffers())
        stir([*example.model.parameters(), *(held[own] for _, own in text.buffers(other))])
        if double:
            example = doubled(example)
        exported = Exported(_without_dropout(example), training=False)
        other = other.double() if double else other
    other.train(example.model.training)
    _load(text, example.model, other)
    try:
        with _precision(torch.float64 if double else torch.float32):
            return _compared(text, exported, other, sizes, double)
    except RuntimeError as error:
        if double and any(
            word in str(error) for word in TYPES
        ):  # a cast of the model's own to single precision
            return None
        raise


def _compared(
    text: TextModel, exported: Exported, other: nn.Module, sizes: Sizes, double: bool
) -> Compared:
    example = exported.example
    leaves = _pytree.tree_leaves((tuple(example.args), dict(example.kwargs)))
    computed = Observer(exported, {x.node for x in text.inputs if x.node}).values()
    given = [computed[x.node] if x.node else leaves[x.leaf] for x in text.inputs]
    model = exported.example.model
    wanted = text.output.node(exported).name
    output = Observer(exported, {wanted})

    def own() -> Tensor:
        with torch.enable_grad(), quietly(), in_one_precision():
            found: Tensor = output.values()[wanted]
        return found

    out, gradients = _run(own, dict(model.named_parameters(remove_duplicate=False)))
    names = {part.name: part.parameter for part in text.parameters(other)}
    found, others = _run(lambda: text.laid(other(*given), sizes, out.shape), names)
    largest = max((float(g.abs().max()) for g in gradients.values() if g.numel()), default=0.0)
    apart = {}
    for part in text.parameters(other):
        one, two, padding = part.of(gradients[part.own]), others[part.name], part.weight.padding
        if padding is not None:
            one, two = one.clone(), two.clone()
            one[padding] = two[padding] = 0
        scale = max(float(one.abs().max()), SMALL * largest) or 1.0
        apart[part.name] = float((one - two).abs().max()) / scale
    scale = float(out.detach().abs().max()) or 1.0
    by = float((out - found).detach().abs().max()) / scale if out.shape == found.shape else 1.0
    short = not double or any(map(_is_short, exported.module.graph.nodes))
    return Compared(sizes, by, apart, SINGLE if short else DOUBLE)


def _is_short(node: torch.fx.Node) -> bool:
    """Whether a call is of single precision, or takes an epsilon that its precision says."""
    if "rms_norm" in str(node.target) and (len(node.args) < 4 or node.args[3] is None):
        return True
    values = _pytree.tree_leaves(node.meta.get("val"))
    return any(isinstance(x, Tensor) and x.dtype in SHORT for x in values)


def _run(
    forward: Callable[[], Tensor], parameters: Mapping[str, nn.Parameter]
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a model computes, and the gradients of one sum of that."""
    trained = {name: p for name, p in parameters.items() if p.requires_grad}
    with torch.enable_grad():
        out = forward()
        generator = torch.Generator().manual_seed(1)
        factors = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype)
        total = (out * factors).sum()
        found = torch.autograd.grad(total, list(trained.values()), materialize_grads=True)
    gradients = dict(zip(trained, found, strict=True))
    return out, {n: gradients.get(n, torch.zeros_like(p)) for n, p in parameters.items()}


def _load(text: TextModel, model: nn.Module, other: nn.Module) -> None:
    parameters = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        for part in text.parameters(other):
            part.parameter.copy_(part.of(parameters[part.own]))
            part.parameter.requires_grad_(parameters[part.own].requires_grad)
        held = dict(model.named_buffers())
        for buffer, own in text.buffers(other):
            buffer.copy_(held[own])


def _without_dropout(example: Example) -> Example:
    """The model as it is trained, but not at random."""
    chances = [m.p for m in example.model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    example.model.train(not any(chances))
    return example


def stir(tensors: Iterable[Tensor], by: float = STIRRED) -> None:
    """Tensors that start at one number get others around it: nothing is hidden by a zero."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for tensor in tensors:
            if tensor.numel() < 2 or not tensor.is_floating_point():
                continue
            if bool((tensor == tensor.flatten()[0]).all()):
                noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.add_(by * noise.to(tensor.dtype))


@contextmanager
def _precision(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def numbers_in(name: str) -> list[int]:
    """The numbers of layers in a name."""
    return [int(part) for part in name.split(".") if part.isdigit()]


def like(name: str, parameter: str, path: str) -> str:
    """A name with stars where the path of a parameter has them for the same lists of layers."""
    found, own, stars = name.split("."), parameter.split("."), path.split(".")
    shared = next((i for i, x in enumerate(zip(found, own, strict=False)) if x[0] != x[1]), 0)
    return ".".join([*stars[:shared], *found[shared:]])


def first_numbers(path: str, parameter: str) -> tuple[tuple[int, int], ...]:
    """The numbers that stand where a path has stars, of the first layer, with their steps."""
    found = []
    for part, own in zip(path.split("."), parameter.split("."), strict=True):
        layers = LAYERS.fullmatch(part)
        if part != own and layers:
            found.append((int(own), int(layers["step"] or 1)))
    return tuple(found)


def summary(results: Sequence[Compared]) -> str:
    """What the proof found: `outputs and gradients equal to 2e-15`."""
    worst = max(max(x.outputs, x.gradient) for x in results if x.tolerance == results[-1].tolerance)
    return f"outputs and gradients are the model's to {max(worst, 1e-16):.0e}"
