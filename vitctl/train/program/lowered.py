"""The train step compiled ahead of time, from shapes alone: for these devices or absent ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vitctl.model.remat import Remat
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig
from vitctl.train.program import run_numbers
from vitctl.train.program import state as states
from vitctl.train.program import step as steps
from vitctl.train.program.run_numbers import RunNumbers
from vitctl.train.program.state import TrainState

MAX_LABELS = 1
"""Labels an image in the lowered step. More cost a few integers an image."""

Arguments = tuple[TrainState, Any, Any, Any, Any, RunNumbers]


def arguments(cfg: TrainConfig, *, layout: Layout, labels: int = MAX_LABELS) -> Arguments:
    """Shapes, types and shardings of the step's arguments, with so many `labels` an image; nothing
    is allocated."""
    side, batch = cfg.model.resolution, cfg.data.batch
    whole, split = layout.replicated, layout.batch
    numbers = run_numbers.shapes()
    return (
        layouts.like(states.shapes(cfg), states.shardings(cfg, layout)),
        jax.ShapeDtypeStruct((batch, side, side, 3), jnp.float32, sharding=split),
        jax.ShapeDtypeStruct((batch, labels), jnp.int32, sharding=split),
        jax.ShapeDtypeStruct((), jnp.float32, sharding=whole),
        jax.ShapeDtypeStruct((), jnp.int32, sharding=whole),
        layouts.like(numbers, jax.tree.map(lambda x: whole, numbers)),
    )


def lower(
    cfg: TrainConfig,
    *,
    layout: Layout,
    remat: Remat,
    microbatch: int | None = None,
    scan: bool = True,
) -> jax.stages.Lowered:
    """The train step of a run, lowered: `.compile()` gives `memory_analysis` and `cost_analysis`.

    Args:
      layout: over real devices, or over those of `jax.experimental.topologies`.
      scan: False unrolls the layers, so that every layer's cost is counted, not one's.
    """
    layout.spec.check_model(cfg.model)
    layout.spec.check_batch(cfg.data.batch)
    step = steps.make_step(cfg, layout=layout, remat=remat, microbatch=microbatch, scan=scan)
    return step.lower(*arguments(cfg, layout=layout))
