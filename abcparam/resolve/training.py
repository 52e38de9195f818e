"""Optimizers, losses, assumptions, expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import number
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Diagnostic, did_you_mean
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import names as name_rules
from abcparam.diagnostics.rules import training as training_rules
from abcparam.diagnostics.source import START, Span
from abcparam.language import syntax
from abcparam.optimizers import optimizers
from abcparam.program.amounts import Amount, Setting
from abcparam.program.model import Loss, Optimizer
from abcparam.program.signature import OptimizerSignature
from abcparam.program.tensors import Init, Tensor
from abcparam.resolve.amounts import NotStaticError
from abcparam.resolve.keywords import ROLES, hyphenated
from abcparam.resolve.selectors import dotted, selects, trainers
from abcparam.resolve.tensors import INHERITED, Globals, positive


def resolve_optimizers(world: Globals, spec: syntax.Spec) -> tuple[Optimizer, ...]:
    declared = [d for d in spec.declarations if isinstance(d, syntax.Optimizer)]
    return tuple(_optimizer(world, d) for d in declared)


def _optimizer(world: Globals, declared: syntax.Optimizer) -> Optimizer:
    rule = optimizers()[declared.name.id]
    settings = {name: setting_of(default) for name, default in rule.settings.items()}
    words = {key: allowed[0] for key, allowed in rule.words.items()}
    for setting in declared.settings:
        if setting.key in words:
            words[setting.key] = _word(world, setting, rule.words[setting.key])
        else:
            _set(world, settings, setting)
    if not any(s.key == "lr" for s in declared.settings):
        fields = {"name": rule.name, "key": "lr"}
        world.collector.add(training_rules.MissingSetting.at(declared.name.span, **fields))
    settings.setdefault("lr", _number(1))
    if refusal := rule.refusal(settings):
        fields = {"name": rule.name, "reason": refusal.reason, "instead": refusal.instead}
        world.collector.add(training_rules.NoLawForOptimizer.at(declared.span, **fields))
    selectors = tuple(dotted(selector) for selector in declared.selectors)
    return Optimizer(rule.chosen(words), selectors, settings, declared.span)


def _word(world: Globals, setting: syntax.Setting, allowed: Sequence[str]) -> str:
    if isinstance(setting.value, syntax.Name) and setting.value.id in allowed:
        return setting.value.id
    world.collector.add(_not(setting, f"one of {', '.join(allowed)}"))
    return allowed[0]


def _set(world: Globals, settings: dict[str, Setting], setting: syntax.Setting) -> None:
    amounts, value = world.amounts({}), setting.value
    default = settings.get(setting.key)
    try:
        if isinstance(default, bool):
            settings[setting.key] = _flag(setting)
        elif isinstance(default, tuple) and isinstance(value, syntax.Tuple):
            _same_length(setting, default, value)
            settings[setting.key] = tuple(amounts.amount(item) for item in value.items)
        elif value is not None and not isinstance(default, tuple):
            settings[setting.key] = amount = amounts.amount(value, f"`{setting.key}`")
            if setting.key in {"lr", "clip_norm"}:
                positive(world, setting.span, f"`{setting.key}`", amount)
        else:
            raise NotStaticError(_not(setting, "a tuple such as `(0.9, 0.95)`"))
    except NotStaticError as error:
        world.collector.add(error.diagnostic)


def _same_length(setting: syntax.Setting, default: tuple[Amount, ...], value: syntax.Tuple) -> None:
    if len(value.items) != len(default):
        raise NotStaticError(_not(setting, f"a tuple of {len(default)}"))


def _not(setting: syntax.Setting, wanted: str) -> Diagnostic:
    return rules.NotANumber.at(setting.span, what=f"`{setting.key}`", wanted=wanted)


def _flag(setting: syntax.Setting) -> bool:
    value = setting.value
    if value is None:
        return True
    if isinstance(value, syntax.Name) and value.id in {"true", "false"}:
        return value.id == "true"
    raise NotStaticError(_not(setting, "true or false"))


def setting_of(default: object) -> Setting:
    """A setting of an optimizer, from a flag, a number or a tuple of them."""
    if isinstance(default, bool):
        return default
    if isinstance(default, tuple):
        return tuple(_number(x) for x in default)
    return _number(default)


def _number(value: object) -> Amount:
    exact = Fraction(str(value))
    return Amount(syntax.Number(exact), number(exact))


def finish_tensors(
    world: Globals,
    tensors: Mapping[str, Tensor],
    declared: Sequence[Optimizer],
    starts: Mapping[str, str],
) -> dict[str, Tensor]:
    """Tensors with their optimizer, its learning rate, decay and epsilon, and with their init.

    The init follows from their use where the spec says none.
    """
    _used_selectors(world, tensors, declared)
    done = {}
    for path, tensor in tensors.items():
        if path in starts and "init" not in tensor.places:
            tensor = replace(tensor, init=Init(starts[path]))
        done[path] = _trained_by(world, tensor, declared) if declared else tensor
    return done


def _trained_by(world: Globals, tensor: Tensor, declared: Sequence[Optimizer]) -> Tensor:
    found = trainers([o.selectors for o in declared], tensor.role, tensor.path)
    if len(found) != 1 and not tensor.frozen:
        names = " and ".join(f"`{declared[i].rule.name}`" for i in found)
        problem = f"no optimizer takes `{tensor.path}`"
        if found:
            problem = f"`{tensor.path}` is trained by {names}"
        fields = {"problem": problem, "count": "both" if found else "none"}
        world.collector.add(rules.NoOptimizer.at(tensor.span, **fields))
    index = found[0] if found else 0
    rule, settings = declared[index].rule, declared[index].settings
    if not tensor.frozen:
        _fits(world, tensor, rule)
    lr, decay, epsilon = (settings.get(key) for key in ("lr", "weight_decay", "eps"))
    assert isinstance(lr, Amount)
    return replace(
        tensor,
        optimizer=index,
        lr=lr if tensor.lr is INHERITED else tensor.lr,
        weight_decay=tensor.weight_decay or (decay if isinstance(decay, Amount) else None),
        epsilon=epsilon if isinstance(epsilon, Amount) else None,
    )


def _fits(world: Globals, tensor: Tensor, rule: OptimizerSignature) -> None:
    """Holds a tensor against what an optimizer can train."""
    fields = {"optimizer": rule.name, "tensor": tensor.path}
    if rule.axes is not None and len(tensor.axes) != rule.axes:
        fields |= {"wanted": str(rule.axes), "axes": str(len(tensor.axes))}
        world.collector.add(training_rules.WrongAxes.at(tensor.span, **fields))
    elif rule.keeps_norm and tensor.init.is_zero:
        world.collector.add(training_rules.StaysZero.at(tensor.span, **fields))


def _used_selectors(
    world: Globals, tensors: Mapping[str, Tensor], declared: Sequence[Optimizer]
) -> None:
    for optimizer in declared:
        for selector in optimizer.selectors:
            if not any(selects(selector, t.role, t.path) for t in tensors.values()):
                known = [*ROLES, *tensors]
                suggestion = did_you_mean(selector, known)
                fields = {
                    "name": selector,
                    "what": "a role or tensor",
                    "known": ", ".join(ROLES) + ", tensor paths",
                }
                rule = name_rules.UnknownWord
                world.collector.add(rule.at(optimizer.span, suggestion=suggestion, **fields))


def resolve_losses(world: Globals, spec: syntax.Spec, outputs: Sequence[str]) -> tuple[Loss, ...]:
    declared = next(d for d in spec.declarations if isinstance(d, syntax.Loss))
    return tuple(_losses(world, declared.value, outputs))


def _losses(world: Globals, value: syntax.Expression, outputs: Sequence[str]) -> list[Loss]:
    match value:
        case syntax.Binary(op="+", left=left, right=right):
            return [*_losses(world, left, outputs), *_losses(world, right, outputs)]
        case syntax.Binary(op="*", left=left, right=right) if world.amounts({}).is_static(left):
            return _losses(world, right, outputs)
        case syntax.Name(id=kind):
            return _loss(world, value, kind, None, outputs)
        case syntax.Call(
            function=function, arguments=(syntax.Argument(value=syntax.Name(id=name), name=None),)
        ):
            return _loss(world, value, function.id, name, outputs)
        case _:
            world.collector.add(training_rules.BadLoss.at(value.span))
            return []


def _loss(
    world: Globals, value: syntax.Expression, kind: str, name: str | None, outputs: Sequence[str]
) -> list[Loss]:
    if name is None and len(outputs) != 1:
        fields = {"count": len(outputs), "first": outputs[0] if outputs else "NAME"}
        world.collector.add(training_rules.LossNeedsOutput.at(value.span, **fields))
    elif name is not None and name not in outputs:
        fields = {"name": name, "what": "an output", "known": ", ".join(outputs)}
        suggestion = did_you_mean(name, outputs)
        rule = name_rules.UnknownWord
        world.collector.add(rule.at(value.span, suggestion=suggestion, **fields))
    else:
        return [Loss(kind, outputs.index(name) if name is not None else 0, value.span)]
    return []


class Assumptions(Record):
    """What a verdict rests on, and where that is said."""

    alignment: str = "tensor-programs"
    strict_epsilon: bool = False
    alignment_span: Span = START


def resolve_assumptions(spec: syntax.Spec) -> Assumptions:
    """The last word on each assumption."""
    found = Assumptions()
    for declaration in spec.declarations:
        for setting in declaration.settings if isinstance(declaration, syntax.Assume) else ():
            word = hyphenated(setting.value)
            if setting.key == "alignment":
                found = replace(found, alignment=word, alignment_span=setting.span)
            else:
                found = replace(found, strict_epsilon=word == "strict")
    return found


def resolve_expectations(spec: syntax.Spec) -> tuple[tuple[str, ...], Span]:
    """The words after `expect`, and their place; `complete` alone is said of maximal updates."""
    declared = next((d for d in spec.declarations if isinstance(d, syntax.Expect)), None)
    if declared is None:
        return (), START
    words = tuple(value.id for value in declared.values)
    return (("maximal-update", *words) if words == ("complete",) else words), declared.span
