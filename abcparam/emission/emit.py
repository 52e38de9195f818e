"""From a program to its Python module: lower, then views, then templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from abcparam.algebra.record import Record
from abcparam.emission.lowering.lower import Lowering, lower
from abcparam.emission.views.classes import Classes, ClassView
from abcparam.emission.views.config import ConfigView, config_view
from abcparam.emission.views.training import training_view
from abcparam.operations.base import operation_of
from abcparam.program.expressions import Apply
from abcparam.program.model import Program
from abcparam.python_code.layout import Text, prose, trusted


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
    classes.add(lower(program))
    config = config_view(program, whole.names)
    training = training_view(program, whole.names, whole.uses.kinds)
    views = tuple(classes.views())
    body = "\n".join(line for view in views for line in (*view.init, *view.reset, *view.forward))
    helpers = tuple(dict.fromkeys(trusted(text) for text in _helpers(program)))
    module = ModuleView(
        name=Text(program.name),
        title=_title(program),
        command=prose(command or f"abcparam compile {_file(program)}"),
        exports=_exports(program.name),
        math="math." in "\n".join([body, *helpers, *config.check, *_values(config)]),
        functional="F." in "\n".join([body, *helpers]),
        helpers=helpers,
        classes=views,
    )
    return render({"module": module, "config": config, "training": training})


def _file(program: Program) -> str:
    """The spec's name without its folder, so that the output does not depend on where it is."""
    file = program.source.file
    return "-" if file == "-" else file.replace("\\", "/").rpartition("/")[2]


def _title(program: Program) -> Text:
    file = _file(program)
    origin = "standard input" if file == "-" else file
    return prose(
        f"{program.name}, emitted by abcparam from {origin}. "
        "Change the spec, not this file, and run"
    )


def _exports(name: str) -> tuple[Text, ...]:
    names = ["Config", name, "check_param_groups", "make_optimizer", "param_groups"]
    line = "__all__ = [" + ", ".join(f'"{n}"' for n in names) + "]"
    if len(line) <= 88:
        return (Text(line),)
    return (Text("__all__ = ["), *(Text(f'    "{n}",') for n in names), Text("]"))


def _values(config: ConfigView) -> Iterable[str]:
    return (line for found in config.properties for line in found.value)


def _helpers(program: Program) -> Iterable[str]:
    """The helper functions of the operations that the program uses."""
    for value in program.expressions():
        if isinstance(value, Apply) and (helper := operation_of(value).helper(value)):
            yield helper
