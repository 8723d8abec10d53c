"""The parts of the input that `vitctl bench feed` measures, each as work on a sample of images."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.bench.feed.spec import FeedConfig, Part
from vitctl.data import preprocess
from vitctl.data.example import image_of
from vitctl.data.image_source import ImageSource
from vitctl.data.order import augment_seeds, batches_of_order
from vitctl.data.records import parsed, read_images, unusable
from vitctl.data.tensorflow import as_it_is, load_tensorflow
from vitctl.data.tf_pipeline import first_failure
from vitctl.data.views import Request
from vitctl.errors import InputError, UsageError

# Of images in memory: enough that one odd one does not decide.
_SAMPLE, _SAMPLE_BYTES = 1024, 128 * 2**20
# Read at once, as the input reads small batches (`vitctl.data.tf_pipeline`).
_READ = 256
# Images that decoding alone hands over at once: so many numbers that taking them costs nothing.
_CHUNK = 64


@dataclass(frozen=True)
class ImagesInMemory:
    """Encoded images in the order of training, and the seeds of their augmentation."""

    indices: NDArray[np.int64]
    images: NDArray[np.object_]
    seeds: NDArray[np.int32]

    @property
    def image_bytes(self) -> float:
        return float(np.mean([len(image) for image in self.images]))


def requests(source: ImageSource, cfg: FeedConfig, *, batch: int) -> Iterator[Request]:
    """What training asks for, step by step."""
    keys = source.keys(cfg.split)
    order = source.order(cfg.split)
    for _, whole in batches_of_order(order, itertools.count(), seed=cfg.seed, batch=batch):
        epochs, indices = whole
        yield indices, augment_seeds(seed=cfg.seed, epochs=epochs, keys=keys[indices])


def sample(source: ImageSource, cfg: FeedConfig) -> ImagesInMemory:
    """The first images of training, at most a pass over the split. Raises UsageError where no
    images are stored."""
    count = min(_SAMPLE, source.info.examples(cfg.split))
    with closing(source.records(cfg.split)) as records:
        if not len(records.stored()):
            raise UsageError(
                "the images of this dataset are made when they are read, so none is decoded",
                hint="give a dataset of stored images: vitctl shard FOLDER",
            )
        indices, seeds = next(requests(source, cfg, batch=count))
        images: list[bytes] = []
        for begin in range(0, count, _READ):
            some = indices[begin : begin + _READ]
            images += read_images(records, some)
            if sum(map(len, images)) > _SAMPLE_BYTES:
                break
    column = np.empty(len(images), object)
    column[:] = images
    return ImagesInMemory(indices[: len(images)], column, seeds[: len(images)])


def ready_batches(*, workers: int, batch: int) -> int:
    """How many batches `tf.data` has ready where nobody has asked for a while, beside those that a
    prefetch holds: those that its calls may spread over, and one that is whole."""
    return 1 + -(-workers // batch)


class Decoding:
    """A function of every image of a sample, on TensorFlow's threads; of each result only one
    number is handed over."""

    def __init__(
        self,
        images: ImagesInMemory,
        function: Callable[[Any, Any], Any],
        *,
        workers: int,
        named: Callable[[int, str], InputError],
    ) -> None:
        tf = load_tensorflow()
        options = tf.data.Options()
        options.threading.private_threadpool_size = workers
        options.deterministic = True

        def number(data: Any, seed: Any) -> Any:
            return tf.cast(function(data, seed)[0, 0, 0], tf.float32)

        self._sample, self._function, self._named = images, function, named
        self._images = len(images.images)
        data = tf.data.Dataset.from_tensor_slices((images.images, images.seeds)).repeat()
        data = data.map(as_it_is(number), num_parallel_calls=workers, deterministic=True)
        self._ready = ready_batches(workers=workers, batch=_CHUNK)
        self._data = iter(data.batch(_CHUNK).with_options(options))

    def take_ready(self) -> None:
        """Take what is decoded already, which would count as images that cost nothing. Raises as
        `some` does."""
        self.some(0, least=self._ready * _CHUNK)

    def some(self, seconds: float, *, least: int = 1) -> int:
        """Work for so many seconds and on at least so many images; how many that were. Raises
        `InputError` for one that can't be decoded."""
        done, end = 0, time.perf_counter() + seconds
        try:
            while done < least or time.perf_counter() < end:
                next(self._data)
                done += _CHUNK
        except load_tensorflow().errors.OpError as error:
            raise self._culprit(error) from None
        return done

    def _culprit(self, error: Exception) -> Exception:
        """The error that names the first image that fails, which is one of the sample."""
        sample = self._sample
        failed = first_failure(self._function, sample.images, sample.seeds)
        if failed is None:
            return error
        place, reason = failed
        return self._named(int(sample.indices[place]), reason)


def decoding(
    source: ImageSource, cfg: FeedConfig, images: ImagesInMemory, *, workers: int
) -> dict[str, Decoding]:
    """Decoding of the crop, with resizing, with augmentation: each goes further than the one
    before."""

    def named(index: int, reason: str) -> InputError:
        with closing(source.records(cfg.split)) as records:
            return unusable(records, index, reason)

    def crop(data: Any, seed: Any) -> Any:
        return preprocess.crop(data, seed, resolution=cfg.resolution, augment=cfg.augment)

    def resized(data: Any, seed: Any) -> Any:
        return preprocess.resized_crop(data, seed, resolution=cfg.resolution, augment=cfg.augment)

    def augmented(data: Any, seed: Any) -> Any:
        return preprocess.train_image(data, seed, resolution=cfg.resolution, augment=cfg.augment)

    functions = {"crop": crop, "resized": resized, "augmented": augmented}
    return {
        name: Decoding(images, one, workers=workers, named=named) for name, one in functions.items()
    }


def on_the_host(source: ImageSource, cfg: FeedConfig, images: ImagesInMemory) -> dict[Part, float]:
    """CPU-ms an image of order, reading and parsing."""
    count = len(images.indices)
    blocks = [images.indices[i : i + _READ] for i in range(0, count, _READ)]
    with closing(source.records(cfg.split)) as records:
        contents = [record for block in blocks for record in records.read(block)]  # opened, warm
        reading = processor_ms(lambda: [records.read(block) for block in blocks], count)
        parsing = processor_ms(lambda: parsed(image_of, records, images.indices, contents), count)
    steps = max(1, -(-4 * 4096 // cfg.batch))
    order = processor_ms(
        lambda: list(itertools.islice(requests(source, cfg, batch=cfg.batch), steps)),
        steps * cfg.batch,
    )
    return {"order": order, "reading": reading, "parsing": parsing}


def processor_ms(work: Callable[[], Any], images: int, *, repeats: int = 3) -> float:
    """CPU-ms an image of some work on `images` of them, the least of several times: what else the
    process does only adds."""
    times = []
    for _ in range(repeats):
        began = processor_s()
        work()
        times.append(processor_s() - began)
    return 1e3 * min(times) / images


def processor_s() -> float:
    """Processor time of this process so far, all threads, user and system."""
    return time.process_time()


def resident_bytes() -> int:
    """Memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
