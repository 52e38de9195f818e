"""`mixture(logits, Expert(x), top)`: one instance of a block per logit.

Each token takes the best of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.calculus.bilinear import MixedNode, Share
from abcparam.calculus.node import Node
from abcparam.calculus.pointwise import PointwiseNode, SoftmaxNode
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.operations.pointwise import SIGMOID
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call, show
from abcparam.python_code.nodes import call, method

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode

GIVEN = """\
    rows, values = [], []
    for number, expert in enumerate(experts):
        row, place = (chosen == number).nonzero(as_tuple=True)
        y = expert(x[row], *more)
        rows.append(row)
        values.append(weights[row, place].view(-1, *[1] * (y.dim() - 1)) * y)
    y = torch.cat(values)
    y = y.new_zeros(x.shape[0], *y.shape[1:]).index_add(0, torch.cat(rows), y)
    return y.reshape(*tokens, *y.shape[1:])"""

MIXTURE = (
    '''\
def _mixture(
    logits: Tensor, experts: nn.ModuleList, top: int, x: Tensor, *more: Any
) -> Tensor:
    """The best experts of each token, weighted by the softmax of their logits."""
    tokens, axes = logits.shape[:-1], x.shape[logits.dim() - 1 :]
    weights, chosen = logits.reshape(-1, logits.shape[-1]).topk(top)
    weights, x = weights.softmax(-1), x.reshape(-1, *axes)
'''
    + GIVEN
)

SCORED = (
    '''\
def _scored_mixture(
    scores: Tensor,
    experts: nn.ModuleList,
    top: int,
    x: Tensor,
    *more: Any,
    normalize: bool = True,
    bias: Tensor | None = None,
    groups: int = 1,
    top_groups: int = 1,
    group_top: int = 2,
) -> Tensor:
    """The experts of each token whose scores are the best, weighted by these.

    Scores count with a bias for the choice alone, and only those of the best groups do. A
    group is as good as the sum of its best.
    """
    tokens, axes = scores.shape[:-1], x.shape[scores.dim() - 1 :]
    scores, x = scores.reshape(-1, scores.shape[-1]), x.reshape(-1, *axes)
    ranked = scores.detach() if bias is None else scores.detach() + bias
    if groups > 1:
        ranked = ranked.unflatten(-1, (groups, -1))
        best = ranked.topk(group_top).values.sum(-1).topk(top_groups).indices
        closed = torch.ones(ranked.shape[:2], dtype=torch.bool, device=x.device)
        closed = closed.scatter(-1, best, False).unsqueeze(-1)
        ranked = ranked.masked_fill(closed, -math.inf).flatten(-2)
    chosen = ranked.topk(top).indices
    weights = scores.gather(-1, chosen)
    if normalize:
        weights = weights / weights.sum(-1, keepdim=True)
'''
    + GIVEN
)

BIAS = "expert_bias"  # the buffer that counts for the choice
GROUPING = ("groups", "top_groups", "group_top")


class Mixture(Operation):
    """`logits[* e], x[* j] -> y[* o]`: e instances of the block.

    Each token takes the best of them, by the softmax of their logits or their `sigmoid`, over those
    of the experts that it takes if they are to `normalize`. Of several `groups` of experts it takes
    those of the `top_groups` whose `group_top` best scores have the largest sum. With `balanced`,
    the choice is by scores plus a buffer `expert_bias`, zeros that training may move.

    A block sees one token, not `*`: `expert(x[j])` is `[o]`.
    """

    name = "mixture"
    example = "mixture(router @ x, Expert(x), top = 2)"
    law = "softmax or sigmoid of the logits, times the experts' outputs"
    source = "arXiv 1701.06538, 2412.19437; finitely many experts: scores times what they give"
    values = ("logits", "expert")
    copied = frozenset({"expert"})
    settings = {
        "top": 2,
        "normalize": True,
        "sigmoid": False,
        "groups": 1,
        "top_groups": 1,
        "group_top": 2,
        "balanced": False,
    }

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        logits, top = call.shape(0), call.at_base(call.amount("top"))
        if not logits:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(logits))
        if call.grows(logits[-1]):
            remedy = rules.GrowingAxis.experts
            raise call.refuse(rules.GrowingAxis, axis=logits[-1], remedy=remedy)
        most = call.at_base(logits[-1])
        if top is not None and (top < 1 or top.denominator != 1 or (most and top > most)):
            wanted = "a whole number from 1 to the number of experts"
            raise call.refuse(rules.NotWhole, name="top", wanted=wanted)
        self._check_groups(call, logits[-1])
        return (call.shape(1),)

    def _check_groups(self, call: Call, experts: Polynomial) -> None:
        """Groups are of equally many experts, enough for all that a token takes."""
        groups, kept, best, top = (
            call.amount(name) for name in ("groups", "top_groups", "group_top", "top")
        )
        each = experts / groups
        limits = {
            "groups": (groups, experts, "a whole number that divides the number of experts"),
            "top_groups": (kept, groups, "a whole number from 1 to `groups`"),
            "group_top": (best, each, "a whole number from 1 to the number of experts of a group"),
            "top": (top, each * kept, "at most the number of experts of the groups that are taken"),
        }
        if groups == ONE:
            return
        for name, (value, most, wanted) in limits.items():
            found, largest = call.at_base(value), call.at_base(most)
            wrong = found is not None and (found < 1 or found.denominator != 1)
            if wrong or (found is not None and largest is not None and found > largest):
                raise call.refuse(rules.NotWhole, name=name, wanted=wanted)
        whole = call.at_base(each)
        if whole is not None and whole.denominator != 1:
            raise call.refuse(rules.NotWhole, name="groups", wanted=limits["groups"][2])

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        logits, expert = operands.node(0), operands.node(1)
        alone = call.flag("normalize") and call.at_base(call.amount("top")) == 1
        weights: Node = SoftmaxNode(build.context, logits, call.span, ONE if alone else None)
        if call.flag("sigmoid") and not alone:
            weights = PointwiseNode(build.context, logits, SIGMOID, call.span)
        lacking = build.length(call.shape(1)[len(call.shape(0)) - 1 :])
        top = build.rho(call.amount("top"))
        share = Share(call.flag("normalize"), call.flag("sigmoid"))
        return (MixedNode(weights, expert, lacking, top, share, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        of.still(0)
        return (of.of(1),)

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        names = ["top"] if self._is_usual(call.settings) else ["top", *GROUPING]
        counts = [call.settings[name] for name in names]
        yield from (count.value for count in counts if isinstance(count, Amount))
        groups, (logits, _) = call.settings["groups"], call.operands
        if len(names) > 1 and logits is not None and isinstance(groups, Amount):
            yield logits.shapes[0][-1] / groups.value

    def fewest(self, call: Apply) -> Iterable[tuple[Polynomial, Polynomial]]:
        logits, top = call.operands[0], call.settings["top"]
        assert logits is not None and isinstance(top, Amount)
        experts, groups = logits.shapes[0][-1], call.settings["groups"]
        alone = isinstance(groups, Amount) and groups.value == ONE
        yield experts, top.value if alone else experts

    def _is_usual(self, settings: Mapping[str, Setting]) -> bool:
        """Whether weights are the softmax of the best logits."""
        plain = settings["normalize"] is True and settings["sigmoid"] is False
        groups = settings["groups"]
        is_one = isinstance(groups, Amount) and groups.value == ONE
        return plain and is_one and settings["balanced"] is False

    def keeps_state(self, settings: Mapping[str, Setting]) -> bool:
        return settings["balanced"] is True

    def helper(self, call: Apply) -> str:
        return MIXTURE if self._is_usual(call.settings) else SCORED

    def torch(self, use: Use) -> ScaledCode:
        experts, (x,), more = use.module(1)
        settings = {name: use.setting(name) for name in self.settings}
        if self._is_usual(settings):
            return use.result(call("_mixture", use.code(0), experts, use.length("top"), x, *more))
        scores = call("torch.sigmoid", use.code(0))
        if settings["sigmoid"] is False:
            scores = method(use.code(0), "softmax", -1)
        options: dict[str, object] = {}
        if settings["normalize"] is False:
            options["normalize"] = False
        if settings["balanced"] is True:
            options["bias"] = use.buffer(BIAS, use.shape(0)[-1], 0)
        groups = settings["groups"]
        if isinstance(groups, Amount) and groups.value != ONE:
            options |= {name: use.length(name) for name in GROUPING}
        made = call("_scored_mixture", scores, experts, use.length("top"), x, *more, **options)
        return use.result(made)


OPERATIONS = (Mixture(),)
