"""Losses as PyTorch has them: what each is of, and what it is as a value like any other."""

from __future__ import annotations

from collections.abc import Callable

from abcparam.algebra.polynomials import number, product
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.aten.signs import is_positive
from abcparam.imports.functions import WORDS, is_above, operation_computing
from abcparam.imports.seen import Law, Seen, amount
from abcparam.imports.traced import Ref
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Expression

AS_IT_IS, MEAN = 0, 1  # reductions, by PyTorch's numbers; a sum is 2
OWN_VALUE = "value"  # the kind of what is a loss as it stands: its gradient is one
SIGMOID = "aten.sigmoid.default"


class LossFunction(NamedTuple):
    """A loss of `torch.nn.functional`: its name, in PyTorch's graph too, and its kind.

    `reduction` is the place of that argument, `both` is whether it is one of the target as well.
    """

    name: str
    target: str
    kind: str
    reduction: int
    both: bool = False

    def of(self, see: Seen) -> list[Ref] | None:
        """What a call is a loss of; None where its law is no law of a kind.

        That is where other values than these have a gradient, or where its mean is over an axis
        that grows.
        """
        values = [x for x in see.step.arguments[:2] if isinstance(x, Ref)]
        if self.name == "binary_cross_entropy":
            values[:1] = [x for x in map(logits_of, [see], values[:1]) if isinstance(x, Ref)]
        first_alone = not isinstance(see.get(1), Ref)
        if not values or not (self.both or first_alone) or see.grows(product(self.averaged(see))):
            return None
        return values

    def averaged(self, see: Seen) -> Shape:
        """The axes over which a call takes the mean."""
        if see.whole(self.reduction, "reduction", MEAN) != MEAN:
            return ()
        shape = see.shape(see.get(0))
        return without_classes(shape)[0] if self.kind == "cross_entropy" else shape


def logits_of(see: Seen, x: Operand) -> Operand:
    """What a chance is the sigmoid of; None where it is none."""
    step = see.definition(x)
    return step.arguments[0] if step is not None and step.target == SIGMOID else None


def without_classes(shape: Shape) -> tuple[Shape, int]:
    """A shape without the axis of classes, and which that is: the second, of two and more."""
    axis = min(1, len(shape) - 1)
    return (*shape[:axis], *shape[axis + 1 :]), axis


LOSS_FUNCTIONS = (
    LossFunction("cross_entropy", "aten.cross_entropy_loss.default", "cross_entropy", 3),
    LossFunction("nll_loss", "aten.nll_loss_nd.default", "cross_entropy", 3),
    LossFunction("mse_loss", "aten.mse_loss.default", "mse", 2, True),
    LossFunction("l1_loss", "aten.l1_loss.default", "huber", 2, True),
    LossFunction("smooth_l1_loss", "aten.smooth_l1_loss.default", "huber", 2, True),
    LossFunction("huber_loss", "aten.huber_loss.default", "huber", 2, True),
    LossFunction(
        "binary_cross_entropy_with_logits",
        "aten.binary_cross_entropy_with_logits.default",
        "binary_cross_entropy",
        4,
    ),
    LossFunction(
        "binary_cross_entropy", "aten.binary_cross_entropy.default", "binary_cross_entropy", 3
    ),
)
BY_NAME = {loss.name: loss for loss in LOSS_FUNCTIONS}
BY_TARGET = {loss.target: loss for loss in LOSS_FUNCTIONS}


# As values


def of_difference(function: Callable[[Seen], Callable[[float], float]]) -> Law:
    """A function of the difference from the target, the mean or sum of it."""

    def law(see: Seen) -> Expression:
        shape = _longer(see.shape(see.get(0)), see.shape(see.get(1)))
        x = _difference(see, see.value(see.get(0)), see.get(1), shape)
        operation, settings = operation_computing(see, function(see))
        return _reduced(see, see.apply(operation, (x,), settings, shape), 2)

    return law


def _longer(one: Shape, other: Shape) -> Shape:
    return one if len(one) >= len(other) else other


def _difference(see: Seen, x: Expression, target: Operand, shape: Shape) -> Expression:
    if isinstance(target, KnownData) and target.size is not None and not target.size.coefficient:
        return x
    return see.difference(x, see.value(target), shape)


def _edge(see: Seen, name: str) -> float:
    """Where a loss that is bent like a square becomes straight."""
    found = see.get(3, name)
    return found.first if isinstance(found, Numbers) else 1.0


def _huber(edge: float, slope: float) -> Callable[[float], float]:
    """`slope * |x|` beyond an edge, a square within."""

    def function(x: float) -> float:
        far = abs(x)
        return slope * (far - edge / 2 if far >= edge else far * far / (2 * edge))

    return function


def smooth(see: Seen) -> Callable[[float], float]:
    return _huber(_edge(see, "beta"), 1.0)


def huber(see: Seen) -> Callable[[float], float]:
    edge = _edge(see, "delta")
    return _huber(edge, edge)


def binary(see: Seen) -> Expression:
    """`-(t log p + (1 - t) log(1 - p))`, of logits z `softplus(z) - t z`."""
    x = see.get(0)
    place = BY_TARGET[see.step.target].reduction
    logits = x if "with_logits" in see.step.target else logits_of(see, x)
    shape = see.shape(x)
    if logits is not None:
        z = see.value(logits)
        straight = see.apply("*", (z, see.value(see.get(1))), shape=shape)
        bent = see.apply("softplus", (z,), shape=shape)
        found = see.difference(bent, straight, shape)
        return _reduced(see, found, place)
    return see.refuse(
        rules.NoLaw,
        operation=see.step.target,
        what="it where its chances are no sigmoid; `binary_cross_entropy_with_logits` has one",
    )


def cross_entropy(see: Seen) -> Expression:
    """`-log_softmax(x)` at a class, or weighed by the chances of all."""
    x = see.get(0)
    shape = see.shape(x)
    rest, axis = without_classes(shape)
    classes = shape[axis]
    if see.grows(classes):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a softmax over a growing axis")
    is_log = see.step.target == BY_NAME["nll_loss"].target
    value = see.value(x)
    chances = value if is_log else see.apply("log_softmax", (value,), shape=shape)
    target = see.get(1)
    found: Expression
    if isinstance(target, Ref) or see.shape(target) == shape:
        weighed = see.apply("*", (chances, see.value(target)), shape=shape)
        mean = see.apply("mean", (weighed,), {"axis": (amount(number(axis)),)}, rest)
        found = see.apply("scale", (mean,), {"by": amount(number(-1) * classes)}, rest)
    else:
        found = see.negated(see.reshaped(chances, rest))
    return _reduced(see, found, 3)


def divergence(see: Seen) -> Expression:
    """`kl_div`: `t (log t - x)`, x a logarithm, and t too where it says so."""
    x, target = see.get(0), see.get(1)
    shape = see.shape(x)
    log = chances = value = see.value(target)
    if not isinstance(target, KnownData):
        if see.step.keywords.get("log_target", see.get(3)) is True:
            chances = see.apply("exp", (value,), shape=shape)
        elif is_positive(see, target) or is_above(see, target, 0.0):
            log = see.apply("log", (value,), shape=shape)
        else:
            see.refuse(rules.NoLaw, operation=see.step.target, what="a logarithm of what may be 0")
    difference = see.difference(log, see.value(x), shape)
    return _reduced(see, see.apply("*", (chances, difference), shape=shape), 2)


def soft_margin(see: Seen) -> Expression:
    """`log(1 + exp(-t x))`."""
    shape = see.shape(see.get(0))
    x = see.apply("*", (see.value(see.get(0)), see.value(see.get(1))), shape=shape)
    bent = see.apply("softplus", (see.negated(x),), shape=shape)
    return _reduced(see, bent, 2)


def poisson(see: Seen) -> Expression:
    """`exp(x) - t x`, x the logarithm of a rate."""
    if see.get(2, "log_input") is not True:
        what = "it of a rate; of the rate's logarithm, `log_input=True`, it has one"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    shape, x = see.shape(see.get(0)), see.value(see.get(0))
    straight = see.apply("*", (x, see.value(see.get(1))), shape=shape)
    rate = see.apply("exp", (x,), shape=shape)
    found = see.difference(rate, straight, shape)
    return _reduced(see, found, 5)


def _reduced(see: Seen, x: Expression, place: int) -> Expression:
    """The mean or the sum over all coordinates, or what is there as it is."""
    reduction, shape = see.whole(place, "reduction", MEAN), x.shapes[0]
    if reduction == AS_IT_IS or not shape:
        return x
    axes = tuple(amount(number(axis)) for axis in range(len(shape)))
    mean = see.apply("mean", (x,), {"axis": axes}, ())
    if reduction == MEAN:
        return mean
    return see.apply("scale", (mean,), {"by": amount(product(shape))}, ())


LAWS: dict[str, Law] = {
    BY_NAME["mse_loss"].target: of_difference(lambda see: WORDS["square"]),
    BY_NAME["l1_loss"].target: of_difference(lambda see: abs),
    BY_NAME["smooth_l1_loss"].target: of_difference(smooth),
    BY_NAME["huber_loss"].target: of_difference(huber),
    BY_NAME["binary_cross_entropy"].target: binary,
    BY_NAME["binary_cross_entropy_with_logits"].target: binary,
    BY_NAME["cross_entropy"].target: cross_entropy,
    BY_NAME["nll_loss"].target: cross_entropy,
    "aten.kl_div.default": divergence,
    "aten.soft_margin_loss.default": soft_margin,
    "aten.poisson_nll_loss.default": poisson,
}
