"""A spec as a configuration, where it is the model of a recipe.

What a spec's model looks like is read off its operations and shapes; the numbers are those of its
tensors and optimizer. The model that this makes is compared with the spec, so that what was read
wrongly, or has no place in a configuration, is never written.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import log2
from typing import NoReturn

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import recipes as rules
from abcparam.diagnostics.source import START, Source
from abcparam.pipeline import compared
from abcparam.program.amounts import Amount, Setting
from abcparam.program.binding import require_no_unknowns, require_numbers
from abcparam.program.expressions import Apply, parts_of
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, Tensor
from abcparam.recipes.base import ZERO, ProjectRecipe
from abcparam.recipes.decoder import Decoder, Scaling
from abcparam.recipes.judging import spec_of
from abcparam.recipes.settings import in_digits, text_of
from abcparam.verdict.check import load
from abcparam.verdict.magnitudes import evaluate

ACTIVATIONS = {"silu": "swiglu", "square": "relu2"}
FORWARD = "forward"  # what no constants make the same
SHOWN = 4  # differences that are told


class ExportedConfig(Record):
    """A configuration, and what of the spec it has otherwise; nothing where both are the same."""

    text: str
    notes: tuple[str, ...]


def exported(recipe: ProjectRecipe, program: Program) -> ExportedConfig:
    """The configuration of a spec's model at the width that is its default.

    Raises `SpecError` where the recipe's model is another one.
    """
    require_no_unknowns(program)
    require_numbers(program)
    width = _width(recipe, program)
    nearest: tuple[str, ...] = ()
    for decoder in _decoders(recipe, program):
        text = recipe.written(decoder, width)
        made = load(spec_of(recipe, Source(text, recipe.name)).source)
        if len(made.tensors) != len(program.tensors):
            continue
        found = compared(program, made)
        if found.same == "exactly":
            return ExportedConfig(text, ())
        told = tuple(
            f"{d.quantity} of {d.name}: {d.a} in the spec, {d.b} in the configuration"
            for d in found.differences[:SHOWN]
        )
        forward = any(d.quantity == FORWARD for d in found.differences)
        if found.same == "asymptotically" and not forward:
            return ExportedConfig(text, told)
        nearest = nearest or told
    return _other(recipe, program, "; ".join(nearest) or "it is no such model")


def _other(recipe: ProjectRecipe, program: Program, problem: str) -> NoReturn:
    error = rules.OtherModel.at(START, recipe=recipe.name, problem=problem)
    raise SpecError(program.source, [error])


def _width(recipe: ProjectRecipe, program: Program) -> int:
    """The width that the configuration is for: the default of the only dim that grows."""
    if len(program.growing) != 1:
        _other(recipe, program, "a configuration has one width that grows")
    (dim,) = program.growing
    return dim.default or dim.base or 1


def _decoders(recipe: ProjectRecipe, program: Program) -> Iterator[Decoder]:
    """What the spec's model may be: what its operations do not say is tried."""
    start = _read(recipe, program)
    positions = ("rope",) if start.positions == "rope" else ("learned", "none")
    ways = (True, False)
    for tied, bias, shift, places in product(ways, ways, ways, positions):
        yield replace(
            start, tied=tied, bias=bias, qkv_bias=bias, norm_shift=shift, positions=places
        )


def _read(recipe: ProjectRecipe, program: Program) -> Decoder:
    """A decoder with the spec's sizes and numbers."""
    reading = _Reading(program)
    attention = reading.applied("attention")
    looked_up = reading.applied("embed")
    if attention is None or looked_up is None or not program.inputs or not program.inputs[0].axes:
        _other(recipe, program, "it is no transformer on tokens")
    counts = [m.count for m in program.root.walk() if m.is_repeat and m.count is not None]
    maps = [t for t in program.tensors.values() if len(t.axes) == 2 and t.role == "hidden"]
    if len(counts) != 1 or not maps or program.inputs[0].index is None:
        _other(recipe, program, "it is no transformer of equal layers")
    number = reading.number
    (dim,) = program.growing
    base, heads = int(dim.base or 1), int(number(attention.settings["heads"]))
    kv_heads = int(number(attention.settings.get("kv_heads"), heads))
    widest = max(number(axis) for tensor in maps for axis in tensor.axes)
    up = next(t for t in maps if number(t.axes[0]) == widest or number(t.axes[1]) == widest)
    gain = next((t for t in program.tensors.values() if t.init.kind == "ones"), None)
    hidden, factors = _scaling(up), reading.factors()
    return Decoder(
        program.name,
        base,
        int(number(counts[0])),
        heads,
        base // heads,
        head_grows=not reading.grows(attention.settings["heads"]),
        group=heads // kv_heads,
        vocab=int(number(program.inputs[0].index)),
        context=int(number(program.inputs[0].axes[0])),
        inner=Fraction(int(widest), base),
        activation=next((to for name, to in ACTIVATIONS.items() if reading.applied(name)), "gelu"),
        norm="rmsnorm" if reading.applied("rmsnorm") else "layernorm",
        scale=reading.scale(attention.settings["scale"], base // heads),
        hidden=hidden,
        vector=_scaling(gain) if gain else Scaling(),
        output=_scaling(gain) if gain else Scaling(),
        lr=reading.setting("lr", "1e-3"),
        optimizer=program.optimizers[0].rule.name,
        betas=reading.betas(),
        eps=reading.setting("eps", "1e-8"),
        momentum=reading.setting("momentum", "0.9"),
        weight_decay=reading.setting("weight_decay", "0"),
        clip=reading.setting("clip_norm", "0"),
        init_std=_start(reading, up),
        embedding_std=reading.table_start(),
        output_falls=bool(hidden.b),
        embedding_mult=factors.get("embedding", "1"),
        residual_mult=factors.get("residual", "1"),
        output_mult=factors.get("output", "1"),
        positions="rope" if reading.applied("rope") else "learned",
    )


def _scaling(tensor: Tensor) -> Scaling:
    """The exponents of a tensor, its multiplier's in the others."""
    by_letter = {letter: tensor.exponents.get(letter, {}).get(OWN) for letter in "bcd"}
    return Scaling(**{letter: _constant(value) for letter, value in by_letter.items()})


def _constant(value: Affine | None) -> Fraction:
    return value.constant if value is not None else ZERO


def _start(reading: _Reading, tensor: Tensor) -> str:
    """What a tensor starts at, as a text."""
    argument = tensor.init.argument
    return text_of(reading.exact(argument)) if argument else "0.02"


class _Reading:
    """The numbers of a program at its base."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.values = program.base_values()
        self.settings = program.optimizers[0].settings

    def applied(self, name: str) -> Apply | None:
        """The first call of an operation."""
        calls = (e for e in self.program.expressions() if isinstance(e, Apply))
        return next((call for call in calls if call.operation.name == name), None)

    def number(self, setting: Setting | None, default: float = 0.0) -> float:
        return evaluate(setting.value, self.values) if isinstance(setting, Amount) else default

    def exact(self, amount: Amount) -> Fraction:
        """A number in as many digits as a configuration has."""
        return in_digits(evaluate(amount.value, self.values))

    def grows(self, setting: Setting) -> bool:
        names = setting.value.names if isinstance(setting, Amount) else frozenset[str]()
        return any(dim.name in names for dim in self.program.growing)

    def scale(self, setting: Setting, head: int) -> tuple[float, Fraction]:
        """Attention's scale as a factor and a power of the head's size."""
        at_base = self.number(setting)
        (dim,) = self.program.growing
        twice = self.values | {dim.name: 2 * self.values[dim.name]}
        falls = isinstance(setting, Amount) and log2(at_base / evaluate(setting.value, twice))
        powers = (Fraction(-1), Fraction(-1, 2)) if not falls else (Fraction(f"{-falls:.9g}"),)
        for power in powers:
            if abs(at_base * head ** float(-power) - 1) < 1e-9:
                return 1.0, power
        return at_base * head ** float(-powers[0]), powers[0]

    def setting(self, name: str, default: str) -> str:
        found = self.settings.get(name)
        return text_of(self.exact(found)) if isinstance(found, Amount) else default

    def betas(self) -> tuple[str, str]:
        found = self.settings.get("betas")
        if not isinstance(found, tuple):
            return Decoder.betas
        first, second = (text_of(self.exact(beta)) for beta in found)
        return first, second

    def factors(self) -> dict[str, str]:
        """Constant factors of the forward: of embeddings, of branches, of logits."""
        found: dict[str, str] = {}
        for module in self.program.root.walk():
            for call in module.expressions():
                by = call.settings.get("by") if isinstance(call, Apply) else None
                if not isinstance(call, Apply) or not isinstance(by, Amount):
                    continue
                parts = [part for x in call.operands if x is not None for part in parts_of(x)]
                applied = {part.operation.name for part in parts if isinstance(part, Apply)}
                name = "residual" if module.is_repeat else "output"
                name = "embedding" if "embed" in applied else name
                found[name] = text_of(self.exact(by))
        return found

    def table_start(self) -> str:
        """What the table of tokens starts at."""
        found = (t for t in self.program.tensors.values() if t.table and t.init.argument)
        table = next(found, None)
        return _start(self, table) if table else "0.02"
