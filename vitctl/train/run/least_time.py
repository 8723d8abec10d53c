"""The least time a run can take on this machine: a bound that is known before anything compiles."""

from __future__ import annotations

import time

import numpy as np

from vitctl.hardware.peaks import peak_flops
from vitctl.optim import frozen
from vitctl.sharding.layout import Layout
from vitctl.text import quantities
from vitctl.train.config import TrainConfig

LONG_S = 7 * 24 * 3600.0
"""From here on a person is told."""
_SIDE = 1024
# No machine that this is measured on does more in a week than this.
_WORTH_MEASURING = 1e11 * LONG_S


def sentence(cfg: TrainConfig, layout: Layout, *, from_step: int) -> str | None:
    """A caution if the steps after `from_step` take a week or more at the devices' peak; of CPUs,
    at the rate of a plain matrix product, which is measured (some 50 ms) where it could be so."""
    steps = cfg.steps - from_step
    flops = float(frozen.trained_flops(cfg.model, cfg.optim)) * cfg.data.batch * steps
    if layout.platform == "cpu":
        if flops < _WORTH_MEASURING:
            return None
        rate, source = matmul_rate(), "measured with a plain matrix product"
    else:
        device = layout.mesh.devices.flat[0].device_kind
        peak = peak_flops(device)
        if peak is None:
            return None
        rate, source = peak * layout.devices, f"the peak of {layout.devices} x {device}"
    if flops / rate < LONG_S:
        return None
    return (
        f"{quantities.show_count(steps)} steps of {cfg.data.batch} images take at least "
        f"{quantities.duration(flops / rate)} here ({quantities.flops(rate)}, {source}); fewer "
        "--steps, a smaller --batch, --res or --model take less, and vitctl plan --topology tells "
        "how long other hardware takes"
    )


def matmul_rate() -> float:
    """FLOP/s of fp32 matrix products in NumPy on all cores; the best of three."""
    a = np.ones((_SIDE, _SIDE), np.float32)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - began)
    return 2 * _SIDE**3 / min(seconds)
