"""A PyTorch DataLoader that does what training's input does, with Pillow; run by `tests.bench.feed`
with a Python that has torch. Prints one JSON object.

    python feed_torch.py FOLDER --seconds 10 --workers 2 --batch 32
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

_SIDE = 224


class Photos(Dataset):
    """float32[3, 224, 224] in [-1, 1]: a random window of 5 to 100 % of the area, resized, flipped
    half of the time."""

    def __init__(self, folder: Path, repeats: int) -> None:
        self.paths = sorted(map(str, folder.rglob("*.jpg")))
        self.repeats = repeats

    def __len__(self) -> int:
        return len(self.paths) * self.repeats

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index % len(self.paths)]) as file:
            image = file.convert("RGB")
        image = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=_window(*image.size))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.to(torch.float32).div_(127.5).sub_(1.0)


def _window(width: int, height: int) -> tuple[int, int, int, int]:
    for _ in range(10):
        area = width * height * random.uniform(0.05, 1.0)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    return 0, 0, width, height


def _processor_s(pids: list[int]) -> float:
    """User and system time of this process and of others."""
    ticks = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    torch.set_num_threads(1)
    loader = DataLoader(
        Photos(given.folder, repeats=1000),
        batch_size=given.batch,
        shuffle=True,
        num_workers=given.workers,
        drop_last=True,
    )
    batches: Any = iter(loader)
    pids = [worker.pid for worker in batches._workers]
    for _ in range(2 * given.workers + 2):  # what was made ahead
        next(batches)
    began, processor, images = time.perf_counter(), _processor_s(pids), 0
    while time.perf_counter() < began + given.seconds:
        images += len(next(batches))
    passed, used = time.perf_counter() - began, _processor_s(pids) - processor
    print(json.dumps({"images_per_second": images / passed, "cpu_ms": 1e3 * used / images}))


if __name__ == "__main__":
    main()
