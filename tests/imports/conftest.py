"""Factories in files, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from abcparam.imports.factory import Factory, find_factory

Write = Callable[..., Factory]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(text)`: the factory `build` of a file with this text."""

    def write(text: str, name: str = "build", file: str = "model.py") -> Factory:
        (tmp_path / file).write_text(dedent(text))
        return find_factory(f"{tmp_path / file}:{name}")

    return write
