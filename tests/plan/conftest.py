from __future__ import annotations

import pytest

from vitctl.plan import topology


@pytest.fixture
def absent():
    """Devices of a slice, by name; skips where libtpu is not installed."""
    pytest.importorskip("libtpu")
    topology.prepare()

    def devices(name):
        result = topology.parse(name)
        return result, topology.absent_devices(result)

    return devices
