"""Where things lie in the repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SPECS = ROOT / "tests" / "specs"  # the architectures that every part is tried on
EMIT_SPECS = ROOT / "tests" / "emit_specs"  # each of the rest of the language, for emission
SUPPORT = ROOT / "tests" / "support"
