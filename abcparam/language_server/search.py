"""The search for a fix, in a process of its own: `abcparam check`, ended when it is cancelled."""

from __future__ import annotations

import asyncio
import json
import sys

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.source import Source


async def searched(source: Source) -> tuple[Diagnostic, ...] | None:
    """All that `check` says of a source, the search included; None where it did not end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "abcparam", "check", "-", "--format", "json"),
        *("--stdin-filename", source.file),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        printed, _ = await process.communicate(source.text.encode())
    finally:
        if process.returncode is None:
            process.kill()
    try:
        return tuple(map(Diagnostic.from_dict, json.loads(printed)["diagnostics"]))
    except (ValueError, KeyError):
        return None
