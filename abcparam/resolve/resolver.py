"""Resolution: from the syntax tree to the program. Names first, then shapes, roles, exponents."""

from __future__ import annotations

from abcparam.algebra.polynomials import MOST_PRODUCTS, ONE, Polynomial, TooManyTermsError
from abcparam.diagnostics.diagnostic import Collector, Diagnostic, SpecError
from abcparam.diagnostics.rules import exponents
from abcparam.diagnostics.rules import shapes as rules
from abcparam.diagnostics.source import START, Source
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Expression, Local, Return
from abcparam.program.model import Input, Module, Program
from abcparam.program.signature import show
from abcparam.resolve.amounts import NotStaticError
from abcparam.resolve.bodies import Body
from abcparam.resolve.declarations import resolve_dims, resolve_hypers
from abcparam.resolve.keywords import check_words
from abcparam.resolve.limits import limits_are_wrong
from abcparam.resolve.names import check_names
from abcparam.resolve.parametrizations import resolve_parametrization
from abcparam.resolve.tensors import Globals
from abcparam.resolve.training import (
    finish_tensors,
    resolve_assumptions,
    resolve_expectations,
    resolve_losses,
    resolve_optimizers,
)
from abcparam.resolve.uses import Uses, starts_of
from abcparam.resolve.values import map_multiplied, multiplied_map
from abcparam.resolve.world import LocalName, World


def resolve(spec: syntax.Spec, source: Source) -> Program:
    """The program that a spec says.

    Raises `SpecError` with all errors of the first phase that fails.
    """
    try:
        return _resolved(spec, source)
    except TooManyTermsError:  # sizes that are multiplied with each other, of a tensor say
        found = exponents.FormulaTooLarge.at(START, most=f"{MOST_PRODUCTS:,}")
        raise SpecError(source, [found]) from None


def _resolved(spec: syntax.Spec, source: Source) -> Program:
    collector = Collector(source)
    uses = check_names(spec, collector)
    check_words(spec, collector)
    collector.check()
    world = World(_globals(spec, collector, uses), _blocks(spec))
    if limits_are_wrong(spec, world.globals):
        collector.check()
    program = _program(spec, source, world)
    collector.check()
    return program


def _globals(spec: syntax.Spec, collector: Collector, uses: Uses) -> Globals:
    dims = resolve_dims(spec, collector)
    hypers = resolve_hypers(spec, dims, collector)
    symbols = [n.id for d in spec.declarations if isinstance(d, syntax.Exponent) for n in d.names]
    parametrization = resolve_parametrization(spec, collector)
    return Globals(collector, dims, hypers, frozenset(symbols), parametrization, uses)


def _blocks(spec: syntax.Spec) -> dict[str, syntax.Block]:
    return {d.name.id: d for d in spec.declarations if isinstance(d, syntax.Block)}


def _program(spec: syntax.Spec, source: Source, world: World) -> Program:
    everywhere = world.globals
    forward = next(d for d in spec.declarations if isinstance(d, syntax.Forward))
    model = next(d for d in spec.declarations if isinstance(d, syntax.Model))
    inputs = tuple(_input(world, given) for given in forward.inputs)
    root, outputs = _root(spec, world, forward, inputs)
    optimizers = resolve_optimizers(everywhere, spec)
    assumed, (expected, expected_span) = resolve_assumptions(spec), resolve_expectations(spec)
    return Program(
        source=source,
        name=model.name.id,
        dims=everywhere.dims,
        hypers=everywhere.hypers,
        symbols=tuple(sorted(everywhere.symbols)),
        tensors=finish_tensors(everywhere, world.tensors, optimizers, starts_of(root)),
        inputs=inputs,
        root=root,
        outputs=outputs,
        optimizers=optimizers,
        losses=resolve_losses(everywhere, spec, outputs),
        alignment=assumed.alignment,
        alignment_span=assumed.alignment_span,
        strict_epsilon=assumed.strict_epsilon,
        expected=expected,
        expected_span=expected_span,
        warnings=tuple(world.globals.collector.warnings),
        output_span=forward.body[-1].span,
        imports=tuple(d.path for d in spec.declarations if isinstance(d, syntax.Import)),
    )


def _input(world: World, given: syntax.Input) -> Input:
    axes = tuple(_length(world, axis, "an axis") for axis in given.shape)
    index = None
    if given.index is not None:
        index = _length(world, given.index, "the number of classes")
    return Input(given.name.id, axes, index, given.name.span)


def _length(world: World, written: syntax.Expression, what: str) -> Amount:
    try:
        return world.globals.amounts({}).amount(written, what)
    except NotStaticError as error:
        world.report(error.diagnostic)
        return Amount(written, ONE)


def _root(
    spec: syntax.Spec, world: World, forward: syntax.Forward, inputs: tuple[Input, ...]
) -> tuple[Module, tuple[str, ...]]:
    body = Body(world, "", {})
    for declaration in spec.declarations:
        if isinstance(declaration, syntax.Tensor):
            body.declare(declaration)
    for given in inputs:
        shape = tuple(axis.value for axis in given.axes)
        body.locals[given.name] = LocalName(shape, given.index is not None)
    statements = body.run(forward.body)
    module = Module(
        path="",
        name="",
        block="",
        inputs=tuple((given.name, tuple(a.value for a in given.axes)) for given in inputs),
        sizes={},
        tensors=tuple(body.tensors.values()),
        children=tuple(body.children),
        body=statements,
        span=forward.span,
    )
    _grown(world, statements[-1])
    return module, _outputs(forward)


def _grown(world: World, given: object) -> None:
    """Reports outputs with an axis that grows."""
    for value in given.values if isinstance(given, Return) else ():
        for axis in value.shapes[0]:
            if world.globals.grows(axis):
                world.report(_output_grows(value, axis))


def _output_grows(value: Expression, axis: Polynomial) -> Diagnostic:
    """What is said of an output with an axis that grows: of a readout that does not map, that."""
    if isinstance(value, Apply) and value.operation.name == "*":
        left, right = value.operands
        found = multiplied_map(left, right) if left is not None and right is not None else None
        if found is not None:
            operand = syntax.Name(found[1].name if isinstance(found[1], Local) else "x")
            return map_multiplied(*found, operand, value.span)
    return rules.OutputGrows.at(value.span, shape=show(value.shapes[0]), axis=axis)


def _outputs(forward: syntax.Forward) -> tuple[str, ...]:
    """What outputs are called: by their variable where they have one."""
    values = forward.body[-1].values if isinstance(forward.body[-1], syntax.Return) else ()
    unnamed = "output" if len(values) == 1 else "output{}"
    return tuple(
        value.id if isinstance(value, syntax.Name) else unnamed.format(index)
        for index, value in enumerate(values)
    )
