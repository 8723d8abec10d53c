from __future__ import annotations

import pytest

from vitctl.artifacts import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")
