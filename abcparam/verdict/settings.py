"""Settings of tensors that are to change: at what maps start, by what a number is multiplied.

Where no usual exponents do, a map from a width to finitely many numbers can start at zero: what a
norm or a nonlinearity makes of it is then learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abcparam.analysis.judge import Judgement, judgement_if_stable
from abcparam.calculus.normalize import NormNode
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.language.parser import parse
from abcparam.program.amounts import Amount
from abcparam.program.model import Program
from abcparam.program.tensors import Init, Tensor
from abcparam.verdict.changes import Change, ExponentChange, SettingChange, applied
from abcparam.verdict.factors import setting_texts, text_at
from abcparam.verdict.laziness import lazy_tensors, mended
from abcparam.verdict.wanted import PowersByDim

ZEROS = "zeros"
MOST_TRIED = 8  # maps that could start at zero


def started_at_zero(judgement: Judgement) -> tuple[Change, ...]:
    """Maps that contract what is too small, or too large beside it, started at zero; or none."""
    program, lazy = judgement.laws.program, lazy_tensors(judgement)
    found = list(_contracting(judgement))[:MOST_TRIED]
    tried: list[tuple[Change, ...]] = [(change,) for change in found]
    if len(found) > 1:
        tried.append(tuple(found))
    for changes in tried:
        if mended(judgement_if_stable(applied(program, changes)), lazy):
            return changes
    return ()


def learnt_behind_norms(judgement: Judgement, changes: Sequence[Change]) -> tuple[Change, ...]:
    """What starts at zero where rates alone would have to fall for what a norm divides by; or none.

    The norm of few numbers makes gradients too large at the start alone: slower rates would have to
    stay slow.
    """
    normed = 0
    for node in judgement.laws.graph.nodes:
        if isinstance(node, NormNode) and node.inputs[0].comes_from_contraction:
            normed |= node.inputs[0].maps
    behind = {p.tensor.path for p in judgement.laws.graph.parameters if p.bit & normed}
    rates = [c for c in changes if isinstance(c, ExponentChange) and c.key.startswith("c")]
    if len(rates) < len(changes) or not any(behind.intersection(c.paths) for c in rates):
        return ()
    return started_at_zero(judgement)


def multiplied(
    program: Program, key: str, tensors: Sequence[Tensor], powers: PowersByDim, owner: str = ""
) -> SettingChange | None:
    """A number that tensors take from one place, times powers of growing dims.

    Its value at base stays. None where what is written has no place in the text.
    """
    amount: Amount = getattr(tensors[0], key)
    texts = setting_texts(program, amount.written, powers)
    if texts is None:
        return None
    span, before, after = texts
    paths = tuple(tensor.path for tensor in tensors)
    by = tuple(powers.items())
    return SettingChange(owner or paths[0], key, before, after, paths, ((span, after),), by)


def _contracting(judgement: Judgement) -> Iterator[SettingChange]:
    """A change for each declaration of maps to finitely many numbers."""
    program = judgement.laws.program
    one = judgement.laws.graph.context.one
    declared: dict[Span, list[str]] = {}
    for law in judgement.tensors:
        p = law.parameter
        contracts = p.rho_in > one and p.rho_out <= one
        if contracts and not p.tensor.frozen and not p.tensor.init.is_zero:
            declared.setdefault(p.tensor.span, []).append(law.path)
    for declaration in declarations(program):
        names = [declared[name.span] for name in declaration.names if name.span in declared]
        if names and len(names) == len(declaration.names):
            change = _zeroed(program, declaration, [path for paths in names for path in paths])
            if change is not None:
                yield change


def _zeroed(program: Program, declaration: syntax.Tensor, paths: list[str]) -> SettingChange | None:
    owner = ", ".join(name.id for name in declaration.names)
    init = next((s for s in declaration.settings if s.key == "init"), None)
    first = init or next(iter(declaration.settings), None)
    span = first.span if first else declaration.span
    text = text_at(program, span)
    if not text:
        return None
    written = f"init = {ZEROS}"
    if init is None:
        written = f"{written}, {text}" if first else f"{text} {{ {written} }}"
    before = text.partition("=")[2].strip() if init else ""
    edits = ((span, written),)
    return SettingChange(owner, "init", before, ZEROS, tuple(paths), edits, init=Init(ZEROS))


def declarations(program: Program) -> Iterator[syntax.Tensor]:
    """The declarations of tensors in the text of a program, in its order."""
    yield from _declarations(parse(program.source).declarations)


def _declarations(nodes: tuple[syntax.Node, ...]) -> Iterator[syntax.Tensor]:
    for node in nodes:
        if isinstance(node, syntax.Tensor):
            yield node
        elif isinstance(node, (syntax.Block, syntax.Forward, syntax.Repeat)):
            yield from _declarations(node.body)
