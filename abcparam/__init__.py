"""A compiler for neural-network parametrizations.

report = abcparam.check(pathlib.Path("gpt.param"))     # the verdict and every law
code = abcparam.compile(pathlib.Path("gpt.param"))     # a PyTorch module

Every function takes a spec as its text, a `str`, or as its file, a `pathlib.Path`. What they give
is frozen; `to_dict()` is the JSON of the command of the same name.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abcparam.algebra.budgets import budget
    from abcparam.comparison.difference import Difference, Differences
    from abcparam.comparison.family import Family
    from abcparam.comparison.plane import Plane
    from abcparam.coordinate_check.api import coord_check
    from abcparam.coordinate_check.check import CoordCheckResult
    from abcparam.coordinate_check.options import CheckOptions
    from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
    from abcparam.imports.api import adapt, audit, import_model
    from abcparam.imports.result import Audit, ImportedModel
    from abcparam.pipeline import (
        check,
        compile,
        derive,
        diff,
        explain,
        fix,
        format,
        interpolate,
        map,
        new,
        prove,
        solutions,
        solve,
    )
    from abcparam.symbolic.derive.derived import Derived
    from abcparam.symbolic.solve.complete import Completed
    from abcparam.tuning.api import plan_transfer, sweep, transfer
    from abcparam.tuning.options import SweepOptions
    from abcparam.tuning.sweep import SweepResult
    from abcparam.tuning.transfer import TransferPlan, TransferRequest, TransferResult
    from abcparam.verdict.changes import Change, ExponentChange, FactorChange
    from abcparam.verdict.report import FixResult, Report

__all__ = [
    "Audit",
    "Change",
    "CheckOptions",
    "Completed",
    "CoordCheckResult",
    "Derived",
    "Diagnostic",
    "Difference",
    "Differences",
    "ExponentChange",
    "FactorChange",
    "Family",
    "FixResult",
    "ImportedModel",
    "Plane",
    "Report",
    "SpecError",
    "SweepOptions",
    "SweepResult",
    "TransferPlan",
    "TransferRequest",
    "TransferResult",
    "adapt",
    "audit",
    "budget",
    "check",
    "compile",
    "coord_check",
    "derive",
    "diff",
    "explain",
    "fix",
    "format",
    "import_model",
    "interpolate",
    "map",
    "new",
    "plan_transfer",
    "prove",
    "solutions",
    "solve",
    "sweep",
    "transfer",
]
__version__ = "0.1.0"

LATER = {  # imported when it is first asked for: a command loads what it needs alone
    "Audit": "abcparam.imports.result",
    "Change": "abcparam.verdict.changes",
    "CheckOptions": "abcparam.coordinate_check.options",
    "Completed": "abcparam.symbolic.solve.complete",
    "CoordCheckResult": "abcparam.coordinate_check.check",
    "Derived": "abcparam.symbolic.derive.derived",
    "Diagnostic": "abcparam.diagnostics.diagnostic",
    "Difference": "abcparam.comparison.difference",
    "Differences": "abcparam.comparison.difference",
    "ExponentChange": "abcparam.verdict.changes",
    "FactorChange": "abcparam.verdict.changes",
    "Family": "abcparam.comparison.family",
    "FixResult": "abcparam.verdict.report",
    "ImportedModel": "abcparam.imports.result",
    "Plane": "abcparam.comparison.plane",
    "Report": "abcparam.verdict.report",
    "SpecError": "abcparam.diagnostics.diagnostic",
    "SweepOptions": "abcparam.tuning.options",
    "SweepResult": "abcparam.tuning.sweep",
    "TransferPlan": "abcparam.tuning.transfer",
    "TransferRequest": "abcparam.tuning.transfer",
    "TransferResult": "abcparam.tuning.transfer",
    "adapt": "abcparam.imports.api",
    "audit": "abcparam.imports.api",
    "budget": "abcparam.algebra.budgets",
    "check": "abcparam.pipeline",
    "compile": "abcparam.pipeline",
    "coord_check": "abcparam.coordinate_check.api",
    "derive": "abcparam.pipeline",
    "diff": "abcparam.pipeline",
    "explain": "abcparam.pipeline",
    "fix": "abcparam.pipeline",
    "format": "abcparam.pipeline",
    "import_model": "abcparam.imports.api",
    "interpolate": "abcparam.pipeline",
    "map": "abcparam.pipeline",
    "new": "abcparam.pipeline",
    "plan_transfer": "abcparam.tuning.api",
    "prove": "abcparam.pipeline",
    "solutions": "abcparam.pipeline",
    "solve": "abcparam.pipeline",
    "sweep": "abcparam.tuning.api",
    "transfer": "abcparam.tuning.api",
}


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'abcparam' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(LATER[name]), name)
    return found


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext abcparam` calls: it gives a notebook the magic `%%param`."""
    from abcparam.notebooks import load

    load(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
