"""What goes to infinity: something, where roles are declared, and nothing that counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import shapes as rules
from abcparam.language import syntax
from abcparam.resolve.amounts import NotStaticError
from abcparam.resolve.tensors import Globals

USUAL = 512  # a size for a dim that has none


def limits_are_wrong(spec: syntax.Spec, world: Globals) -> bool:
    """Reports what cannot be a limit; whether there was something to report."""
    found = [*_nothing_grows(spec, world), *_counts_that_grow(spec, world)]
    for diagnostic in found:
        world.collector.add(diagnostic)
    return bool(found)


def _nothing_grows(spec: syntax.Spec, world: Globals) -> Iterator[Diagnostic]:
    """A spec whose roles say that something grows, while no dim does."""
    tensors = [t for t in _tensors(spec.declarations) if t.role and t.role.id != "scalar"]
    if not tensors or any(dim.growing for dim in world.dims.values()):
        return
    hidden = [t for t in tensors if t.role and t.role.id == "hidden"]
    axes = [axis for tensor in hidden or tensors for axis in tensor.shape]
    counts = Counter(name for axis in axes for name in _dims_of(axis, world))
    if counts:
        dim = world.dims[max(counts, key=lambda name: counts[name])]
        first = (hidden or tensors)[0].role
        assert first is not None
        fields = {"role": first.id, "dim": dim.name, "size": dim.default or USUAL}
        yield rules.NothingGrows.at(dim.span, **fields)


def _counts_that_grow(spec: syntax.Spec, world: Globals) -> Iterator[Diagnostic]:
    """Vocabularies and sequences that go to infinity, each once."""
    told: set[str] = set()
    for given in (x for d in spec.declarations if isinstance(d, syntax.Forward) for x in d.inputs):
        if given.index is not None:
            yield from _growing(world, [given.index], "classes", told)
            yield from _growing(world, given.shape, "positions", told)


def _growing(
    world: Globals, lengths: Iterable[syntax.Expression], counted: str, told: set[str]
) -> Iterator[Diagnostic]:
    for length in lengths:
        for name in syntax.names_in(length):
            dim = world.dims.get(name)
            roots = sorted(dim.value.names) if dim else []
            for root in (world.dims[n] for n in roots if world.dims[n].growing and n not in told):
                told.add(root.name)
                what, counts, why = getattr(rules.CountGrows, counted)
                fields = {"what": what, "counted": counts, "why": why}
                size = root.base or USUAL
                yield rules.CountGrows.at(root.span, dim=root.name, size=size, **fields)


def _dims_of(axis: syntax.Expression, world: Globals) -> list[str]:
    """The dims that a length is made of, none where it is no length outside of a block."""
    try:
        names = world.amounts({}).polynomial(axis).names
    except NotStaticError:
        return []
    return sorted(name for name in names if name in world.dims)


def _tensors(statements: Iterable[syntax.Node]) -> Iterator[syntax.Tensor]:
    for statement in statements:
        if isinstance(statement, syntax.Tensor):
            yield statement
        elif isinstance(statement, (syntax.Block, syntax.Forward, syntax.Repeat)):
            yield from _tensors(statement.body)
