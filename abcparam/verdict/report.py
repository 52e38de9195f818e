"""The report of a check: laws, verdict, reasons; as a dict for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record, field, replace
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import Judgement
from abcparam.analysis.laws import Laws
from abcparam.analysis.rows import powers_or_none, tensor_row
from abcparam.diagnostics.diagnostic import Diagnostic, Replacement, in_order
from abcparam.diagnostics.rules.findings import DecayGrows, DecayVanishes
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS
from abcparam.verdict.changes import (
    Alternatives,
    Change,
    Fix,
    Proposal,
    texts_of,
    values_of,
)
from abcparam.verdict.decay import moved_decay
from abcparam.verdict.findings import reasons, way_out
from abcparam.verdict.work import at_work

if TYPE_CHECKING:
    from abcparam.editing.comments import CommentLine
    from abcparam.symbolic.regions import Region
    from abcparam.verdict.proof import Proof

MOVED_DECAY = (DecayVanishes.code, DecayGrows.code)  # what a fix of maximal-update is about


class Report(Record):
    """What `abcparam check` found.

    That is the `verdict`, `complete`, whether both are `as_expected`, and the `diagnostics`. These,
    and the `fix`, are worked out when they are first asked for.
    """

    judgement: Judgement
    said: tuple[Diagnostic, ...] | None = None  # where exponents are symbols: what there is to say
    regions: Mapping[str, Region] | None = (
        None  # where each verdict holds, if exponents are symbols
    )
    proof: Proof | None = field(default=None, compare=False)  # of the smallest fix, if asked for
    cut_short: str = ""  # why its verdict in symbols was not searched further

    def __repr__(self) -> str:
        return f"Report({self.program.name}: {self.words})"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from abcparam.verdict.page.card import card

        return card(self)

    @cached_property
    def fix(self) -> tuple[Change, ...]:
        """What makes it maximal-update, if that was found: proved smallest, or else small."""
        return self._proposal.changes

    @cached_property
    def _proposal(self) -> Proposal:
        if self.said is not None:
            return Proposal()
        if self.verdict == VERDICTS[-1]:
            return Proposal(moved_decay(self.judgement))
        if self.proof is not None and self.proof.changes:
            return Proposal(self.proof.changes)
        from abcparam.verdict.fix import propose

        with at_work():
            return propose(self.judgement)

    @cached_property
    def fixes(self) -> tuple[Fix, ...]:
        """What is proposed, then up to two others, where experts differ; none where none is."""
        return (Fix(self.fix, "proposed"), *self._alternatives.fixes) if self.fix else ()

    @cached_property
    def _alternatives(self) -> Alternatives:
        if not self.fix:
            return Alternatives()
        from abcparam.verdict.fix import alternatives

        with at_work():
            return alternatives(self.judgement, self.fix)

    @property
    def unfinished(self) -> str:
        """Why a search ended before it was done, for the `fix` or in symbols; empty if none did."""
        return self.cut_short or self._proposal.unfinished

    @property
    def fixes_unfinished(self) -> str:
        """The same of the other `fixes`."""
        return self._alternatives.unfinished

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything to say about it, errors first."""
        if self.said is not None:
            return self.said
        with at_work():
            return reasons(self.judgement, self.fix, self.proof, self.unfinished)

    @property
    def is_searched(self) -> bool:
        """Whether its fix takes no search, or has been searched."""
        at_once = self.said is not None or self.verdict == VERDICTS[-1]
        return at_once or "fix" in self.__dict__

    @cached_property
    def unsearched(self) -> tuple[Diagnostic, ...]:
        """The diagnostics; without a way out where that takes a search that was not made."""
        if self.is_searched:
            return self.editable
        with at_work():
            return reasons(self.judgement, None)

    @cached_property
    def edit(self) -> tuple[Replacement, ...]:
        """What writes the fix into the text of the spec; empty where it cannot be written."""
        if not self.fix:
            return ()
        from abcparam.editing.exponents import UnwritableError, edited
        from abcparam.editing.replacements import replacements

        try:
            with at_work():
                text = edited(self.program, values_of(self.fix), texts_of(self.fix))
        except UnwritableError:
            return ()
        return replacements(self.program.source.text, text)

    @cached_property
    def editable(self) -> tuple[Diagnostic, ...]:
        """The diagnostics, those that propose the fix with its edit."""
        if not self.edit:
            return self.diagnostics
        help = way_out(self.program, self.fix, self.proof, self.unfinished)
        moved = MOVED_DECAY if self.verdict == VERDICTS[-1] else ()
        return tuple(
            replace(d, edit=self.edit) if d.help == help or d.code in moved else d
            for d in self.diagnostics
        )

    @property
    def laws(self) -> Laws:
        return self.judgement.laws

    @property
    def graph(self) -> Graph:
        """The graph that holds the laws."""
        return self.laws.graph

    @property
    def program(self) -> Program:
        return self.laws.program

    @property
    def verdict(self) -> str | None:
        """None: it depends on the symbols, or is not known for all their values."""
        return self.judgement.verdict or None

    @property
    def complete(self) -> bool | None:
        return self.judgement.complete

    @property
    def words(self) -> str:
        """The verdict as a text says it, with `complete`."""
        verdict = self.verdict or ("not known" if self.cut_short else "depends on the symbols")
        return f"{verdict}, complete" if self.complete else verdict

    @property
    def expected(self) -> tuple[str, ...]:
        """The verdict that is expected, and `complete` if that is."""
        return self.program.expected or ("maximal-update",)

    @property
    def as_expected(self) -> bool:
        return all(
            self.complete if word == "complete" else word == self.verdict for word in self.expected
        )

    def reaches(self, verdict: str) -> bool:
        """Whether the verdict is this one or better."""
        return self.verdict is not None and VERDICTS.index(self.verdict) >= VERDICTS.index(verdict)

    def to_dict(self, all_fixes: bool = False) -> dict[str, Any]:
        """The JSON of `abcparam check --format json`; exponents are exact texts by growth dim.

        With `all_fixes` it has the `fixes` too, as with `--all-fixes`.
        """
        outputs = self.graph.outputs
        zero = self.graph.context.zero
        at_init, change = zero, zero
        for output in outputs:
            at_init, change = at_init | output.s0, change | output.d
        none = self.judgement.powerless
        return {
            "schema": 1,
            "file": self.program.source.file,
            "model": self.program.name,
            "verdict": self.verdict,
            "complete": self.complete,
            "expected": ", ".join(self.expected),
            "alignment": self.program.alignment,
            "tensors": [tensor_row(self.program, law, none) for law in self.judgement.tensors],
            "activations": [
                {
                    "name": name,
                    "at_init": powers_or_none(node.s0, node in none.at_init),
                    "change": powers_or_none(node.d, node in none.changes),
                }
                for name, node in self.graph.activations.items()
            ],
            "output": {
                "at_init": powers_or_none(at_init, any(x in none.at_init for x in outputs)),
                "change": powers_or_none(change, any(x in none.changes for x in outputs)),
            },
            **self._regions(),
            "diagnostics": [d.to_dict() for d in in_order(self.editable)],
            **self._unfinished(self.unfinished),
            **(self._all_fixes() if all_fixes else {}),
        }

    def _all_fixes(self) -> dict[str, Any]:
        ended = self.fixes_unfinished or self.unfinished
        return {"fixes": [found.to_dict() for found in self.fixes], **self._unfinished(ended)}

    @staticmethod
    def _unfinished(why: str) -> dict[str, Any]:
        return {"unfinished": why} if why else {}

    def _regions(self) -> dict[str, Any]:
        if self.regions is None:
            return {}
        return {"regions": {word: region.to_dict() for word, region in self.regions.items()}}


class FixResult(Record):
    """What `abcparam.fix` made of a spec.

    It is the `text` with the `changes` written into it, and the `report` of that. Where nothing is
    changed, `changes` are empty, `text` and `report` are the spec's own, and `reason` says why.
    """

    text: str
    changes: tuple[Change, ...]
    report: Report
    reason: str | None = None
    comments: tuple[CommentLine, ...] = ()  # of the text, which the changes may have made false

    def to_dict(self) -> dict[str, Any]:
        """What `abcparam check --fix --format json` says of it."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "reason": self.reason,
            "doubtful_comments": [comment.to_dict() for comment in self.comments],
        }


def invalid(file: str, diagnostics: list[Diagnostic]) -> dict[str, Any]:
    """The JSON for a spec that could not be judged."""
    return {
        "schema": 1,
        "file": file,
        "model": None,
        "verdict": None,
        "complete": None,
        "expected": None,
        "alignment": None,
        "tensors": [],
        "activations": [],
        "output": None,
        "diagnostics": [d.to_dict() for d in in_order(diagnostics)],
    }
