"""What a page asks of the text in its editor: JSON in, JSON out, and never an exception.

Places are lines and columns that count from 1, as in `check --format json`. What may take long
(`search`, `fix`, `solve`, `derive`, `plane`) is asked of a session in a worker of its own, which
the page ends where it is no longer wanted.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from abcparam.algebra.budgets import budget
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, rendered
from abcparam.diagnostics.source import Source
from abcparam.editing.exponents import UnwritableError
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.colours import coloured
from abcparam.editor.completion import complete
from abcparam.editor.hints import Hint, hints
from abcparam.editor.hover import hover
from abcparam.editor.rename import NO_NAME, rename
from abcparam.language.formatter import format_source
from abcparam.playground.exponents import movable, moved
from abcparam.playground.panels import UnsearchedReport, errors_panel, panel
from abcparam.storage.resources import names, read_resource
from abcparam.verdict.check import load, report
from abcparam.verdict.page.sections import Sections
from abcparam.verdict.page.subject import ShownReport
from abcparam.verdict.work import at_work

SECONDS = 120.0  # of a search, which a button ends before
FOLDERS = ("examples", "examples/wrong")
NO_FORM = "the plane needs a spec with a `parametrization` to replace"
IN_SYMBOLS = '<p class="soft">Exponents are symbols: what holds for all of them takes a search.</p>'
OUTSIDE = "symbols"  # the tone of what only a search can judge

Request = Mapping[str, Any]
Reply = dict[str, Any]


class Session:
    """The text that is worked on, and what is known of it."""

    def __init__(self) -> None:
        self.analysis: Analysis | None = None

    def answer(self, request: str) -> str:
        """The answer to a request, both JSON; `do` says what is asked."""
        try:
            asked = json.loads(request)
            with budget(SECONDS):
                reply = ANSWERS[asked["do"]](self, asked)
        except SpecError as error:
            reply = {"problem": rendered(error.diagnostics, error.source)}
        except (RuntimeError, ValueError) as error:
            reply = {"problem": str(error) or type(error).__name__}
        except Exception as error:  # a mistake of ours: the page goes on, and says so
            reply = {"problem": f"this is a mistake in abcparam: {type(error).__name__}: {error}"}
        return json.dumps(reply)

    @property
    def known(self) -> Analysis:
        """The analysis of the text; raises `ValueError` where there is none."""
        if self.analysis is None:
            raise ValueError("no text has been analysed")
        return self.analysis


def warmed() -> Session:
    """A session that has worked: what is made once is made, and nothing else is kept."""
    session = Session()
    text = read_resource("examples", "gpt.param")
    for panel_name in ("laws", "graph"):
        session.answer(json.dumps({"do": "analyse", "text": text, "panel": panel_name}))
    session.analysis = None
    gc.collect()
    return session


def source_of(request: Request) -> Source:
    return Source(request["text"].replace("\r\n", "\n"), request.get("file", "-"))


# While one types


def analysed(session: Session, request: Request) -> Reply:
    """Verdict, diagnostics, hints, colours, and the panel that is open."""
    analysis = session.analysis = analyse(source_of(request), session.analysis)
    found = analysis.report
    return {
        **_judged(UnsearchedReport(found) if found else None, analysis.diagnostics),
        **({"tone": OUTSIDE, "verdict": None} if analysis.open and not found else {}),
        "open": analysis.open,
        "hints": [_hint(hint) for hint in hints(analysis)],
        "colours": [[*word.span.start, *word.span.end, word.kind] for word in coloured(analysis)],
        "panel": paneled(session, request)["panel"],
    }


def _judged(subject: ShownReport | None, diagnostics: Iterable[Diagnostic]) -> Reply:
    """What there is to say of a text: of one that cannot be judged, its errors."""
    diagnostics = list(diagnostics)
    return {
        "verdict": subject.words if subject else None,
        "tone": Sections(subject).tone if subject else "invalid",
        "expected": ", ".join(subject.expected) if subject else None,
        "model": subject.judgement.laws.program.name if subject else None,
        "diagnostics": [diagnostic.to_dict() for diagnostic in diagnostics],
        "fixes": [
            {
                "title": fix.title,
                "edit": [replacement.to_dict() for replacement in fix.edit],
                "diagnostic": diagnostics.index(fix.diagnostic),
            }
            for fix in quick_fixes(diagnostics)
        ],
    }


def _hint(hint: Hint) -> Reply:
    line, column = hint.position
    return {"line": line, "column": column, "text": hint.text, "wrong": hint.wrong}


def paneled(session: Session, request: Request) -> Reply:
    """A panel of the text as it was analysed: its errors in place of what it cannot have."""
    name = request.get("panel", "")
    analysis = session.known
    if analysis.report:
        with at_work():
            return {"panel": panel(name, UnsearchedReport(analysis.report))}
    return {"panel": _unjudged(analysis) if name else ""}


def _unjudged(analysis: Analysis) -> str:
    return IN_SYMBOLS if analysis.open else errors_panel(analysis.diagnostics)


def completed(session: Session, request: Request) -> Reply:
    position = (request["line"], request["column"])
    found = complete(session.known, position, request.get("unasked", False))
    return {
        "items": [
            {
                "label": item.label,
                "kind": item.kind,
                "detail": item.detail,
                "documentation": item.documentation,
                "span": item.span.to_dict(),
            }
            for item in found
        ]
    }


def hovered(session: Session, request: Request) -> Reply:
    found = hover(session.known, (request["line"], request["column"]))
    return {"text": found.text, "span": found.span.to_dict()} if found else {"text": ""}


def defined(session: Session, request: Request) -> Reply:
    """The name at a place, and where that is declared."""
    what = session.known.index.at((request["line"], request["column"]))
    if what is None:
        raise ValueError(NO_NAME)
    return {"name": what.name, "declared": what.declared.to_dict()}


def renamed(session: Session, request: Request) -> Reply:
    """What gives the name at a place another one everywhere."""
    made = rename(session.known, (request["line"], request["column"]), request["name"])
    if made.problem:
        raise ValueError(made.problem)
    return {"edit": [replacement.to_dict() for replacement in made.edit]}


def exponents(session: Session, request: Request) -> Reply:
    """What can be moved by hand, of a text that was judged."""
    found = session.known.report
    return {"groups": movable(found.program) if found else []}


def move(session: Session, request: Request) -> Reply:
    """The text with exponents of a group at a value."""
    found = session.known.report
    if found is None:
        raise ValueError("exponents are moved where the spec can be judged")
    return {"text": moved(found.program, request["paths"], request["key"], _number(request))}


def _number(request: Request) -> Fraction:
    return Fraction(request["value"])


def formatted(session: Session, request: Request) -> Reply:
    return {"text": format_source(source_of(request))}


# What may take long


def searched(session: Session, request: Request) -> Reply:
    """As `analysed` has it, with the way out; in symbols, if exponents hold any."""
    found = report(load(source_of(request)))
    with at_work():
        return {**_judged(found, found.editable), "panel": panel(request["panel"], found)}


def fixed(session: Session, request: Request) -> Reply:
    """The text with a small change that makes it maximal-update, or why there is none."""
    from abcparam.pipeline import fix

    found = fix(source_of(request))
    comments = [f"line {comment.line}: {comment.text}" for comment in found.comments]
    return {"text": found.text, "problem": found.reason, "comments": comments}


def solved(session: Session, request: Request) -> Reply:
    """The text with every `?` filled."""
    from abcparam.pipeline import solutions

    found = solutions(source_of(request), request.get("goal", "maximal-update"))
    return {"text": found.text, "family": list(found.region.constraints())}


def derived(session: Session, request: Request) -> Reply:
    """The laws with symbols, of every exponent where none is written as one, as a panel."""
    from abcparam.pipeline import derive
    from abcparam.playground.derivation import derivation

    source = source_of(request)
    return {"panel": derivation(derive(source, all=not load(source).symbols))}


def mapped(session: Session, request: Request) -> Reply:
    """The plane between the text in one parametrization and in another one."""
    from abcparam.comparison.family import family
    from abcparam.comparison.plane import names_of, plane
    from abcparam.playground.plane_drawing import PlaneDrawing

    a, b = (_in_form(request, request[end]) for end in ("a", "b"))
    with at_work():
        found = plane(family(load(a), load(b)), names_of(a.file, b.file))
        drawing = PlaneDrawing(found)
        return {"panel": f"{drawing.svg()}\n{drawing.legend()}"}


def at_point(session: Session, request: Request) -> Reply:
    """The text at a place in that plane."""
    from abcparam.pipeline import interpolate

    a, b = (_in_form(request, request[end]) for end in ("a", "b"))
    return {"text": interpolate(a, b, Fraction(request["init"]), Fraction(request["lr"])).text}


def _in_form(request: Request, form: str) -> Source:
    from abcparam.editing.parametrization import in_form

    source = source_of(request)
    try:
        return in_form(source, form) if form else source
    except UnwritableError:
        raise ValueError(NO_FORM) from None


# What stays as it is


def example_names(session: Session, request: Request) -> Reply:
    """The examples, by folder: their names and texts."""
    return {
        "examples": [
            {"name": name, "folder": folder, "text": read_resource(folder, f"{name}.param")}
            for folder in FOLDERS
            for name in names(folder, ".param")
        ],
        "parametrizations": names("parametrizations", ".param"),
    }


ANSWERS: dict[str, Callable[[Session, Request], Reply]] = {
    "analyse": analysed,
    "panel": paneled,
    "complete": completed,
    "hover": hovered,
    "definition": defined,
    "rename": renamed,
    "exponents": exponents,
    "move": move,
    "format": formatted,
    "search": searched,
    "fix": fixed,
    "solve": solved,
    "derive": derived,
    "plane": mapped,
    "point": at_point,
    "examples": example_names,
}
