"""What a model that was read is held to: sizes as measured, and gradients as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules.imports import SameIndices
from abcparam.diagnostics.source import START, Source
from abcparam.imports.alike import Model
from abcparam.imports.exported import Exported
from abcparam.imports.faithful import findings, other_gradients
from abcparam.imports.inits import Start
from abcparam.imports.measured import disagreements
from abcparam.imports.not_numbers import no_numbers
from abcparam.imports.numbers import Sizes
from abcparam.imports.program import program_of
from abcparam.imports.rates import Rate
from abcparam.imports.reading import read
from abcparam.imports.traced import Trace

EMBEDDING = torch.ops.aten.embedding.default


def objections(
    exported: Exported,
    trace: Trace,
    model: Model,
    settings: Sequence[Sizes],
    grow: frozenset[str],
    starts: Mapping[str, Start],
    rates: Mapping[str, Rate],
    output: str | None = None,
) -> tuple[Diagnostic, ...]:
    """Errors, where a model is not what was read of it.

    `exported` and `trace` are it at the first setting.
    """
    if not_a_number := no_numbers(exported, trace):
        return not_a_number
    base = settings[0]
    meaning = read(model, base, grow, output, inline=False, entitled=False)
    program = program_of(model, meaning, starts, rates, base, grow, Source(""), "model")
    sizes = disagreements(program, model, settings, grow)
    names = other_gradients(exported)
    alike = same_indices(exported) if sizes else ()
    return (*(found.diagnostic for found in sizes), *alike, *findings(names, trace))


def same_indices(exported: Exported) -> Iterator[Diagnostic]:
    """Of inputs of whole numbers that a table is read at: those that are all the same."""
    inputs = exported.module.graph.find_nodes(op="placeholder")
    for node, value in zip(inputs, exported.inputs(), strict=True):
        read_at = any(user.target is EMBEDDING and user.args[1] is node for user in node.users)
        if read_at and value.numel() > 1 and (value == value.flatten()[0]).all():
            yield SameIndices.at(START, name=node.name, value=int(value.flatten()[0]))
