"""Devices and memory of this machine, and the reuse of freed memory."""

from __future__ import annotations

import ctypes
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vitctl import extras, processes
from vitctl.errors import UsageError


def host_bytes() -> int | None:
    """Main memory a process can still get: the lesser of what is available and the cgroup's
    limit. None if the system does not report it."""
    limits = [value for value in (_available(), _cgroup_left()) if value is not None]
    return min(limits) if limits else None


def available_cores() -> int:
    """Cores this process may run on, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle_platform() -> None:
    """Spare jax the search for a TPU that is not there; what the user has set wins.

    With libtpu installed, to plan for TPUs, jax tries it at each start: seconds, and pages of its
    complaints. Anything that may be an accelerator leaves the choice to jax.
    """
    if os.environ.get("JAX_PLATFORMS") or not find_spec("libtpu") or accelerator_may_be_there():
        return
    os.environ["JAX_PLATFORMS"] = "cpu"


def accelerator_may_be_there(root: Path = Path("/")) -> bool:
    """Whether the system shows a TPU, a GPU, or a device passed through to this machine."""
    devices = ("accel*", "vfio/[0-9]*", "nvidia[0-9]*", "kfd")
    if any(next((root / "dev").glob(pattern), None) for pattern in devices):
        return True
    vendors = (root / "sys/bus/pci/devices").glob("*/vendor")
    return any(_read(vendor) in _ACCELERATOR_VENDORS for vendor in vendors)


# Google and NVIDIA: PCI's numbers of vendors (https://pci-ids.ucw.cz).
_ACCELERATOR_VENDORS = frozenset({"0x1ae0", "0x10de"})


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def devices() -> list[Any]:
    """All that jax computes on, of all processes. Imports jax.

    Every caller that may be the first to need a device uses this function.

    Raises UsageError if jax has no device.
    """
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:
        text = " ".join(str(error).split())
        # A process that died also ends this call; `connection.blame` names that process.
        if processes.count() > 1 and any(word in text for word in _LOST_TOUCH):
            raise
        raise _no_devices(text) from None


_LOST_TOUCH = ("DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED")
_CUDA_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def _no_devices(text: str) -> UsageError:
    """The error without devices, from jax's text, which is empty if jax finds no GPU for CUDA."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    match = re.match(r"Unable to initialize backend '([^']*)': (.*)", text)
    failing, reason = match.groups() if match else (platforms, text)
    reason = re.sub(r"^[A-Z_]+: | \((set JAX_PLATFORMS=|you may need to uninstall).*$", "", reason)
    reason = reason.rstrip(". ")[:200] or "it sees no NVIDIA GPU"
    if known := re.search(r"list of known backends: \[(.*)\]", reason):
        # Of "gpu", jax names only the last of the kinds it tries.
        failing = "gpu" if "gpu" in platforms.split(",") else failing
        reason = f"it has only {known[1].replace(chr(39), '')}"
    said = f"JAX_PLATFORMS={platforms}, but " if platforms else ""
    hints = []
    wanted = {failing, *platforms.split(",")}
    if wanted & {"cuda", "gpu"} and not any(map(find_spec, _CUDA_PLUGINS)):
        hints.append(f"for NVIDIA GPUs: {extras.install('cuda')}")
    if "tpu" in wanted and not find_spec("libtpu"):
        hints.append(f"for TPUs: {extras.install('tpu')}")
    return UsageError(
        f"{said}jax cannot start {failing or 'any device'}: {reason}",
        hint="; ".join([*hints, "to compute on the CPU: export JAX_PLATFORMS=cpu"]),
    )


def device_bytes() -> int | None:
    """Memory of the smallest local device, in bytes; None if unknown. Imports jax.

    The CPU's devices share main memory, so each gets an equal part of it.
    """
    import jax

    devices()
    own = jax.local_devices()
    if own[0].platform == "cpu":
        total = host_bytes()
        return None if total is None else total // len(own)
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in own]
    known = [limit for limit in limits if limit]
    return min(known) if known else None


# glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_NEVER, _AHEAD = 2**31 - 1, 128 * 2**20


def keep_freed_memory() -> bool:
    """Let this process keep memory that it frees, for the next time; whether that was possible.

    For steps on a CPU: glibc gives the working memory of each back to the system and takes as much
    anew for the next, page by page. A step of 117 CPU-ms spent 46 of them on that (2026-11-25). It
    takes one arena, as those of threads end at 64 MiB. What a user has set in the environment wins.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not on macOS, nor with musl
    if mallopt is None:
        return False
    wanted = {
        _ARENA_MAX: 1,
        _MMAP_THRESHOLD: _NEVER,
        _TRIM_THRESHOLD: _NEVER,
        _TOP_PAD: _AHEAD,
    }
    return all(mallopt(option, value) for option, value in wanted.items())


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
