"""What wrote each tensor while a factory ran: every operation of PyTorch is seen as it happens.

Nothing is sampled: `normal_(0, 0.02)` says all there is. Tensors are followed by the memory that
they share, so views, `.data` and `nn.Parameter` need no rule of their own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from math import inf, isclose, prod, sqrt
from types import FrameType
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from abcparam.algebra.record import NamedTuple
from abcparam.imports.drawn import (
    EMPTY,
    Drawn,
    constant,
    inverse_erf,
    normal,
    truncated,
    uniform,
    unknown,
)

Place = tuple[str, int]
ViewKey = tuple[object, ...]

STDLIB = os.path.dirname(os.__file__)
SKIPPED = (os.path.dirname(str(torch.__file__)), os.path.dirname(__file__))


STANDING_FOR = frozenset((*(name for name in dir(torch.nn.init) if name.endswith("_")), "copy_"))


class Write(NamedTuple):
    """What the entries of some memory are, and the line that made them so."""

    drawn: Drawn
    place: Place | None


class Memory:
    """What is known of a storage: what was written to all of it, and to parts since then."""

    def __init__(self, storage: Any) -> None:
        self.held = StorageWeakRef(storage)  # no other storage takes its address meanwhile
        self.whole = Write(EMPTY, None)
        self.parts: dict[ViewKey, tuple[int, Write]] = {}


class Writes(TorchDispatchMode):
    """Follows what the entries of tensors are, while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory: dict[int, Memory] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        call = Dispatched(self, func, args, kwargs or {})
        found = call.drawn()  # before it runs: it may write to what it reads
        result = func(*args, **(kwargs or {}))
        call.record(found, result)
        return result

    def write(self, tensor: Tensor, drawn: Drawn, place: Place | None = None) -> None:
        """All of a tensor has become this, by the line at hand unless another place is named."""
        memory = self._of(tensor)
        made = Write(drawn, place or _place())
        if _is_whole(tensor):
            memory.whole, memory.parts = made, {}
        else:
            key = _view_key(tensor)
            memory.parts.pop(key, None)
            memory.parts[key] = tensor.numel(), made

    def read(self, tensor: Tensor) -> Write:
        """What the entries of a tensor are now."""
        memory = self._of(tensor)
        parts = memory.parts
        if not parts:
            return memory.whole
        if not _is_whole(tensor):
            exact = parts.get(_view_key(tensor))
            return exact[1] if exact else Write(unknown("writes to parts"), None)
        return _joined(memory, tensor.numel())

    def _of(self, tensor: Tensor) -> Memory:
        key = address_of(tensor)
        if key not in self.memory:
            self.memory[key] = Memory(tensor.untyped_storage())
        return self.memory[key]


def address_of(tensor: Tensor) -> int:
    """Of the storage that a tensor shares with its views."""
    return int(tensor.untyped_storage()._cdata)


def _is_followed(value: object) -> TypeGuard[Tensor]:
    """Whether a value is a tensor with plain memory."""
    return isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta


def _joined(memory: Memory, count: int) -> Write:
    """What is left of a whole after writes to its parts."""
    written = [write for _, write in memory.parts.values()]
    last = written[-1]
    covered = sum(number for number, _ in memory.parts.values()) == count
    whole = last if covered else memory.whole
    others = [write for write in written if not write.drawn.like(whole.drawn)]
    if not others:
        return whole
    if all(write.drawn == constant(0.0) for write in others) and not whole.drawn.is_constant:
        return whole  # rows that are zeroed, as that of a padding index
    return Write(unknown("writes to parts"), last.place)


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor is all of its storage."""
    repeated = any(step == 0 < n - 1 for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    count = tensor.untyped_storage().nbytes() // tensor.element_size()
    return tensor.numel() == count and not repeated


def _view_key(tensor: Tensor) -> ViewKey:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _place() -> Place | None:
    """The innermost line that is none of PyTorch's, Python's or ours.

    Nor is it in a function that stands for one of PyTorch's, `normal_` as Transformers has it.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if not (_is_skipped(code.co_filename) or code.co_name in STANDING_FOR):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


@cache
def _is_skipped(file: str) -> bool:
    inner = file.startswith(STDLIB) and "-packages" not in file
    return inner or file.startswith((*SKIPPED, "<")) or file.endswith("typing_extensions.py")


# Operations

# They change how a tensor lies in its memory, not what is there.
RESHAPED = frozenset(
    ("t_", "transpose_", "squeeze_", "unsqueeze_", "as_strided_", "detach_", "set_")
)


class Dispatched:
    """An operation that is called."""

    def __init__(
        self, writes: Writes, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        self.writes = writes
        self.place: Place | None = None  # of what is copied, where that is all it does
        self.name = str(func._schema.name).partition("::")[2]
        schema = func._schema.arguments
        given = zip((argument.name for argument in schema), args, strict=False)
        self.values = {a.name: a.default_value for a in schema if a.has_default_value()}
        self.values |= {**dict(given), **kwargs}
        written = {a.name for a in schema if a.alias_info is not None and a.alias_info.is_write}
        self.changed = [] if self.name in RESHAPED else [self.values.get(n) for n in written]
        self.inputs = [x for x in tree_leaves((args, dict(kwargs))) if _is_followed(x)]

    def drawn(self) -> Drawn | tuple[Drawn, ...]:
        """What it makes of its entries."""
        rule = RULES.get(self.name.removesuffix("_")) or RULES.get(self.name)
        found = rule(self) if rule else None
        return unknown(f"`{self.name}`") if found is None else found

    def record(self, found: Drawn | tuple[Drawn, ...], result: Any) -> None:
        """Takes down what was written: arguments that changed, or results that are new."""
        given = set() if self.name == "lift_fresh" else set(map(address_of, self.inputs))
        results = [x for x in tree_leaves(result) if _is_followed(x)]
        fresh = [x for x in results if address_of(x) not in given]
        written = [x for x in tree_leaves(self.changed) if _is_followed(x)] or fresh
        several = found if isinstance(found, tuple) else (found,) * len(written)
        for tensor, drawn in zip(written, several, strict=False):
            self.writes.write(tensor, drawn, self.place)

    def of(self, name: str) -> Drawn:
        """What an operand's entries are."""
        value = self.values.get(name)
        if _is_followed(value):
            drawn = self.writes.read(value).drawn
            single = value.numel() == 1 and drawn.family in ("constant", "unknown")
            return constant(float(value.detach())) if single else drawn
        return constant(float(value)) if isinstance(value, bool | int | float) else unknown("")

    def place_of(self, name: str) -> Place | None:
        value = self.values.get(name)
        return self.writes.read(value).place if _is_followed(value) else None

    def number(self, name: str, otherwise: float = 0.0) -> float:
        value = self.values.get(name)
        return otherwise if value is None else float(value)

    def fills(self, source: str) -> bool:
        """Whether each entry comes from one of its own."""
        tensor, target = self.values.get(source), self.inputs[0]
        return isinstance(tensor, Tensor) and tensor.numel() == target.numel()


def _product(call: Dispatched) -> Drawn | None:
    left, right = call.of("self"), call.of("other")
    if right.is_constant:
        return left.affine(right.mean)
    if left.is_constant:
        return right.affine(left.mean)
    signs, other = sorted((left, right), key=lambda drawn: drawn.family != "signs")
    keeps = signs.family == "signs" and signs.spread == 1 and other.known and other.is_centred
    return other if keeps else None


def _quotient(call: Dispatched) -> Drawn | None:
    left, right = call.of("self"), call.of("other")
    rounded = call.values.get("rounding_mode")
    plain = right.is_constant and right.mean and not rounded
    return left.affine(1 / right.mean) if plain else None


def _sum(sign: int) -> Callable[[Dispatched], Drawn | None]:
    def rule(call: Dispatched) -> Drawn | None:
        left, right = call.of("self"), call.of("other")
        alpha = sign * call.number("alpha", 1.0)
        if right.is_constant:
            return left.affine(1.0, alpha * right.mean)
        return right.affine(alpha, left.mean) if left.is_constant else None

    return rule


def _reversed_difference(call: Dispatched) -> Drawn | None:
    other = call.of("other")
    alpha = call.number("alpha", 1.0)
    return call.of("self").affine(-alpha, other.mean) if other.is_constant else None


def _copied(call: Dispatched) -> Drawn | None:
    """Of what is copied into a tensor: each entry to one, or a constant to all."""
    source = call.of("src")
    call.place = call.place_of("src")
    return source if call.fills("src") or source.is_constant else None


def _filled(call: Dispatched) -> Drawn | None:
    value = call.of("value")
    return value if value.is_constant else None


def _filled_in_part(call: Dispatched) -> Drawn | None:
    """Zeros in some places leave the rest as it is."""
    before, value = call.of("self"), call.of("value")
    kept = value == constant(0.0) and not before.is_constant
    return before if kept or before.like(value) else None


def _put(call: Dispatched) -> Drawn | None:
    before, values = call.of("self"), call.of("values")
    kept = values == constant(0.0) and not before.is_constant and not call.values["accumulate"]
    return before if kept else None


def _alike(*drawn: Drawn) -> Drawn | None:
    first = drawn[0]
    return first if first.known and all(first.like(other) for other in drawn) else None


def _collected(call: Dispatched) -> Drawn | None:
    return _alike(*(call.writes.read(tensor).drawn for tensor in call.values["tensors"]))


def _chosen(call: Dispatched) -> Drawn | None:
    return _alike(call.of("self"), call.of("other"))


def _kept(call: Dispatched) -> Drawn | None:
    call.place = call.place_of("self")
    return call.of("self")


def _repeated(call: Dispatched) -> Drawn | None:
    found = call.of("self")
    return found if found.is_constant else None


def _clamped(call: Dispatched) -> Drawn | None:
    if any(isinstance(call.values.get(name), Tensor) for name in ("min", "max")):
        return None
    return call.of("self").clamped(call.number("min", -inf), call.number("max", inf))


def _orthogonal(call: Dispatched) -> tuple[Drawn, ...]:
    """Q has orthonormal columns: the mean square of its entries is one over their length."""
    matrix: Tensor = call.values["A"]
    columns = matrix.shape[-2]
    given = call.of("A")
    fits = given.family == "normal" and given.is_centred and call.values["mode"] == "reduced"
    q = Drawn("orthogonal", 0.0, 1 / sqrt(columns)) if fits else unknown("`linalg_qr`")
    return q, unknown("`linalg_qr`")


def _length(call: Dispatched) -> Drawn | None:
    """The Euclidean length of many entries: of their root mean square, and a little around it."""
    of, order = call.of("self"), call.values.get("p", call.values.get("ord"))
    tensor, axes = call.values["self"], call.values.get("dim")
    if order not in (None, 2) or of.family not in FOURTH or not of.is_centred:
        return None
    shape = tensor.shape
    count = prod(shape[axis] for axis in axes) if axes else tensor.numel()
    square = of.spread**2 / (3 if of.family == "uniform" else 1)
    return normal(sqrt(count * square), sqrt(square * (FOURTH[of.family] - 1)) / 2)


FOURTH = {"normal": 3.0, "uniform": 9 / 5}  # the mean fourth power over the squared mean square


def _torch_normal(call: Dispatched) -> Drawn | None:
    mean, std = call.values.get("mean", 0.0), call.values.get("std", 1.0)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        return None
    return normal(float(mean), float(std))


def _always(drawn: Drawn) -> Callable[[Dispatched], Drawn]:
    return lambda call: drawn


Rule = Callable[[Dispatched], "Drawn | tuple[Drawn, ...] | None"]

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros", "zero"), _always(constant(0.0))),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), _always(constant(1.0))),
    **dict.fromkeys(("empty", "empty_like", "new_empty", "empty_strided"), _always(EMPTY)),
    **dict.fromkeys(("empty_permuted", "new_empty_strided"), _always(EMPTY)),
    **dict.fromkeys(("randn", "randn_like"), _always(normal(0.0, 1.0))),
    **dict.fromkeys(("rand", "rand_like"), _always(uniform(0.0, 1.0))),
    **dict.fromkeys(("full", "full_like", "new_full"), lambda c: constant(c.number("fill_value"))),
    "fill": _filled,
    "normal": _torch_normal,
    "uniform": lambda call: uniform(call.number("from"), call.number("to", 1.0)),
    **dict.fromkeys(("mul", "multiply"), _product),
    **dict.fromkeys(("div", "divide"), _quotient),
    "add": _sum(1),
    "sub": _sum(-1),
    "rsub": _reversed_difference,
    "neg": lambda call: call.of("self").affine(-1.0),
    "sign": _always(Drawn("signs", 0.0, 1.0)),
    "copy": _copied,
    **dict.fromkeys(("clone", "_to_copy", "contiguous", "flip", "roll"), _kept),
    **dict.fromkeys(("repeat", "index_select", "index"), _repeated),
    **dict.fromkeys(("masked_fill", "index_fill"), _filled_in_part),
    "index_put": _put,
    **dict.fromkeys(("cat", "stack"), _collected),
    "where": _chosen,
    **dict.fromkeys(("clamp", "clip"), _clamped),
    "erfinv": lambda call: inverse_erf(call.of("self")),
    "linalg_qr": _orthogonal,
    **dict.fromkeys(("norm", "linalg_vector_norm"), _length),
}


@contextmanager
def recorded() -> Iterator[Writes]:
    """Follows what is written; truncated normals are known by PyTorch's own function for them.

    It draws again what falls outside, which no list of operations tells.
    """
    writes = Writes()
    inner = getattr(torch.nn.init, "_no_grad_trunc_normal_", None)

    def trunc_normal(
        tensor: Tensor, mean: float, std: float, a: float, b: float, *more: Any, **named: Any
    ) -> Any:
        assert inner is not None
        result = inner(tensor, mean, std, a, b, *more, **named)
        if not isclose(std, 0.0):
            writes.write(tensor, truncated(mean, std, a, b))
        return result

    if inner is not None:
        torch.nn.init._no_grad_trunc_normal_ = trunc_normal
    try:
        with writes:
            yield writes
    finally:
        if inner is not None:
            torch.nn.init._no_grad_trunc_normal_ = inner
