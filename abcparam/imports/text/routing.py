"""Mixtures of experts: rows of tokens that experts are given, and what a router weighs them by.

Which row is of which token, and which expert it is sent to, is told by the numbers of the example,
and so is the router's rule: however they were put together, `mixture` says the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import replace
from abcparam.imports.alike import KnownData, Numbers, Operand, ReadingError
from abcparam.imports.aten.linear import Gathered, gathered
from abcparam.imports.seen import RESHAPES, WHOLE, Matrix, Seen, local
from abcparam.imports.text.layout import FactorAxis, Laid, factor_of, viewed
from abcparam.imports.text.names import title_of
from abcparam.imports.text.operands import laid_or, value_of
from abcparam.imports.text.routers import ExpertGroups, RouterRule, SentRows, rule_of
from abcparam.imports.text.structure import is_fixed, names_in
from abcparam.imports.text.values import (
    Route,
    RouterWeights,
    Unspelled,
    WeighedRows,
    WrittenBlock,
    WrittenLine,
    WrittenValue,
)
from abcparam.imports.text.writer import Idiom, StepHandler, TextWriter, call_of
from abcparam.imports.traced import Ref, Weight
from abcparam.language import syntax

SCORES = {"softmax", "_softmax", "sigmoid"}
CHOICES = {"topk", "gather"}
SUMS = {"sum", "index_add", "scatter_add", "index_put"}
NEAR = 1e-4  # of sums of rows, beside the largest


# Rows


def route_of(writer: TextWriter, x: WrittenValue | None) -> Route | None:
    """Where the rows of a value go; None where it has no such rows."""
    if not isinstance(x, Laid) or not x.graph or len(x.graph[0]) != 1:
        return None
    return writer.routes.get(x.graph[0][0])


def sent(writer: TextWriter, see: Seen, result: int) -> Laid | None:
    """`x[rows]`: tokens in the order in which experts take them."""
    name, where = see.call, see.get(1) if see.call == "index" else see.get(2, "index")
    if name not in {"index", "index_select"} or (name != "index" and see.whole(1, "dim")):
        return None
    (at, *more) = where if isinstance(where, tuple) else (where,)
    x = _known(writer, see.get(0))
    if more or not isinstance(at, KnownData) or not at.integer or len(at.shape) != 1:
        return None
    places = writer.model.tensor(at.node)
    if not isinstance(x, Laid) or places is None:
        return None
    rows = [int(place) for place in places]
    route = route_of(writer, x)
    if route is None:
        return _as_rows(writer, see, x, rows, at.shape[0])
    experts = None if route.experts is None else tuple(route.experts[i] for i in rows)
    moved = Route(route.source, tuple(route.tokens[i] for i in rows), experts)
    return replace(x, graph=(_row(writer, moved, at.shape[0]), *x.graph[1:]))


def _known(writer: TextWriter, operand: Operand) -> WrittenValue | None:
    return writer.values.get(local(operand)) if isinstance(operand, Ref) else None


def _row(writer: TextWriter, route: Route, length: Polynomial) -> FactorAxis:
    factor = factor_of(length, "routed")
    writer.routes[factor] = route
    return (factor,)


def _as_rows(
    writer: TextWriter, see: Seen, x: Laid, tokens: Sequence[int], length: Polynomial
) -> Laid | None:
    """Rows of a value that has a row for each token."""
    if len(x.graph) != 2 or not x.batched or x.text[-1:] != x.graph[1:]:
        return None
    if [f for f in x.graph[0] if f.kind == ""] != [f for axis in x.text[:-1] for f in axis]:
        return None
    x = writer.bound(f"{local(Ref(see.step.name))}_tokens", x)
    return Laid(x.code, x.text[-1:], (_row(writer, Route(x, tuple(tokens)), length), x.graph[1]))


# Maps of experts


def grouped(writer: TextWriter, see: Seen, result: int) -> WrittenValue:
    """`grouped_mm`: rows of x, group by group, each by the matrix of an expert."""
    matrix, ends = see.weight(see.get(1)), see.get(2, "offs")
    x = laid_or(writer, value_of(writer, see, see.get(0)))
    if isinstance(x, Unspelled):
        return x
    stops = writer.model.tensor(ends.node) if isinstance(ends, KnownData) else None
    if matrix is None or stops is None:
        return writer.refused("maps of groups that are not those of experts")
    counts = stops.diff(prepend=stops.new_zeros(1))
    experts = torch.arange(len(counts)).repeat_interleave(counts)
    return _mapped(writer, see, x, matrix, [int(e) for e in experts], False)


def batched(writer: TextWriter, see: Seen) -> WrittenValue | None:
    """`bmm` of the matrix of the expert that each row is sent to; None for other products."""
    for place in (0, 1):
        found = gathered(see, see.get(place))
        if found is None:
            continue
        x = laid_or(writer, value_of(writer, see, see.get(1 - place)))
        if isinstance(x, Unspelled):
            return x
        places = writer.model.tensor(found.at.node)
        assert places is not None
        row, *axes = x.graph
        x = replace(x, graph=(row, *(axis for axis in axes if axis)))
        if route_of(writer, x) is None:
            rows = _copied_rows(writer, see, x, found)
            if rows is None:
                return writer.refused("maps of experts of what are no tokens")
            x = rows
        made = _mapped(writer, see, x, found.matrix, [int(e) for e in places], not place)
        if not isinstance(made, Laid):
            return made
        shape = (made.graph[1], ()) if not place else ((), made.graph[1])
        return replace(made, graph=(made.graph[0], *shape))
    return None


def _copied_rows(writer: TextWriter, see: Seen, x: Laid, found: Gathered) -> Laid | None:
    """Each token several times, one behind the other."""
    row = x.graph[0]
    tokens = tuple(f for f in row if f.kind != "copies")
    copies = writer.lengths.whole(writer.lengths.length(row[len(tokens) :]))
    rows = writer.lengths.whole(writer.lengths.length(tokens))
    if row[: len(tokens)] != tokens or copies is None or rows is None:
        return None
    sources = [token for token in range(rows) for _ in range(copies)]
    return _as_rows(
        writer, see, replace(x, graph=(tokens, *x.graph[1:])), sources, found.at.shape[0]
    )


def _mapped(
    writer: TextWriter, see: Seen, x: Laid, matrix: Matrix, experts: Sequence[int], first: bool
) -> WrittenValue:
    """`W @ x` of an expert: a matrix is (experts, in, out), or (experts, out, in) if it is first.

    A tensor of the text is that of one expert.
    """
    route, order = route_of(writer, x), matrix.order
    if route is None or order is None or len(order) != 3 or order[0] or matrix.part != WHOLE:
        return writer.refused("maps of experts of what are no tokens")
    if route.experts not in {None, tuple(experts)}:
        return writer.refused("experts that are given tokens of others")
    if len(x.graph) != 2 or x.text != x.graph[1:]:
        return writer.refused("a map of what is not the last axis")
    shape = writer.names.weights[matrix.source.name]
    summed, made = (order[2], order[1]) if first else (order[1], order[2])
    path = writer.names.paths[matrix.source.name]
    axes = tuple(writer.formulas.written(shape[axis]) for axis in (made, summed))
    writer.use(path, axes, turned=summed == 1, copied=True)
    row = _row(writer, replace(route, experts=tuple(experts)), x.graph[0][0].length)
    out = writer.lengths.axis(shape[made])
    return Laid(syntax.Binary("@", syntax.Name(f"@{path}"), x.code), (out,), (row, out))


def biased(writer: TextWriter, see: Seen, result: int) -> Laid | None:
    """Rows of experts, and the bias of the expert that each is sent to."""
    if see.call != "add" or len(see.step.arguments) != 2:
        return None
    operands = [see.get(0), see.get(1)]
    for x, bias in (operands, operands[::-1]):
        rows, found = _known(writer, x), _vector_of_expert(see, bias)
        route = route_of(writer, rows)
        if found is None or route is None or not isinstance(rows, Laid):
            continue
        weight, at = found
        places = writer.model.tensor(at.node)
        if places is None or route.experts != tuple(map(int, places)):
            return None
        path, shape = writer.names.paths[weight.name], see.shape(weight)
        writer.use(path, (writer.formulas.written(shape[1]),), turned=False, copied=True)
        return replace(rows, code=syntax.Binary("+", rows.code, syntax.Name(f"@{path}")))
    return None


def _vector_of_expert(see: Seen, operand: Operand) -> tuple[Weight, KnownData] | None:
    """What a value of one row for each of some whole numbers is taken of, and these."""
    step = see.definition(operand)
    while step is not None and step.target in RESHAPES:
        step = see.definition(step.arguments[0])
    if step is None or step.target != "aten.index.Tensor":
        return None
    inner = see.with_step(step)
    weight, where = inner.get(0), inner.get(1)
    at = where[0] if isinstance(where, tuple) and len(where) == 1 else None
    if not isinstance(weight, Weight) or not isinstance(at, KnownData) or not at.integer:
        return None
    return (weight, at) if len(inner.shape(weight)) == 2 and len(at.shape) == 1 else None


# Weights


def chosen(writer: TextWriter, see: Seen, result: int) -> RouterWeights | None:
    """The best of a router's scores."""
    x = see.get(0)
    if see.call not in CHOICES or not isinstance(_known(writer, x), Laid):
        return None
    step = see.definition(x)
    scored = see.with_step(step) if step is not None else None
    if scored is not None and scored.call in SCORES:
        x = see.origin(scored.get(0))
    logits = _known(writer, x)
    at = see.names.step_of(x)
    if not isinstance(logits, Laid) or at is None or len(logits.graph) < 2:
        return None
    index = see.get(2, "index")
    choice = index.node if isinstance(index, KnownData) else see.step.node
    return RouterWeights(logits, at.node, choice)


def weighed(writer: TextWriter, see: Seen, result: int) -> RouterWeights | WeighedRows | None:
    """What is made of weights, up to rows that are multiplied by them."""
    operands = [see.get(i) for i in range(min(2, len(see.step.arguments)))]
    values = [_known(writer, x) for x in operands]
    weights = next((x for x in values if isinstance(x, RouterWeights)), None)
    if weights is None:
        return None
    rows = next((x for x in values if route_of(writer, x) is not None), None)
    if isinstance(rows, Laid):
        return _product(writer, see, rows, weights, operands[values.index(weights)])
    others = [x for x in operands if isinstance(x, Numbers)]
    if see.call not in {"mul", "div"} or not others or values[0] is not weights:
        return weights
    try:
        by = see.scalar(others[0])
    except ReadingError:
        return None
    assert by is not None
    by = by if see.call == "mul" else by.inverse()
    return replace(weights, factor=weights.factor.times(by))


def _product(
    writer: TextWriter, see: Seen, rows: Laid, weights: RouterWeights, operand: Operand
) -> WeighedRows | None:
    """Rows of experts times weights, where a rule gives these."""
    route, step = route_of(writer, rows), see.names.step_of(operand)
    logits = writer.model.tensor(weights.node)
    values = None if step is None else writer.model.tensor(step.node)
    if see.call != "mul" or route is None or route.experts is None:
        return None
    if logits is None or values is None or values.numel() != len(route.tokens):
        return None
    factor = weights.factor.at(writer.lengths.sizes)
    table = logits.detach().double().reshape(-1, logits.shape[-1])
    biases = writer.model.buffers_behind(weights.choice, table.shape[-1])
    rows_ = SentRows(route.tokens, route.experts)
    rule = rule_of(table, rows_, values.detach().double(), factor, biases)
    if rule is None:
        return None
    return WeighedRows(rows, route, weights, rule, see.step.node)


# Sums


def mixed(writer: TextWriter, see: Seen, result: int) -> Laid | WeighedRows | None:
    """The sum of a token's rows, in whatever way they are brought together."""
    values = [_known(writer, x) for x in see.step.arguments]
    rows = next((x for x in values if isinstance(x, WeighedRows)), None)
    if rows is None:
        return None
    parts, whole = writer.model.tensor(rows.node), writer.model.tensor(see.step.node)
    if parts is None or whole is None:
        return None
    parts, count = parts.detach(), max(rows.route.tokens) + 1
    wanted = parts.new_zeros(count, parts.shape[-1])
    wanted.index_add_(0, torch.tensor(rows.route.tokens), parts.reshape(-1, parts.shape[-1]))
    if see.call not in SUMS or whole.numel() != wanted.numel():
        return rows
    apart = (whole.detach().reshape(wanted.shape) - wanted).abs().max()
    if not bool(apart <= NEAR * wanted.abs().max()):
        return rows
    return _mixture(writer, see, rows)


def _mixture(writer: TextWriter, see: Seen, rows: WeighedRows) -> Laid | None:
    """The line of the text, and the block of an expert."""
    source, logits = rows.route.source, rows.weights.logits
    outer = source.graph[0]
    same = logits.graph[:-1] == (outer,) and logits.text[:-1] == source.text[:-1]
    if not same or not isinstance(source.code, syntax.Name):
        return None
    made = viewed(
        Laid(source.code, (*source.text[:-1], rows.rows.text[-1]), (outer, rows.rows.graph[-1])),
        see.result,
        writer.lengths,
    )
    block = _block(writer, rows, source.code.id)
    if made is None or block is None:
        return None
    expert = syntax.Call(
        syntax.Name(block.key), (syntax.Argument(source.code),), alias=syntax.Name(block.key)
    )
    call = call_of("mixture", logits.code, expert, **_settings(rows.rule))
    code: syntax.Expression = call
    if rows.rule.scaled:
        code = writer.scaled(call, rows.weights.factor.polynomial)
    target = local(Ref(see.step.name))
    title = title_of(see.step)
    modules = see.step.modules
    if block.module in modules:
        modules = modules[: modules.index(block.module)]
    writer.parts.append(WrittenLine((target,), code, modules, (title,), block))
    return replace(made, code=syntax.Name(target))


def _settings(rule: RouterRule) -> dict[str, syntax.Expression]:
    named: dict[str, syntax.Expression] = {"top": syntax.Number(Fraction(rule.top))}
    if rule.sigmoid:
        named["sigmoid"] = syntax.Name("true")
    if not rule.normalize:
        named["normalize"] = syntax.Name("false")
    if rule.groups.groups > 1:
        usual = ExpertGroups()._asdict()
        counts = rule.groups._asdict().items()
        named |= {k: syntax.Number(Fraction(n)) for k, n in counts if n != usual[k]}
    if rule.bias is not None:
        named["balanced"] = syntax.Name("true")
    return named


def _block(writer: TextWriter, rows: WeighedRows, source: str) -> WrittenBlock | None:
    """The lines that an expert is made of, from what it is given."""
    assert isinstance(rows.rows.code, syntax.Name)
    needed, lines = {rows.rows.code.id}, list[WrittenLine]()
    for part in reversed(writer.parts):
        targets = part.targets if isinstance(part, WrittenLine) else ()
        if not isinstance(part, WrittenLine) or source in targets or not needed & {*targets}:
            continue
        lines.append(part)
        needed = (needed - {*targets}) | set(names_in(part.value))
    lines.reverse()
    made = {target for line in lines for target in line.targets}
    values = {name for line in lines for name in names_in(line.value) if not is_fixed(name)}
    if values - made - {source}:
        return None
    chains = [line.modules for line in lines if line.modules]
    common = [row[0] for row in zip(*chains, strict=False) if len({*row}) == 1]
    module = common[-1] if common else ""
    result, bias = rows.rows.code.id, rows.rule.bias
    return WrittenBlock(module, len(common), (source,), result, tuple(lines), bias)


ROUTED: Mapping[str, StepHandler] = dict.fromkeys(("grouped_mm_fallback", "_grouped_mm"), grouped)
ROUTING: tuple[Idiom, ...] = (sent, biased, chosen, weighed, mixed)
