from __future__ import annotations

import pytest

from tests.report.studies import Small, small
from vitctl.artifacts import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def study_made(tmp_path_factory) -> Small:
    """A dataset, a trunk with two cooldowns, probes, an evaluation and a fit; only read."""
    return small(Store(tmp_path_factory.mktemp("study") / "store"))
