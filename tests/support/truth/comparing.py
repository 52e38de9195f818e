"""`check` beside the reference, on one random model: verdict, laws of tensors, sizes of values."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf

from abcparam.algebra.polynomials import number
from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.diagnostics.source import Source
from abcparam.operations import operations
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, parts_of, values_of
from abcparam.program.model import Program
from abcparam.verdict.check import load
from tests.support.truth import calculus
from tests.support.truth.calculus import Said
from tests.support.truth.models import Model


def differences(model: Model) -> tuple[Judgement, list[str]]:
    """What `check` says of a model, and in what the reference says otherwise."""
    judgement = judgement_of(load(Source(model.text)))
    return judgement, list(_differences(judgement, calculus.judged(model.graph), model))


def _differences(found: Judgement, said: Said, model: Model) -> Iterator[str]:
    if found.verdict != said.verdict:
        yield f"verdict: {found.verdict}, {said.verdict}"
    yield from _values(found, said, model)
    if found.verdict.startswith("unstable") or said.verdict.startswith("unstable"):
        return
    if found.complete != said.complete:
        yield f"complete: {found.complete}, {said.complete}"
    for law in found.tensors:
        slack = None if law.slack is None else exponent(law.slack)
        ours = exponent(law.at_init), exponent(law.update), slack, law.status
        if ours != said.tensors[law.path]:
            yield f"{law.path}: {_shown(ours)}, {_shown(said.tensors[law.path])}"


def _values(found: Judgement, said: Said, model: Model) -> Iterator[str]:
    """Sizes of what has a name: at init always, of changes and gradients where it is stable."""
    stable = not found.verdict.startswith("unstable")
    last = {value.name: value for value in model.graph.values if value.name}
    for name, node in found.laws.graph.activations.items():
        if name in last:
            sizes = (node.s0, node.d, node.g0, node.gd) if stable else (node.s0,)
            law = said.found[last[name]]
            wanted = (law.s0, law.d, law.g0, law.gd)[: len(sizes)]
            ours = tuple(map(exponent, sizes))
            if ours != wanted:
                yield f"{name}: {_shown(ours)}, {_shown(wanted)}"


def used_in(program: Program) -> Iterator[str]:
    """Operations of a program, and their settings and optional operands that are not the default.

    A setting without a default is used wherever its operation is.
    """
    statements = (s for module in program.root.walk() for s in module.body)
    for call in (p for s in statements for v in values_of(s) for p in parts_of(v)):
        if not isinstance(call, Apply):
            continue
        operation = operations()[call.operation.name]
        yield operation.name
        for key, default in operation.settings.items():
            if _differs(call, key, default):
                yield f"{operation.name}: {key}"
        for name, operand in zip(operation.values, call.operands, strict=False):
            if name in operation.optional and operand is not None:
                yield f"{operation.name}: {name}"


def _differs(call: Apply, key: str, default: object) -> bool:
    found = call.settings[key]
    if isinstance(default, str):
        default = call.settings.get(default, default)
    if not isinstance(found, Amount):
        return found != default
    if isinstance(default, Amount):
        return found.value != default.value
    return not isinstance(default, int) or found.value != number(default)


def exponent(size: Size) -> calculus.Size:
    """A size as a number: the exponent of the width."""
    if not size.vectors:
        return -inf if size.is_zero else inf
    return Fraction(str(size.exponents()["width"]))


def _shown(values: tuple[object, ...]) -> str:
    return " ".join(map(str, values))
