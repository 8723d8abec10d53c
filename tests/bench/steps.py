"""Training steps of the same models by several programs, in turns:

    python -m tests.bench.steps [--models Ti16,S16,B16] [--torch PYTHON [--compile]] [--json FILE]

On a CPU, 16 images in fp32, every program in memory, one after the other in each round. On a GPU,
bf16 and for each program the largest batch that fits, a process at a time (of ours with everything
kept for the backward pass and with products alone, whichever is faster): S16, B16, L16, g14, G14.

What is printed: seconds of a step, images a second, processor seconds, memory, FLOPs of the model
(three forward passes) as a share of a large matrix product's that is measured in the same process
(MFU), and of each program the ratio of its time an image to ours, the median of the rounds and
their range. Then the time of our step by kind of operation.

PYTHON is one that has tests/bench/steps-requirements.txt. Neither TensorFlow nor array_record is
imported, so `pip install --no-deps .` with jax, flax, optax, numpy, pydantic and jaxtyping will do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vitctl.model.remat import to_try

_FOLDER = Path(__file__).parent
_SECONDS = 3.0
"""Of a round of steps, at least."""
_ON_CPU, _ON_GPU = ("Ti16", "S16", "B16"), ("S16", "B16", "L16", "g14", "G14")
_LARGEST = 4096
"""The batch that a search for the largest begins with."""


@dataclass(frozen=True)
class Contestant:
    """A program: how it is started, and what it is made with."""

    name: str
    command: tuple[str, ...]
    options: dict[str, Any]


@dataclass
class Measured:
    """Of one program and model. Seconds are a step's, a round each."""

    program: str
    model: str
    batch: int
    options: dict[str, Any]
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    matmul_flops_per_s: float = 0.0
    kinds: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_s(self) -> float:
        return self.batch / statistics.median(self.wall_s)


class TooLargeError(Exception):
    """The device has no room."""


class Worker:
    """A process that answers orders; see `tests.bench.steps_worker`."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self._process = subprocess.Popen(
            contestant.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            text=True,
        )

    def ask(self, task: str, **order: Any) -> dict[str, Any]:
        """The answer. Raises TooLargeError; RuntimeError if the process ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": task, **order}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.contestant.name} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "too_large" in answer:
            raise TooLargeError(answer["too_large"])
        return answer

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    """As much of a GPU's memory as jax can have; and where no device is, no look for one: a libtpu
    that is installed would make the profiler fail."""
    defaults = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"}
    if not any(map(os.path.exists, ("/dev/nvidia0", "/dev/accel0", "/dev/vfio"))):
        defaults["JAX_PLATFORMS"] = "cpu"
    return defaults | os.environ


def made(contestant: Contestant, *, model: str, batch: int, **options: Any) -> Worker:
    """A process with the compiled step. Raises TooLargeError."""
    worker = Worker(contestant)
    try:
        worker.ask("make", model=model, batch=batch, **contestant.options, **options)
    except BaseException:
        worker.end()
        raise
    return worker


def measure_round(worker: Worker, into: Measured, *, seconds: float) -> None:
    """Steps for so long, and what they took each."""
    first = worker.ask("steps", count=1)["wall_s"]
    count = max(1, round(seconds / first))
    answer = worker.ask("steps", count=count)
    into.wall_s.append(answer["wall_s"] / count)
    into.cpu_s.append(answer["cpu_s"] / count)


def finished(worker: Worker, into: Measured, *, seconds: float) -> None:
    """What is asked once, at the end."""
    into.peak_bytes = worker.ask("peak")["bytes"]
    into.matmul_flops_per_s = worker.ask("matmul", seconds=seconds)["flops_per_s"]
    into.kinds = worker.ask("kinds")


def side_by_side(
    contestants: list[Contestant],
    *,
    model: str,
    batch: int,
    rounds: int,
    precision: str,
    seconds: float = _SECONDS,
) -> Iterator[Measured]:
    """All in memory, in turns, so long in each round."""
    workers, results = [], []
    for one in contestants:
        options = {"precision": precision, "remat": _remats(one)[-1]}
        workers.append(made(one, model=model, batch=batch, **options))
        results.append(Measured(one.name, model, batch, options))
    try:
        for _ in range(rounds):
            for worker, result in zip(workers, results, strict=True):
                measure_round(worker, result, seconds=seconds)
        for worker, result in zip(workers, results, strict=True):
            finished(worker, result, seconds=seconds)
            yield result
    finally:
        for worker in workers:
            worker.end()


def _remats(contestant: Contestant) -> tuple[str, ...]:
    """What to measure a program with; last what `vitctl pretrain` begins with."""
    return ("none", to_try("auto")[0]) if contestant.name == "vitctl" else ("none",)


def one_at_a_time(
    contestants: list[Contestant], *, model: str, batch: int | None, rounds: int, precision: str
) -> Iterator[Measured]:
    """Each alone on the device, with the largest batch that fits, in turns."""
    best: dict[str, Measured] = {}
    for one in contestants:
        tried = [
            result
            for remat in _remats(one)
            if (result := largest(one, model, batch, precision=precision, remat=remat))
        ]
        if tried:
            best[one.name] = max(tried, key=lambda result: result.images_per_s)
        else:
            print(f"{one.name}: no batch of {model} fits", flush=True)
    for number in range(rounds):
        for one in contestants:
            if (result := best.get(one.name)) is None:
                continue
            worker = made(one, model=model, batch=result.batch, **result.options)
            try:
                measure_round(worker, result, seconds=_SECONDS)
                if number == rounds - 1:
                    finished(worker, result, seconds=_SECONDS)
            finally:
                worker.end()
    for result in best.values():
        del result.wall_s[0], result.cpu_s[0]  # of the search
        yield result


def largest(
    contestant: Contestant, model: str, batch: int | None, *, precision: str, remat: str
) -> Measured | None:
    """One round with the largest power of two that fits, or with `batch`; None if nothing does."""
    size = batch or _LARGEST
    while size:
        options = {"precision": precision, "remat": remat}
        try:
            worker = made(contestant, model=model, batch=size, **options)
        except TooLargeError:
            size = 0 if batch else size // 2
            continue
        result = Measured(contestant.name, model, size, options)
        try:
            measure_round(worker, result, seconds=1.0)
        finally:
            worker.end()
        return result
    return None


def as_table(results: list[Measured], *, flops: dict[str, int]) -> Iterator[str]:
    """Markdown; the ratio is time an image of a program over ours, in the same round."""
    yield "| model | program | batch | ms a step | images/s | CPU-s a step | memory | MFU | ratio |"
    yield "|---|---|---|---|---|---|---|---|---|"
    own = {result.model: result for result in results if result.program == "vitctl"}
    for result in results:
        rate = result.images_per_s
        mfu = flops[result.model] * rate / result.matmul_flops_per_s
        ours = own.get(result.model)
        yield (
            f"| {result.model} | {_program(result)} | {result.batch} "
            f"| {statistics.median(result.wall_s) * 1e3:,.1f} | {rate:,.1f} "
            f"| {statistics.median(result.cpu_s):,.2f} | {result.peak_bytes / 2**30:,.1f} GiB "
            f"| {mfu:.0%} | {'' if ours is None else _ratio(result, ours)} |"
        )


def _program(result: Measured) -> str:
    remat = result.options["remat"]
    return result.program + ("" if remat == "none" else f", remat {remat}")


def _ratio(result: Measured, ours: Measured) -> str:
    if result is ours:
        return "1"
    ratios = [
        (theirs / result.batch) / (mine / ours.batch)
        for theirs, mine in zip(result.wall_s, ours.wall_s, strict=True)
    ]
    middle = statistics.median(ratios)
    return f"{middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.steps")
    parser.add_argument("--models", help="as in Ti16,S16,B16")
    parser.add_argument("--batch", type=int, help="default: 16 on a CPU, the largest on a GPU")
    parser.add_argument("--precision", choices=["float32", "bfloat16"])
    parser.add_argument("--optimizer", choices=["adafactor", "adam", "sgd"], default="adafactor")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()

    optimizer = {"optimizer": given.optimizer}
    ours = Contestant("vitctl", (sys.executable, "-m", "tests.bench.steps_vitctl"), optimizer)
    contestants = [ours]
    if given.torch:
        command = (given.torch, str(_FOLDER / "steps_torch.py"))
        contestants.append(Contestant("timm", command, optimizer))
        if given.compile:
            options = {**optimizer, "compiled": True}
            contestants.append(Contestant("timm, compiled", command, options))
    devices = []
    for one in contestants:
        worker = Worker(one)
        devices.append({"program": one.name, **worker.ask("device")})
        worker.end()
        print(json.dumps(devices[-1]), flush=True)
    on_cpu = devices[0]["platform"] == "cpu"
    models = given.models.split(",") if given.models else _ON_CPU if on_cpu else _ON_GPU
    precision = given.precision or ("float32" if on_cpu else "bfloat16")

    measure = (
        partial(side_by_side, batch=given.batch or 16)
        if on_cpu
        else partial(one_at_a_time, batch=given.batch)
    )

    flops = _flops(models)
    results: list[Measured] = []
    for model in models:
        results.extend(measure(contestants, model=model, rounds=given.rounds, precision=precision))
        print("\n".join(as_table(results, flops=flops)), flush=True)
    for result in results:
        if result.kinds:
            shares = ", ".join(f"{kind} {share:.0%}" for kind, share in result.kinds.items())
            print(f"{result.model}, {_program(result)}: {shares}")
    if given.json:
        document = {"devices": devices, "results": [asdict(result) for result in results]}
        given.json.write_text(json.dumps(document, indent=1))


def _flops(models: list[str] | tuple[str, ...]) -> dict[str, int]:
    """Of training on one image, by model."""
    from vitctl.model import accounting
    from vitctl.model.config import from_name

    return {name: accounting.trained_flops(from_name(name, classes=1000)) for name in models}


if __name__ == "__main__":
    main()
