"""How two programs differ, as text: a line, and a table that says why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from abcparam.algebra.sizes import NumericSize
from abcparam.comparison.difference import (
    ASYMPTOTICALLY,
    EXACTLY,
    NO,
    ComparedValue,
    Difference,
    Differences,
)
from abcparam.presentation.table import BOLD, END, GREEN, RED, YELLOW, columns
from abcparam.presentation.words import listed

HEADLINES = {
    EXACTLY: ("the same at every width", GREEN),
    ASYMPTOTICALLY: ("the same in the limit only", YELLOW),
    NO: ("different", RED),
}
IN_THE_LIMIT = "the same in the limit"  # where no more is compared
LABELS = {"at_init": "at init", "update": "ΔW·x", "weight_decay": "weight decay"}
OF_THE_WHOLE = ("verdict", "complete")


def render_differences(found: Differences, colour: bool = False) -> str:
    """The answer, a table of tensors or of differences, and the verdicts."""
    headline, tint = HEADLINES[found.same]
    if found.same == ASYMPTOTICALLY and not found.reasons:
        headline = IN_THE_LIMIT
    if any(gauge.text for gauge in found.gauge.values()):
        headline += ", in another gauge"
    parts = [f"{BOLD}{tint}{headline}{END}" if colour else headline, ""]
    a, b = found.files if found.files[0] != found.files[1] else ("A", "B")
    if found.gauge:
        rows = [(path, gauge.text or "unchanged") for path, gauge in found.gauge.items()]
        parts += [*columns([("tensor", f"{a} to {b}"), *rows]), ""]
    laws = [law for law in found.laws if law.quantity not in OF_THE_WHOLE]
    if laws:
        parts += [*columns([("law", a, b, "of"), *_rows(laws)]), ""]
    if found.reasons:
        parts += ["not the same in any gauge:", ""]
        parts += [*columns([("", a, b, "of"), *_rows(found.reasons)]), ""]
    return "\n".join([*parts, _verdicts(found, a, b), ""])


def difference_line(d: Difference) -> str:
    """One difference in a line, A first."""
    what = LABELS.get(d.quantity, d.quantity)
    return f"{what} of {d.name} is {_shown(d.a)} in the first, {_shown(d.b)} in the second"


def _verdicts(found: Differences, a: str, b: str) -> str:
    x, y = (str(v) if v else "not known" for v in found.verdicts)
    return f"verdict: {x}" if x == y else f"verdict: {a}: {x}; {b}: {y}"


def _rows(differences: Iterable[Difference]) -> list[tuple[str, ...]]:
    """A row for each pair of values of a quantity, with the names of all that have them."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for d in differences:
        key = LABELS.get(d.quantity, d.quantity), _shown(d.a), _shown(d.b)
        rows.setdefault(key, []).append(d.name)
    return [(*key, listed(names)) for key, names in rows.items()]


def _shown(value: ComparedValue) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case NumericSize() | str():
            return str(value)
        case Mapping():
            return _exponents(value)


def _exponents(exponents: Mapping[str, str]) -> str:
    if len(exponents) == 1:
        return next(iter(exponents.values()))
    parts = [f"{value} {name}" for name, value in exponents.items() if value != "0"]
    return ", ".join(parts) or "0"
