"""Which values are positive: what may stand under a fraction."""

from __future__ import annotations

from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.aten.refused import REASONS
from abcparam.imports.seen import CUTS, RESHAPES, TURNS, Seen
from abcparam.imports.traced import Ref

POSITIVE = {
    "aten.softmax.int",
    "aten._softmax.default",
    "aten.sigmoid.default",
    "aten.exp.default",
    "aten.exp2.default",
    "aten.softplus.default",
    "aten.linalg_vector_norm.default",
    "aten.norm.ScalarOpt_dim",
    *(
        f"aten.{name}.{kind}"
        for name in ("std", "var")
        for kind in ("correction", "dim", "default")
    ),
}
OF_SQUARES = {"aten.square.default", "aten.abs.default"}
OF_TWO = {f"aten.{name}.{kind}" for name in ("add", "mul", "div") for kind in ("Tensor", "Scalar")}
POWERS = {"aten.pow.Tensor_Scalar", "aten.square.default", "aten.reciprocal.default"}
SUMS = {"index_add", "scatter_add", "index_put", "scatter_reduce"}
KEEPS = {
    *RESHAPES,
    *TURNS,
    *CUTS,
    "aten.detach.default",
    "aten.sum.dim_IntList",
    "aten.sum.default",
    "aten.mean.dim",
    "aten.mean.default",
    "aten.sqrt.default",
    "aten.rsqrt.default",
    "aten.topk.default",
    "aten.sort.default",
    "aten.gather.default",
    "aten.index.Tensor",
    "aten.index_select.default",
    "aten.clamp_min.default",
    "aten.clamp.default",
    "aten.amax.default",
    "aten.slice.Tensor",
    "aten.select.int",
    "aten.masked_fill.Scalar",
}


def is_positive(see: Seen, x: Operand) -> bool:
    """Whether a value is positive and of its size everywhere, but where it is masked."""
    if isinstance(x, Numbers):
        return x.first > 0
    if isinstance(x, KnownData):
        return True
    step = see.definition(x)
    if step is None:
        return False
    if step.target in POSITIVE or step.target in REASONS:  # refused where it is made
        return True
    inner = see.with_step(step)
    if step.target in OF_TWO:
        return all(is_positive(inner, y) for y in step.arguments[:2])
    if step.target in POWERS:
        return is_positive(inner, step.arguments[0])
    if step.call in SUMS:  # where there is something
        return isinstance(step.arguments[0], KnownData) and any(
            is_positive(inner, y) for y in step.arguments[1:] if isinstance(y, Ref)
        )
    if step.target in KEEPS:
        return is_positive(inner, step.arguments[0]) or _of_squares(inner, step.arguments[0])
    return False


def _of_squares(see: Seen, x: Operand) -> bool:
    """Whether what is summed are squares."""
    step = see.definition(x)
    if step is None:
        return False
    exponent = step.arguments[1] if step.target == "aten.pow.Tensor_Scalar" else None
    return step.target in OF_SQUARES or (isinstance(exponent, Numbers) and exponent.first == 2)
