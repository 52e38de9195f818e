"""What is asked for and is not installed is named with the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import tuning as rules

OF_TRAINING = ("torch", "tqdm")  # libraries that the extra `torch` installs
EXTRAS = {
    **dict.fromkeys(OF_TRAINING, "torch"),
    "lsprotocol": "lsp",
    "pygls": "lsp",
    "shtab": "completion",
}


@contextmanager
def installed(what: str) -> Iterator[None]:
    """Around what needs an extra: raises `SpecError` where that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:
            raise
        raise missing(what, package, error, EXTRAS[package]) from None


def missing(what: str, package: str, error: ImportError, extra: str = "") -> SpecError:
    """What something needs is not installed; the extra that installs it is called as it is."""
    fields = {"what": what, "package": package, "install": f"abcparam[{extra or package.lower()}]"}
    return SpecError.about(what, rules.NotInstalled, problem=error, **fields)
