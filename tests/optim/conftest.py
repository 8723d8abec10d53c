from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def golden() -> Callable[[str, list[str]], None]:
    """Compare lines with a text that people review; UPDATE_GOLDEN=1 rewrites it."""
    folder = Path(__file__).parents[1] / "golden"

    def check(name: str, lines: list[str]) -> None:
        text = "\n".join(lines) + "\n"
        if os.environ.get("UPDATE_GOLDEN"):
            (folder / name).write_text(text)
        assert text == (folder / name).read_text()

    return check
