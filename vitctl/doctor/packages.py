"""Versions, and combinations that are known to go wrong."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from vitctl import extras
from vitctl.data.tensorflow import install_command
from vitctl.doctor.finding import CheckRequest, Finding

_SHOWN = ("jax", "jaxlib", "libtpu", "flax", "optax", "orbax-checkpoint", "numpy", "array_record")
_OURS = (extras.WHOLE, extras.LIGHT)
_TENSORFLOW = ("tensorflow", "tensorflow-cpu")
_CUDA_PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin")
# As in pyproject.toml: from the first on, below the second.
JAX_RELEASES = ((0, 10), (0, 13))
# The oldest driver each CUDA runs on: NVIDIA's CUDA toolkit release notes, table 3.
_DRIVER_OF_CUDA = {"12": 525, "13": 580}
_NVIDIA = Path("/proc/driver/nvidia/version")

Versions = Mapping[str, str]
Trouble = tuple[bool, str, str]
"""Whether the problem is fatal, its description, and a hint."""


def versions(request: CheckRequest) -> Finding:
    """Installed versions, and combinations that do not work."""
    packages = installed()
    troubles = list(known_bad(packages, driver=driver(), tpu=tpu_is_there()))
    shown = [f"{name} {packages[name]}" for name in (*_SHOWN, *_TENSORFLOW) if name in packages]
    message = ", ".join([f"python {platform.python_version()}", *shown])
    if troubles:
        fatal = any(bad for bad, _, _ in troubles)
        message = "; ".join(what for _, what, _ in troubles) + f" ({message})"
        hint = "; ".join(dict.fromkeys(hint for _, _, hint in troubles))
        return Finding(
            "versions", "fail" if fatal else "warn", message, hint, {"versions": packages}
        )
    return Finding("versions", "ok", message, None, {"versions": packages})


def installed() -> dict[str, str]:
    """Distribution -> version, of the packages that matter to vitctl."""
    packages = {}
    for name in (*_OURS, *_SHOWN, *_TENSORFLOW, *_CUDA_PLUGINS, "protobuf", "tensorboard"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return packages


def known_bad(packages: Versions, *, driver: int | None, tpu: bool) -> Iterator[Trouble]:
    """Combinations that fail late or strangely.

    `driver`: the NVIDIA driver's major version; `tpu`: whether the machine has one.
    """
    for name in ("jax", "jaxlib", "numpy"):
        if name not in packages:
            yield True, f"{name} is not installed", "pip install vitctl"
    if all(name in packages for name in _OURS):
        message = "vitctl and vitctl-light are both installed and overwrite each other's files"
        yield False, message, "pip uninstall vitctl vitctl-light, then install one of them"
    oldest, too_new = JAX_RELEASES
    if "jax" in packages and not oldest <= _release(packages["jax"])[:2] < too_new:
        hint = 'pip install "jax>={}.{},<{}.{}"'.format(*oldest, *too_new)
        yield True, f"jax {packages['jax']} is not a version that vitctl supports", hint
    if {"jax", "jaxlib"} <= packages.keys():
        jax, jaxlib = _release(packages["jax"]), _release(packages["jaxlib"])
        if jaxlib > jax or jaxlib[:2] != jax[:2]:
            message = (
                f"jax {packages['jax']} and jaxlib {packages['jaxlib']} are not of the same release"
            )
            yield True, message, f"pip install jaxlib=={packages['jax']}"
    if not any(name in packages for name in _TENSORFLOW):
        message = (
            "TensorFlow is not installed: models are used (predict, embed, evaluate, fewshot), but "
            "images are neither sharded nor trained on"
        )
        yield False, message, install_command()
    if all(name in packages for name in _TENSORFLOW):
        message = (
            "tensorflow and tensorflow-cpu are both installed and overwrite each other's files"
        )
        yield False, message, "pip uninstall tensorflow tensorflow-cpu, then install one of them"
    yield from _of_accelerators(packages, driver=driver, tpu=tpu)


def _of_accelerators(packages: Versions, *, driver: int | None, tpu: bool) -> Iterator[Trouble]:
    plugins = [name for name in _CUDA_PLUGINS if name in packages]
    if len(plugins) > 1:
        message = "jax plugins for two versions of CUDA are installed"
        yield True, message, f"pip uninstall {plugins[0]} {plugins[0].replace('plugin', 'pjrt')}"
    for name in plugins:
        if "jaxlib" in packages and _release(packages[name]) != _release(packages["jaxlib"]):
            message = f"{name} {packages[name]} does not belong to jaxlib {packages['jaxlib']}"
            yield True, message, f"pip install {name}=={packages['jaxlib']}"
        cuda = re.sub(r"\D", "", name)
        if driver is not None and driver < _DRIVER_OF_CUDA[cuda]:
            message = f"the NVIDIA driver {driver} is older than CUDA {cuda} needs"
            yield (
                True,
                message,
                f"a driver from {_DRIVER_OF_CUDA[cuda]} on, or jax for an older CUDA",
            )
    if driver is not None and not plugins:
        yield True, "there is an NVIDIA GPU that jax cannot use", extras.install("cuda")
    if tpu and "libtpu" not in packages:
        yield True, "there is a TPU that jax cannot use", extras.install("tpu")
    if not tpu and "libtpu" in packages and not os.environ.get("JAX_PLATFORMS"):
        message = (
            "libtpu is installed but this machine has no TPU: jax searches for one at each start"
        )
        yield False, message, "export JAX_PLATFORMS=cpu, or cuda"


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
