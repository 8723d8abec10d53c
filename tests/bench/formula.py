"""`python -m tests.bench.formula [--batch N] [FAMILY ...]`: pictures of 224 px a second of both
makers of formula images.

For each family: NumPy in a thread a core, as a run that trains on `--virtual` images makes them,
and the same pictures inside `jax.jit` on the first device of jax. Both are compared first: one
pixel that differs ends it. Then what `data.made_on=devices` does: the draws of a feed (class,
instance, window, flip) and the cropped images that a device makes of them. Seconds of processors
count all threads of this process, so that a busy machine changes them little; on an accelerator
only those of the clock mean something.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from tests.bench.__main__ import REPEATS, timed
from vitctl.data.config import AugmentConfig
from vitctl.data.formula_images import FormulaImages, described
from vitctl.data.pipeline import train_batches
from vitctl.formula.cropped_images import device_images
from vitctl.formula.family import FAMILIES, FormulaConfig
from vitctl.formula.maker import BLOCK, HostMaker, device_maker
from vitctl.hardware.machine import available_cores

SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64, help="pictures at a time (default: 64)")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="default: all")
    options = parser.parse_args()
    batch = options.batch
    device = jax.devices()[0]
    print(
        f"{batch} pictures of {SIDE} px at a time; {available_cores()} cores, {device.device_kind}"
    )
    classes = np.arange(batch) % 1000
    instances = np.arange(batch)
    for family in options.families or FAMILIES:
        config = FormulaConfig(family=family, resolution=SIDE)
        maker = HostMaker(config)
        tables, of_tables = device_maker(config)
        tables = jax.device_put(tables, device)
        make = jax.jit(of_tables)
        numbers = [jnp.asarray(values, jnp.int32) for values in (classes, instances)]

        def by_device(make=make, tables=tables, numbers=numbers) -> np.ndarray:
            return jax.block_until_ready(make(tables, *numbers))

        with ThreadPoolExecutor(available_cores()) as threads:

            def by_host(maker=maker, threads=threads) -> np.ndarray:
                blocks = [slice(i, i + BLOCK) for i in range(0, batch, BLOCK)]
                made = threads.map(lambda own: maker.pictures(classes[own], instances[own]), blocks)
                return np.concatenate(list(made))

            if not np.array_equal(by_host(), by_device()):
                raise SystemExit(f"{family}: the two makers differ")
            for label, work in (("NumPy", by_host), ("jax.jit", by_device)):
                show(family, label, work, batch=batch)

        feed = train_batches(
            source := FormulaImages(described(config), config),
            resolution=SIDE,
            augment=AugmentConfig(),
            seed=0,
            batch=batch,
            images_of=source.drawn,
        )
        tables, of_draws = device_images(config, resolution=SIDE)
        tables = jax.device_put(tables, device)
        see, drawn = jax.jit(of_draws), next(feed).images

        def crops(see=see, tables=tables, drawn=drawn) -> np.ndarray:
            return jax.block_until_ready(see(tables, drawn))

        for label, work in (("draws", lambda feed=feed: next(feed)), ("cropped", crops)):
            show(family, label, work, batch=batch)


def show(family: str, label: str, work: Callable[[], object], *, batch: int) -> None:
    began = time.process_time()
    seconds = timed(work)
    processor_ms = 1000 * (time.process_time() - began) / (batch * (REPEATS + 1))
    rates = sorted(batch / second for second in seconds)
    median = rates[len(rates) // 2]
    print(
        f"{family:<8} {label:<8} {median:8.0f} pictures/s ({rates[0]:.0f} to {rates[-1]:.0f})"
        f"   {processor_ms:6.2f} ms of processors each",
        flush=True,
    )


if __name__ == "__main__":
    main()
