"""Names that a spec may not use: they belong to PyTorch or to the emitted module."""

from __future__ import annotations

# What `dir(torch.nn.Module())` has without a leading underscore (a test compares them).
MODULE_ATTRIBUTES = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda
    double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children
    named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule share_memory state_dict to to_empty train training type xpu zero_grad
    """.split()
)

EMITTED = frozenset(
    """
    Any Config F Fraction Iterator Parameter Tensor ValueError bool config copy dataclass
    field getattr hasattr int isinstance len list dict str tuple make_optimizer math
    model nn param_groups property range reset_parameters self sum super torch zip enumerate
    print min max round abs T check_param_groups
    """.split()
)


# What emitted modules have beside those of `nn.Module`, and what wrappers put into names.
ATTRIBUTES = frozenset({"config", "module", "reset_parameters"})


# Functions of Python that an emitted module must never read, so that no local may be called so.
FORBIDDEN = frozenset(
    "eval exec compile open globals locals vars setattr delattr input breakpoint".split()
)


def owner(name: str, attribute: bool = False, local: bool = False) -> str | None:
    """Who has the name already, or None if it is free.

    An attribute meets only other attributes of modules, a local also functions of Python.
    """
    if name in MODULE_ATTRIBUTES:
        return "`torch.nn.Module`"
    if local and name in FORBIDDEN:
        return "Python"
    return "the emitted module" if name in (ATTRIBUTES if attribute else EMITTED) else None
