"""The plan of the package: imports go down from floor to floor, and each library has one door.

Imports for types only and inside functions count: a ring that only types see is still a ring for
who reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "abcparam"
FILES = sorted(PACKAGE.rglob("*.py"))

# From the ground up. A package imports those on floors below its own; "" is abcparam/__init__.py.
FLOORS = (
    ("algebra", "discovery", "heuristics", "schedules"),
    ("diagnostics", "python_code"),
    ("storage", "user_code"),
    ("language", "presentation"),
    ("program",),
    ("calculus", "data"),
    ("operations", "optimizers"),
    ("resolve", "analysis", "emission"),
    ("editing",),
    ("symbolic",),
    ("verdict",),
    ("comparison",),
    ("imports", "reference"),
    ("pipeline",),
    ("coordinate_check", "editor", "notebooks", "recipes", "tuning"),
    ("language_server", "playground"),
    ("", "testing"),
    ("commands",),
    ("__main__",),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

DOORS = {  # the one module that imports a library, or the folders of those that train
    "PIL": ["data/images.py"],
    "jinja2": ["emission/render.py"],
    "lark": ["language/tables.py"],
    "lsprotocol": ["language_server/"],
    "matplotlib": ["presentation/figures.py"],
    "mlflow": ["tuning/output/mlflow_runs.py"],
    "optuna": ["tuning/study_storage.py"],
    "pygls": ["language_server/"],
    "pygments": ["editor/pygments_lexer.py"],
    "ray": ["tuning/workers/ray_cluster.py"],
    "shtab": ["commands/completion.py"],
    "sqlalchemy": ["tuning/study_storage.py"],
    "sklearn": ["data/digits.py"],
    "sympy": ["symbolic/expressions.py"],
    "submitit": ["tuning/workers/slurm_cluster.py"],
    "torch": ["coordinate_check/", "data/", "imports/", "tuning/", "commands/shared.py"],
    "transformers": ["imports/hugging_face.py"],
}


def name_of(path: Path) -> str:
    """`abcparam.program.dims`; a package for its `__init__.py`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


# Classes called as the language and Python call things, and in full: `syntax.Call`.
FULL_NAMES = {"abcparam.language.syntax", "abcparam.python_code.nodes"}
PRINTED = "abcparam.diagnostics.rules."  # docstrings there are what `abcparam explain` prints

MODULES = {name_of(path): path for path in FILES}


def package_of(module: str) -> str:
    """The floor's name: `program` of `abcparam.program.dims`."""
    return module.split(".")[1] if "." in module else ""


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and module of each import, wherever it stands."""
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their package"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else str(node.module)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down(path: Path):
    here = package_of(name_of(path))
    wrong = [
        f"{path.name}:{line} imports {module}"
        for line, module in imports(path)
        if module.partition(".")[0] == "abcparam"
        and package_of(module) != here
        and FLOOR[package_of(module)] >= FLOOR[here]
    ]
    assert not wrong, "; ".join(wrong)


def test_no_ring_of_files():
    """Files of one package too import each other in one direction only."""
    graph = {
        name: {module for _, module in imports(path) if module in MODULES} - {name}
        for name, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str):
    found = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(module.partition(".")[0] == library for _, module in imports(path))
    }
    through = {path for path in found if path.startswith(tuple(DOORS[library]))}
    assert found and found == through, f"{library} is imported by {', '.join(DOORS[library])} only"


def test_named_tuples_are_those_that_start_fast():
    imported = re.compile(r"^from typing import .*\bNamedTuple\b", re.MULTILINE)
    found = [name_of(path) for path in FILES if imported.search(path.read_text(encoding="utf-8"))]
    assert found == [], "see abcparam/algebra/record.py"


def test_every_package_has_a_floor():
    packages = {package_of(name) for name in MODULES}
    assert packages == set(FLOOR)


def test_the_root_is_a_list_of_packages():
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_tests_lie_beside_what_they_test():
    """A folder of tests is called as the package is; the rest is about the repository."""
    rest = {"docs", "examples", "support", "specs", "emit_specs"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    folders -= {"__pycache__"}
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders - rest <= packages
    assert packages - folders <= {"algebra", "program", "python_code"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def named(tree: ast.Module) -> Iterator[str]:
    """Classes, and at the top type aliases: what is written in CamelCase."""
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (name for name in names if name.lstrip("_")[:1].isupper() and not name.isupper())


def test_a_name_means_one_thing():
    """A class or type alias is called as no other."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        if module not in FULL_NAMES:
            for name in named(tree_of(path)):
                homes.setdefault(name, []).append(module)
    several = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert not several


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each docstring."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            assert isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            yield text.lineno, str(text.value.value)


def test_docstrings_begin_with_a_sentence():
    """It ends on their first line; what follows stands apart."""
    wrong = []
    for module, path in MODULES.items():
        if module.startswith(PRINTED):
            continue
        for line, text in docstrings(path):
            first, *rest = text.split("\n")
            if not first.endswith((".", ":", "?")) or (rest and rest[0].strip()):
                wrong.append(f"{path.name}:{line} {first}")
    assert not wrong, "\n".join(wrong)
