"""The real train step, compiled for devices that need not be there, and what the compiler counts.

Two traps, each with a test (tests/plan/test_program.py):

- XLA's cost analysis counts the body of a scan once, whatever its length. Costs are therefore
  taken from programs with few layers, unrolled, and extrapolated (`vitctl.plan.cost`); memory from
  the scanned program at full depth, which is what runs.
- `optimal_seconds` is no cost: it is below flops / peak for some programs and negative for some
  with collectives. It is not read.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax

from vitctl.model.remat import Remat
from vitctl.places import nofollow
from vitctl.places.based_path import temporary_name
from vitctl.places.local import based
from vitctl.plan import collectives, hlo
from vitctl.plan.patience import interruptible
from vitctl.plan.topology import Topology
from vitctl.sharding import layout as layouts
from vitctl.sharding.spec import MeshSpec
from vitctl.text import strict_json
from vitctl.train.config import TrainConfig
from vitctl.train.program import lowered as lowering

_OUT_OF_MEMORY = re.compile(r"required[^()]*\(([\d.]+)([KMGT]?)\)[^()]*exceeds")
_UNIT = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_FORMAT = 2
"""Version of the cached results; raised when their meaning changes."""


@dataclass(frozen=True)
class Target:
    """What programs are compiled for: a slice (or this machine), and its devices."""

    topology: Topology
    devices: Sequence[Any]

    @property
    def name(self) -> str:
        return self.topology.name


@dataclass(frozen=True)
class StepPlan:
    """How a step runs: mesh, recomputation, and images a device at a time (None: all at once)."""

    mesh: MeshSpec
    remat: Remat
    microbatch: int | None = None


@dataclass(frozen=True)
class Program:
    """A compiled step on one device.

    Attributes:
      flops, bytes: of XLA's cost analysis. A scanned body counts once.
      cycles: sum of libtpu's `estimated_cycles`; 0 where the compiler gives none.
      link_seconds: time on the links; None where their bandwidth is unknown, or the program can't
        be read.
      arguments, temporaries, peak: bytes; `peak` is both and outputs in no argument's place.
      fits: False if the compiler refused it; then only `temporaries` is known, what it asked for.
    """

    fits: bool
    flops: float
    bytes: float
    cycles: int
    link_seconds: float | None
    arguments: int
    temporaries: int
    peak: int


def compile_step(
    cfg: TrainConfig,
    plan: StepPlan,
    *,
    target: Target,
    depth: int | None = None,
) -> Program:
    """Compile the step of `cfg`; the result is cached, so that the same plan again takes seconds.

    Args:
      depth: so many layers, unrolled, for costs; None: all of them, scanned, as it runs.
    """
    if depth is not None:
        model = cfg.model.model_copy(update={"depth": depth})
        cfg = cfg.model_copy(update={"model": model})
    layout = layouts.make(plan.mesh, devices=target.devices)
    lowered = lowering.lower(
        cfg, layout=layout, remat=plan.remat, microbatch=plan.microbatch, scan=depth is None
    )
    place = _place(lowered, layout=layout, target=target)
    if (cached := _cached(place)) is not None:
        return cached
    program = interruptible(lambda: _compile(lowered, layout=layout, target=target))
    _cache(place, program)
    return program


def _compile(lowered: Any, *, layout: layouts.Layout, target: Target) -> Program:
    try:
        executable = lowered.compile()
    except Exception as error:  # jaxlib's own kinds, by version
        needed = _OUT_OF_MEMORY.search(str(error))
        if needed is None or "RESOURCE_EXHAUSTED" not in str(error):
            raise
        temporaries = int(float(needed[1]) * _UNIT[needed[2]])
        return Program(False, 0.0, 0.0, 0, None, 0, temporaries, 0)
    costs = executable.cost_analysis() or {}
    memory = executable.memory_analysis()
    text = _text(executable)
    hardware, shape = target.topology.hardware, target.topology.shape
    links, cycles = None, 0
    if target.topology.devices == 1:
        links = 0.0
    elif text and hardware is not None and hardware.link_bandwidth is not None and shape:
        links = collectives.seconds(
            collectives.read(text),
            hardware=hardware,
            coordinates=[tuple(d.coords) for d in layout.mesh.devices.flat],
            shape=shape,
        )
    if text and hardware is not None:
        cycles = hlo.cycles(text)
    arguments, temporaries = memory.argument_size_in_bytes, memory.temp_size_in_bytes
    beside = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Program(
        fits=True,
        flops=float(costs.get("flops", 0.0)),
        bytes=float(costs.get("bytes accessed", 0.0)),
        cycles=cycles,
        link_seconds=links,
        arguments=arguments,
        temporaries=temporaries,
        # XLA's own peak lies up to 1 % below this on TPUs, and counts no temporaries on CPUs.
        peak=arguments + temporaries + beside,
    )


def _text(executable: Any) -> str | None:
    """The program's HLO; None where jaxlib cannot print what its compiler made (0.10.2 refuses the
    asynchronous updates in programs of tpu7x)."""
    try:
        return executable.as_text()
    except (jax.errors.JaxRuntimeError, NotImplementedError):
        return None


# The cache of results


def _place(lowered: Any, *, layout: layouts.Layout, target: Target) -> Path | None:
    """The file for this program on these devices by this compiler; None if there is no cache.

    It lies beside the compiled programs that commands keep. jax cannot read back programs for
    absent devices from its own cache.
    """
    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if not folder:
        return None
    order = [d.id for d in layout.mesh.devices.flat]
    versions = [importlib.metadata.version(name) for name in ("jax", "jaxlib")]
    with suppress(importlib.metadata.PackageNotFoundError):
        versions.append(importlib.metadata.version("libtpu"))
    key = json.dumps([_FORMAT, target.name, target.devices[0].device_kind, order, versions])
    digest = hashlib.sha256(f"{key}\n{lowered.as_text()}".encode()).hexdigest()
    return based(folder) / f"vitctl-plan-{digest[:32]}.json"


def _cached(place: Path | None) -> Program | None:
    if place is None:
        return None
    try:
        return Program(**strict_json.loads(place.read_bytes()))
    except (OSError, ValueError, TypeError):  # absent, or torn by a full disk: compile again
        return None


def _cache(place: Path | None, program: Program) -> None:
    if place is None:
        return
    with suppress(OSError, nofollow.LinkError):
        beside = place.with_name(temporary_name(place.name))
        with nofollow.opened(beside, "w", encoding="utf-8") as file:
            json.dump(asdict(program), file)
        nofollow.rename(beside, place)
