"""From a program to its Python module: lower, then views, then templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from abcparam.algebra.record import Record
from abcparam.emission.lowering.copies import CHOOSE
from abcparam.emission.lowering.lower import Lowering, lower
from abcparam.emission.lowering.uses import CodeUses
from abcparam.emission.views.classes import Classes, ClassView
from abcparam.emission.views.config import ConfigView, config_view
from abcparam.emission.views.training import training_view
from abcparam.operations.base import operation_of
from abcparam.operations.rescale import RESCALE
from abcparam.program.expressions import Apply
from abcparam.program.model import Program
from abcparam.python_code.layout import Text, prose, trusted

TRAINING = ("check_param_groups", "make_optimizer", "param_groups")


class ModuleView(Record):
    """What the module as a whole says."""

    name: Text
    title: Text
    command: Text
    exports: tuple[Text, ...]
    math: bool
    functional: bool
    helpers: tuple[Text, ...]
    classes: tuple[ClassView, ...]


def emit(
    program: Program, laws: Mapping[str, str] | None = None, command: str | None = None
) -> str:
    """The module of a program.

    `laws` says each tensor's law by its path, `command` how to make the module again.
    """
    from abcparam.emission.render import render

    whole = Lowering(program)
    classes = Classes(program, whole.uses, whole.names, laws or {})
    classes.add(lower(whole))
    config = config_view(program, whole.names)
    training = training_view(program, whole.names, whole.uses.parameters)
    views = tuple(classes.views())
    body = "\n".join(line for view in views for line in (*view.init, *view.reset, *view.forward))
    helpers = tuple(dict.fromkeys(trusted(text) for text in _helpers(program, whole.uses)))
    module = ModuleView(
        name=Text(program.name),
        title=prose(f"{title_of(program)} Change the spec, not this file, and run"),
        command=prose(command or f"abcparam compile {file_of(program)}"),
        exports=exported("Config", program.name, *TRAINING),
        math="math." in "\n".join([body, *helpers, *config.check, *_values(config)]),
        functional="F." in "\n".join([body, *helpers]),
        helpers=helpers,
        classes=views,
    )
    return render("module.py.jinja", {"module": module, "config": config, "training": training})


def file_of(program: Program) -> str:
    """The spec's name without its folder, so that the output does not depend on where it is."""
    file = program.source.file
    return "-" if file == "-" else file.replace("\\", "/").rpartition("/")[2]


def title_of(program: Program) -> Text:
    """What the module is of, which also marks the file as ours."""
    file = file_of(program)
    origin = "standard input" if file == "-" else file
    return prose(f"{program.name}, emitted by abcparam from {origin}.")


def exported(*names: str) -> tuple[Text, ...]:
    """`__all__`."""
    line = "__all__ = [" + ", ".join(f'"{n}"' for n in names) + "]"
    if len(line) <= 88:
        return (Text(line),)
    return (Text("__all__ = ["), *(Text(f'    "{n}",') for n in names), Text("]"))


def _values(config: ConfigView) -> Iterable[str]:
    return (line for found in config.properties for line in found.value)


def _helpers(program: Program, uses: CodeUses) -> Iterable[str]:
    """The helper functions of the operations that the program uses."""
    if program.gradients is not None:
        yield RESCALE
        if program.gradients.copies:
            yield CHOOSE
    for value in program.expressions():
        if isinstance(value, Apply):
            operation = operation_of(value)
            by_layer = uses.layer_of(value) is not None
            if helper := operation.layer_helper if by_layer else operation.helper(value):
                yield helper
