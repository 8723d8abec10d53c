"""How `vitctl predict` works: a checkpoint, names of files -> the likeliest classes of each.

Three things go on at once: names arrive, threads decode, the devices compute. Answers come a batch
at a time, in the order of the names.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.predict.spec import (
    PAUSE,
    Answer,
    Failure,
    Inputs,
    NamedImage,
    PredictConfig,
    Prediction,
    PredictRuntime,
)
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.data.numpy_preprocess import eval_pixels
from vitctl.errors import InputError
from vitctl.events import Emit, Note, silent
from vitctl.hardware.machine import available_cores
from vitctl.inference import prediction, weights
from vitctl.model.config import are_independent
from vitctl.pixels.file_kinds import HEAD_BYTES
from vitctl.pixels.header import BadImageError, check_head, largest_file
from vitctl.pixels.training_pixels import pixels
from vitctl.recipes import branching
from vitctl.sharding import layout as layouts
from vitctl.text.quantities import plural
from vitctl.text.quoting import one_line

Image = NDArray[np.float32]

_BATCH = {"cpu": 8}
_BATCH_OF_ACCELERATORS = 64
_AHEAD = 2
"""Batches that are decoded ahead of the one that is computed."""


@dataclass(frozen=True)
class _Pending:
    """A file whose image is being decoded."""

    name: str
    image: Future[Image | Failure]


_Group = list[_Pending]


def run(
    cfg: PredictConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: PredictRuntime,
    emit: Emit = silent,
) -> Generator[list[Answer]]:
    """Answers in the order of the names, a batch at a time."""
    checkpoint, trained = inputs.checkpoint, branching.trained_with(inputs.checkpoint)
    classes = CHECKPOINT.summary(checkpoint).classes
    independent = are_independent(cfg.loss)

    # Arrays
    layout = layouts.make(devices=runtime.devices)
    most = runtime.batch or _BATCH.get(layout.platform, _BATCH_OF_ACCELERATORS)
    names, size = _sized(inputs, most)
    size = layout.whole_shards(size)
    count = plural(len(classes), "class", grouped=True)
    emit(
        Note(
            f"{trained.label} at step {checkpoint.step}: {count}"
            + (", whose probabilities are independent of each other" if independent else "")
        )
    )
    params = weights.restored(checkpoint, model=trained.model, layout=layout, weights=cfg.weights)
    predictor = prediction.make_predictor(
        trained.model, loss=cfg.loss, top=cfg.top, precision=cfg.precision, layout=layout
    )
    side = trained.model.resolution
    see = partial(image_of, resolution=side, cfg=cfg)

    def dispatched(group: _Group) -> tuple[list[Answer | str], Any]:
        """The failures of a group, names in place of what is being computed, and that."""
        images = np.zeros((size, side, side, 3), np.float32)
        rows: list[Answer | str] = []
        filled = 0
        for pending in group:
            image = pending.image.result()
            if isinstance(image, Failure):
                rows.append(image)
                continue
            images[filled] = image
            rows.append(pending.name)
            filled += 1
        likeliest = predictor(params, layout.place_batch(images)) if filled else None
        return rows, likeliest

    def answers_of(rows: list[Answer | str], likeliest: Any) -> list[Answer]:
        likely = () if likeliest is None else zip(*map(np.asarray, likeliest), strict=True)
        each = iter(likely)
        return [_answer(row, next(each), classes) if isinstance(row, str) else row for row in rows]

    # Loop
    with _decoders(runtime.workers) as pool:
        groups: deque[_Group] = deque()
        computing: list[tuple[list[Answer | str], Any]] = []

        def advance(*, until: int) -> Iterator[list[Answer]]:
            """Compute groups until no more than `until` wait; each is answered while the next one
            is computed, and all are if none wait."""
            while len(groups) > until:
                computing.append(dispatched(groups.popleft()))
                if len(computing) > 1:
                    yield answers_of(*computing.pop(0))
            if not until and computing:
                yield answers_of(*computing.pop())

        for group, pauses in _grouped(names, size, submit=partial(_submitted, pool, see)):
            if group:
                groups.append(group)
            yield from advance(until=0 if pauses else _AHEAD)
        yield from advance(until=0)


def _sized(inputs: Inputs, most: int) -> tuple[Iterator[NamedImage | None], int]:
    """The names, and how many images a batch has: every other size would be compiled anew. Of a
    few names the next power of two, so that a later command finds the program compiled."""
    names = iter(inputs.images)
    if inputs.endless:
        return names, most
    first = list(islice(names, most))
    return chain(first, names), min(most, 1 << max(0, len(first) - 1).bit_length())


def _grouped(
    names: Iterable[NamedImage | None], size: int, *, submit: Any
) -> Iterator[tuple[_Group, bool]]:
    """Groups of at most `size` files that are being decoded, and whether the names pause after."""
    group: _Group = []
    for name in names:
        if name is PAUSE:
            yield group, True
            group = []
            continue
        group.append(submit(name))
        if len(group) == size:
            yield group, False
            group = []
    yield group, True


def _submitted(pool: ThreadPoolExecutor, see: Any, name: NamedImage) -> _Pending:
    return _Pending(name.name, pool.submit(see, name))


class _decoders(ThreadPoolExecutor):
    """Threads that decode; what they have not begun is left when the command ends early."""

    def __init__(self, workers: int | None) -> None:
        super().__init__(workers or available_cores(), thread_name_prefix="vitctl-decode")

    def __exit__(self, *error: object) -> None:
        self.shutdown(wait=True, cancel_futures=True)


def image_of(named: NamedImage, *, resolution: int, cfg: PredictConfig) -> Image | Failure:
    """float32[resolution, resolution, 3] of a file, as evaluation sees it, or why there is none."""
    if named.problem is not None:
        return Failure(named.name, named.problem)
    try:
        data = _read(named.name, max_pixels=cfg.max_pixels)
        image = pixels(data, max_pixels=cfg.max_pixels)
        return eval_pixels(image, resolution=resolution, preprocess=cfg.preprocess)
    except BadImageError as error:
        return Failure(named.name, str(error))
    except InputError as error:  # smaller than the border to cut off
        return Failure(named.name, error.message)
    except FileNotFoundError:
        return Failure(named.name, "there is no such file", missing=True)
    except IsADirectoryError:
        return Failure(named.name, "it is a folder")
    except OSError as error:
        return Failure(named.name, f"it can't be read ({error.strerror or one_line(error)})")
    except MemoryError:
        return Failure(named.name, "there is not enough memory to decode it")


def _read(path: str, *, max_pixels: int) -> bytes:
    """A whole file; of what is no image only its beginning."""
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise BadImageError("it is a pipe, socket or device, not a file")
        head = file.read(HEAD_BYTES)
        check_head(head, info.st_size, max_pixels=max_pixels)
        rest = []
        left = largest_file(max_pixels)
        while left > 0 and (part := file.read(left)):
            rest.append(part)
            left -= len(part)
        return b"".join([head, *rest])


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file to read it; of a pipe, without waiting for its other end."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _answer(
    name: str, likeliest: tuple[NDArray[Any], NDArray[Any]], classes: tuple[str, ...]
) -> Answer:
    probabilities, indices = likeliest
    if not np.isfinite(probabilities).all():
        return Failure(name, "the model's output for it is not finite")
    pairs = zip(indices.tolist(), probabilities.tolist(), strict=True)
    return Prediction(name, tuple((classes[index], float(value)) for index, value in pairs))
