"""Disjunction learning over linear arithmetic: literals, clauses, and the search for values.

A literal is a whole number, its negation the one that differs in the last bit. An atom is a literal
that says of a term that it is at least some value; others stand for parts of a condition (a literal
implies its part), or for nothing. Of the atoms that are true the simplex method finds values, or
says which ones cannot hold together. Only clauses that do not hold at these values are decided, so
few literals are ever given a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from abcparam.algebra.budgets import spend
from abcparam.symbolic.decision.simplex import UNIT, Bound, BoundValue, LinearSum, Simplex, Value

LONGEST_KEPT = 12  # literals of a learnt clause that outlives its question
MOST_KEPT = 2_000
DECAY = 1.05

Literals = list[int]


class Disjunction:
    """At least one of the literals. `local` ones follow from a question, not from the premises."""

    __slots__ = ("literals", "local")

    def __init__(self, literals: Literals, local: bool) -> None:
        self.literals = literals
        self.local = local


class AtMost:
    """At most so many of some literals are false."""

    def __init__(self, literals: Sequence[int], count: int) -> None:
        self.literals = tuple(literals)
        self.count = count
        self.false = {literal ^ 1 for literal in literals}


class ClauseSearch:
    """Clauses and atoms. What is added in a `scope` is dropped at its end."""

    def __init__(self, variables: int) -> None:
        self.simplex = Simplex(variables)
        self.contradictory = False  # without any question
        self._terms: dict[LinearSum, int] = {((index, 1),): index for index in range(variables)}
        self._sums: list[LinearSum] = list(self._terms)
        self._atoms: list[dict[BoundValue, int]] = [{} for _ in range(variables)]  # of each term
        self._bounds: list[Bound | None] = []  # by literal
        self._true: list[int] = []  # by literal: 1 true, -1 false, 0 neither
        self._level: list[int] = []  # by variable, as the next ones
        self._reason: list[Disjunction | None] = []
        self._activity: list[float] = []
        self._parts: list[list[Literals] | None] = []  # what a literal implies, clause by clause
        self._watching: list[list[Disjunction]] = []  # by literal
        self._clauses: list[Disjunction] = []  # those asked for, without what was learnt
        self._learnt: list[Disjunction] = []
        self._trail: Literals = []
        self._heads: list[tuple[int, int]] = []  # of trail and bounds, where each level begins
        self._next = 0  # in the trail, what follows from it is not yet known
        self._bump = 1.0
        self._most: AtMost | None = None

    # Building

    def literal(self) -> int:
        """A new literal."""
        self._bounds += (None, None)
        self._true += (0, 0)
        self._level.append(0)
        self._reason.append(None)
        self._activity.append(0.0)
        self._parts.append(None)
        self._watching += ([], [])
        return len(self._true) - 2

    def term(self, sum_: LinearSum) -> int:
        """The term of a sum."""
        found = self._terms.get(sum_)
        if found is None:
            self._terms[sum_] = found = self.simplex.new(sum_)
            self._sums.append(sum_)
            self._atoms.append({})
        return found

    def atom(self, term: int, value: BoundValue) -> int:
        """The literal that the term is at least the value."""
        atoms = self._atoms[term]
        found = atoms.get(value)
        if found is None:
            self._backtrack(1)
            atoms[value] = found = self.literal()
            self._bounds[found] = (True, term, value)
            self._bounds[found + 1] = (False, term, (value[0], value[1] - UNIT))
            lower, upper = self.simplex.lower[term], self.simplex.upper[term]
            if lower is not None and self.simplex.within((True, term, value), lower):
                self._set(found, None)
            elif upper is not None and not self.simplex.within((True, term, value), upper):
                self._set(found + 1, None)
        return found

    def implies(self, literal: int, clauses: Iterable[Literals]) -> None:
        """Says what the literal stands for: all of these clauses hold where it is true."""
        parts = list(clauses)
        self._parts[literal >> 1] = parts
        for part in parts:
            self.add([literal ^ 1, *part])

    def add(self, literals: Literals) -> None:
        """Adds a clause."""
        self._backtrack(1)
        unique = list(dict.fromkeys(literals))
        if any(self._true[x] > 0 or x ^ 1 in unique for x in unique):
            return
        open_ = [x for x in unique if not self._true[x]]
        if not open_:
            self._contradict()
        elif len(open_) == 1:
            self._set(open_[0], None)
        else:
            clause = Disjunction(open_, bool(self._heads))
            self._clauses.append(clause)
            self._watch(clause)

    def _contradict(self) -> None:
        if self._heads:
            self._scope_contradictory = True
        else:
            self.contradictory = True

    def _watch(self, clause: Disjunction) -> None:
        self._watching[clause.literals[0]].append(clause)
        self._watching[clause.literals[1]].append(clause)

    # Scopes

    @contextmanager
    def scope(self) -> Iterator[None]:
        """A question: level 1 of the search is its root."""
        sizes = len(self._true), len(self.simplex), len(self._clauses), len(self._learnt)
        self._settle()
        self._scope_contradictory = self.contradictory
        self._heads.append((len(self._trail), self.simplex.asserted))
        try:
            yield
        finally:
            self._most = None
            self._backtrack(0)
            self._forget(*sizes)

    def _settle(self) -> None:
        """What follows from the premises alone stays known."""
        if not self.contradictory and self._propagate() is not None:
            self.contradictory = True

    def _forget(self, literals: int, terms: int, clauses: int, learnt: int) -> None:
        gone = [*self._clauses[clauses:]]
        kept = self._learnt[:learnt]
        for clause in self._learnt[learnt:]:
            within = not clause.local and max(clause.literals) < literals
            if within and len(clause.literals) <= LONGEST_KEPT and len(kept) < MOST_KEPT:
                kept.append(clause)
            else:
                gone.append(clause)
        self._drop(gone, literals)
        units = [c.literals[0] for c in kept[learnt:] if len(c.literals) == 1]
        self._learnt = [c for c in kept if len(c.literals) > 1]
        del self._clauses[clauses:]
        for sum_ in self._sums[terms:]:
            del self._terms[sum_]
        for literal in range(literals, len(self._true), 2):
            bound = self._bounds[literal]
            if bound is not None and bound[1] < terms:
                del self._atoms[bound[1]][bound[2]]
        del self._sums[terms:], self._atoms[terms:]
        self.simplex.forget(terms)
        del self._bounds[literals:], self._true[literals:], self._watching[literals:]
        variables = literals >> 1
        del self._level[variables:], self._reason[variables:]
        del self._activity[variables:], self._parts[variables:]
        for unit in units:
            self.add([unit])

    def _drop(self, clauses: Sequence[Disjunction], literals: int) -> None:
        for clause in clauses:
            for watched in clause.literals[:2] if len(clause.literals) > 1 else ():
                if watched < literals:
                    self._watching[watched].remove(clause)

    # Values of literals

    def _set(self, literal: int, reason: Disjunction | None) -> None:
        self._true[literal], self._true[literal ^ 1] = 1, -1
        variable = literal >> 1
        self._level[variable] = len(self._heads)
        self._reason[variable] = reason
        self._trail.append(literal)

    def _backtrack(self, level: int) -> None:
        """Takes back all that was set beyond a level."""
        if len(self._heads) <= level:
            return
        trail, bounds = self._heads[level]
        true = self._true
        for literal in self._trail[trail:]:
            true[literal] = true[literal ^ 1] = 0
        del self._trail[trail:], self._heads[level:]
        self._next = min(self._next, trail)
        self.simplex.retract(bounds)

    def _propagate(self) -> Disjunction | None:
        """Sets what follows, until nothing does; a clause that is false where it contradicts."""
        while True:
            while self._next < len(self._trail):
                literal = self._trail[self._next]
                self._next += 1
                conflict = self._follow(literal ^ 1)
                if conflict is None and self._bounds[literal] is not None:
                    conflict = self._bound(literal)
                if conflict is None and self._most is not None and literal in self._most.false:
                    conflict = self._counted()
                if conflict is not None:
                    return conflict
            wrong = self.simplex.check()
            if wrong is not None:
                return Disjunction([literal ^ 1 for literal in wrong], False)
            if self._next == len(self._trail):
                return None

    def _follow(self, false: int) -> Disjunction | None:
        """Looks at the clauses that watch a literal which is now false."""
        true, watching = self._true, self._watching[false]
        kept = 0
        for index, clause in enumerate(watching):
            literals = clause.literals
            if literals[0] == false:
                literals[0], literals[1] = literals[1], false
            if true[literals[0]] <= 0:
                for k in range(2, len(literals)):
                    if true[literals[k]] >= 0:
                        literals[1], literals[k] = literals[k], false
                        self._watching[literals[1]].append(clause)
                        break
                else:
                    watching[kept] = clause
                    kept += 1
                    if true[literals[0]] < 0:
                        watching[kept:] = watching[index + 1 :]
                        return clause
                    self._set(literals[0], clause)
                continue
            watching[kept] = clause
            kept += 1
        del watching[kept:]
        return None

    def _bound(self, literal: int) -> Disjunction | None:
        """Asserts the bound of a literal, and sets the other atoms of its term that it decides."""
        bound = self._bounds[literal]
        assert bound is not None
        news, against = self.simplex.bound(bound, literal)
        if against is not None:
            return Disjunction([literal ^ 1, against ^ 1], False)
        if news:
            is_lower, term, value = bound
            true = self._true
            for at_least, atom in self._atoms[term].items():
                if not true[atom]:
                    if is_lower and at_least <= value:
                        self._set(atom, Disjunction([atom, literal ^ 1], False))
                    elif not is_lower and at_least > value:
                        self._set(atom + 1, Disjunction([atom + 1, literal ^ 1], False))
        return None

    def _counted(self) -> Disjunction | None:
        """Sets the other literals once as many are false as may be."""
        most = self._most
        assert most is not None
        false = [x for x in most.literals if self._true[x] < 0]
        if len(false) < most.count:
            return None
        if len(false) > most.count:
            return Disjunction(false[: most.count + 1], True)
        for literal in most.literals:
            if not self._true[literal]:
                self._set(literal, Disjunction([literal, *false], True))
        return None

    # ClauseSearch

    def solve(
        self,
        assumptions: Sequence[int] = (),
        most: AtMost | None = None,
        least: int | None = None,
    ) -> bool:
        """Whether everything can hold, the assumptions too, in the scope that is open.

        Afterwards the values of the simplex method satisfy it, and a term is the least among the
        choices that were made. Raises `SpentError`.
        """
        self._backtrack(1)
        self._most = most
        self.core: Literals = []
        if self._scope_contradictory or (most is not None and self._miscounted()):
            return False
        while True:
            conflict = self._propagate()
            spend()
            if conflict is not None:
                if not self._learn(conflict):
                    self._scope_contradictory |= most is None
                    return False
                continue
            decision = self._decision(assumptions)
            if decision is None and least is not None:
                self.simplex.minimize(least)
                decision = self._decision(assumptions)
            if decision is None:
                return True
            if self._true[decision] < 0:
                self.core = self._final(decision)
                return False
            self._heads.append((len(self._trail), self.simplex.asserted))
            if not self._true[decision]:
                self._set(decision, None)

    def _miscounted(self) -> bool:
        return self._counted() is not None

    def _decision(self, assumptions: Sequence[int]) -> int | None:
        """The next literal to be true; None where everything holds."""
        decided = len(self._heads) - 1
        if decided < len(assumptions):
            return assumptions[decided]
        self._seen: dict[int, Value] = {}
        for clause in self._clauses:
            if not any(map(self._holds, clause.literals)):
                return self._chosen(clause.literals)
        if self._most is not None:
            missed = [x for x in self._most.literals if not self._holds(x)]
            if len(missed) > self._most.count:
                return self._chosen(missed)
        return None

    def _chosen(self, literals: Iterable[int]) -> int:
        unset = [x for x in literals if not self._true[x]]
        return max(unset, key=lambda x: self._activity[x >> 1])

    def _holds(self, literal: int) -> bool:
        """Whether a literal holds at the present values, or is taken to."""
        if self._true[literal] > 0:
            return True
        bound = self._bounds[literal]
        if bound is not None:
            term = bound[1]
            found = self._seen.get(term)
            if found is None:
                self._seen[term] = found = self.simplex.value(term)
            return self.simplex.within(bound, found)
        if literal & 1:
            return not self._true[literal]  # what stands for something need not be true
        parts = self._parts[literal >> 1]
        return parts is not None and all(any(map(self._holds, part)) for part in parts)

    def point(self) -> tuple[int, ...]:
        """Values of the variables under which everything holds that does now.

        First the denominator that they have in common, then numerators.
        """
        simplex = self.simplex
        bounds = () if simplex.exact() else self._bounds
        held = (b for b in bounds if b is not None and simplex.within(b, simplex.value(b[1])))
        return simplex.point([*held])

    # Learning

    def _learn(self, conflict: Disjunction) -> bool:
        """Learns why it went wrong, and goes back to where that says something new.

        False where nothing is left to go back to.
        """
        level = max((self._level[x >> 1] for x in conflict.literals), default=0)
        if level <= 1:
            return False
        self._backtrack(level)
        learnt, local = self._cause(conflict, level)
        back = max((self._level[x >> 1] for x in learnt[1:]), default=1)
        self._backtrack(back)
        clause = Disjunction(learnt, local)
        self._learnt.append(clause)
        if len(learnt) > 1:
            second = max(range(1, len(learnt)), key=lambda i: self._level[learnt[i] >> 1])
            learnt[1], learnt[second] = learnt[second], learnt[1]
            self._watch(clause)
        self._set(learnt[0], clause)
        self._bump *= DECAY
        if self._bump > 1e100:
            self._activity = [activity * 1e-100 for activity in self._activity]
            self._bump *= 1e-100
        return True

    def _cause(self, conflict: Disjunction, level: int) -> tuple[Literals, bool]:
        """A clause with a single literal of this level, its first; whether it is local."""
        seen: set[int] = set()
        earlier: Literals = []
        clause, local = conflict, conflict.local
        skipped = -1
        open_, index = 0, len(self._trail)
        while True:
            for literal in clause.literals:
                variable = literal >> 1
                if literal == skipped or variable in seen:
                    continue
                seen.add(variable)
                at = self._level[variable]
                if at == level:
                    self._activity[variable] += self._bump
                    open_ += 1
                elif at > 1:
                    self._activity[variable] += self._bump
                    earlier.append(literal)
                elif at == 1:
                    local = True
            index -= 1
            while (
                self._trail[index] >> 1 not in seen or self._level[self._trail[index] >> 1] != level
            ):
                index -= 1
            skipped = self._trail[index]
            open_ -= 1
            if not open_:
                return [skipped ^ 1, *earlier], local
            reason = self._reason[skipped >> 1]
            assert reason is not None
            clause = reason
            local |= reason.local

    def _final(self, false: int) -> Literals:
        """Assumptions that make one of them false, with that one."""
        found = [false]
        seen = {false >> 1}
        for literal in reversed(self._trail):
            variable = literal >> 1
            if variable in seen and self._level[variable] > 1:
                reason = self._reason[variable]
                if reason is None:
                    found.append(literal)
                else:
                    seen |= {x >> 1 for x in reason.literals}
        return list(dict.fromkeys(found))
