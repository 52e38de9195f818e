"""The line that fills a tensor with what it starts at."""

from __future__ import annotations

from abcparam.python_code import nodes
from abcparam.python_code.formula import Formula
from abcparam.python_code.nodes import Code, Statement, call


def filled(kind: str, target: Code, value: Formula, code: Code) -> Statement:
    """`nn.init.normal_(target, std=…)`; `code` is the value where it stands."""
    match kind:
        case "zeros":
            return nodes.Do(call("nn.init.zeros_", target))
        case "ones" if value.constant == 1:
            return nodes.Do(call("nn.init.ones_", target))
        case "ones" | "constant":
            return nodes.Do(call("nn.init.constant_", target, code))
        case "uniform":
            return nodes.Do(call("nn.init.uniform_", target, nodes.minus(code), code))
        case "orthogonal":
            return nodes.Do(call("nn.init.orthogonal_", target, gain=code))
        case _:
            return nodes.Do(call("nn.init.normal_", target, std=code))
