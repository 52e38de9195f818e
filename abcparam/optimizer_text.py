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
