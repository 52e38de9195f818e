"""Values that are filled part by part: `y[..., :n] = x` as a call that gives the new value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten
SCATTERS: dict[object, Any] = {
    aten.slice.Tensor: aten.slice_scatter.default,
    aten.select.int: aten.select_scatter.default,
}
EMPTY: dict[object, Any] = {
    aten.new_empty.default: aten.new_zeros.default,
    aten.empty_like.default: aten.zeros_like.default,
}


def without_writes(module: GraphModule) -> None:
    """Rewrites each copy into a part of a value that nothing else looks at."""
    order = {node: index for index, node in enumerate(module.graph.nodes)}
    for node in list(order):
        if node.target is aten.copy_.default and not node.users:
            _rewrite(module, node, order)
    module.recompile()


def _rewrite(module: GraphModule, node: Node, order: dict[Node, int]) -> None:
    part, source = node.args[:2]
    scatter = SCATTERS.get(part.target) if isinstance(part, Node) else None
    if scatter is None or not isinstance(part, Node) or not isinstance(source, Node):
        return
    base, *where = part.args
    same = _shape(part) == _shape(source)
    if not isinstance(base, Node) or not same or set(part.users) != {node}:
        return
    with module.graph.inserting_after(node):
        made = module.graph.call_function(scatter, (base, source, *where))
    made.meta = {**node.meta, "val": base.meta["val"]}
    order[made] = order[node]
    _replace(base, made, [u for u in base.users if order[u] > order[node]])
    for gone in (node, part):
        module.graph.erase_node(gone)
    base.target = EMPTY.get(base.target, base.target)


def _replace(old: Node, new: Node, users: Iterable[Node]) -> None:
    for user in users:
        user.replace_input_with(old, new)


def _shape(node: Node) -> object:
    value = node.meta.get("val")
    return (value.shape, value.dtype) if isinstance(value, torch.Tensor) else None
