"""Models as users write them."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).parent
