"""Where a factor goes: gathered along linear operations, cancelled, placed where it costs least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import abcparam
from abcparam.algebra.record import Record
from abcparam.emission.lowering.scope import ModuleScope, multiplier
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Assign, Expression, Local, Return, TensorRef
from abcparam.program.model import Program
from abcparam.python_code.formula import ONE, DimAtom, Formula
from docs.diagrams.canvas import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    RED,
    Canvas,
    Value,
    computed,
    powers,
)
from docs.diagrams.specs import FACTORS, laws

LEFT, STEP, BOX = 112, 97, 74
TOP, TAGS, BRACKET = 162, 224, 240
NOTES = (
    "before first, whose input is the smaller side",
    "after readout, whose output is the smaller side",
)


class Step(Record):
    """One operation on the way from the input: what it is called, the factor that it brings."""

    name: str
    factor: Formula = ONE
    passes: bool = True  # whether factors can be moved past it


def draw() -> str:
    canvas = Canvas(800, 410, "Where a factor goes in emitted code")
    steps = tuple(chain(laws(FACTORS).program))
    _heading(canvas, 34, "written", MUTED)
    _lines(canvas, 34, [line for line in FACTORS.splitlines() if _says_factors(line)])
    _heading(canvas, TOP - 14, "gathered, cancelled", BLUE)
    _network(canvas, steps)
    for (first, last), note in zip(segments(steps), NOTES, strict=True):
        _gather(canvas, steps, first, last, note)
    canvas.text(24, TAGS, "r = width / base", color=MUTED, anchor="start", size=11)
    _heading(canvas, 348, "placed", GREEN)
    module = abcparam.compile(FACTORS).splitlines()
    _lines(canvas, 348, [line for line in module if _is_placed(line)])
    return canvas.svg()


def _says_factors(line: str) -> bool:
    return " a = 1" in line or line.lstrip().startswith(("h =", "return"))


def _is_placed(line: str) -> bool:
    return "_scale =" in line or "_scale *" in line or "self.first(" in line


def _heading(canvas: Canvas, y: float, word: str, color: str) -> None:
    canvas.text(24, y, word, color=color, bold=True, anchor="start")


def _lines(canvas: Canvas, y: float, lines: Sequence[str]) -> None:
    for index, line in enumerate(lines):
        code = computed(f"line {index}", line.strip())
        canvas.text(LEFT, y + 22 * index, code, size=12, anchor="start", mono=True)


def _network(canvas: Canvas, steps: Sequence[Step]) -> None:
    y = TOP + 20
    canvas.arrow((LEFT - 32, y), (LEFT - 1, y))
    for index, step in enumerate(steps):
        x = LEFT + STEP * index
        if index:
            canvas.arrow((x - STEP + BOX, y), (x - 1, y))
        canvas.rect(
            x, TOP, BOX, 40, MUTED if step.passes else INK, fill=None if step.passes else FAINT
        )
        canvas.text(x + BOX / 2, y + 5, step.name, size=12, bold=not step.passes)


def _gather(canvas: Canvas, steps: Sequence[Step], first: int, last: int, note: str) -> None:
    """The factors of a stretch below it, and what is left of them."""
    part = steps[first : last + 1]
    for index, step in enumerate(part, first):
        if step.factor != ONE:
            x = LEFT + STEP * index + BOX / 2
            canvas.text(x, TAGS, written(f"factor {index}", step.factor), color=BLUE)
            if any(step.factor * other.factor == ONE for other in part):
                canvas.line([(x - 20, TAGS + 2), (x + 20, TAGS - 13)], RED)
    left, right = LEFT + STEP * first, LEFT + STEP * last + BOX
    middle = (left + right) / 2
    canvas.line(
        [(left, BRACKET), (left, BRACKET + 8), (right, BRACKET + 8), (right, BRACKET)], BLUE
    )
    total = written(f"product {first}", product(part))
    canvas.line([(middle, BRACKET + 8), (middle, BRACKET + 15)], BLUE)
    canvas.text(middle, BRACKET + 33, total, color=BLUE, bold=True, size=15)
    canvas.text(middle, BRACKET + 54, note, color=MUTED, size=12)


# The chain of operations, and the factors on it


def chain(program: Program) -> Iterator[Step]:
    """The operations of a program that is one chain, from its input on."""
    given: dict[str, Expression] = {}
    for statement in program.root.body:
        match statement:
            case Assign(targets=(name,), value=value):
                given[name] = value
            case Return(values=(value,)):
                yield from _steps(program, value, given)


def _steps(program: Program, value: Expression, given: dict[str, Expression]) -> Iterator[Step]:
    scope = ModuleScope(program)
    match value:
        case Local(name=name) if name in given:
            yield from _steps(program, given[name], given)
        case Apply(operation=operation, operands=(TensorRef(tensor=path), x)) if x is not None:
            yield from _steps(program, x, given)
            yield Step(f"{path} @", multiplier(scope, program.tensors[path]))
        case Apply(operation=operation, operands=(x,), settings=settings) if x is not None:
            yield from _steps(program, x, given)
            by = settings.get("by")
            if isinstance(by, Amount):
                yield Step("×", scope.amount(by))
            else:
                yield Step(operation.name, passes=False)


def segments(steps: Sequence[Step]) -> list[tuple[int, int]]:
    """First and last of the steps between which factors can be moved."""
    walls = [-1, *(i for i, step in enumerate(steps) if not step.passes), len(steps)]
    return [(a + 1, b - 1) for a, b in pairwise(walls) if b - a > 1]


def product(steps: Sequence[Step]) -> Formula:
    total = ONE
    for step in steps:
        total = total * step.factor
    return total


def written(name: str, value: Formula) -> Value:
    """A factor; a dim over its value at base is `r`."""
    named = {
        "r" if atom == DimAtom("width") else atom.name: power
        for atom, power in value.powers
        if isinstance(atom, DimAtom)
    }
    shown = powers(name, named)
    if value.coefficient == 1:
        return shown
    return Value(name, ((str(value.coefficient), False), *(shown.runs if named else ())))
