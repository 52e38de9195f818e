"""Parts of a model under `torch.no_grad()` in which nothing is trained: calls like all others."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch.fx import Graph, GraphModule, Node

from abcparam.imports.composed import put_in_place

SWITCHED = torch.ops.higher_order.wrap_with_set_grad_enabled


def without_no_grad(module: GraphModule, trained: Collection[str]) -> None:
    """Puts the calls of such a part, a frozen teacher's say, where the part is.

    `trained` are the names of inputs that are trained. What they are behind stays a part: its
    gradient is stopped.
    """
    behind = set(trained)
    for node in list(module.graph.nodes):
        if any(x.name in behind for x in node.all_input_nodes):
            behind.add(node.name)
        elif node.target is SWITCHED:
            _put(module, node)
    module.recompile()


def _put(module: GraphModule, node: Node) -> None:
    part = node.args[1]
    assert isinstance(part, Node) and isinstance(part.target, str)
    inner: Graph = module.get_submodule(part.target).graph  # type: ignore[assignment]
    if any(x.op in {"get_attr", "call_module"} for x in inner.nodes):
        return
    inputs = [x for x in inner.nodes if x.op == "placeholder"]
    given = [x for x in node.args[2:] if isinstance(x, Node)]
    with module.graph.inserting_before(node):
        made = module.graph.graph_copy(inner, dict(zip(inputs, given, strict=True)))
    assert isinstance(made, (tuple, list))
    put_in_place(module, node, made)
    if not part.users:
        module.graph.erase_node(part)
