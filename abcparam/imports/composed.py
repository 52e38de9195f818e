"""Calls that are several others, written out as these: `glu(x)` is `a * sigmoid(b)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.utils import _pytree

from abcparam.imports.composed_losses import LOSSES

aten = torch.ops.aten


class _Calls:
    """Calls put where another one stands, which is at the user's line as they are."""

    def __init__(self, module: GraphModule, node: Node) -> None:
        self.graph = module.graph
        self.node = node

    def __call__(self, target: Any, *args: Any) -> Node:
        """A call; its result has a shape, as all have that were traced."""
        made = self.graph.call_function(target, args)
        given = _pytree.tree_map_only(Node, lambda x: x.meta["val"], args)
        mode = next(x.fake_mode for x in _pytree.tree_leaves(given) if hasattr(x, "fake_mode"))
        assert isinstance(mode, FakeTensorMode)
        with mode:
            made.meta = {**self.node.meta, "val": target(*given)}
        return made


Composition = Callable[..., Node | Sequence[Node] | None]


def _glu(make: _Calls, x: Node, dim: int = -1) -> Node:
    half = x.meta["val"].shape[dim] // 2
    value, gate = (make(aten.slice.Tensor, x, dim, i * half, (i + 1) * half) for i in range(2))
    return make(aten.mul.Tensor, value, make(aten.sigmoid.default, gate))


def _lerp(make: _Calls, start: Node, end: Node, weight: object) -> Node:
    by = make(aten.mul.Tensor, make(aten.sub.Tensor, end, start), weight)
    return make(aten.add.Tensor, start, by)


def _outer(make: _Calls, x: Node, y: Node) -> Node:
    return make(aten.mul.Tensor, make(aten.unsqueeze.default, x, -1), y)


def _bag(
    make: _Calls,
    table: Node,
    indices: Node,
    offsets: Node,
    scaled: bool = False,
    mode: int = 0,
    sparse: bool = False,
    weights: Node | None = None,
    *_: object,
) -> Node | None:
    """Bags of one size, as rows of a matrix of indices are; others stay as they are."""
    count, starts = indices.meta["val"].shape[0], offsets.meta["val"].shape[0]
    if offsets.target is not aten.arange.start_step or count % starts or weights is not None:
        return None
    rows = make(aten.embedding.default, table, indices)
    width = table.meta["val"].shape[1]
    bags = make(aten.view.default, rows, [starts, count // starts, width])
    return make((aten.sum.dim_IntList, aten.mean.dim, aten.amax.default)[mode], bags, [1])


def _broadcast(make: _Calls, tensors: Sequence[Node]) -> list[Node]:
    """Of one shape, as a mean square error takes them."""
    shape = torch.broadcast_shapes(*(x.meta["val"].shape for x in tensors))
    return [
        x if x.meta["val"].shape == shape else make(aten.expand.default, x, list(shape))
        for x in tensors
    ]


def _matrix_vector(make: _Calls, matrix: Node, vector: Node) -> Node:
    column = make(aten.unsqueeze.default, vector, 1)
    return make(aten.squeeze.dim, make(aten.mm.default, matrix, column), 1)


def _added_matrix_vector(
    make: _Calls, x: Node, matrix: Node, vector: Node, *, beta: object = 1, alpha: object = 1
) -> Node | None:
    if beta != 1 or alpha != 1:
        return None
    return make(aten.add.Tensor, x, _matrix_vector(make, matrix, vector))


def _dot(make: _Calls, x: Node, y: Node) -> Node:
    return make(aten.sum.dim_IntList, make(aten.mul.Tensor, x, y), [0])


def _inner(make: _Calls, x: Node, y: Node) -> Node | None:
    return make(aten.linear.default, x, y) if y.meta["val"].dim() == 2 else None


def _bilinear(make: _Calls, x: Node, y: Node, weight: Node, bias: Node | None = None) -> Node:
    """A map of all products of two coordinates."""
    outer, *inner = weight.meta["val"].shape
    pairs = make(
        aten.mul.Tensor, make(aten.unsqueeze.default, x, -1), make(aten.unsqueeze.default, y, -2)
    )
    flat = make(aten.flatten.using_ints, pairs, -2)
    matrix = make(aten.view.default, weight, [outer, inner[0] * inner[1]])
    return make(aten.linear.default, flat, matrix, *(() if bias is None else (bias,)))


def _prelu(make: _Calls, x: Node, slope: Node) -> Node:
    """`relu(x) - slope * relu(-x)`, the slopes those of channels, or one."""
    rank, count = x.meta["val"].dim(), slope.meta["val"].numel()
    if count > 1 and rank > 2:
        slope = make(aten.view.default, slope, [count, *[1] * (rank - 2)])
    below = make(aten.relu.default, make(aten.neg.default, x))
    above = make(aten.relu.default, x)
    return make(aten.sub.Tensor, above, make(aten.mul.Tensor, slope, below))


def _tile(make: _Calls, x: Node, times: Sequence[int]) -> Node:
    lacking = x.meta["val"].dim() - len(times)
    return make(aten.repeat.default, x, [*[1] * lacking, *times])


def _hstack(make: _Calls, tensors: Sequence[Node]) -> Node:
    return make(aten.cat.default, tensors, min(1, tensors[0].meta["val"].dim() - 1))


def _vstack(make: _Calls, tensors: Sequence[Node]) -> Node | None:
    return make(aten.cat.default, tensors, 0) if tensors[0].meta["val"].dim() > 1 else None


def _product(make: _Calls, matrices: Sequence[Node]) -> Node | None:
    """Of matrices, from the first to the last."""
    if any(x.meta["val"].dim() != 2 for x in matrices):
        return None
    return reduce(lambda x, y: make(aten.mm.default, x, y), matrices)


COMPOSED: dict[object, Composition] = {
    **LOSSES,
    aten.mv.default: _matrix_vector,
    aten.addmv.default: _added_matrix_vector,
    aten.dot.default: _dot,
    aten.inner.default: _inner,
    aten.bilinear.default: _bilinear,
    aten.prelu.default: _prelu,
    aten.tile.default: _tile,
    aten.hstack.default: _hstack,
    aten.vstack.default: _vstack,
    aten.chain_matmul.default: _product,
    aten.linalg_multi_dot.default: _product,
    aten.glu.default: _glu,
    aten.lerp.Scalar: _lerp,
    aten.lerp.Tensor: _lerp,
    aten.outer.default: _outer,
    aten.broadcast_tensors.default: _broadcast,
    aten.embedding_bag.padding_idx: _bag,
    aten.embedding_bag.default: _bag,
}


def written_out(module: GraphModule) -> None:
    """Puts the calls that they are in place of all that are known to be several."""
    for node in list(module.graph.nodes):
        composition = COMPOSED.get(node.target)
        if composition is not None:
            with module.graph.inserting_before(node):
                made = composition(_Calls(module, node), *node.args, **node.kwargs)
            if made is not None:
                put_in_place(module, node, made)
    module.recompile()


def put_in_place(module: GraphModule, node: Node, made: Node | Sequence[Node]) -> None:
    """One value in place of another, or the first of several, or all of them, of several."""
    for old in [node] if isinstance(node.meta["val"], torch.Tensor) else list(node.users):
        index = 0 if old is node else old.args[1]
        values = [made] if isinstance(made, Node) else made
        assert isinstance(index, int)
        if index < len(values):
            old.replace_all_uses_with(values[index])
            module.graph.erase_node(old)
    if not isinstance(node.meta["val"], torch.Tensor) and not node.users:
        module.graph.erase_node(node)
