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
    name: str, doc: str, settings: Mapping[str, str], state: Mapping[str, str], update: str
) -> str:
    """The class with these settings (`eps: float` -> its default) and a state for each parameter,
    whose `update` is what a step does to one `parameter` of a `group`.
    """
    keys = [setting.partition(":")[0] for setting in settings]
    return CLASS.format(
        name=name,
        doc=doc,
        arguments="\n".join(f"        {s} = {default}," for s, default in settings.items()),
        defaults=", ".join(f'"{key}": {key}' for key in keys),
        state="\n".join(f'{" " * 20}state["{k}"] = {v}' for k, v in state.items()),
        update=indent(update.strip("\n"), " " * 16),
    )
