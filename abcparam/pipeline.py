"""The pipeline, from a source to a report or to Python.

Each phase takes one frozen value and returns another.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.files import PathAsText
from abcparam.diagnostics.source import START, Source
from abcparam.language.reader import read
from abcparam.program.binding import bind, require_numbers, settable
from abcparam.program.model import Program
from abcparam.program.vocabulary import GAUGES, GOALS, WINDOW
from abcparam.verdict.changes import texts_of, values_of
from abcparam.verdict.check import judged, load, proved, report
from abcparam.verdict.findings import NO_WAY_OUT
from abcparam.verdict.report import FixResult, Report
from abcparam.verdict.work import at_work

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.comparison.difference import Differences
    from abcparam.comparison.family import Family
    from abcparam.comparison.plane import Plane
    from abcparam.emission.views.factors import FactorReasons
    from abcparam.imports.result import Audit
    from abcparam.symbolic.derive.derived import Derived
    from abcparam.symbolic.solve.complete import Completed

T = TypeVar("T")
GivenValues = Mapping[str, object]  # of dims, hypers and symbols: numbers, or texts such as "1/3"

COUNTS = frozenset({"seeds", "steps", "batch", "together", "tokens"})
MOST_POWER = 400  # of ten, in a value


def check(
    source: str | Path | Source, /, *, set: GivenValues | None = None, **values: object
) -> Report:
    """Checks a spec: its laws, its verdict and the reasons, as `abcparam check` does.

    `source` is a spec's text (`str`) or file (`Path`). `values` and `set` give dims, hypers and
    symbols other values, exactly: `width=4096`, `set={"lr": "1e-3"}`; `set` is for names that
    Python does not take as keywords. Exponents in the report are rationals by growth dim.

    Raises `SpecError` if the spec is invalid or has no dim, hyper or symbol of a name that is
    given, `ValueError` for a value that is no number, `TypeError` for a name that is given twice.
    """
    return report(load(to_source(source), given(set, values)))


def compile(
    source: str | Path | Source,
    /,
    gauge: str = "as-written",
    adapter: bool = False,
    fold: bool = False,
    *,
    set: GivenValues | None = None,
    **values: object,
) -> str:
    """The text of the Python module that a spec emits, as `abcparam compile` writes it.

    Values, as for `check`, become the defaults of its `Config`. In another `gauge` (`plain`,
    `single-group`, `unit`) its training is the same, in other weights. An `adapter`, which is in
    the plain gauge, has no model: it initializes and trains one of any class, whose parameters have
    the names of the spec's tensors. With `fold`, factors of the forward are in the tensors of an
    adapter where that trains the same, so that the model need not have them.

    Raises `SpecError` if the spec is invalid, exponents are unknown or symbols, or there is no such
    gauge of it; `ValueError` for a gauge of another name, or where `fold` is no adapter's; and as
    `check` does.
    """
    if fold and not adapter:
        raise ValueError("factors are folded for an adapter")
    program = load(to_source(source), given(set, values))
    gauge, not_folded = adapters_gauge(gauge) if adapter else gauge, None
    if fold:
        program, not_folded = factors_folded(program)
    return emit_program(judged(gauged(program, gauge)), adapter, not_folded)


@at_work()
def factors_folded(program: Program) -> tuple[Program, FactorReasons]:
    """The program with factors in tensors, but for those of PyTorch's own functions and some more.

    The latter, which have to stay in the forward, are given with what is in the way.
    """
    from abcparam.comparison.fold import beyond_usual
    from abcparam.comparison.fold import fold as fold_factors
    from abcparam.emission.views.factors import GraphFactor

    found = fold_factors(program, beyond_usual(program))
    factors = ((kept.factor, kept.reasons) for kept in found.kept)
    return found.program, {
        GraphFactor.of(f.call, f.setting, f.amount): reasons for f, reasons in factors
    }


def adapters_gauge(gauge: str) -> str:
    """The gauge of an adapter: raises `ValueError` where it is asked for in another."""
    if gauge not in (GAUGES[0], "plain"):
        raise ValueError(f"an adapter is in the gauge plain, without multipliers, not {gauge!r}")
    return "plain"


@at_work()
def gauged(program: Program, gauge: str, batch: int | None = None) -> Program:
    """The program in a gauge, for batches of so many examples where it asks for that."""
    if gauge == GAUGES[0]:
        return program
    from abcparam.comparison.regauge import in_gauge
    from abcparam.emission.views.training import require_single_groups

    if gauge not in GAUGES:
        raise ValueError(f"no gauge {gauge!r}: {', '.join(GAUGES)}")
    require_numbers(program)
    found = in_gauge(program, gauge)
    if gauge == "single-group":
        require_single_groups(found)
    if gauge == "unit":
        from abcparam.comparison.unit_scaling import EXAMPLES, scaled_gradients

        return scaled_gradients(found, batch or EXAMPLES)
    return found


def fix(
    source: str | Path | Source, /, *, set: GivenValues | None = None, **values: object
) -> FixResult:
    """The spec made maximal-update by a small change, as `abcparam check --fix` does.

    The exponents and factors that change are written into its text; no file is written. Comments
    and layout stay.

    `comments` are those of the text that the changes may have made false.

    Where nothing is changed, because the spec is maximal-update already or no change was found or
    could be written, `changes` are empty and `reason` says why. Values are as for `check`; they are
    not written into the text. Raises as `check` does.
    """
    return fixed(to_source(source), given(set, values))


def prove(
    source: str | Path | Source, /, *, set: GivenValues | None = None, **values: object
) -> Report:
    """Checks a spec as `check` does, and proves its fix smallest, as `abcparam check --prove` does.

    That is a search over exponents and factors of the code, which takes seconds. The report's
    `proof` says what came of it; its `fix` is the one that is proved, or as `check` finds it.
    """
    return proved(report(load(to_source(source), given(set, values))))


@at_work()
def fixed(source: Source, values: Mapping[str, Fraction], prove: bool = False) -> FixResult:
    """The spec with a small change that makes it maximal-update, checked again."""
    from abcparam.editing.comments import doubtful_comments
    from abcparam.editing.exponents import UnwritableError, edited

    program = load(source, values)
    found = report(program)
    found = proved(found) if prove else found
    if found.verdict == "maximal-update" and not found.fix:
        return FixResult(source.text, (), found, "maximal-update already, nothing to fix")
    if not found.fix:
        reason = found.unfinished or NO_WAY_OUT
        return FixResult(source.text, (), found, reason)
    try:
        text = edited(program, values_of(found.fix), texts_of(found.fix))
    except UnwritableError as error:
        return FixResult(source.text, (), found, f"the change cannot be written: {error}")
    again = report(load(replace(source, text=text), values))
    if again.verdict != "maximal-update":
        raise RuntimeError("the fixed spec was not judged maximal-update")
    return FixResult(text, found.fix, again, comments=doubtful_comments(source.text, text))


def format(source: str | Path | Source, /) -> str:
    """The spec's text in canonical form, as `abcparam fmt` writes it; every comment is kept.

    Raises `SpecError` where it cannot be parsed.
    """
    from abcparam.language.formatter import format_source

    return format_source(to_source(source))


def explain(word: str, /) -> str:
    """What a word means, or the story behind a diagnostic, as `abcparam explain` prints it.

    A word is an operation, an optimizer, a setting, a role, a declaration or one of a report's:
    what it means, how it is written, its law, an example. A diagnostic has a code, in any case;
    301 does too. Raises `ValueError` where there is none.
    """
    from abcparam.reference.explain import answer, unanswered

    text = answer(word)
    if text is None:
        raise ValueError(unanswered(word))
    return text


def new(example: str = "gpt", /) -> str:
    """The text of an example to start from, as `abcparam new` copies it: `gpt`, `llama` and so on.

    Raises `ValueError`, which lists them, where there is none of the name.
    """
    from abcparam.storage.resources import names, read_resource

    examples = names("examples", ".param")
    if example not in examples:
        raise ValueError(f"no example is called {example!r}; they are: {', '.join(examples)}")
    return read_resource("examples", f"{example}.param")


@at_work()
def derive(
    source: str | Path | Source,
    /,
    all: bool = False,
    *,
    set: GivenValues | None = None,
    **values: object,
) -> Derived:
    """The laws of a spec, as `abcparam derive` prints them.

    They are symbolic where its exponents hold symbols or `?`; with `all`, every exponent that is
    written is a symbol. Values are as for `check`.

    Raises `SpecError` if the spec is invalid or a law could not be proved, and as `check` does.
    """
    from abcparam.symbolic.derive.derive import derive as laws_in_symbols

    return laws_in_symbols(load(to_source(source), given(set, values)), all)


def solve(
    source: str | Path | Source,
    /,
    goal: str = "maximal-update",
    gauge: str = "mup",
    *,
    set: GivenValues | None = None,
    **values: object,
) -> str:
    """The text of the spec with every `?` filled, as `abcparam solve` prints it.

    The spec becomes `goal`: `maximal-update`, `kernel` or `stable`.

    `gauge` chooses among equal solutions: `mup`, or values to give where that is possible, such as
    `"c=0"` or `"b=1/2 a=0"`. Values are as for `check`. Raises `SpecError` if the spec is invalid,
    or has no solution, `ValueError` for another goal or gauge, and as `check` does.
    """
    return solutions(source, goal, gauge, set=set, **values).text


@at_work()
def solutions(
    source: str | Path | Source,
    /,
    goal: str = "maximal-update",
    gauge: str = "mup",
    *,
    set: GivenValues | None = None,
    **values: object,
) -> Completed:
    """As `solve`, with the whole family of solutions beside the `text` of one.

    The family has its `region` and `gauges`; `to_dict()` is the JSON of `abcparam solve`.
    """
    from abcparam.symbolic.solve.complete import complete, gauge_order

    order = gauge_order(gauge.split())
    if order is None or goal not in GOALS:
        raise ValueError(f"no goal {goal!r} in gauge {gauge!r}")
    return complete(to_source(source), goal, order, given(set, values))


@at_work()
def compared(a: Program, b: Program) -> Differences:
    """Whether two programs are the same parametrization."""
    from abcparam.comparison.compare import compare

    return compare(a, b)


def diff(
    a: str | Path | Source | Audit,
    b: str | Path | Source | Audit,
    /,
    adapted: bool = False,
    *,
    set: GivenValues | None = None,
    **values: object,
) -> Differences:
    """Whether two specs are the same parametrization, as `abcparam diff` says.

    `same` is `exactly`, `asymptotically` or `no`. Each takes the values, as for `check`, that it
    has a name for. An `Audit` is a model of the user's own, as it is or `adapted`: of it the laws
    are compared, not the constants and finite sizes, so that it is never `exactly`.

    Raises `SpecError` if one is invalid, neither has a name that is given a value, or there are
    symbols on which the answer depends; and as `check` does.
    """
    from pathlib import Path

    known = (str, Path, Source)
    if isinstance(a, known) and isinstance(b, known):
        return compared(*_both(a, b, given(set, values)))
    from abcparam.imports.comparing import compared_with

    bound = given(set, values)
    first, second = (load(to_source(x), bound) if isinstance(x, known) else x for x in (a, b))
    return compared_with(first, second, adapted)


@at_work()
def interpolate(
    a: str | Path | Source,
    b: str | Path | Source,
    /,
    init: str | float | Fraction = "s",
    lr: str | float | Fraction = "t",
    *,
    set: GivenValues | None = None,
    **values: object,
) -> Family:
    """The family of parametrizations between two specs of the same model.

    Initial scales are A's where `init` is 0 and B's where it is 1, learning rates where `lr` is.
    Each is the name of a symbol, or a value; where `s` or `t` is a name of A's, it is `s_` or `t_`.
    B is taken in A's gauge; whatever is no exponent is A's. Each spec takes the values, as for
    `check`, that it has a name for.

    Raises `SpecError` if a spec is invalid or the two are not the same model, and as `check` does.
    """
    from abcparam.comparison.family import family

    along = (x if isinstance(x, str) else exact(x) for x in (init, lr))
    found = family(*_both(a, b, given(set, values)), *along)
    _ = found.report  # within the budget that is open here
    return found


@at_work()
def map(
    a: str | Path | Source,
    b: str | Path | Source,
    /,
    init: str = "s",
    lr: str = "t",
    window: tuple[object, object] = WINDOW,
    *,
    output: str | Path | None = None,
    set: GivenValues | None = None,
    **values: object,
) -> Plane:
    """The verdicts of the plane between two specs, as `abcparam map` draws them.

    `init` and `lr` name its coordinates, `window` is the part from low to high, in both. Values are
    as for `interpolate`. A picture is written to `output`, if given: `plane.svg`, `plane.png`, or
    both where it has no ending; that needs matplotlib.

    Raises `SpecError` as `interpolate` does and where there is no matplotlib, `ValueError` for an
    empty window or one name for both coordinates.
    """
    from abcparam.comparison.family import family
    from abcparam.comparison.plane import names_of, plane

    low, high = (exact(x) for x in window)
    if not low < high or init == lr:
        raise ValueError("a map takes a window from low to high, and two coordinates")
    programs = _both(a, b, given(set, values))
    first, second = (program.source.file for program in programs)
    found = plane(family(*programs, init, lr), names_of(first, second), (low, high))
    if output is not None:
        from abcparam.comparison.plane_figure import picture
        from abcparam.presentation.figures import write_picture

        write_picture(picture(found), str(output))
    return found


@at_work()
def emit_program(
    found: Report, adapter: bool = False, not_folded: FactorReasons | None = None
) -> str:
    """The Python module of a checked program, or its adapter; each tensor's line says its law."""
    from abcparam.emission.adapter import emit_adapter
    from abcparam.emission.emit import emit

    laws = {t.path: t.sizes for t in found.judgement.tensors}
    if adapter:
        return emit_adapter(found.program, laws, not_folded)
    return emit(found.program, laws)


def to_source(source: str | Path | Source) -> Source:
    """A text, or that of a file. Raises `SpecError` for a path that is given as a text."""
    if isinstance(source, Source):
        return source
    if not isinstance(source, str):
        return read(source)
    if source.endswith(".param") and "\n" not in source:
        raise SpecError(Source(source), [PathAsText.at(START, path=source)])
    return Source(source)


def _both(
    a: str | Path | Source, b: str | Path | Source, values: Mapping[str, Fraction]
) -> tuple[Program, Program]:
    """Two programs, each with the values of names that it has.

    Raises `SpecError` for a name that neither has.
    """
    first, second = load(to_source(a)), load(to_source(b))
    of_second = {name: value for name, value in values.items() if name in settable(second)}
    known = settable(first)
    of_first = {n: value for n, value in values.items() if n in known or n not in of_second}
    return bind(first, of_first), bind(second, of_second)


def given(set: GivenValues | None, values: GivenValues) -> dict[str, Fraction]:
    """The values of a call, given in `set` and by keywords.

    Raises `TypeError` where `set` is no mapping or a name is in both, `ValueError` where a value is
    no number.
    """
    mapping = {} if set is None else set
    if not isinstance(mapping, Mapping):
        raise TypeError(f"`set` takes names with values, set={{'width': 4096}}, not {set!r}")
    if twice := [name for name in values if name in mapping]:
        names = ", ".join(f"`{name}`" for name in twice)
        raise TypeError(f"{names} is given twice, in `set` and outside of it")
    return exact_values({**mapping, **values})


def asked(kind: type[T], function: str, fields: Mapping[str, object]) -> T:
    """Options of a function, from its keywords.

    Raises `TypeError` for one that it does not have, `ValueError` for a count that is none.
    """
    known = list(kind.__match_args__)  # type: ignore[attr-defined]
    if unknown := [name for name in fields if name not in known]:
        text = f"`{function}` has no option `{unknown[0]}`: it has {', '.join(known)}"
        raise TypeError(f"{text}; values of dims and hypers go into `set`")
    for name in COUNTS & fields.keys():
        value = fields[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"`{name}` takes a positive whole number, not {value!r}")
    return kind(**fields)


def exact_values(values: GivenValues) -> dict[str, Fraction]:
    """Values as exact numbers, by name. Raises `ValueError`."""
    found = {}
    for name, value in values.items():
        try:
            found[str(name)] = exact(value)
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None
    return found


def exact(value: object) -> Fraction:
    """A number as it is written: `0.1` is a tenth.

    Raises `ValueError`, also for one with a power of ten that is out of all proportion.
    """
    text = str(value)
    _, _, exponent = text.lower().partition("e")
    try:
        if exponent and abs(int(exponent)) > MOST_POWER:
            raise ValueError
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{text!r} is not a number; write 4096, 1e-3 or 1/2") from None
