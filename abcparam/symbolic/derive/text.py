"""Derived laws as text for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.sizes import NumericSize, Size
from abcparam.analysis.judge import TensorLaw
from abcparam.analysis.rows import nonzero, shape_text
from abcparam.analysis.terms import ActivationTerms, Term
from abcparam.analysis.trace import why_update
from abcparam.presentation.table import columns
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.derive.derived import Derived, DerivedCase
from abcparam.symbolic.regions import Region, clause_texts, region_lines
from abcparam.symbolic.sizes import symbolic
from abcparam.symbolic.text import rate_text

Lines = list[str]


def render_derived(derived: Derived, steps: bool = False) -> str:
    """Laws with the terms that they come from, and regions; with every step if `steps`."""
    program = derived.program
    lines = [f"{program.name} ({program.source.file})"]
    if program.symbols:
        lines[0] += f", in {', '.join(program.symbols)}"
    for number, case in enumerate(derived.cases, 1):
        if len(derived.cases) > 1 and case.within:
            lines += ["", f"case {number}: where {_conjunction(case.within)}"]
        lines += ["", *_tensors(case), "", *_activations(case), *_movement(case)]
        if steps:
            lines += ["", *_steps(case)]
        lines += _regions(case)
    if derived.elsewhere:
        lines += ["", f"never stable elsewhere: {'; '.join(derived.elsewhere)}"]
    return "\n".join([*lines, "", *_verdict(derived), ""])


def _verdict(derived: Derived) -> Lines:
    return [f"verdict: {derived.verdict_text}", *filter(None, [derived.unfinished])]


# Laws


def _tensors(case: DerivedCase) -> Lines:
    found: Lines = []
    for law in case.judgement.tensors:
        found += _tensor(case.program, law)
    return found


def _tensor(program: Program, law: TensorLaw) -> Lines:
    parameter = law.parameter
    shape = ", ".join(shape_text(program, parameter.tensor))
    exponents = ", ".join(f"{x} = {exponent_text(getattr(parameter, x))}" for x in "abc")
    lines = [f"{law.path} : {parameter.tensor.role} [{shape}], {exponents}"]
    lines += [f"    W·x at init   {law.at_init}", f"    ΔW·x          {law.update}"]
    if not parameter.tensor.frozen and parameter.gamma.vectors:
        lines += [f"    {'':13} ΔW {parameter.u}: {why_update(program, parameter)}"]
    return [*lines, f"    gradient      {parameter.gamma}"]


def exponent_text(size: Size) -> str:
    """`1/2`, or by dim where it is not about the first one alone."""
    found = nonzero(size)
    if len(size.space.names) == 1 or not found:
        return next(iter(found.values()), "0")
    return ", ".join(f"{value} [{name}]" for name, value in found.items())


def _activations(case: DerivedCase) -> Lines:
    rows = [("activation", "at init", "change", "gradient")]
    for name, node in case.activations.items():
        rows.append((name, str(node.s0), str(node.d), str(node.g)))
    return columns(rows)


def _movement(case: DerivedCase) -> Lines:
    size = case.movement
    if size is None:
        return []
    if not size.vectors:
        return ["", "features do not move"]
    rate = None if isinstance(size, NumericSize) else rate_text(symbolic(size).quotient)
    papers = [] if rate is None else [f"r = {rate}, in the papers' letters (width^-r)"]
    return ["", f"features move like {size}", *papers]


# Regions


def _regions(case: DerivedCase) -> Lines:
    if not case.regions:
        return []
    lines: Lines = []
    stable = case.regions["stable"]
    for word in ("stable", *VERDICTS[2:], "complete", *VERDICTS[:2]):
        lines += ["", *_region(word, case.regions[word], stable)]
    return lines


def _region(word: str, region: Region, stable: Region) -> Lines:
    if region.empty or region.everywhere:
        return region_lines(word, region)
    relative = word not in {"stable", "unstable", "unstable-at-init"} and not stable.everywhere
    clauses = [c for c in region.clauses if not (relative and c in stable.clauses)]
    if relative and not clauses:
        return [f"{word}: wherever it is stable"]
    part = Region(region.symbols, tuple(clauses))
    return region_lines(f"{word}: stable, and" if relative else word, part)


def _conjunction(region: Region) -> str:
    return " and ".join(clause_texts(region)) or "anything"


# Steps


def _steps(case: DerivedCase) -> Lines:
    lines: Lines = []
    for step in case.steps:
        lines += _step(step)
    return lines


def _step(step: ActivationTerms) -> Lines:
    parts = (
        ("at init", step.at_init, step.initial),
        ("change", step.change, step.changes),
        ("gradient", step.gradient, step.gradients),
    )
    lines = [step.name]
    for what, size, terms in parts:
        lines += [f"    {what:8}  {size}{_from(terms)}"]
        if len(terms) > 1:
            lines += [f"    {'':8}    {term.size}: {term.text}" for term in terms]
    return lines


def _from(terms: Sequence[Term]) -> str:
    if len(terms) == 1:
        return f": {terms[0].text}"
    return ", the largest of" if terms else ""


# Markdown


def markdown(derived: Derived) -> str:
    """The same as Markdown tables, without the steps."""
    lines = [f"# {derived.program.name}", "", ". ".join(_verdict(derived)) + "."]
    for number, case in enumerate(derived.cases, 1):
        if len(derived.cases) > 1 and case.within:
            lines += ["", f"## Case {number}: {_code(_conjunction(case.within))}"]
        lines += ["", *_tensor_table(case), "", *_activation_table(case)]
        lines += _region_list(case)
    return "\n".join([*lines, ""])


def _tensor_table(case: DerivedCase) -> Lines:
    head = ("tensor", "a", "b", "c", "W·x at init", "ΔW·x", "gradient", "status")
    rows: list[tuple[str, ...]] = [head]
    for law in case.judgement.tensors:
        parameter = law.parameter
        sizes = (law.at_init, law.update, parameter.gamma)
        exponents = (exponent_text(getattr(parameter, x)) for x in "abc")
        cells = map(_code, (law.path, *exponents, *map(str, sizes)))
        rows.append((*cells, law.status or "depends"))
    return _table(rows)


def _activation_table(case: DerivedCase) -> Lines:
    rows: list[tuple[str, ...]] = [("activation", "at init", "change", "gradient")]
    for name, node in case.activations.items():
        rows.append(tuple(map(_code, (name, str(node.s0), str(node.d), str(node.g)))))
    return _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> Lines:
    rule = ["---"] * len(rows[0])
    return [f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])]


def _code(text: str) -> str:
    return f"`{text}`"


def _region_list(case: DerivedCase) -> Lines:
    lines: Lines = []
    for word, region in case.regions.items():
        where = "nowhere" if region.empty else "everywhere" if region.everywhere else ""
        lines += ["", f"**{word}**: {where}".rstrip(": ") + ("" if where else ":")]
        if not where:
            lines += ["", *(f"* {_code(text)}" for text in clause_texts(region))]
    return lines
