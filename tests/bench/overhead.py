"""How long devices wait for the host between two steps of `vitctl pretrain`:

    python -m tests.bench.overhead [--model S16] [--batch 8] [--steps 20] [--data DATASET]

trains on synthetic images, or on a dataset, with one row of metrics at the end, and with one a step
(usual is every fiftieth). Printed are seconds a step, and over all steps but the first two:

waiting    seconds in which no step was under way, as a share of all: batches that are late,
           queueing, metrics that are fetched, rows that are written
host       processor seconds of the thread that runs the loop, as a share of the process's: on a
           machine with other work it is the steadier of the two
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from stages import api
from vitctl.train.run import reporting
from vitctl.train.telemetry.device_idle import StepEnds

_WARMING = 2
"""Steps that compile, or begin while one that compiles is under way."""


@dataclass
class Steps:
    """Of each step when it was queued: the time, how long no other was under way just before, and
    the processor seconds of the process and of this thread so far."""

    at: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    thread: list[float] = field(default_factory=list)

    def shares(self) -> dict[str, float]:
        first = _WARMING - 1
        return {
            "waiting": sum(self.waiting[_WARMING:]) / (self.at[-1] - self.at[first]),
            "host": (self.thread[-1] - self.thread[first])
            / (self.process[-1] - self.process[first]),
        }


def train_watched(*, batch: int, steps: int, log_every: int, **settings: Any) -> Steps:
    """Train without scoring, save at the end alone, and watch each step that is queued."""
    own = {"data.batch": batch, "data.eval_split": None, "schedule.warmup_steps": 1}
    runtime = {"checkpoint_every": steps, "log_every": log_every}
    watched = Steps()

    class Watched(StepEnds):
        def follow(self, result: Any) -> None:
            now = self._clock()
            watched.waiting.append(self.idle(since=0.0, now=now))
            watched.at.append(now)
            watched.process.append(time.process_time())
            watched.thread.append(time.thread_time())
            super().follow(result)

    usual, reporting.StepEnds = reporting.StepEnds, Watched  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as folder:
            api.pretrain(store=folder, steps=steps, set=own, runtime=runtime, **settings)
    finally:
        reporting.StepEnds = usual  # type: ignore[misc]
    return watched


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="S16")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--data")
    given = parser.parse_args()
    images = {"mock": True} if given.data is None else {"data": given.data}
    for label, every in (("one at the end", given.steps), ("one a step", 1)):
        steps = train_watched(
            model=given.model, batch=given.batch, steps=given.steps, log_every=every, **images
        )
        a_step = (steps.at[-1] - steps.at[_WARMING - 1]) / (len(steps.at) - _WARMING)
        shares = "   ".join(f"{name} {share:.2%}" for name, share in steps.shares().items())
        print(f"{given.model} x {given.batch}, rows: {label:<14} {a_step:8.3f} s a step   {shares}")


if __name__ == "__main__":
    main()
