"""What tells two specs apart."""

from __future__ import annotations

import hashlib

from abcparam.format import format_source
from abcparam.source import Source


def fingerprint(source_text: str) -> str:
    """The first 16 hex digits of the SHA-256 of a spec's canonically formatted text. Raises
    `SpecError` if it cannot be parsed.
    """
    return hashlib.sha256(format_source(Source(source_text)).encode()).hexdigest()[:16]
