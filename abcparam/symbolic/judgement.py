"""The judgement of a program with symbols.

It is the verdict if that is the same for all their values, and where each verdict holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.record import Record, replace
from abcparam.analysis.bounds import Bounds
from abcparam.analysis.judge import Evaluator, Judgement, TensorLaw, tensor_laws
from abcparam.calculus.parameter import Parameter
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import Some, SymbolCondition, holds, negation
from abcparam.symbolic.derive.derivation import Derivation, NeverStable, derive_cases
from abcparam.symbolic.points import other_laws
from abcparam.symbolic.regions import Region, region_of, regions_of, stated
from abcparam.symbolic.sizes import SymbolicSize
from abcparam.symbolic.solver import Premises, UnprovedError
from abcparam.symbolic.verdicts import Verdicts, verdicts_of


class DeniedError(UnprovedError):
    """Numbers deny a verdict or a law at values of the symbols for which it was derived."""


class UnfinishedError(UnprovedError):
    """The budget is spent: `cases` are done, of `derived` there are the laws alone."""

    def __init__(self, why: str, cases: Sequence[Case], derived: Sequence[Derivation]) -> None:
        super().__init__(why)
        self.cases = tuple(cases)
        self.derived = tuple(derived)


class Case(Record):
    """Laws that hold where `within` does, and the region of each verdict there.

    There are several cases only where a size that is divided by depends on the symbols.
    """

    verdicts: Verdicts
    within: Region
    regions: Mapping[str, Region]
    judgement: Judgement


class Symbolic(Record):
    """All there is to say of a program with symbols."""

    program: Program
    cases: tuple[Case, ...]
    never: tuple[NeverStable, ...]  # cases that are stable for no values of the symbols
    verdict: str | None  # None: it depends on the symbols
    complete: bool | None

    def condition(self, verdict: str) -> SymbolCondition:
        """Where a verdict holds, in any case."""
        cases = [case.regions[verdict].condition for case in self.cases]
        return Some((*cases, *(case.condition(verdict) for case in self.never)))

    def region(self, verdict: str) -> Region:
        """The same in lowest terms."""
        if len(self.cases) == 1 and not self.never:
            return self.cases[0].regions[verdict]
        return region_of(self.condition(verdict), self.program.symbols)

    def example(self, verdict: str) -> dict[str, Fraction] | None:
        """Values of the symbols at which the verdict holds."""
        return Premises(self.program.symbols).example(self.condition(verdict))


def judge_symbolic(program: Program) -> Symbolic:
    """Laws, regions and verdict for symbolic exponents. Raises `UnprovedError`.

    Where directions of changes cannot be followed with symbols, all of a change is taken to point
    along what reads it. Where numbers deny what that makes of a region or a law, at values of the
    symbols in it, nothing is claimed. Where the budget is spent when there are laws that follow
    directions, that is an `UnfinishedError`, which has them.
    """
    found: list[Derivation | NeverStable] = []
    cases: list[Case] = []
    try:
        found.extend(derive_cases(program, program.symbols))
        cases.extend(_case(case) for case in found if isinstance(case, Derivation))
        never = tuple(case for case in found if isinstance(case, NeverStable))
        return _judged(Symbolic(program, tuple(cases), never, None, None))
    except UnprovedError as error:
        derived = [case for case in found if isinstance(case, Derivation)][len(cases) :]
        laws = [*(case.verdicts.derivation for case in cases), *derived]
        if not str(error) or not laws or not all(of.space.follows for of in laws):
            raise
        raise UnfinishedError(str(error), cases, derived) from None


def _judged(result: Symbolic) -> Symbolic:
    """With the verdict, where it is the same for all values; held against numbers."""
    program, cases = result.program, result.cases
    anything = Premises(program.symbols)
    verdict = next((v for v in VERDICTS if anything.proves(result.condition(v))), None)
    complete = None
    if all(case.regions["complete"].empty for case in cases):
        complete = False
    elif anything.proves(result.condition("complete")):
        complete = True
    numbers = Evaluator(program)
    for claimed in VERDICTS:
        values = result.example(claimed)
        if values is not None and (
            numbers.verdict(values) != claimed or _is_denied(result, numbers, claimed, values)
        ):
            raise DeniedError
    return replace(result, verdict=verdict, complete=complete)


def _is_denied(
    found: Symbolic, evaluator: Evaluator, verdict: str, at: dict[str, Fraction]
) -> bool:
    """Whether a law of changes whose directions are not followed is another one, of numbers."""
    if verdict.startswith("unstable"):
        return False
    case = next(c for c in found.cases if holds(c.within.condition, at, found.program.symbols))
    if case.verdicts.derivation.space.follows:
        return False
    numbers = evaluator.judgement_if_stable(at)
    return numbers is None or any(other_laws(case.judgement, numbers, at))


def laws_alone(derivation: Derivation) -> tuple[Judgement, Region]:
    """The laws of a case, and where it is, with no more searching."""
    laws = derivation.laws
    derivation.premises.close()
    unbounded = dict.fromkeys(laws.graph.nodes, laws.graph.context.unbounded)
    bounds = Bounds(unbounded, unbounded)
    tensors = tuple(replace(law, status=None) for law in tensor_laws(laws, bounds))
    judgement = Judgement(laws, bounds, "", False, tensors, (), (), (), ())
    return judgement, stated(derivation.within, derivation.symbols)


def _case(derivation: Derivation) -> Case:
    stable = region_of(derivation.condition, derivation.symbols)
    verdicts = verdicts_of(derivation, stable.condition)
    judgement = Judgement(
        derivation.laws, verdicts.bounds, "", False, _tensors(verdicts), (), (), (), ()
    )
    within = region_of(derivation.within, derivation.symbols)
    return Case(verdicts, within, regions_of(verdicts, stable), judgement)


def _tensors(verdicts: Verdicts) -> tuple[TensorLaw, ...]:
    """The law of each tensor; its status where that does not depend on the symbols."""
    derivation, premises = verdicts.derivation, verdicts.derivation.premises
    slack = {r.parameter.tensor.path: r.size for r in verdicts.slack if r.parameter}
    found = []
    for law in tensor_laws(derivation.laws, verdicts.bounds):
        left = None if law.parameter.tensor.frozen else slack.get(law.path)
        status = _status(premises, law.parameter, left)
        found.append(replace(law, slack=left, status=status))
    return tuple(found)


def _status(premises: Premises, parameter: Parameter, slack: SymbolicSize | None) -> str | None:
    if parameter.tensor.frozen:
        return "frozen"
    if slack is None:
        return "under"
    at_most, at_least = slack.at_most_one(), slack.at_least_one()
    if premises.proves(at_least):
        if premises.proves(at_most):
            return "maximal"
        return "under" if premises.proves(negation(at_most)) else None
    return "over" if premises.proves(negation(at_least)) else None
