"""Memory of `vitctl pretrain` on the host, step by step:

    python -m tests.bench.memory [--steps 10000] [--images FOLDER] [-- FLAGS OF PRETRAIN]

trains the smallest model on scikit-learn's digits (or a folder of images), with checkpoints every
200 steps and scores every 1,000, and prints what the process has in memory beside mapped files
(RssAnon of /proc; Linux alone) as the steps go by, and the growth of 1,000 steps over the last half
of the run (a line fitted by least squares).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_EVERY_S = 0.5
_SETTINGS = ("--model", "test/8", "--res", "16", "--batch", "8")
_RUNNING = ("--checkpoint-every", "200", "--eval-every", "1000", "--keep-every", "1000")


def anonymous_bytes(process: int | str = "self") -> int:
    """Memory of a process that no file backs."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{process}/status has no RssAnon")


def step_of(metrics: Path) -> int:
    """The newest step of a metrics file that grows."""
    with metrics.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().split(b"\n")[1:-1]
    return max((json.loads(line)["step"] for line in lines), default=0)


def growth(steps: list[int], sizes: list[int]) -> float:
    """Bytes in 1,000 steps over the last half of them."""
    late = [(step, size) for step, size in zip(steps, sizes, strict=True) if step > steps[-1] / 2]
    return float(np.polyfit(*np.array(late, np.float64).T, deg=1)[0]) * 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--images", default="digits")
    parser.add_argument("flags", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = Path(name)
        ours = [sys.executable, "-m", "vitctl"]
        place = ["--store", str(store), "-q"]
        sharded = [*ours, "shard", given.images, "--val-fraction", "0.1", *place]
        dataset = subprocess.run(sharded, check=True, stdout=subprocess.PIPE, text=True)
        training = [*ours, "pretrain", "--data", dataset.stdout.strip(), *_SETTINGS, *_RUNNING]
        process = subprocess.Popen(
            [*training, "--steps", str(given.steps), *place, *given.flags],
            stdout=subprocess.DEVNULL,
        )
        steps: list[int] = []
        sizes: list[int] = []
        while process.poll() is None:
            time.sleep(_EVERY_S)
            for metrics in store.glob("pretrain/*/metrics.jsonl"):
                step = step_of(metrics)
                try:
                    size = anonymous_bytes(process.pid)
                except (FileNotFoundError, RuntimeError):  # it ended just now
                    break
                if step // 500 > (steps[-1] if steps else 0) // 500:
                    print(f"step {step:>7,}   {size / 2**20:8.1f} MiB", flush=True)
                steps.append(step)
                sizes.append(size)
        if process.returncode:
            raise SystemExit(f"pretrain ended with {process.returncode}")
    print(f"growth: {growth(steps, sizes) / 2**20:.2f} MiB in 1,000 steps, of the last half")


if __name__ == "__main__":
    main()
