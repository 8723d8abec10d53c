"""Images per second that reach training, of photo-like JPEGs made here:

    python -m tests.bench.feed [--images 2000] [--torch PYTHON]

    warm      files in the page cache, as `vitctl bench feed` measures them
    cold      dropped from it before each round (`posix_fadvise`; no effect on a tmpfs)
    latency   20 ms added to the reading of every record
    torch     a DataLoader in another Python that has tests/bench/feed-requirements.txt, in turns

The pictures are windows of the two that scikit-learn has (`load_sample_images`), resized to 300 to
400 by 350 to 450 px, with noise of 4 levels, at quality 87: 40 kB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from vitctl.artifacts import Artifact, Store
from vitctl.data import records

_LATENCY_S = 0.020
_read = records._read


_HEIGHTS, _WIDTHS = (300, 400), (350, 450)


def photos(
    folder: Path,
    *,
    images: int,
    heights: tuple[int, int] = _HEIGHTS,
    widths: tuple[int, int] = _WIDTHS,
) -> Path:
    """JPEG files in two classes, as high and wide as the ranges say, ends included."""
    from sklearn.datasets import load_sample_images

    pictures = load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(images):
        picture = pictures[number % 2]
        height, width = (int(rng.integers(low, high + 1)) for low, high in (heights, widths))
        share = rng.uniform(0.5, 1.0)
        tall, wide = int(picture.shape[0] * share), int(picture.shape[1] * share)
        top = int(rng.integers(0, picture.shape[0] - tall + 1))
        left = int(rng.integers(0, picture.shape[1] - wide + 1))
        window = Image.fromarray(picture[top : top + tall, left : left + wide])
        resized = np.asarray(window.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        noisy = resized + rng.normal(0, 4, (height, width, 1))
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(
            place / f"{number}.jpg", quality=87
        )
    return folder


def sharded(folder: Path, *, store: Path) -> Artifact:
    from stages.api import shard

    return shard(str(folder), set={"val_fraction": 0.0, "shards": 2}, store=store)


def slowly(path: Path, reader: Any, within: list[int]) -> tuple[list[bytes], float]:
    """Every record takes 20 ms longer to read, as on a disk behind a network."""
    time.sleep(_LATENCY_S * len(within))
    contents, seconds = _read(path, reader, within)
    return contents, seconds + _LATENCY_S * len(within)


def coldly(path: Path, reader: Any, within: list[int]) -> tuple[list[bytes], float]:
    """Shards are dropped from the page cache before each read of them."""
    number = os.open(path, os.O_RDONLY)
    os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(number)
    return _read(path, reader, within)


def main() -> None:
    from stages.api import bench_feed

    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--torch", metavar="PYTHON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = photos(Path(name) / "photos", images=given.images)
        dataset = sharded(folder, store=Path(name) / "store")

        def fed() -> dict[str, Any]:
            report = bench_feed(
                data=dataset,
                set={"batch": given.batch},
                runtime={"seconds": given.seconds},
                store=Store(Path(name) / "store"),
            )
            return report.as_json()

        pairs = []
        for _ in range(given.repeats if given.torch else 1):
            warm = fed()
            print("warm", json.dumps(warm), flush=True)
            if given.torch:
                script = Path(__file__).with_name("feed_torch.py")
                command = [given.torch, str(script), str(folder), f"--batch={given.batch}"]
                seconds = f"--seconds={given.seconds / 4}"
                answer = subprocess.run([*command, seconds], check=True, stdout=subprocess.PIPE)
                loader = json.loads(answer.stdout)
                print("torch", json.dumps(loader), flush=True)
                pairs.append((warm, loader))
        if pairs:
            times = [a["images_per_second"] / b["images_per_second"] for a, b in pairs]
            processor = [b["cpu_ms"] / a["cpu_ms"] for a, b in pairs]
            print(f"against torch: {statistics.median(times):.2f} times by time, ", end="")
            print(f"{statistics.median(processor):.2f} by processor time", flush=True)
        with mock.patch.object(records, "_read", coldly):
            print("cold", json.dumps(fed()), flush=True)
        with mock.patch.object(records, "_read", slowly):
            print("latency", json.dumps(fed()), flush=True)


if __name__ == "__main__":
    main()
