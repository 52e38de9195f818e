"""`abcparam.audit`, `adapt` and `import_model`: what the commands do, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.installed import installed

if TYPE_CHECKING:
    from abcparam.imports.result import Audit, ImportedModel


@installed("audit")
def audit(
    factory: str | Callable[..., Any],
    /,
    grow: Iterable[str] | Mapping[str, tuple[int, ...]],
    optimizer: str | Callable[..., Any] | None = None,
    *,
    output: str | None = None,
    lr_key: str | None = None,
    expect: str | None = None,
) -> Audit:
    """Reads a PyTorch model of your own and judges it, as `abcparam audit` does.

    `factory` is a function, or `file.py:function`: its whole-number defaults are sizes, and it
    returns (model, args, kwargs). `grow` names the sizes that go to infinity, with the values to
    read the model at where those are not 1, 2 and 4 times the default. `optimizer` makes the
    optimizer of a model, AdamW with learning rate 1e-3 without it; `lr_key` is a key of its groups
    that the training loop multiplies the learning rate by. `output` names the output that the loss
    is of, where there are several.

    The factory and the optimizer are your own code, and are run; a spec never is. Raises
    `SpecError`, with places in that code, where something of it has no law. Needs torch.
    """
    from abcparam.imports.audit import audited

    names = grow if isinstance(grow, Mapping) else dict.fromkeys(grow, ())
    return audited(factory, names, optimizer, output=output, lr_key=lr_key, expect=expect)


@installed("adapt")
def adapt(found: Audit, /, base: Mapping[str, int] | None = None) -> str:
    """The text of a module of torch alone that makes an audited model maximal-update.

    It has `init_`, `param_groups`, `make_optimizer` and `check_param_groups` for the model's own
    class, as `abcparam adapt` writes it. At the sizes of `base` nothing changes, by default the
    first that the model was read at. Raises `ValueError` where no initial scales and learning
    rates make the model maximal-update.
    """
    from abcparam.imports.adapter import adapter_of

    if not found.remedy.reaches:
        raise ValueError(
            "no initial scales and learning rates make it maximal-update: see `remedy`"
        )
    return adapter_of(found, f"abcparam adapt {found.factory.file}:{found.factory.name}", base)


@installed("import_model")
def import_model(
    factory: str | Callable[..., Any],
    /,
    grow: Iterable[str] | Mapping[str, tuple[int, ...]],
    optimizer: str | Callable[..., Any] | None = None,
    *,
    output: str | None = None,
    lr_key: str | None = None,
) -> ImportedModel:
    """Reads a PyTorch model of your own and writes it as a spec, as `abcparam import` does.

    Arguments are those of `audit`. The text is compiled, given the model's weights and run beside
    it before it is given: outputs and gradients are the same. Raises `SpecError` where they are
    not, and where a call has no spelling in the language, at its line. Needs torch.
    """
    from abcparam.imports.audit import audited
    from abcparam.imports.text.importing import imported

    names = grow if isinstance(grow, Mapping) else dict.fromkeys(grow, ())
    return imported(audited(factory, names, optimizer, output=output, lr_key=lr_key, exact=True))
