"""A small change that makes a program maximal-update, found by looking and not by proof.

What the exponents and factors are to be (`verdict.wanted`) is a first candidate; each learning rate
is brought to its bound. Then changes are left out one by one, a role's or a tensor's together
first, as long as what is left still makes the program maximal-update. Everything is judged as
numbers, on few copies of each finite repeat, and the result once more on the whole model.

No change makes a tensor lazy that was not: its update keeps the size of what it makes. The gauge is
the spec's own. Where the budget is spent, what was found so far is proposed, and `unfinished` says
so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from abcparam.algebra.budgets import NOT_FURTHER, SpentError, spend
from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.analysis.judge import Judgement, judgement_if_stable, judgement_of
from abcparam.program.model import Program
from abcparam.program.tensors import (
    exponents_by_key,
    with_exponents,
)
from abcparam.verdict.changes import (
    Alternatives,
    Change,
    ExponentChange,
    FactorChange,
    Fix,
    Proposal,
    applied,
)
from abcparam.verdict.decay import moved_decay
from abcparam.verdict.forward_factors import powers_of
from abcparam.verdict.laziness import lazy_tensors, mended
from abcparam.verdict.places import USUAL, Places
from abcparam.verdict.rates import plain_rates
from abcparam.verdict.settings import learnt_behind_norms, started_at_zero
from abcparam.verdict.shortening import shortened
from abcparam.verdict.space import SearchSpace
from abcparam.verdict.waking import woken
from abcparam.verdict.wanted import KeyShifts, Wish, keys_of, wanted

MOST_NODES = 30_000
MOST_ROUNDS = 5
BEST = "maximal-update"
MOST_ALTERNATIVES = 2
USUAL_MULTIPLIERS = {"output": Fraction(1)}  # `a` by role in the shipped `mup`, else 0
IN_USUAL_GAUGE = "in the gauge of `mup`, which is the same training"
KINDS = {  # what sets a kind of change apart
    Wish(): "the code's factors as published",
    Wish(plain=True): "a factor of the code made usual",
    Wish(complete=True): "branches as they are for `complete`",
    Wish(factors=False): "exponents alone, the code stays",
    Wish(factors=False, scales=False): "learning rates alone",
}
TRIED = (  # one after the other, until one of them can do it
    Wish(),
    Wish(factors=False),
    Wish(factors=False, scales=False),
    Wish(plain=True),
)
ZERO = Affine(Fraction(0))
MINUS = Fraction(-1)
TOO_LARGE = NOT_FURTHER.format(why=f"the model has more than {MOST_NODES:,} operations")


def propose(judgement: Judgement) -> Proposal:
    """The change, empty where none is found or the graph is too large to search."""
    program = judgement.laws.program
    if program.alignment != "tensor-programs":
        return Proposal()
    if len(judgement.laws.graph.nodes) > MOST_NODES:
        return Proposal(unfinished=TOO_LARGE)
    for copies in (1, 2):
        search = _Search(program, shortened(program, copies), judgement)
        changes = search.run()
        found = judgement_if_stable(applied(program, changes)) if changes else None
        if found is not None and mended(found, lazy_tensors(judgement)):
            if learnt := learnt_behind_norms(judgement, changes):
                return Proposal(learnt, search.unfinished)
            return Proposal((*changes, *moved_decay(found)), search.unfinished)
        if search.unfinished:
            return Proposal(unfinished=search.unfinished)
    return Proposal(started_at_zero(judgement))


def alternatives(judgement: Judgement, proposed: tuple[Change, ...]) -> Alternatives:
    """Other changes that do it, where experts differ; each is judged on the whole model.

    They leave the code alone, or move learning rates alone, or make branches complete, or write
    what is proposed in the gauge of the shipped `mup`.
    """
    found: dict[tuple[Change, ...], Fix] = {}
    try:
        for fix in _others(judgement, proposed):
            found[fix.changes] = fix
    except SpentError as spent:
        return Alternatives(tuple(found.values()), str(spent))
    return Alternatives(tuple(found.values()))


def _others(judgement: Judgement, proposed: tuple[Change, ...]) -> Iterator[Fix]:
    program, lazy = judgement.laws.program, lazy_tensors(judgement)
    if not proposed or len(judgement.laws.graph.nodes) > MOST_NODES:
        return
    search = _Search(program, shortened(program, 1), judgement)
    count, known = 0, {frozenset(map(str, proposed))}
    for changes, why in (*search.every(), *_in_usual_gauge(search.places, program, proposed)):
        spelling = frozenset(map(str, changes))
        if count < MOST_ALTERNATIVES and changes and spelling not in known:
            known.add(spelling)
            spend()
            if mended(judgement_if_stable(applied(program, changes)), lazy):
                count += 1
                yield Fix(changes, why)


def _in_usual_gauge(
    places: Places, program: Program, proposed: Iterable[Change]
) -> Iterator[tuple[tuple[Change, ...], str]]:
    """What is proposed with the multipliers of the shipped `mup`: 1 of readouts, 0 elsewhere."""
    others = [change for change in proposed if not isinstance(change, ExponentChange)]
    changed = dict.fromkeys(p for c in proposed if isinstance(c, ExponentChange) for p in c.paths)
    after = applied(program, proposed).tensors
    shifts: dict[str, dict[str, Fraction]] = {}
    for path in changed:
        tensor, letters = after[path], program.shift_of(after[path])
        now, before = exponents_by_key(tensor), exponents_by_key(program.tensors[path])
        if not program.has_gauge(tensor):
            letters = dict.fromkeys(letters, 0)
        usual = USUAL_MULTIPLIERS.get(tensor.role or "", ZERO.constant)
        theta = usual - now.get("a", ZERO).constant
        keys = {**now, **before}
        moved = {k: (now.get(k, ZERO) + before.get(k, ZERO) * MINUS).constant for k in keys}
        for letter in "abcd" if program.strict_epsilon else "abc":
            moved[letter] = moved.get(letter, ZERO.constant) + theta * letters[letter]
        idle = {"b"} if tensor.init.is_zero else set[str]()
        shifts[path] = {key: by for key, by in moved.items() if by and key not in idle}
    if shifts:
        yield (
            (*others, *places.spelled(shifts)),
            "in the gauge of `mup`, which is the same training",
        )


class _Search:
    """The search on one shortened program."""

    def __init__(self, program: Program, short: Program, judgement: Judgement) -> None:
        self.program = program
        self.short = short
        self.judgement = judgement
        self.lazy = lazy_tensors(judgement)
        self.space = SearchSpace(program)
        self.places = self.space.places
        self.unfinished = ""
        self._found: list[Change] = []  # the last that do it

    def run(self) -> tuple[Change, ...]:
        try:
            waking = woken(self.program, self.short, self.judgement)
            return self._beside(waking) if waking else self._smallest()
        except SpentError as spent:
            self.unfinished = str(spent)
            return tuple(self._found)

    def _beside(self, waking: tuple[Change, ...]) -> tuple[Change, ...]:
        """Other starts of tensors, with what else has to change then."""
        if self._mends(waking):
            return waking
        awake = self._with(waking)
        try:
            more = awake._smallest()
        finally:
            self._found = [*waking, *awake._found] if awake._found else []
        return (*waking, *more) if more else ()

    def _with(self, changes: tuple[Change, ...]) -> _Search:
        """The search on the program that has these changes."""
        short = applied(self.short, changes)
        return _Search(applied(self.program, changes), short, self.judgement)

    def _smallest(self) -> tuple[Change, ...]:
        for wish in TRIED:
            found = self._candidate(wish)
            if found is not None:
                self._found = found
                return self._rated(self._plain(tuple(self._merged(self._reduced(found)))))
        return ()

    def _rated(self, found: tuple[Change, ...]) -> tuple[Change, ...]:
        """A written power of a width that goes from a learning rate, in the place of exponents.

        That is where it takes fewer changes, or as many of which none makes rates grow.
        """
        rates = [c for c in found if isinstance(c, ExponentChange) and c.key.startswith("c")]
        for change in plain_rates(self.program) if rates else ():
            if self._mends((change,)):
                return (change,)
            more = self._with((change,))._smallest()
            if more and len(more) < len(found) - any(map(self._makes_rates_grow, more)):
                return (change, *more)
        return found

    def _plain(self, found: tuple[Change, ...]) -> tuple[Change, ...]:
        """Factors of the code that go, in the place of exponents that nobody writes."""
        unheard_of = any(map(_is_unheard_of, found))
        if not unheard_of and not any(self._makes_rates_grow(change) for change in found):
            return found
        plain = self._candidate(Wish(plain=True))
        shorter = tuple(self._merged(self._reduced(plain))) if plain is not None else found
        return shorter if len(shorter) <= len(found) else found

    def _makes_rates_grow(self, change: Change) -> bool:
        """Whether a rate comes to grow with a width where gradients are divided by their own size.

        No published one does, but in a gauge in which others do too.
        """
        if not isinstance(change, ExponentChange) or change.key != "c":
            return False
        shifts = (self.program.shift_of(self.program.tensors[path]) for path in change.paths)
        return change.after < 0 <= change.before and any(shift["c"] == -1 for shift in shifts)

    def every(self) -> Iterator[tuple[tuple[Change, ...], str]]:
        """Changes of each kind that do it, with what sets them apart."""
        for wish, why in KINDS.items():
            found = self._candidate(wish)
            if found is not None:
                changes = tuple(self._merged(self._reduced(found)))
                of_code = any(isinstance(change, FactorChange) for change in changes)
                yield changes, why if of_code else KINDS.get(wish._replace(factors=False), why)

    def _mends(self, changes: Iterable[Change]) -> bool:
        spend()
        made = list(changes)
        if not mended(judgement_if_stable(applied(self.short, made)), self.lazy):
            return False
        self._found = made
        return True

    # A candidate

    def _candidate(self, wish: Wish) -> list[Change] | None:
        """Changes of everything that is not as it is wanted, each rate as large as its bound."""
        ideal = wanted(self.short, wish)
        factored: list[Change] = []
        for call, powers in ideal.factors:
            change = self.space.factor(call, powers)
            if change is None:
                return None
            if change not in factored:
                factored.append(change)
        shifts = {path: dict(keys) for path, keys in ideal.scales.items()}
        for path, keys in ideal.rates.items():
            shifts.setdefault(path, {}).update(keys)
        base = applied(self.short, factored)
        loose = replace(base, strict_epsilon=False)
        for _ in range(MOST_ROUNDS):
            spend()
            found = judgement_of(_shifted(loose, shifts))
            if found.verdict == BEST:
                if base.strict_epsilon:
                    self._epsilons(found, shifts)
                changes = [*factored, *self.space.exponents(shifts)]
                strict = base.strict_epsilon  # then it is judged once more, with the changes
                mends = self._mends(changes) if strict else mended(found, self.lazy)
                return changes if changes and mends else None
            if not self._faster(found, shifts):
                return None
        return None

    def _faster(self, found: Judgement, shifts: KeyShifts) -> bool:
        """Brings each learning rate closer to its bound; whether there was one to bring."""
        moved = False
        for law in found.tensors:
            by = {} if law.slack is None else powers_of(law.slack)
            for key, value in keys_of(self.short, law.parameter.tensor, "c", by).items():
                keys = shifts.setdefault(law.path, {})
                keys[key] = keys.get(key, Fraction(0)) - value
                moved = True
        return moved

    def _epsilons(self, found: Judgement, shifts: KeyShifts) -> None:
        """Epsilons that fall with their gradients."""
        for law in found.tensors:
            p = law.parameter
            if p.has_epsilon and p.gamma.vectors and not p.tensor.frozen and p.gamma < -p.d:
                by = powers_of(-p.gamma - p.d)
                shifts.setdefault(law.path, {}).update(keys_of(self.short, p.tensor, "d", by))

    # Fewer changes

    def _merged(self, changes: list[Change]) -> list[Change]:
        """Declarations as a whole, and roles in the place of their tensors, where that does too."""
        for change in [c for c in changes if isinstance(c, ExponentChange)]:
            whole = self.places.whole(change)
            if whole != change:
                changes = self._instead(changes, [change], whole)
        for role, alike in self.places.alike(changes):
            if len(alike) > 1:
                changes = self._instead(changes, alike, role)
        return changes

    def _instead(
        self, changes: list[Change], some: Sequence[Change], other: ExponentChange
    ) -> list[Change]:
        made = [other if c == some[0] else c for c in changes if c == some[0] or c not in some]
        return made if self._mends(made) else changes

    def _reduced(self, changes: list[Change]) -> list[Change]:
        """Leaves out what need not change: of one place together, then one by one."""
        for factor in [c for c in changes if isinstance(c, FactorChange)]:
            changes = self._without(changes, [factor])
        for place in dict.fromkeys(_place(c) for c in changes if isinstance(c, ExponentChange)):
            together = [c for c in changes if isinstance(c, ExponentChange) and _place(c) == place]
            if 1 < len(together) < len(changes):
                changes = self._without(changes, together)
        for change in list(changes):
            if len(changes) > 1:
                changes = self._without(changes, [change])
        return changes

    def _without(self, changes: list[Change], some: Sequence[Change]) -> list[Change]:
        fewer = [change for change in changes if change not in some]
        return fewer if fewer and self._mends(fewer) else changes


def _is_unheard_of(change: Change) -> bool:
    """Whether a multiplier or initial scale comes to be what it is not in the literature."""
    if not isinstance(change, ExponentChange) or change.key not in USUAL:
        return False
    return change.after not in USUAL[change.key] and change.before in USUAL[change.key]


def _place(change: ExponentChange) -> tuple[str, tuple[str, ...]]:
    return change.owner, change.paths


def _shifted(program: Program, shifts: KeyShifts) -> Program:
    """The program with exponents moved."""
    tensors = dict(program.tensors)
    for path, keys in shifts.items():
        found = exponents_by_key(tensors[path])
        for key, by in keys.items():
            found[key] = found.get(key, ZERO) + Affine(by)
        tensors[path] = with_exponents(tensors[path], found)
    return replace(program, tensors=tensors)
