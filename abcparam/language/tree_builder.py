"""What each rule of the grammar becomes in the syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abcparam.diagnostics.source import Span
from abcparam.language import syntax

Children = list[Any]
NodeFactory = Callable[[Children, Span], Any]


def _first(children: Children, span: Span) -> Any:
    return children[0] if children else None


def _all(children: Children, span: Span) -> tuple[Any, ...]:
    return tuple(children)


def _read(children: Children, span: Span) -> tuple[Any, ...]:
    """Those that could be read."""
    return tuple([child for child in children if child is not None])


def _nothing(children: Children, span: Span) -> None:
    return None


def _spec(children: Children, span: Span) -> syntax.Spec:
    return syntax.Spec(_read(children, span), span=span)


def _model(children: Children, span: Span) -> syntax.Model:
    return syntax.Model(children[0], span=span)


def _import(children: Children, span: Span) -> syntax.Import:
    return syntax.Import(children[0].text[1:-1], span=span)


def _limit(children: Children, span: Span) -> syntax.Dim:
    name, after, options = children
    return syntax.Dim(name, True, after=after, options=options, span=span)


def _derived(children: Children, span: Span) -> syntax.Dim:
    name, value, options = children
    return syntax.Dim(name, False, value=value, options=options, span=span)


def _hyper(children: Children, span: Span) -> syntax.Hyper:
    name, value, search = children
    return syntax.Hyper(name, value, search, span=span)


def _interval(children: Children, span: Span) -> syntax.Interval:
    low, high = children
    return syntax.Interval(low, high, span=span)


def _log_interval(children: Children, span: Span) -> syntax.Interval:
    low, high = children
    return syntax.Interval(low, high, log=True, span=span)


def _choice(children: Children, span: Span) -> syntax.Choice:
    return syntax.Choice(tuple(children), span=span)


def _exponent(children: Children, span: Span) -> syntax.Exponent:
    return syntax.Exponent(tuple(children), span=span)


def _shipped(children: Children, span: Span) -> syntax.Parametrization:
    name, optimizers, roles = children
    return syntax.Parametrization(name, optimizers, roles, span=span)


def _spelled_out(children: Children, span: Span) -> syntax.Parametrization:
    return syntax.Parametrization(None, roles=tuple(children), span=span)


def _role(children: Children, span: Span) -> syntax.Role:
    return syntax.Role(children[0], tuple(children[1:]), span=span)


def _optimizer(children: Children, span: Span) -> syntax.Optimizer:
    name, selectors, settings = children
    return syntax.Optimizer(name, selectors, settings, span=span)


def _anything(children: Children, span: Span) -> syntax.Attribute:
    return syntax.Attribute(children[0], "*", span=span)


def _loss(children: Children, span: Span) -> syntax.Loss:
    return syntax.Loss(children[0], span=span)


def _assume(children: Children, span: Span) -> syntax.Assume:
    return syntax.Assume(tuple(children), span=span)


def _expect(children: Children, span: Span) -> syntax.Expect:
    return syntax.Expect(tuple(children), span=span)


def _word(children: Children, span: Span) -> syntax.Name:
    return syntax.Name("-".join(name.id for name in children), span=span)


def _flag(children: Children, span: Span) -> syntax.Setting:
    return syntax.Setting(children[0].id, None, span=span)


def _setting(children: Children, span: Span) -> syntax.Setting:
    key, value = children
    return syntax.Setting(key.id, value, span=span)


def _exponent_of(children: Children, span: Span) -> syntax.Setting:
    key, dim, value = children
    return syntax.Setting(key.id, value, dim, span=span)


def _block(children: Children, span: Span) -> syntax.Block:
    name, parameters, body = children
    return syntax.Block(name, parameters, body, span=span)


def _parameter(children: Children, span: Span) -> syntax.Parameter:
    return syntax.Parameter(*children, span=span)


def _forward(children: Children, span: Span) -> syntax.Forward:
    inputs, body = children
    return syntax.Forward(inputs, body, span=span)


def _input(children: Children, span: Span) -> syntax.Input:
    name, index, shape = children
    return syntax.Input(name, index, shape, span=span)


def _tensor(children: Children, span: Span) -> syntax.Tensor:
    names, role, shape, settings = children
    return syntax.Tensor(names, role, shape, settings, span=span)


def _let(children: Children, span: Span) -> syntax.Assign:
    targets, value = children
    return syntax.Assign(targets, value, span=span)


def _repeat(children: Children, span: Span) -> syntax.Repeat:
    count, label, body = children
    return syntax.Repeat(count, label, body, span=span)


def _return(children: Children, span: Span) -> syntax.Return:
    return syntax.Return(tuple(children), span=span)


def _binary(children: Children, span: Span) -> syntax.Binary:
    left, operator, right = children
    return syntax.Binary(operator.text, left, right, span=span)


def _negative(children: Children, span: Span) -> syntax.Negative:
    return syntax.Negative(children[0], span=span)


def _attribute(children: Children, span: Span) -> syntax.Attribute:
    value, name = children
    return syntax.Attribute(value, name.id, span=span)


def _item(children: Children, span: Span) -> syntax.Index:
    value, index = children
    return syntax.Index(value, index, span=span)


def _unknown(children: Children, span: Span) -> syntax.Unknown:
    return syntax.Unknown(span=span)


def _group(children: Children, span: Span) -> Any:
    """The expression itself, its span widened to the parentheses."""
    object.__setattr__(children[0], "span", span)
    return children[0]


def _tuple(children: Children, span: Span) -> syntax.Tuple:
    return syntax.Tuple(tuple(children), span=span)


def _call(children: Children, span: Span) -> syntax.Call:
    function, arguments, alias = children
    return syntax.Call(function, arguments, alias, span=span)


def _positional(children: Children, span: Span) -> syntax.Argument:
    return syntax.Argument(children[0], span=span)


def _named(children: Children, span: Span) -> syntax.Argument:
    name, value = children
    return syntax.Argument(value, name.id, span=span)


BUILD: dict[str, NodeFactory] = {
    "bad": _nothing,
    "nothing": _nothing,
    **dict.fromkeys(("after", "index", "kind", "label", "alias"), _first),
    **dict.fromkeys(
        [
            "options",
            "optimizers",
            "roles",
            "selectors",
            "settings",
            "parameters",
            "inputs",
            "names",
            "shape",
            "arguments",
        ],
        _all,
    ),
    "body": _read,
    **{
        function.__name__[1:]: function
        for function in (
            *(_spec, _model, _import, _limit, _derived, _hyper, _interval, _log_interval, _choice),
            *(_exponent, _shipped, _spelled_out, _role, _optimizer, _anything, _loss, _assume),
            *(_expect, _word, _flag, _setting, _exponent_of, _block, _parameter, _forward, _input),
            *(_tensor, _let, _repeat, _return, _binary, _negative, _attribute, _item, _unknown),
            *(_group, _tuple, _call, _positional, _named),
        )
    },
}
