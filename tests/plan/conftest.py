from __future__ import annotations

import pytest

from vitctl.plan import topology


@pytest.fixture
def absent():
    """Devices of a slice, by name; skips where libtpu is not installed."""
    pytest.importorskip("libtpu")
    topology.prepare()

    def devices(name):
        found = topology.parse(name)
        return found, topology.absent_devices(found)

    return devices
