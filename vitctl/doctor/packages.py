"""Versions, and combinations that are known to go wrong."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from vitctl.doctor.finding import Finding, Request

_SHOWN = ("jax", "jaxlib", "libtpu", "flax", "optax", "orbax-checkpoint", "numpy", "array_record")
_TENSORFLOW = ("tensorflow", "tensorflow-cpu")
_CUDA_PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
# As in pyproject.toml: from the first on, below the second.
JAX_RELEASES = ((0, 10), (0, 13))
# The oldest driver each CUDA runs on: NVIDIA's CUDA toolkit release notes, table 3.
_DRIVER_OF_CUDA = {"12": 525, "13": 580}
_NVIDIA = Path("/proc/driver/nvidia/version")

Versions = Mapping[str, str]
Trouble = tuple[bool, str, str]
"""Whether it is fatal, what is wrong, what helps."""


def versions(request: Request) -> Finding:
    """Installed versions and what does not go together."""
    found = installed()
    troubles = list(known_bad(found, driver=driver(), tpu=tpu_is_there()))
    shown = [f"{name} {found[name]}" for name in (*_SHOWN, *_TENSORFLOW) if name in found]
    told = ", ".join([f"python {platform.python_version()}", *shown])
    if troubles:
        fatal = any(bad for bad, _, _ in troubles)
        told = "; ".join(what for _, what, _ in troubles) + f" ({told})"
        hint = "; ".join(dict.fromkeys(hint for _, _, hint in troubles))
        return Finding("versions", "fail" if fatal else "warn", told, hint, {"versions": found})
    return Finding("versions", "ok", told, None, {"versions": found})


def installed() -> dict[str, str]:
    """Distribution -> version of what matters here."""
    found = {}
    for name in (*_SHOWN, *_TENSORFLOW, *_CUDA_PLUGINS, "protobuf", "tensorboard"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def known_bad(found: Versions, *, driver: int | None, tpu: bool) -> Iterator[Trouble]:
    """Combinations that fail late or strangely.

    `driver`: the NVIDIA driver's major version; `tpu`: whether the machine has one.
    """
    for name in ("jax", "jaxlib", "numpy"):
        if name not in found:
            yield True, f"{name} is not installed", "pip install vitctl"
    oldest, too_new = JAX_RELEASES
    if "jax" in found and not oldest <= _release(found["jax"])[:2] < too_new:
        hint = 'pip install "jax>={}.{},<{}.{}"'.format(*oldest, *too_new)
        yield True, f"jax {found['jax']} is not one that vitctl was made for", hint
    if {"jax", "jaxlib"} <= found.keys():
        jax, jaxlib = _release(found["jax"]), _release(found["jaxlib"])
        if jaxlib > jax or jaxlib[:2] != jax[:2]:
            told = f"jax {found['jax']} and jaxlib {found['jaxlib']} are not of one release"
            yield True, told, f"pip install jaxlib=={found['jax']}"
    if not any(name in found for name in _TENSORFLOW):
        told = "there is no TensorFlow: datasets cannot be read, only --mock works"
        yield False, told, "pip install tensorflow-cpu"
    if all(name in found for name in _TENSORFLOW):
        told = "tensorflow and tensorflow-cpu are both installed, over each other's files"
        yield False, told, "pip uninstall tensorflow tensorflow-cpu, then install one of them"
    yield from _of_accelerators(found, driver=driver, tpu=tpu)


def _of_accelerators(found: Versions, *, driver: int | None, tpu: bool) -> Iterator[Trouble]:
    plugins = [name for name in _CUDA_PLUGINS if name in found]
    if len(plugins) > 1:
        told = "jax plugins for two versions of CUDA are installed"
        yield True, told, f"pip uninstall {plugins[0]} {plugins[0].replace('plugin', 'pjrt')}"
    for name in plugins:
        if "jaxlib" in found and _release(found[name]) != _release(found["jaxlib"]):
            told = f"{name} {found[name]} does not belong to jaxlib {found['jaxlib']}"
            yield True, told, f"pip install {name}=={found['jaxlib']}"
        cuda = re.sub(r"\D", "", name)
        if driver is not None and driver < _DRIVER_OF_CUDA[cuda]:
            told = f"the NVIDIA driver {driver} is older than CUDA {cuda} needs"
            yield True, told, f"a driver from {_DRIVER_OF_CUDA[cuda]} on, or jax for an older CUDA"
    if driver is not None and not plugins:
        yield True, "there is an NVIDIA GPU that jax cannot use", 'pip install "vitctl[cuda]"'
    if tpu and "libtpu" not in found:
        yield True, "there is a TPU that jax cannot use", 'pip install "vitctl[tpu]"'
    if not tpu and "libtpu" in found and not os.environ.get("JAX_PLATFORMS"):
        told = "libtpu is installed and there is no TPU: jax looks for one at each start"
        yield False, told, "export JAX_PLATFORMS=cpu, or cuda"


def driver() -> int | None:
    """Major version of the NVIDIA driver; None without one."""
    try:
        match = re.search(r"Module\D*\s(\d+)\.", _NVIDIA.read_text())
    except OSError:
        return None
    return int(match[1]) if match else None


def tpu_is_there() -> bool:
    """Whether the kernel shows TPU chips."""
    return any(Path("/dev").glob("accel[0-9]*")) or (
        Path("/dev/vfio/0").exists() and "TPU_ACCELERATOR_TYPE" in os.environ
    )


def _release(version: str) -> tuple[int, ...]:
    """The numbers a version begins with."""
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])
