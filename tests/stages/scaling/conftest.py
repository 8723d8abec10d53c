from __future__ import annotations

from pathlib import Path

import pytest

from vitctl.artifacts import Store
from vitctl.events import Event

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "scaling"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture
def events() -> list[Event]:
    return []
