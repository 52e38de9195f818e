"""What a model is trained by: the losses among its outputs, term by term, or its outputs.

`cross_entropy(x, y) + 0.1 * mse_loss(v, r)` has two terms, of which each is one of an output of
its own, `x` and `v`. What is no loss that PyTorch has, such as a divergence that is written by
hand, is a term as it stands: its gradient is one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from abcparam.algebra.polynomials import product
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers, Operand, TracedStep
from abcparam.imports.aten.losses import BY_TARGET, OWN_VALUE
from abcparam.imports.aten.stopped import WITHOUT_GRADIENT
from abcparam.imports.seen import RESHAPES, Seen, SharedNames
from abcparam.imports.traced import Ref, Weight
from abcparam.program.model import Loss

SUMS = {"aten.add.Tensor", "aten.add.Scalar", "aten.sub.Tensor", "aten.sub.Scalar"}
TIMES = {"aten.mul.Tensor", "aten.mul.Scalar", "aten.div.Tensor", "aten.div.Scalar"}
TOTALS = {
    "aten.mean.default",
    "aten.mean.dim",
    "aten.sum.default",
    "aten.sum.dim_IntList",
}
ONE_BY_ONE = {"aten.stack.default", "aten.cat.default"}
NOTHING = TracedStep("", "", (), {}, (), ())


class NamedOutput(NamedTuple):
    """A value that a loss is of, and what it is called."""

    value: Ref
    label: str


class Objectives(NamedTuple):
    """What losses are of, the losses, and the model's outputs of which these are, by name.

    The outputs `are_losses` where the model computes these itself.
    """

    values: tuple[NamedOutput, ...]
    losses: tuple[Loss, ...]
    outputs: tuple[str, ...]
    are_losses: bool


class _Term(NamedTuple):
    """A loss of some values, the last of them a target."""

    kind: str
    of: tuple[Ref, ...]


def objectives(
    outputs: Sequence[tuple[str, Ref]], names: SharedNames, chosen: str | None
) -> Objectives:
    """What losses are of: those of the model where it computes some, the logits, or all outputs.

    A loss that is a part of another one does not count beside it, and neither does a value as wide
    as the model beside other outputs, such as a recurrent state. `chosen` is the one output that
    counts, if it is there.
    """
    by_name = dict(outputs)
    if chosen in by_name:
        by_name = {chosen: by_name[chosen]}
    terms = _Terms(names)
    losses = {name: found for name, ref in by_name.items() if (found := terms.of_output(ref))}
    if losses:
        whole = {n: found for n, found in losses.items() if not _is_part(n, losses, by_name, names)}
        return _of_losses(whole)
    if chosen in by_name:
        return _of_outputs(by_name)
    for known in ("logits", "output"):
        if known in by_name:
            return _of_outputs({known: by_name[known]})
    finite = {n: x for n, x in by_name.items() if not any(map(names.grows, names.shape(x)))}
    return _of_outputs(finite or dict(list(by_name.items())[:1]))


def _of_outputs(outputs: Mapping[str, Ref]) -> Objectives:
    """Each output a cross-entropy's."""
    values = [
        NamedOutput(x, f"output {name}" if name.isdigit() else name) for name, x in outputs.items()
    ]
    losses = [Loss("cross_entropy", index) for index in range(len(values))]
    return Objectives(tuple(values), tuple(losses), tuple(outputs), are_losses=False)


def _of_losses(losses: Mapping[str, Sequence[_Term]]) -> Objectives:
    found: dict[tuple[Ref, str], str] = {}
    for name, terms in losses.items():
        several = len(terms) > 1
        for term in terms:
            label = f"{name} {term.kind}" if several else name
            for x, suffix in zip(term.of, ("", " target"), strict=False):
                found.setdefault((x, term.kind), f"{label}{suffix}")
    alone = len(found) == 1 and next(iter(found))[1] == "cross_entropy"
    labels: dict[Ref, str] = {}
    for (x, _), label in found.items():
        labels.setdefault(x, "logits" if alone else _free(label, labels.values()))
    index = {x: i for i, x in enumerate(labels)}
    return Objectives(
        tuple(NamedOutput(x, label) for x, label in labels.items()),
        tuple(Loss(kind, index[x]) for x, kind in found),
        tuple(losses),
        are_losses=True,
    )


def _free(label: str, taken: Collection[str]) -> str:
    """A label that no other one is."""
    numbered = (f"{label} {count}" for count in range(2, len(taken) + 3))
    return next(x for x in (label, *numbered) if x not in taken)


def _is_part(
    name: str, losses: Mapping[str, Sequence[_Term]], outputs: Mapping[str, Ref], names: SharedNames
) -> bool:
    """Whether a loss is computed on the way to another one of these."""
    ref = outputs[name]
    return any(ref in _behind(names, outputs[other]) for other in losses if other != name)


def _behind(names: SharedNames, ref: Ref, without: Collection[str] = ()) -> set[Ref]:
    """All values that one is computed from, but for those behind some calls."""
    found: set[Ref] = set()
    left = [ref]
    while left:
        step = names.steps.get(left.pop().name)
        for x in refs_of(step) if step is not None and step.target not in without else ():
            if x not in found:
                found.add(x)
                left.append(x)
    return found


def refs_of(step: TracedStep) -> Iterator[Ref]:
    """The values that a call takes."""
    return (x for x in step.operands() if isinstance(x, Ref))


class _Terms:
    """Takes sums of losses apart."""

    def __init__(self, names: SharedNames) -> None:
        self.names = names
        self.made_of_losses: set[str] = set()  # the calls behind which there are some of PyTorch's
        for name, step in names.steps.items():
            behind = any(x.name in self.made_of_losses for x in refs_of(step))
            if behind or step.target in BY_TARGET:
                self.made_of_losses.add(name)

    def teaches(self, ref: Ref) -> bool:
        """Whether a tensor has a gradient through a value."""
        for value in {ref, *_behind(self.names, ref, WITHOUT_GRADIENT)}:
            step = self.names.steps.get(value.name)
            if step is None or step.target in WITHOUT_GRADIENT:
                continue
            if any(isinstance(x, Weight) for x in step.operands()):
                return True
        return False

    def of_output(self, ref: Ref) -> tuple[_Term, ...]:
        """The terms of a loss; none where an output is none.

        A number that inputs count in is one, and so is what PyTorch calls a loss; what is behind a
        gradient that is stopped, such as a norm that is logged, is none.
        """
        step = self.names.step_of(ref)
        if step is None or not self.teaches(ref):
            return ()
        found = self.of(ref)
        if any(term.kind != OWN_VALUE for term in found):
            return found
        return found if not self.names.shape(ref) and self.sees_data(ref) else ()

    def require_no_penalty(self, term: _Term) -> None:
        """Refuses a norm of weights that is added to a loss: it competes with its gradients."""
        ref, *_ = term.of
        step = self.names.step_of(ref)
        is_number = term.kind == OWN_VALUE and not self.names.shape(ref)
        if step is None or not is_number or self.sees_data(ref):
            return
        weights = (x for x in self.taken_by(ref) if isinstance(x, Weight))
        if any(map(self.names.grows, (n for x in weights for n in self.names.weights[x.name]))):
            what = "a penalty of weights in a loss; an optimizer's weight decay has one"
            Seen(step, self.names).refuse(rules.NoLaw, operation=step.target, what=what)

    def sees_data(self, ref: Ref) -> bool:
        return any(isinstance(x, KnownData) and x.shape for x in self.taken_by(ref))

    def taken_by(self, ref: Ref) -> Iterator[Operand]:
        """What the calls that compute a value take."""
        for value in {ref, *_behind(self.names, ref)}:
            step = self.names.steps.get(value.name)
            yield from step.arguments if step is not None else ()

    def of(self, ref: Ref) -> tuple[_Term, ...]:
        """The terms of a value, it alone where none of them is a loss that PyTorch has."""
        found = self.taken_apart(ref) if ref.name in self.made_of_losses else None
        for term in found or ():
            self.require_no_penalty(term)
        if found is not None and not all(term.kind == OWN_VALUE for term in found):
            return found
        return () if found == () else (_Term(OWN_VALUE, (ref,)),)

    def taken_apart(self, ref: Operand) -> tuple[_Term, ...] | None:
        """What a value is the sum of; None where it is no sum."""
        step = Seen(NOTHING, self.names).definition(ref)
        if step is None:
            return None
        see, target = Seen(step, self.names), step.functional
        if target in BY_TARGET:
            of = BY_TARGET[target].of(see)
            return None if of is None else (_Term(BY_TARGET[target].kind, tuple(of)),)
        if target in SUMS:
            return self.of_all([see.get(0), see.get(1)])
        if target in TIMES:
            return self.of_product(see)
        if target in TOTALS and self.averages_what_grows(see):
            return None
        if target in TOTALS | RESHAPES | {"aten.neg.default"}:
            return self.of_all([see.get(0)])
        if target in ONE_BY_ONE:
            items = see.get(0)
            return self.of_all(items if isinstance(items, tuple) else ())
        return None

    def of_all(self, operands: Sequence[Operand]) -> tuple[_Term, ...] | None:
        """The terms of values that are added; numbers and data are none."""
        if any(isinstance(x, Weight) for x in operands):
            return None
        return tuple(term for x in operands if isinstance(x, Ref) for term in self.of(x))

    def of_product(self, see: Seen) -> tuple[_Term, ...] | None:
        """Those of a value times a number or data that no size changes, such as a mask."""
        x, by = see.get(0), see.get(1)
        if "mul" in see.step.target and isinstance(by, Ref):
            x, by = by, x
        if isinstance(by, KnownData) and by.integer:
            return self.of_all([x])
        power = by.power if isinstance(by, Numbers) else getattr(by, "size", None)
        if power is None or power.powers.keys() & self.names.grow:
            return None
        return self.of_all([x]) if power.coefficient else ()

    def averages_what_grows(self, see: Seen) -> bool:
        axes, shape = see.wholes(1, "dim"), see.shape(see.get(0))
        over = [shape[axis] for axis in axes] if axes else shape
        return see.call == "mean" and see.grows(product(over))
