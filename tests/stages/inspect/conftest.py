from __future__ import annotations

import pytest

from vitctl.artifacts import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


@pytest.fixture(autouse=True)
def published_as_documented():
    """Artifacts are made up here, and so are their summaries."""
