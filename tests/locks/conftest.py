from __future__ import annotations

import pytest

from tests.locks.hand_clock import HandClock
from vitctl.artifacts import Store
from vitctl.places import ObjectPath, buckets, place


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def memory(tmp_path_factory):
    """A bucket of this test's own, in fsspec's memory file system."""
    bucket = place(f"memory://{tmp_path_factory.mktemp('bucket').name}/store")
    assert isinstance(bucket, ObjectPath)
    return bucket


@pytest.fixture
def clock():
    """Of the locks of a test, which it moves itself."""
    return HandClock()


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    """Tests of failures don't wait for a store to come back."""
    monkeypatch.setattr(buckets, "PAUSES_S", (0.01, 0.01))
