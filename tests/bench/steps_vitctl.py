"""This project's training step, by orders: see `tests.bench.steps_worker`."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.bench.steps_worker import rate_of, serve
from vitctl.hardware import machine
from vitctl.model import accounting
from vitctl.model.config import from_name
from vitctl.optim.config import Name, OptimConfig
from vitctl.optim.schedules import ScheduleConfig
from vitctl.sharding import layout as layouts
from vitctl.train.config import DataConfig, TrainConfig
from vitctl.train.program import run_numbers, state
from vitctl.train.program.step import make_step
from vitctl.version import __version__

_KINDS = {
    "attention": r"fmha|flash|attention",
    "matrix products": r"gemm|cublas|cutlass|nvjet|xmma|wgmma|\bdot\b|^ynn_fusion|custom-call",
    "copies": r"memcpy|copy|transpose|dynamic-update-slice|dynamic-slice",
}
"""Names of kernels on GPUs, and of operations on CPUs; all others are element by element."""
_CONTAINERS = re.compile(r"^(while|call|conditional)\b")


class VitctlStep:
    """The step that `vitctl pretrain` runs, on images that do not change."""

    def __init__(
        self,
        *,
        model: str,
        batch: int,
        precision: str,
        remat: Any,
        optimizer: Name,
        changes: dict[str, Any] | None = None,
    ) -> None:
        shape = from_name(model, classes=1000).model_copy(update=changes or {})
        cfg = TrainConfig(
            name=model,
            recipe="paper",
            model=shape,
            loss="softmax",
            data=DataConfig(batch=batch),
            schedule=ScheduleConfig(peak_lr=1e-3, total_steps=10),
            precision=precision,
            optim=OptimConfig(name=optimizer),
        )
        devices = layouts.make(devices=1)
        rng = np.random.default_rng(0)
        side = shape.resolution
        images = rng.uniform(-1, 1, (batch, side, side, 3)).astype(np.float32)
        labels = rng.integers(0, shape.classes, (batch, 1)).astype(np.int32)
        self.parameters = accounting.parameters(shape).total
        self._dtype = jnp.dtype(precision)
        self._images = jax.device_put(images, devices.batch)
        self._labels = jax.device_put(labels, devices.batch)
        self._step = make_step(cfg, layout=devices, remat=remat)
        self._state = state.fresh(cfg, layout=devices)
        self._numbers = devices.place(run_numbers.of(cfg))

    def steps(self, count: int) -> None:
        for index in range(count):
            self._state, _ = self._step(
                self._state,
                self._images,
                self._labels,
                np.float32(1e-3),
                np.int32(index),
                self._numbers,
            )
        jax.block_until_ready(self._state)

    def peak_bytes(self) -> int | None:
        return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")

    def matmul_flops_per_s(self, seconds: float) -> float:
        side = 1024 if jax.local_devices()[0].platform == "cpu" else 8192
        x = jnp.ones((side, side), self._dtype)
        multiply = jax.jit(jnp.matmul)
        return rate_of(lambda: multiply(x, x).block_until_ready(), 2 * side**3, seconds=seconds)

    def kinds(self) -> dict[str, float]:
        """By the profiler's events: kernels of a GPU; of a CPU the operations of the program."""
        with tempfile.TemporaryDirectory() as folder:
            with jax.profiler.trace(folder):
                self.steps(1)
            (file,) = Path(folder).rglob("*.xplane.pb")
            planes = list(jax.profiler.ProfileData.from_file(str(file)).planes)
        devices = [plane for plane in planes if plane.name.startswith("/device:")]
        seconds: Counter[str] = Counter()
        for plane in devices or planes:
            for line in plane.lines:
                if devices and not line.name.startswith("Stream"):
                    continue
                for event in line.events:
                    if devices or "hlo_op" in dict(event.stats):
                        seconds[_kind(event.name)] += event.duration_ns
        seconds.pop("", None)
        whole = sum(seconds.values())
        return {kind: value / whole for kind, value in seconds.most_common()}


def _kind(name: str) -> str:
    """What an operation or kernel is; nothing for what only holds others."""
    if _CONTAINERS.match(name):
        return ""
    for kind, pattern in _KINDS.items():
        if re.search(pattern, name, re.IGNORECASE):
            return kind
    return "element by element"


def device() -> dict[str, Any]:
    """What it runs on, and by what."""
    own = jax.local_devices()[0]
    return {
        "platform": own.platform,
        "kind": own.device_kind,
        "bytes": machine.device_bytes(),
        "versions": {"vitctl": __version__, "jax": jax.__version__},
    }


def is_too_large(error: Exception) -> bool:
    """Whether the device had no room."""
    return "RESOURCE_EXHAUSTED" in str(error)


if __name__ == "__main__":
    serve(VitctlStep, device=device, is_too_large=is_too_large)
