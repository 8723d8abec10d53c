from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "artifacts"))

from vitctl.artifacts import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


@pytest.fixture(autouse=True)
def published_as_documented():
    """Artifacts are made up here, and so are their summaries."""
