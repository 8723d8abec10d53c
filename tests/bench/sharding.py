"""Processor and wall time of writing the same image files with `vitctl shard`, `tar c`, and the
writers of TensorFlow Datasets and webdataset, in turns:

    python -m tests.bench.sharding --peers PYTHON [--repeats 3] [--set photos|small|FOLDER]

    photos  5,000 JPEGs as `tests.bench.feed` makes them, 42 kB each
    small   20,000 JPEGs of 64 x 64 px, 2 kB each

Of each the median over the repeats, and its ratio to `vitctl shard` in the same repeat. Processor
time is that of the process and of all its children.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench import feed

_OURS = "vitctl shard"


def small(folder: Path, *, images: int) -> Path:
    """JPEG files of smooth noise in two classes."""
    rng = np.random.default_rng(0)
    for number in range(images):
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(place / f"{number}.jpg", quality=87)
    return folder


def commands(folder: Path, out: Path, *, peers: str) -> dict[str, list[str]]:
    script = str(Path(__file__).with_name("sharding_peers.py"))
    ours = [sys.executable, "-m", "vitctl", "shard", str(folder), "--store", str(out), "-q"]
    return {
        _OURS: [*ours, "--set", "val_fraction=0"],
        "tar c": ["tar", "cf", str(out / "photos.tar"), str(folder)],
        "TensorFlow Datasets": [peers, script, "tfds", str(folder), str(out)],
        "webdataset": [peers, script, "webdataset", str(folder), str(out)],
    }


def run_times(command: list[str]) -> tuple[float, float]:
    """(CPU-seconds, seconds) of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    messages = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed: {messages.decode()[-1000:]}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", required=True, metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", default="photos")
    parser.add_argument("--images", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        match given.set:
            case "photos":
                folder = feed.photos(Path(name) / "photos", images=given.images or 5000)
            case "small":
                folder = small(Path(name) / "small", images=given.images or 20_000)
            case _:
                folder = Path(given.set)
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(given.repeats):
            out = Path(name) / "out"
            for who, command in commands(folder, out, peers=given.peers).items():
                out.mkdir()
                times.setdefault(who, []).append(run_times(command))
                shutil.rmtree(out)
    for who, pairs in times.items():
        processor, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        both = list(zip(pairs, times[_OURS], strict=True))
        ratios = [statistics.median(a[i] / b[i] for a, b in both) for i in (0, 1)]
        print(f"{who:20} {processor:7.2f} CPU-s {wall:7.2f} s", end="")
        print(f"   {ratios[0]:5.2f} and {ratios[1]:5.2f} of {_OURS}'s", flush=True)


if __name__ == "__main__":
    main()
