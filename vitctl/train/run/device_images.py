"""Images that devices make right before a step, where `data.made_on` says so.

A batch then has seven integers an image (`vitctl.formula.cropped_images`). The program that makes
images of them is one of its own: the step's is that of any other images, and is queued behind it.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from vitctl.data.batches import TrainBatch
from vitctl.events import silent
from vitctl.formula.cropped_images import DRAWN, device_images
from vitctl.formula.family import FormulaConfig
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding.layout import BATCH, Layout
from vitctl.train.run.images import Images
from vitctl.train.run.jitted import Jitted
from vitctl.train.telemetry.goodput import Meter


class DeviceImages:
    """The images of batches of `images`, divided over `layout` as a step wants them."""

    def __init__(self, images: Images, layout: Layout) -> None:
        self._images = images
        self._layout = layout

    @cached_property
    def _tables_and_program(self) -> tuple[Any, Jitted[Any, Array]]:
        formula, layout = self._images.formula, self._layout
        assert formula is not None
        tables, program = _program(formula.config, self._images.cfg.model.resolution, layout)
        return layout.place(tables), Jitted(in_step(program))

    def compile(self, *, meter: Meter) -> None:
        """Draw the classes and compile the program now; the first call then does not. It is said of
        the step alone that it compiles."""
        tables, program = self._tables_and_program
        rows = self._images.cfg.data.batch
        drawn = jax.ShapeDtypeStruct((rows, DRAWN), np.int32, sharding=self._layout.batch)
        program.compile(tables, drawn, meter=meter, emit=silent)

    def __call__(self, drawn: Int[Array, "b 7"]) -> Float[Array, "b r r 3"]:
        """Made where the rows of `drawn` lie."""
        tables, program = self._tables_and_program
        return program(tables, drawn)


def as_images(images: Images, batch: TrainBatch) -> NDArray[np.float32]:
    """float32[r, h, w, 3]: the images of a batch of `images`, made by this process's first device
    if devices make them."""
    if images.formula is None:
        return batch.images
    tables, program = device_images(images.formula.config, resolution=images.cfg.model.resolution)
    return np.asarray(jax.jit(program)(tables, batch.images))


@cache
def _program(config: FormulaConfig, resolution: int, layout: Layout) -> tuple[Any, Any]:
    """The classes' tables, and the compiled maker of images: each device makes its own rows."""
    tables, images = device_images(config, resolution=resolution)
    if layout.devices > 1:
        images = jax.shard_map(
            images,
            mesh=layout.mesh,
            in_specs=(PartitionSpec(), PartitionSpec(BATCH)),
            out_specs=PartitionSpec(BATCH),
            check_vma=False,
        )
    whole, split = layout.replicated, layout.batch
    return tables, jax.jit(images, in_shardings=(whole, split), out_shardings=split)
