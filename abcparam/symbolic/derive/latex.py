"""Derived laws as a LaTeX document, typeset by sympy."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.sizes import Size
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import LinearConstraint
from abcparam.symbolic.derive.derived import Derived, DerivedCase
from abcparam.symbolic.expressions import affine_latex, latex
from abcparam.symbolic.regions import Clause, Region, sides

SPECIAL = {"\\": r"\textbackslash{}", **{c: f"\\{c}" for c in "&%$#_{}"}}
SPECIAL |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
RELATIONS = {">=": r"\ge", "<=": r"\le", ">": ">", "<": "<", "=": "="}

HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\setlength{\parindent}{0pt}
\begin{document}
"""


def latex_document(derived: Derived) -> str:
    """A document of its own, with amsmath and nothing else."""
    lines = [HEAD + rf"\section*{{{text(derived.program.name)}}}"]
    for number, case in enumerate(derived.cases, 1):
        if len(derived.cases) > 1 and case.within:
            lines += ["", rf"\subsection*{{Case {number}}}", *_clauses(case.within)]
        lines += _laws(case)
        for word in ("stable", *VERDICTS, "complete"):
            if case.regions:
                lines += _region(word, case.regions[word])
    said = [f"Verdict: {derived.verdict or derived.verdict_text}", derived.unfinished]
    verdict = " ".join(f"{text(words)}." for words in said if words)
    return "\n".join([*lines, "", verdict, "", r"\end{document}", ""])


def text(plain: str) -> str:
    """Text with what LaTeX would take for commands escaped."""
    return "".join(SPECIAL.get(c, c) for c in plain)


def _laws(case: DerivedCase) -> list[str]:
    lines: list[str] = []
    for law in case.judgement.tensors:
        sizes = (
            (r"W x", law.at_init),
            (r"\Delta W x", law.update),
            (r"\nabla_W", law.parameter.gamma),
        )
        lines += ["", rf"\paragraph{{Tensor \texttt{{{text(law.path)}}}}}", *_align(sizes)]
    for name, node in case.activations.items():
        sizes = (("x", node.s0), (r"\Delta x", node.d), (r"\nabla_x", node.g))
        lines += ["", rf"\paragraph{{Activation \texttt{{{text(name)}}}}}", *_align(sizes)]
    return lines


def _align(sizes: Sequence[tuple[str, Size]]) -> list[str]:
    rows = [rf"{symbol} &\sim {latex(size)}" for symbol, size in sizes]
    return [r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"]


def _region(word: str, region: Region) -> list[str]:
    head = rf"\paragraph{{{text(word)}}}"
    if region.empty:
        return ["", f"{head} nowhere"]
    if region.everywhere:
        return ["", f"{head} everywhere"]
    return ["", head, *_clauses(region)]


def _clauses(region: Region) -> list[str]:
    rows = [_clause(clause, region.symbols) for clause in region.clauses]
    return [r"\begin{gather*}", " \\\\\n".join(rows), r"\end{gather*}"]


def _clause(clause: Clause, symbols: tuple[str, ...]) -> str:
    alternatives = (
        r" \text{ and } ".join(_constraint(x, symbols) for x in alternative)
        for alternative in clause
    )
    return " \\\\\n\\text{ or } ".join(alternatives)


def _constraint(x: LinearConstraint, symbols: tuple[str, ...]) -> str:
    left, relation, right = sides(x)
    return f"{affine_latex(left, symbols)} {RELATIONS[relation]} {affine_latex(right, symbols)}"
