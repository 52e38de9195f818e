"""The text of an optimizer's class, for those that torch does not have."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent

CLASS = '''class {name}(torch.optim.Optimizer):
    """{doc}"""

    def __init__(
        self,
        params: Any,
{arguments}
    ) -> None:
        defaults = {{{defaults}}}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = torch.enable_grad()(closure)() if closure else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
{state}
{update}
        return loss'''


CLIPPED = '''class {name}({base}):
    """{base} of gradients whose joint norm is at most the groups' `clip_norm`."""

    def step(self, closure: Any = None) -> Any:
        loss = torch.enable_grad()(closure)() if closure else None
        scale = getattr(self, "grad_scale", None)  # a GradScaler's, not divided out yet
        limit = self.param_groups[0]["clip_norm"] * (1.0 if scale is None else scale)
        parameters = [p for group in self.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, limit)
        super().step()
        return loss'''


def clipped_name(torch_class: str) -> str:
    return f"Clipped{torch_class}"


def clipped_text(base: str) -> str:
    """The class that clips before each step; `base` is as the emitted module reaches it."""
    return CLIPPED.format(name=clipped_name(base.rpartition(".")[2]), base=base)


def class_text(
    name: str, doc: str, settings: Mapping[str, object], state: Mapping[str, str], update: str
) -> str:
    """The class of an optimizer with these settings, by their defaults.

    It has a state for each parameter; its `update` is what a step does to one `parameter` of a
    `group`.
    """
    return CLASS.format(
        name=name,
        doc=doc,
        arguments="\n".join(f"        {_argument(k, v)}," for k, v in settings.items()),
        defaults=", ".join(f'"{key}": {key}' for key in settings),
        state="\n".join(f'{" " * 20}state["{k}"] = {v}' for k, v in state.items()),
        update=indent(update.strip("\n"), " " * 16),
    )


def _argument(name: str, default: object) -> str:
    """`eps: float = 1e-8`: text is a real number, an `int` a whole one."""
    return f"{name}: {_annotation(default)} = {_literal(default)}"


def _annotation(default: object) -> str:
    if isinstance(default, tuple):
        return f"tuple[{', '.join(map(_annotation, default))}]"
    return "float" if isinstance(default, str) else type(default).__name__


def _literal(default: object) -> str:
    """A real number as it is written, with a point or an exponent."""
    if isinstance(default, tuple):
        return f"({', '.join(map(_literal, default))})"
    if not isinstance(default, str):
        return repr(default)
    return default if {".", "e"} & {*default} else f"{default}.0"
