"""How XLA compiles what tests run: in the least processor time, however slow the program."""

from __future__ import annotations

from importlib import metadata

_LEVEL = "--xla_backend_optimization_level=0"


def _flags() -> list[str]:
    flags = [_LEVEL]
    if metadata.version("jaxlib").startswith("0.10."):
        # A flag that a version does not know ends the process; later ones have but one way to fuse.
        # A train step, 2 cores: 7.7 s of processor time, 2.8 without MLIR's fusions, 2.3 in one
        # part.
        flags += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
    return flags


QUICK = " ".join(_flags())
"""`XLA_FLAGS`, for one device."""
EIGHT_DEVICES = f"--xla_force_host_platform_device_count=8 {QUICK}"
KNOWN_TO_LIBTPU = f"--xla_force_host_platform_device_count=8 {_LEVEL}"
"""What a process may have in its environment that loads libtpu."""
