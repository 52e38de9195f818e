"""Where exponents are written, and shifts of them as the fewest changes of these places.

A place is a role, for all tensors that take an exponent from it, or a name that is declared. Shifts
that are the same training (a gauge) are spelled as the one that moves the fewest exponents, in the
gauge that a tensor is in where that is as short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Span
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor, exponents_by_key, key_of, letter_and_dim
from abcparam.verdict.changes import Change, ExponentChange
from abcparam.verdict.wanted import KeyShifts

Shift = Mapping[str, Fraction]  # by key

ZERO = Affine(Fraction(0))
HALVES = (Fraction(0), Fraction(1, 2), Fraction(1))
NOT_MOVED: tuple[dict[str, Fraction], ...] = ({},)
USUAL = {"a": HALVES, "b": HALVES}  # in the literature; a `c` may be anything


class Places:
    """Where exponents are written: at roles, and at the names of declarations."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.by_role = any(
            t.places.keys() & set("abc") - t.spans.keys() for t in program.tensors.values()
        )

    def groups(self, keys: Iterable[str]) -> Iterator[tuple[str, str, list[Tensor]]]:
        """Each place: a key, its owner and the tensors that take the exponent there."""
        for key in keys:
            left = {t.path: t for t in self.program.tensors.values() if not _idle(t, key)}
            for role, takers in self._takers(key).items() if self.by_role else ():
                same = [t for t in takers if left.pop(t.path, None)]
                if same:
                    yield key, role, same
            for same in _declared(left.values(), key):
                yield key, _names(same), same

    def changes(self, shifts: KeyShifts) -> list[ExponentChange]:
        """KeyShifts as changes of places, in the gauge in which the fewest exponents change."""
        return self.spelled(self._in_gauge(shifts))

    def spelled(self, moved: Mapping[str, Shift]) -> list[ExponentChange]:
        """Shifts by tensor as changes of places, in the gauge that they are in."""
        found: list[ExponentChange] = []
        for key in dict.fromkeys(key for keys in moved.values() for key in keys):
            left = {path: keys[key] for path, keys in moved.items() if keys.get(key)}
            if self.by_role:
                found += self._roles(key, left)
            found += self._declarations(key, left)
        order = {path: index for index, path in enumerate(self.program.tensors)}
        return sorted(found, key=lambda change: (order[change.paths[0]], change.key))

    def _roles(self, key: str, left: dict[str, Fraction]) -> Iterator[ExponentChange]:
        """Changes of roles of which all tensors that matter move alike; they leave `left`."""
        for role, tensors in self._takers(key).items():
            by = {left.get(t.path) for t in tensors if not _idle(t, key)}
            shift = by.pop() if len(by) == 1 else None
            if shift is not None:
                yield self._change(role, key, tensors, shift)
                for tensor in tensors:
                    left.pop(tensor.path, None)

    def _takers(self, key: str) -> dict[str, list[Tensor]]:
        """The tensors that take an exponent from their roles."""
        takers: dict[str, list[Tensor]] = {}
        for tensor in self.program.tensors.values():
            if tensor.role is not None and key not in tensor.spans:
                takers.setdefault(tensor.role, []).append(tensor)
        return takers

    def _declarations(self, key: str, left: Mapping[str, Fraction]) -> Iterator[ExponentChange]:
        """Changes of declarations: of all their names where these move alike, else of each."""
        for tensors in _declared((self.program.tensors[path] for path in left), key):
            alike: dict[Fraction, list[Tensor]] = {}
            for tensor in tensors:
                alike.setdefault(left[tensor.path], []).append(tensor)
            for shift, same in alike.items():
                yield self._change(_names(same), key, same, shift)

    def _change(
        self, owner: str, key: str, tensors: Sequence[Tensor], by: Fraction
    ) -> ExponentChange:
        paths = tuple(tensor.path for tensor in tensors)
        before = exponents_by_key(tensors[0]).get(key, ZERO).constant
        return ExponentChange(
            paths[0] if len(paths) == 1 else owner, key, before, before + by, paths
        )

    def whole(self, change: ExponentChange) -> ExponentChange:
        """The change of all that is declared where its tensors are."""
        spans = {self.program.tensors[path].span for path in change.paths}
        paths = tuple(p for p, tensor in self.program.tensors.items() if tensor.span in spans)
        if len(paths) <= len(change.paths):
            return change
        return replace(change, owner=self.program.tensors[paths[0]].name, paths=paths)

    def alike(self, changes: Iterable[Change]) -> list[tuple[ExponentChange, list[Change]]]:
        """Changes of tensors that take an exponent from one role, and as one of the role."""
        found: dict[tuple[str | None, str, Fraction], list[Change]] = {}
        for change in changes:
            if isinstance(change, ExponentChange) and self.by_role:
                tensor = self.program.tensors[change.paths[0]]
                if change.key not in tensor.spans:
                    kind = tensor.role, change.key, change.after
                    found.setdefault(kind, []).append(change)
        return [
            (self._of_role(str(role), key, after), alike)
            for (role, key, after), alike in found.items()
        ]

    def _of_role(self, role: str, key: str, after: Fraction) -> ExponentChange:
        tensors = self.program.tensors.values()
        takers = [t for t in tensors if t.role == role and key not in t.spans]
        before = exponents_by_key(takers[0]).get(key, ZERO).constant
        return self._change(role, key, takers, after - before)

    # Gauges

    def _in_gauge(self, shifts: KeyShifts) -> dict[str, Shift]:
        """Equal shifts with as few changes as can be, those of a role counted once."""
        moved = {path: keys for path, keys in shifts.items() if any(keys.values())}
        options = {path: self._options(path, keys) for path, keys in moved.items()}
        if not self.by_role:
            return {path: found[0] for path, found in options.items()}
        chosen: dict[str, Shift] = {}
        for role in dict.fromkeys(self.program.tensors[path].role for path in options):
            takers = [t for t in self.program.tensors.values() if t.role == role]
            shared = self._shared(takers, options)
            for tensor in takers:
                if tensor.path in options:
                    chosen[tensor.path] = _nearest(tensor, options[tensor.path], shared)
        return chosen

    def _shared(self, takers: Sequence[Tensor], options: Mapping[str, Sequence[Shift]]) -> Shift:
        """What a role should move by, so that the fewest changes are left for its tensors."""
        declared = {tensor.span: tensor for tensor in takers}.values()
        tried: dict[tuple[tuple[str, Fraction], ...], Shift] = {(): {}}
        for tensor in declared:
            for option in options.get(tensor.path, ()):
                own = {k: v for k, v in option.items() if k not in tensor.spans}
                tried.setdefault(tuple(sorted(own.items())), own)

        def changes(shared: Shift) -> tuple[int, int]:
            total, unusual = len(shared), 0
            for tensor in declared:
                option = _nearest(tensor, options.get(tensor.path, NOT_MOVED), shared)
                more, missing = _apart(tensor, option, shared)
                total += more + missing * len(takers)
                unusual = max(unusual, _unusual(tensor, option))
            return total, unusual

        return min(tried.values(), key=changes)

    def _options(self, path: str, keys: Shift) -> list[Shift]:
        """Equal shifts, the shortest first, of these the spec's own gauge or what moves least."""
        tensor = self.program.tensors[path]
        by_dim: dict[str, dict[str, Fraction]] = {}
        for key, value in keys.items():
            letter, dim = letter_and_dim(key)
            by_dim.setdefault(dim, {})[letter] = value
        found: list[Shift] = [{}]
        for dim, letters in by_dim.items():
            equal = self._equal(tensor, dim, letters)
            found = [
                {**option, **{key_of(letter, dim): value for letter, value in more.items()}}
                for option in found
                for more in equal
            ]
        return sorted(found, key=len)

    def _equal(self, tensor: Tensor, dim: str, letters: Mapping[str, Fraction]) -> list[Shift]:
        shift = self.program.shift_of(tensor)
        moves = {Fraction(0)}
        if self.program.has_gauge(tensor):
            moves |= {-v / shift[k] for k, v in letters.items() if shift[k]}
        options = []
        for by in sorted(moves, key=lambda move: (abs(move), move)):
            option = {
                letter: letters.get(letter, Fraction(0)) + by * shift[letter] for letter in "abcd"
            }
            idle = {letter for letter in "abcd" if _idle(tensor, key_of(letter, dim))}
            if not self.program.strict_epsilon:
                idle.add("d")
            options.append({k: v for k, v in option.items() if v and k not in idle})

        def cost(option: Shift) -> tuple[int, int, Fraction]:
            total = sum(map(abs, option.values()), Fraction(0))
            keys = {key_of(letter, dim): value for letter, value in option.items()}
            if len(option) == 1:
                return 1, 0, total
            return len(option), _unusual(tensor, keys), Fraction(0)

        return sorted(options, key=cost)


def _declared(tensors: Iterable[Tensor], key: str) -> Iterable[list[Tensor]]:
    """Tensors by where their exponent is declared."""
    declared: dict[Span, list[Tensor]] = {}
    for tensor in tensors:
        declared.setdefault(tensor.spans.get(key, tensor.span), []).append(tensor)
    return declared.values()


def _names(tensors: Iterable[Tensor]) -> str:
    return ", ".join(dict.fromkeys(tensor.name for tensor in tensors))


def _nearest(tensor: Tensor, options: Sequence[Shift], shared: Shift) -> Shift:
    """The option of a tensor with the fewest changes beside its role's."""
    return min(options, key=lambda option: _apart(tensor, option, shared))


def _unusual(tensor: Tensor, option: Shift) -> int:
    """How many exponents come to be what they are not in the literature."""
    written = exponents_by_key(tensor)
    after = {key: written.get(key, ZERO).constant + by for key, by in option.items()}
    return sum(key in USUAL and value not in USUAL[key] for key, value in after.items())


def _apart(tensor: Tensor, option: Shift, shared: Shift) -> tuple[int, int]:
    """How many changes a tensor needs beside its role's, and how many of these it does not want."""
    more = sum(key in tensor.spans or shared.get(key) != value for key, value in option.items())
    missing = sum(
        key not in tensor.spans and not _idle(tensor, key) and key not in option for key in shared
    )
    return more + missing, missing


def _idle(tensor: Tensor, key: str) -> bool:
    """Whether nothing depends on an exponent: zeros have no scale, what is frozen no rate."""
    letter = key[0]
    return (
        (letter == "b" and tensor.init.is_zero)
        or (letter in "cd" and tensor.frozen)
        or (tensor.own is None and key == letter)
    )
