"""A compiler for neural-network parametrizations.

report = abcparam.check(pathlib.Path("gpt.param"))     # the verdict and every law
code = abcparam.compile(pathlib.Path("gpt.param"))     # a PyTorch module
"""

from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.pipeline import check, compile, derive, diff, interpolate, solve
from abcparam.tuning.api import sweep, transfer
from abcparam.verdict.report import Report

__all__ = [
    "Diagnostic",
    "Report",
    "SpecError",
    "check",
    "compile",
    "derive",
    "diff",
    "interpolate",
    "solve",
    "sweep",
    "transfer",
]
__version__ = "0.1.0"
