"""Parts of a model under `torch.no_grad()`: calls like all others, whose results are detached."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch.fx import Graph, GraphModule, Node

from abcparam.imports.composed import put_in_place

SWITCHED = torch.ops.higher_order.wrap_with_set_grad_enabled


def without_no_grad(module: GraphModule, trained: Collection[str]) -> None:
    """Puts the calls of such a part, a teacher's say, where the part is.

    `trained` are the names of inputs that are trained: what is made of them is detached. Parts
    within parts stay.
    """
    behind = set(trained)
    for node in list(module.graph.nodes):
        if not any(x.name in behind for x in node.all_input_nodes):
            if node.target is SWITCHED:
                _put(module, node, False)
        elif node.target is SWITCHED:
            behind.update(x.name for x in _put(module, node, node.args[0] is False))
        else:
            behind.add(node.name)
    module.recompile()


def _put(module: GraphModule, node: Node, detached: bool) -> Sequence[Node]:
    """The results of a part that is put where it is called; none of one that stays."""
    part = node.args[1]
    assert isinstance(part, Node) and isinstance(part.target, str)
    inner: Graph = module.get_submodule(part.target).graph  # type: ignore[assignment]
    if any(x.op in {"get_attr", "call_module"} for x in inner.nodes):
        return ()
    inputs = [x for x in inner.nodes if x.op == "placeholder"]
    given = [x for x in node.args[2:] if isinstance(x, Node)]
    with module.graph.inserting_before(node):
        made = module.graph.graph_copy(inner, dict(zip(inputs, given, strict=True)))
        assert isinstance(made, (tuple, list))
        values = [_detached(module.graph, x) if detached else x for x in made]
    put_in_place(module, node, values)
    if not part.users:
        module.graph.erase_node(part)
    return values


def _detached(graph: Graph, value: Node) -> Node:
    found = graph.call_function(torch.ops.aten.detach.default, (value,))
    found.meta = dict(value.meta)
    return found
