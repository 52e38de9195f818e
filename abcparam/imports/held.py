"""What a model that was read is held to: sizes as measured, and gradients as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.imports.alike import Model
from abcparam.imports.factory import Factory
from abcparam.imports.faithful import findings, other_gradients
from abcparam.imports.inits import Start
from abcparam.imports.measured import disagreements
from abcparam.imports.numbers import Sizes
from abcparam.imports.program import program_of, source_of
from abcparam.imports.rates import Rate
from abcparam.imports.reading import read
from abcparam.imports.traced import Trace


def objections(
    factory: Factory,
    trace: Trace,
    model: Model,
    settings: Sequence[Sizes],
    grow: frozenset[str],
    starts: Mapping[str, Start],
    rates: Mapping[str, Rate],
    output: str | None = None,
) -> tuple[Diagnostic, ...]:
    """Errors, where a model is not what was read of it; `trace` is that at the first setting."""
    base = settings[0]
    meaning = read(model, base, grow, output, inline=False, entitled=False)
    source = source_of({}, factory.file)
    program = program_of(model, meaning, starts, rates, base, grow, source, factory.name)
    sizes = disagreements(program, model, settings, grow)
    names = other_gradients(factory.make(base))
    return (*(found.diagnostic for found in sizes), *findings(names, trace))
