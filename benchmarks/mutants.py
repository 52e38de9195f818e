"""Mutants of what derives the laws: `python -m benchmarks.mutants [COUNT [SEED]]`.

Each is one small change of `calculus`, `analysis`, `operations` or `optimizers`, and the package's
own tests have to notice it. Finished ones are kept in `mutants.jsonl` (in `--output`), and it goes
on from there; the summary is printed. `--package` takes those of one, `--show` prints survivors.

A mutant is run in a process that was forked before anything of abcparam was imported. The files
that killed most so far are run first. What takes more than `LIMIT` seconds of processor time counts
as killed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import pytest

from benchmarks.measure import ROOT

LAWS = (
    "tests/analysis/test_random_truth.py",
    "tests/operations/test_operation_laws.py",
    "tests/analysis/test_alignment.py",
    "tests/analysis/test_copies.py",
    "tests/analysis/test_quotients.py",
    "tests/analysis/test_streams.py",
    "tests/analysis/test_transformers.py",
    "tests/analysis/test_fractions.py",
    "tests/analysis/test_literature.py",
    "tests/analysis/test_published.py",
    "tests/analysis/test_laws.py",
    "tests/analysis/test_theorems.py",
    "tests/analysis/test_bottlenecks.py",
)
OPERATIONS = (
    "tests/operations/test_operation_laws.py",
    "tests/analysis/test_random_truth.py",
    "tests/operations/test_rescale.py",
    "tests/operations/test_attention.py",
    "tests/operations/test_function_values.py",
    "tests/emission/test_emit.py",
    "tests/operations/test_slopes.py",
)
OPTIMIZERS = (
    "tests/optimizers/test_optimizers.py",
    "tests/analysis/test_random_truth.py",
    "tests/optimizers/test_clipping.py",
    "tests/optimizers/test_decay.py",
    "tests/operations/test_slopes.py",
)
OWN = {  # the tests of each package
    "calculus": LAWS,
    "analysis": LAWS,
    "operations": OPERATIONS,
    "optimizers": OPTIMIZERS,
}
LONG = {  # minutes, where the others take seconds
    "tests/analysis/test_laws.py",
    "tests/analysis/test_theorems.py",
    "tests/emission/test_emit.py",
    "tests/operations/test_slopes.py",
}
KNOWN = Path(__file__).with_suffix(".json")  # those that no test can tell apart, and why
LIMIT = 240
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """One change of one file: where it is, and the code there before and after."""

    file: str
    line: int
    before: str
    after: str
    number: int  # of the file's mutants
    digest: str  # of the file

    @property
    def key(self) -> str:
        return f"{self.file}:{self.digest}:{self.number}"

    @property
    def package(self) -> str:
        return self.file.split("/")[1]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


class Changes(ast.NodeVisitor):
    """All changes of a tree: pairs of a node and what it is replaced by."""

    def __init__(self) -> None:
        self.found: list[tuple[ast.AST, ast.AST]] = []

    def add(self, node: ast.AST, **fields: object) -> None:
        changed = copy.copy(node)
        for name, value in fields.items():
            setattr(changed, name, value)
        self.found.append((node, changed))

    def body(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d)):
            self.visit(default)
        self.body(node.body)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self.add(node, test=ast.UnaryOp(ast.Not(), node.test))
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.add(node, body=node.orelse, orelse=node.body)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if ast.unparse(node.targets[0]) in {"__slots__", "source", "law", "example", "written"}:
            return
        if isinstance(node.targets[0], ast.Attribute):
            self.found.append((node, ast.Pass()))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.found.append((node, ast.Pass()))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.found.append((node, ast.Pass()))
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.add(node, value=ast.Constant(None))
        self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        self.add(node, ops=[SWAPS[type(node.ops[0])](), *node.ops[1:]])
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in SWAPS:
            self.add(node, op=SWAPS[type(node.op)]())
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.add(node, op=SWAPS[type(node.op)]())
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.found.append((node, node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add(node, value=not node.value)
        elif isinstance(node.value, (int, float)):
            self.add(node, value=1 + node.value)

    def visit_Call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name) if name in NAMES:
                self.add(node, func=ast.Name(NAMES[name], ast.Load()))
            case ast.Attribute(attr="half", value=value):
                self.found.append((node, value))
        self.generic_visit(node)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return ast.copy_location(self.new, node)
        return super().generic_visit(node)


def mutants_of(file: Path) -> Iterator[Mutant]:
    """All mutants of a file."""
    text = file.read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    changes = Changes()
    changes.body(ast.parse(text).body)
    for number, (before, after) in enumerate(changes.found):
        old, new = (" ".join(ast.unparse(node).split()) for node in (before, after))
        line = getattr(before, "lineno", 0)
        yield Mutant(str(file.relative_to(ROOT)), line, old[:120], new[:120], number, digest)


def code_of(mutant: Mutant) -> CodeType:
    """The mutated module."""
    tree = ast.parse((ROOT / mutant.file).read_text(encoding="utf-8"))
    changes = Changes()
    changes.body(tree.body)
    _Replace(*changes.found[mutant.number]).visit(tree)
    return compile(ast.fix_missing_locations(tree), str(ROOT / mutant.file), "exec")


class Importer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the mutated module in place of the one on the disk."""

    def __init__(self, mutant: Mutant) -> None:
        self.file = ROOT / mutant.file
        self.name = mutant.file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.code = code_of(mutant)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.file, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, vars(module))


class Failures:
    """A plugin that notes which tests fail."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.found.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.found.append(report.nodeid)


def tested(files: Sequence[str], mutant: Mutant | None, left_out: Sequence[str]) -> str:
    """The first test that fails of a mutant, or of the code as it is; empty if none does.

    It is run in a process of its own.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _test(files, mutant, left_out, write)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if said:
        return said.strip()
    limit = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
    return "(time)" if limit else "(crash)"


def _test(files: Sequence[str], mutant: Mutant | None, left_out: Sequence[str], write: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    failures = Failures()
    options = ["-x", "-m", "not slow", "-p", "no:cacheprovider", "--tb=no"]
    options += [f"--deselect={name}" for name in left_out]
    if mutant is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
        sys.meta_path.insert(0, Importer(mutant))
    status = pytest.main([*options, *files], plugins=[failures])
    found = failures.found or ([] if status == 0 else [f"(pytest {int(status)})"])
    os.write(write, (found[0] if found else " ").encode())
    os._exit(0)


def known() -> dict[str, str]:
    """Mutants that are equivalent, and why: by file, code before and after."""
    return dict(json.loads(KNOWN.read_text(encoding="utf-8"))) if KNOWN.exists() else {}


def place(found: dict[str, Any]) -> str:
    return f"{found['file']}: {found['before']} -> {found['after']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=500)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--package", choices=list(OWN))
    parser.add_argument("--quick", action="store_true", help="leave out the tests of minutes")
    parser.add_argument("--show", action="store_true", help="print survivors, and run none")
    parser.add_argument("--output", type=Path, default=ROOT / "build")
    options = parser.parse_args()
    packages = [options.package] if options.package else list(OWN)
    every = [m for p in packages for f in sorted(source(p)) for m in mutants_of(f)]
    chosen = random.Random(options.seed).sample(every, min(options.count, len(every)))
    options.output.mkdir(parents=True, exist_ok=True)
    log = options.output / "mutants.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = {found["key"]: found for found in map(json.loads, lines)}
    if not options.show:
        own = {p: [f for f in OWN[p] if not (options.quick and f in LONG)] for p in OWN}
        run([m for m in chosen if m.key not in done], own, done, log)
    print(summary([done[m.key] for m in chosen if m.key in done], len(every)))
    return 0


def source(package: str) -> Iterator[Path]:
    return (ROOT / "abcparam" / package).rglob("*.py")


def run(
    mutants: Sequence[Mutant],
    own: Mapping[str, Sequence[str]],
    done: dict[str, dict[str, Any]],
    log: Path,
) -> None:
    """Runs mutants, each against the files of its package that killed most so far."""
    import torch  # every child has it then

    torch.set_num_threads(1)
    sound, left_out = set[str](), list[str]()
    with log.open("a", encoding="utf-8") as file:
        for mutant in mutants:
            kills = Counter(f["killer"] for f in done.values() if f["package"] == mutant.package)
            order = sorted(own[mutant.package], key=lambda name: -kills[name])
            while True:
                test = tested(order, mutant, left_out)
                if not test or test.startswith("(") or test in sound:
                    break
                if not tested([test], None, ()):
                    sound.add(test)
                    break
                print(f"left out, as it fails without a mutant: {test}", file=sys.stderr)
                left_out.append(test)
            killer = test.split("::")[0]
            found = {**mutant._asdict(), "package": mutant.package, "killer": killer, "test": test}
            done[mutant.key] = {**found, "key": mutant.key}
            print(json.dumps(done[mutant.key]), file=file, flush=True)


def summary(found: Sequence[dict[str, Any]], among: int) -> str:
    """How many were killed, package by package, and those that were not."""
    equivalent = known()
    rows = []
    for package in (*OWN, ""):
        of = [m for m in found if package in ("", m["package"])]
        same = sum(not m["killer"] and place(m) in equivalent for m in of)
        killed = sum(bool(m["killer"]) for m in of)
        share = f"{killed / (len(of) - same):.1%}" if len(of) > same else "-"
        name = package or f"all (of {among})"
        rows.append(
            f"{name:16} {len(of):4} run  {killed:4} killed  {same:3} equivalent  {share:>6}"
        )
    for m in found:
        if not m["killer"]:
            why = equivalent.get(place(m))
            rows.append(f"{m['file']}:{m['line']}: {m['before']} -> {m['after']}")
            rows += [f"    equivalent: {why}"] if why else []
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
