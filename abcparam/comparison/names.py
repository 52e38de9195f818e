"""Which tensors of two programs are the same, by the names that parameters have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from abcparam.algebra.record import Record
from abcparam.program.model import Program

TensorNames = Mapping[str, Iterable[str]]  # all that a tensor is called, by its path


class MatchedTensors(Record):
    """Paths of A and of B that are the same tensor; one may stand for several of the other."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def by_path(cls, a: Program, b: Program) -> MatchedTensors:
        """Those of the same path."""
        return cls(tuple((path, path) for path in a.tensors if path in b.tensors))

    def of(self, path: str) -> list[str]:
        """Those of B, for one of A."""
        return [other for mine, other in self.pairs if mine == path]


def matched(a: Program, b: Program, names: TensorNames) -> MatchedTensors:
    """By paths, but for numbers of layers, and `.weight` at the end.

    A tensor that stands for layers is matched with that of each of them.
    """
    return MatchedTensors(tuple(_matched(a, b, names)))


def _matched(a: Program, b: Program, names: TensorNames) -> Iterator[tuple[str, str]]:
    mine, theirs = _by_name(a, names), _by_name(b, names)
    numbered = dict(_numbered(mine, theirs))
    numbered |= {path: other for other, path in _numbered(theirs, mine)}
    for path in a.tensors:
        if path in b.tensors:
            yield path, path
            continue
        if path in numbered:
            yield path, numbered[path]
            continue
        found = _found(_plain(path, names), theirs)
        yield from ((path, other) for other in found)


def _by_name(program: Program, names: TensorNames) -> dict[str, list[str]]:
    """The paths of tensors, by what they are called."""
    found: dict[str, list[str]] = {}
    for path in program.tensors:
        for name in _plain(path, names):
            found.setdefault(name, []).append(path)
    return found


def _numbered(
    several: Mapping[str, list[str]], others: Mapping[str, list[str]]
) -> Iterator[tuple[str, str]]:
    """Of tensors of one name those that are `weight`, `weight2`, `weight3` on the other side."""
    for name, paths in several.items():
        written = [name, *(f"{name}{number}" for number in range(2, len(paths) + 1))]
        if len(paths) > 1 and all(len(others.get(n, ())) == 1 for n in written):
            yield from zip(paths, (others[n][0] for n in written), strict=True)


def _found(names: Iterable[str], theirs: Mapping[str, list[str]]) -> list[str]:
    """Those of a name; else the one within something else, as a repeat that lists share."""
    for name in names:
        if name in theirs:
            return theirs[name]
    within = [x for name in names for n, x in theirs.items() if n.endswith(f".{name}")]
    return within[0] if len(within) == 1 else []


def _plain(path: str, names: TensorNames) -> list[str]:
    """What a tensor is called, without numbers of copies and PyTorch's `.weight` at its end.

    A bias may be `map.bias` or, beside a tensor `map`, `map_bias`.
    """
    found = []
    for name in (path, *names.get(path, ())):
        parts = [part for part in name.split(".") if not _is_number(part)]
        if parts[-1:] == ["bias"] and parts[1:]:  # of a map that is a tensor itself
            found += [".".join(parts), f"{'.'.join(parts[:-1])}_bias"]
            continue
        found.append(".".join(parts[:-1] if parts[-1:] == ["weight"] and parts[1:] else parts))
    return list(dict.fromkeys(found))


def _is_number(part: str) -> bool:
    """`*`, `3`, `1-3`, or `0-6/2`."""
    return part == "*" or part.replace("-", "").replace("/", "").isdigit()
