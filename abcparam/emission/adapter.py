"""From a program to its adapter: what initializes and trains a model of another class."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.record import Record
from abcparam.emission.emit import TRAINING, exported, file_of, title_of
from abcparam.emission.lowering.numbers import Names
from abcparam.emission.views.adapter import OF_ADAPTER, AdapterView, adapter_view
from abcparam.emission.views.config import ConfigView, config_view
from abcparam.emission.views.factors import FactorReasons, factors_of, with_reasons
from abcparam.emission.views.training import TrainingView, training_view
from abcparam.program.model import Program
from abcparam.python_code.layout import Text, paragraph, prose


class HeadView(Record):
    """What the file as a whole says."""

    title: Text
    command: Text
    factors: tuple[Text, ...]
    exports: tuple[Text, ...]
    math: bool
    tensor: bool


def emit_adapter(
    program: Program,
    laws: Mapping[str, str] | None = None,
    not_folded: FactorReasons | None = None,
) -> str:
    """The adapter of a program without multipliers; `laws` says each tensor's law by its path.

    `not_folded` says of factors why they are in no tensors, where that was asked for.
    """
    from abcparam.emission.render import render

    names = Names.of(program)
    config = config_view(program, names)
    training = training_view(program, names, {path: path for path in program.tensors}, OF_ADAPTER)
    adapter = adapter_view(program, names, laws or {})
    head = _head(program, config, training, adapter, not_folded)
    views = {"head": head, "config": config, "training": training, "adapter": adapter}
    return render("adapter.py.jinja", views)


def _head(
    program: Program,
    config: ConfigView,
    training: TrainingView,
    adapter: AdapterView,
    not_folded: FactorReasons | None,
) -> HeadView:
    fold = "" if not_folded is None else " --fold"
    values = [line for found in config.properties for line in found.value]
    code = [*config.check, *values, *training.helpers, *adapter.init, *adapter.shapes]
    return HeadView(
        title=prose(f"An adapter of {title_of(program)}"),
        command=prose(f"abcparam compile {file_of(program)} --adapter{fold}"),
        factors=_factors(program, not_folded or {}),
        exports=exported("Config", TRAINING[0], "config_of", "init_", *TRAINING[1:]),
        math=any("math." in line for line in code),
        tensor=any("Tensor" in helper for helper in training.helpers),
    )


def _factors(program: Program, not_folded: FactorReasons) -> tuple[Text, ...]:
    """What the docstring says of the factors of the forward."""
    found = factors_of(program)
    if not found:
        return ()
    text = "The model's forward is its own; it has to have these factors of the spec:"
    lines = (f"line {factor.line}: {with_reasons(factor, not_folded)}" for factor in found)
    return (Text(""), prose(text), Text(""), *(part for line in lines for part in paragraph(line)))
