"""From a program to its laws, symbolic where its exponents are."""

from __future__ import annotations

from abcparam.algebra.record import replace
from abcparam.analysis.judge import judgement_of
from abcparam.program.model import Program
from abcparam.symbolic.derive.derived import Derived, DerivedCase
from abcparam.symbolic.judgement import Symbolic, UnfinishedError, judge_symbolic, laws_alone
from abcparam.symbolic.sizes import symbolic
from abcparam.symbolic.solver import UnprovedError, gave_up
from abcparam.symbolic.symbols import all_symbolic, named_unknowns


def derive(program: Program, every: bool = False) -> Derived:
    """The laws of a program, in its symbols.

    They and each `?` are free; with `every`, so is every exponent that is written. Where the budget
    is spent when some are found, those are all. Raises `SpecError` where no law can be proved.
    """
    free = all_symbolic(program) if every else program
    free = named_unknowns(free)[0]
    try:
        return _symbolic(judge_symbolic(free)) if free.symbols else _numeric(free)
    except UnfinishedError as ended:
        return _unfinished(free, ended)
    except UnprovedError as error:
        raise gave_up(program.source, error) from None


def ended(found: Derived, why: str) -> Derived:
    """What was derived, with no more searching, not even to simplify what is written of it."""
    for case in found.cases:
        symbolic(case.laws.graph.context.one).space.premises.close()
    return replace(found, unfinished=why)


def _symbolic(found: Symbolic) -> Derived:
    cases = tuple(DerivedCase(case.judgement, case.within, case.regions) for case in found.cases)
    reasons = tuple(dict.fromkeys(r.reason for case in found.never for r in case.requirements))
    return Derived(found.program, cases, found.verdict, found.complete, reasons)


def _unfinished(program: Program, ended: UnfinishedError) -> Derived:
    whole = [DerivedCase(case.judgement, case.within, case.regions) for case in ended.cases]
    laws = [DerivedCase(*laws_alone(derivation), {}) for derivation in ended.derived]
    return Derived(program, (*whole, *laws), None, None, unfinished=str(ended))


def _numeric(program: Program) -> Derived:
    judgement = judgement_of(program)
    case = DerivedCase(judgement, None, {})
    return Derived(program, (case,), judgement.verdict, judgement.complete)
