"""An audit as text: the table of a check, the verdict, and what to change in the user's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from abcparam.imports.numbers import Sizes
from abcparam.imports.remedy import Remedy, TensorChange
from abcparam.imports.result import Audit
from abcparam.presentation.table import columns
from abcparam.program.vocabulary import VERDICTS
from abcparam.user_code.places import line_at
from abcparam.verdict.report_text import render_report

NO_BETTER = "nothing that initial scales and learning rates could change makes it better"
HEADER = ("parameter", "initial scale", "learning rate", "weight decay")


def render_audit(audit: Audit, colour: bool = False) -> str:
    """The report, the sizes that the model was read at, and the remedy."""
    parts = [render_report(audit.report, colour).rstrip("\n"), _read_at(audit)]
    return "\n".join([*parts, "", *remedy_lines(audit), ""])


def _read_at(audit: Audit) -> str:
    first = audit.settings[0]
    grown = ", ".join(
        f"{name} = {', '.join(str(x) for x in sorted({s[name] for s in audit.settings}))}"
        for name in audit.grow
    )
    fixed = ", ".join(f"{name} = {size}" for name, size in first.items() if name not in audit.grow)
    return f"read at {grown}" + (f"; {fixed}" if fixed else "")


def remedy_lines(audit: Audit) -> list[str]:
    """What to change, or that nothing has to."""
    remedy, base = audit.remedy, audit.settings[0]
    changes = [change for change in remedy.changes if any(change.key)]
    if audit.verdict == "maximal-update":
        return []
    if remedy.verdict == "maximal-update" and not remedy.complete:
        return _held_back(audit)
    if not (changes or remedy.missing or remedy.knobs) or _is_no_better(audit):
        return [NO_BETTER]
    lines = [_title(remedy, audit.grow, base), ""]
    rows = [row for alike in _alike(changes) for row in _rows(alike, audit.grow)]
    lines += [f"  {line}" for line in columns([HEADER, *rows])]
    lines += _initial_lines(audit)
    lines += forward_lines(audit)
    return lines


def _is_no_better(audit: Audit) -> bool:
    before, after = audit.verdict, audit.remedy.verdict
    return bool(before and after) and VERDICTS.index(after) <= VERDICTS.index(before)


def _initial_lines(audit: Audit) -> list[str]:
    """Where the initial scales that change are made."""
    lines = []
    for made in audit.remedy.initial:
        file, line = made.place
        source, _ = line_at(made.place, audit.factory.file)
        text = source.lines[line - 1].strip() if 1 <= line <= len(source.lines) else ""
        by = f"`{made.field}`, " if made.field else ""
        lines += ["", f"  {made.scale} now, by {by}{file}:{line}: {text}"]
        lines += [f"    {path}" for path in made.paths]
    return lines


def _held_back(audit: Audit) -> list[str]:
    """What is in the way where stable rates hold back what comes before a norm."""
    lines = ["initial scales and learning rates make it stable only as they hold parts of it back"]
    for span in audit.remedy.narrow:
        source = audit.program.source.holding(span)
        text = source.lines[span.line - 1].strip() if span.file else ""
        lines += ["", f"  {source.file}:{span.line}: {text}"]
        lines += ["    normalizes as many numbers at every width: let them grow with it"]
    return lines


def _title(remedy: Remedy, grow: Sequence[str], base: Sizes) -> str:
    ratios = ", ".join(f"{_ratio(name, grow)} = {name} / {base[name]}" for name in grow)
    reached = (
        "maximal-update" if remedy.verdict == "maximal-update" else f"{remedy.verdict}, no more"
    )
    return f"this makes it {reached}, with {ratios}:"


def _ratio(name: str, grow: Sequence[str]) -> str:
    return "r" if len(grow) == 1 else f"r_{name}"


def _alike(changes: Iterable[TensorChange]) -> list[list[TensorChange]]:
    """Changes that are equal, together."""
    found: dict[object, list[TensorChange]] = {}
    for change in changes:
        found.setdefault(change.key, []).append(change)
    return list(found.values())


def _rows(changes: Sequence[TensorChange], grow: Sequence[str]) -> list[tuple[str, ...]]:
    first = changes[0]
    cells = [_times(powers, grow) for powers in (first.init, first.lr, first.decay)]
    return [(name, *cells) for name in folded([change.path for change in changes])]


RUN = 3  # numbers that are worth their own spelling
Pattern = tuple[tuple[str, ...], ...]  # for each part of a path, what it may be


def folded(paths: Iterable[str]) -> list[str]:
    """`{0..5}.{attn, mlp}.weight` for paths that are all of these, and no others."""
    patterns: list[Pattern] = [tuple((part,) for part in path.split(".")) for path in paths]
    before = 0
    while before != len(patterns):
        before = len(patterns)
        for column in reversed(range(max(map(len, patterns), default=0))):
            patterns = _merged(patterns, column)
    return [".".join(map(_choice, pattern)) for pattern in patterns]


def _merged(patterns: Iterable[Pattern], column: int) -> list[Pattern]:
    """Patterns that differ in one part alone as one; paths of a single part stay apart."""
    alike: dict[object, list[Pattern]] = {}
    for pattern in patterns:
        has_others = column < len(pattern) > 1
        key = (pattern[:column], pattern[column + 1 :]) if has_others else pattern
        alike.setdefault(key, []).append(pattern)
    return [_united(group, column) for group in alike.values()]


def _united(group: Sequence[Pattern], column: int) -> Pattern:
    first, *others = group
    if not others:
        return first
    parts = dict.fromkeys(part for pattern in group for part in pattern[column])
    return (*first[:column], tuple(parts), *first[column + 1 :])


def _choice(parts: Sequence[str]) -> str:
    """`{attn, mlp}`; three and more numbers that follow one another as `{0..5}`."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) >= RUN and parts[0].isdigit():
        start = int(parts[0])
        if list(parts) == [str(i) for i in range(start, start + len(parts))]:
            return f"{{{parts[0]}..{parts[-1]}}}"
    return f"{{{', '.join(parts)}}}"


def _times(powers: Mapping[str, Fraction], grow: Sequence[str]) -> str:
    """`× 1/r`, `× r^(-1/2)`; nothing where it stays."""
    return " ".join(f"× {_power(_ratio(name, grow), power)}" for name, power in powers.items())


def _power(name: str, power: Fraction) -> str:
    if power == 1:
        return name
    if power == -1:
        return f"1/{name}"
    return f"{name}^{power}" if power.denominator == 1 and power > 0 else f"{name}^({power})"


def forward_lines(audit: Audit) -> list[str]:
    """The factors that the forward has to have, or the model's own numbers that do for them."""
    lines = []
    for knob in audit.remedy.knobs:
        factor = " ".join(_power(f"({n} / base)", p) for n, p in knob.powers.items())
        source = audit.program.source.holding(knob.span)
        lines += ["", f"  and {', '.join(f'`{place}`' for place in knob.places)} times {factor}"]
        lines += [f"    a number of the model's own, for {source.file}:{knob.span.line}"]
    for found in audit.remedy.missing:
        source = audit.program.source.holding(found.span)
        text = source.lines[found.span.line - 1].strip() if found.span.file else ""
        factor = " ".join(_power(f"({n} / base)", p) for n, p in found.powers.items())
        lines += ["", f"  and a factor {factor} at {source.file}:{found.span.line}: {text}"]
        lines += [f"    as {reason}" for reason in found.reasons]
    return lines
