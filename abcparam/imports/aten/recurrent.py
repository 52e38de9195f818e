"""Recurrent layers, and their cells alone."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Operand
from abcparam.imports.recurrence import LAYERS, Recurrent
from abcparam.imports.seen import Law, Seen
from abcparam.imports.traced import Weight
from abcparam.program.amounts import Shape
from abcparam.program.expressions import Expression


def layers(see: Seen) -> tuple[Expression, ...]:
    """`lstm`, `gru`, `rnn_tanh`, `rnn_relu`: layer by layer, each in its directions."""
    operation = _operation(see)
    weights, states = _items(see.get(2)), _items(see.get(1))
    directions = 2 if see.get(7) is True else 1
    each = 4 if see.get(3) is True else 2
    if len(weights) != see.whole(4) * directions * each:
        see.refuse(rules.NoLaw, operation=see.step.target, what="a projection of its state")
    x, cell = see.value(see.get(0)), None
    shape: Shape = see.result
    for number in range(see.whole(4)):
        made = []
        for direction in range(directions):
            start = (number * directions + direction) * each
            given = _given(see, weights[start : start + each])
            operands = (x, *_states(see, states), *given)
            made.append(see.apply(operation, operands))
            if operation.name == "lstm":
                cell = see.apply(operation, operands, {"cell": True}, see.step.shapes[-1])
        x = made[0] if directions == 1 else see.apply("concat", made, shape=shape)
    last = see.reshaped(x, see.step.shapes[1])
    return (x, last) if cell is None else (x, last, cell)


def cell(see: Seen) -> Expression | tuple[Expression, ...]:
    """`lstm_cell`, `gru_cell`, `rnn_tanh_cell`: one step, of which two are taken here."""
    operation = _operation(see)
    given = _given(see, [see.get(i) for i in range(2, 6)])
    states = _states(see, _items(see.get(1)))
    operands = (see.value(see.get(0)), *states, *given)
    made = see.apply(operation, operands)
    if operation.name != "lstm":
        return made
    return made, see.apply(operation, operands, {"cell": True}, see.step.shapes[1])


def _operation(see: Seen) -> Recurrent:
    name = see.step.target.removeprefix("aten.").partition(".")[0].removesuffix("_cell")
    return LAYERS[name]


def _items(value: Operand) -> Sequence[Operand]:
    return value if isinstance(value, tuple) else (value,)


def _states(see: Seen, states: Sequence[Operand]) -> tuple[Expression | None, Expression | None]:
    """What a layer starts from; at rest where that is zero."""
    found = [None if _is_zero(state) else see.value(state) for state in states[:2]]
    first, second = (*found, None)[:2]
    return first, second


def _is_zero(state: Operand) -> bool:
    return (
        isinstance(state, KnownData)
        and state.constant is not None
        and not state.constant.coefficient
    )


def _given(see: Seen, weights: Sequence[Operand]) -> list[Expression | None]:
    """The two maps of a layer, and their biases where it has any."""
    maps = []
    for weight in weights[:2]:
        if not isinstance(see.origin(weight), Weight):
            what = "a weight that is computed from parameters"
            see.refuse(rules.NoLaw, operation=see.step.target, what=what)
        matrix = see.weight(weight)
        assert matrix is not None
        see.names.fans.setdefault(matrix.source.name, (matrix.shape[1], matrix.shape[0]))
        maps.append(see.value(matrix.source))
    biases = [*weights[2:4], None, None][:2]
    return [*maps, *(None if bias is None else see.value(bias) for bias in biases)]


LAWS: dict[str, Law] = {
    "aten.lstm.input": layers,
    "aten.gru.input": layers,
    "aten.rnn_tanh.input": layers,
    "aten.rnn_relu.input": layers,
    "aten.lstm_cell.default": cell,
    "aten.gru_cell.default": cell,
    "aten.rnn_tanh_cell.default": cell,
    "aten.rnn_relu_cell.default": cell,
}
