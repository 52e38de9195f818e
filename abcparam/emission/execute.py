"""The names of an emitted module, without a file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from types import CodeType, ModuleType
from typing import Any

NUMBERS = itertools.count()


def executed(
    code: str | CodeType, hooks: Mapping[str, object] | None = None, stays: bool = False
) -> dict[str, Any]:
    """Runs the code of an emitted module; `hooks` are names that it may call.

    One that `stays` can be imported by its name, as `torch.compile` does.
    """
    module = ModuleType(f"abcparam_emitted_{next(NUMBERS)}")
    sys.modules[module.__name__] = module  # where dataclasses look up their annotations
    module.__dict__.update(hooks or {})
    try:
        exec(code, module.__dict__)
    finally:
        if not stays:
            del sys.modules[module.__name__]
    return module.__dict__
