"""How `vitctl bench feed` works.

Rounds of the whole input and of decoding alone take turns, so that what else runs on the machine
slows both; each ratio is of two rounds side by side. What one has begun in its threads ends before
the other's time is taken, and what is ready when a round begins is taken first: its making was not
measured (two of eight chunks, a fifth of decoding alone, 2026-11-30).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from stages.bench.feed import parts
from stages.bench.feed.spec import (
    FeedConfig,
    FeedReport,
    FeedRuntime,
    Inputs,
    Part,
    ResidentMemory,
    Speed,
)
from vitctl.data.batches import TrainBatch
from vitctl.data.local_shards import local_folder
from vitctl.data.opening import open_dataset
from vitctl.data.pipeline import train_batches
from vitctl.data.tensorflow import require_tensorflow
from vitctl.data.tf_pipeline import PREFETCHED
from vitctl.events import Emit, Note, Progress, silent
from vitctl.hardware.machine import available_cores

_ROUNDS = 5
# Of a round, however slow the machine is: records are read 256 at once, and a round that is much
# shorter has the reading of the next one in it, or none.
_LEAST_IMAGES, _LEAST_BATCHES = 512, 4
# A pause in which the process computes less than a tenth of the time is one where it is idle.
_PAUSE_S, _IDLE, _PATIENCE_S = 0.05, 0.1, 5.0


def run(
    cfg: FeedConfig, inputs: Inputs, *, runtime: FeedRuntime, emit: Emit = silent
) -> FeedReport:
    """Raises `NotFoundError` for a split that is not there, `UsageError` where no images are
    stored or TensorFlow is not installed, `InputError` for a damaged one."""
    require_tensorflow(to="augment images as training does")
    workers = runtime.workers or available_cores()
    source = open_dataset(
        inputs.dataset, folder=lambda part: local_folder(part, splits={cfg.split}, emit=emit)
    )
    source.info.split(cfg.split)
    images = parts.sample(source, cfg)
    emit(
        Note(
            f"{source.info.examples(cfg.split):,} images of {images.image_bytes / 1000:.1f} kB at "
            f"{cfg.resolution} px in batches of {cfg.batch}, {workers} threads"
        )
    )
    decoders = parts.decoding(source, cfg, images, workers=workers)
    stream = train_batches(
        source,
        split=cfg.split,
        resolution=cfg.resolution,
        augment=cfg.augment,
        seed=cfg.seed,
        batch=cfg.batch,
        workers=workers,
    )
    # Four kinds of rounds: the whole, decoding alone, and two more for the parts.
    seconds = runtime.seconds / (4 * _ROUNDS)
    least = max(_LEAST_IMAGES, _LEAST_BATCHES * cfg.batch)
    whole: list[Speed] = []
    decoding: dict[str, list[Speed]] = {name: [] for name in decoders}
    memory: list[ResidentMemory] = []
    total = 0
    ready = PREFETCHED + parts.ready_batches(workers=workers, batch=cfg.batch)
    for decoder in decoders.values():
        decoder.some(0)  # traced, and its threads started
    for number in range(_ROUNDS):
        for name, decoder in decoders.items():
            _settle()
            decoder.take_ready()
            decoding[name].append(_speed(partial(decoder.some, seconds, least=least))[0])
        _settle()
        for _ in range(ready):
            next(stream)
        speed, images_read = _speed(partial(_some, stream, seconds, least=least, batch=cfg.batch))
        whole.append(speed)
        total += ready * cfg.batch + images_read
        memory.append(ResidentMemory(total, parts.resident_bytes()))
        emit(Progress("rounds", number + 1, _ROUNDS, "rounds"))
    stream.close()
    _settle()

    crop, resized, augmented = (_median(decoding[n]) for n in ("crop", "resized", "augmented"))
    speed = _median(whole)
    costs: dict[Part, float] = {
        **parts.on_the_host(source, cfg, images),
        "decode": crop.cpu_ms,
        "resize": max(0.0, resized.cpu_ms - crop.cpu_ms),
        "augment": max(0.0, augmented.cpu_ms - resized.cpu_ms),
    }
    costs["hand_over"] = max(0.0, speed.cpu_ms - sum(costs.values()))
    pairs = list(zip(whole, decoding["resized"], strict=True))
    return FeedReport(
        dataset=str(inputs.dataset.path),
        resolution=cfg.resolution,
        batch=cfg.batch,
        workers=workers,
        image_bytes=images.image_bytes,
        rounds=_ROUNDS,
        whole=speed,
        decode_only=resized,
        ratio=statistics.median(a.images_per_second / b.images_per_second for a, b in pairs),
        cpu_ratio=statistics.median(b.cpu_ms / a.cpu_ms for a, b in pairs),
        parts=costs,
        memory=tuple(memory),
    )


def _some(stream: Iterator[TrainBatch], seconds: float, *, least: int, batch: int) -> int:
    done, end = 0, time.perf_counter() + seconds
    while done < least or time.perf_counter() < end:
        next(stream)
        done += batch
    return done


def _speed(work: Callable[[], int]) -> tuple[Speed, int]:
    """Of work that tells how many images it took, and that number."""
    began, processor = time.perf_counter(), parts.processor_s()
    images = work()
    passed = time.perf_counter() - began
    return Speed(images / passed, 1e3 * (parts.processor_s() - processor) / images), images


def _median(speeds: list[Speed]) -> Speed:
    return Speed(
        statistics.median(one.images_per_second for one in speeds),
        statistics.median(one.cpu_ms for one in speeds),
    )


def _settle() -> None:
    """Wait until the threads of this process have nothing left to do, or for some seconds."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        before = parts.processor_s()
        time.sleep(_PAUSE_S)
        if parts.processor_s() - before < _IDLE * _PAUSE_S:
            return
