"""What memory this machine has for arrays."""

from __future__ import annotations

import os
from pathlib import Path


def host_bytes() -> int | None:
    """Main memory a process can still get: the lesser of what is available and the cgroup's
    limit. None where the system does not tell."""
    found = [value for value in (_available(), _cgroup_left()) if value is not None]
    return min(found) if found else None


def device_bytes() -> int | None:
    """Memory of the smallest local device, in bytes; None if unknown. Imports jax.

    The CPU's devices share main memory, so each gets an equal part of it.
    """
    import jax

    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        total = host_bytes()
        return None if total is None else total // len(devices)
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    known = [limit for limit in limits if limit]
    return min(known) if known else None


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _cgroup_left() -> int | None:
    root = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return int((root / limit).read_text()) - int((root / used).read_text())
        except (OSError, ValueError):  # absent, or "max": no limit
            continue
    return None
