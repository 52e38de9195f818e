"""Short names of texts, for what is kept of them."""

from __future__ import annotations

import hashlib


def digest(text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
