"""What a run reports while it trains: rows of metrics.jsonl, where its time went, and events for
the display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Literal

from vitctl import processes
from vitctl.events import (
    Activity,
    Caution,
    Doing,
    Left,
    Saved,
    Scored,
    Spent,
    Stepped,
    Trail,
    Trained,
)
from vitctl.hardware.peaks import peak_flops
from vitctl.inference.scoring import Scoring
from vitctl.optim import frozen
from vitctl.text import quantities
from vitctl.train.program.step import StepStats
from vitctl.train.run.diverged import Diverged
from vitctl.train.run.least_time import LONG_S
from vitctl.train.run.setup import Training
from vitctl.train.telemetry import goodput, starvation
from vitctl.train.telemetry.device_idle import StepEnds
from vitctl.train.telemetry.eta import Pace
from vitctl.train.telemetry.goodput import Ledger, Meter
from vitctl.train.telemetry.metrics import Metrics, read
from vitctl.train.telemetry.tracker import Tracked

Pause = Literal["checkpoint", "evaluation"]

_ACTIVITY: dict[Pause, Activity] = {"checkpoint": "save", "evaluation": "score"}
# Between rows, a screen is told of finished steps so often.
_STEPPED_EVERY_S = 1.0


class Reporter:
    """Measures the loop and reports a row an interval. A context manager."""

    def __init__(self, training: Training, *, step: int, meter: Meter) -> None:
        """`step`: of the state that training goes on from."""
        run, cfg, mesh = training.run, training.cfg, training.layout.mesh
        self.run, self.cfg, self.cadence = run, cfg, training.cadence
        self.meter, self.emit = meter, training.emit
        self.last_loss: float | None = None
        self.scores: Scoring | None = None
        self.scored_at = -1
        newest = max(run.steps(), default=0)
        self.metrics = Metrics(
            run.metrics,
            keep_to=max(newest, step),
            tensorboard=training.runtime.tensorboard,
            run=Tracked(run.info.name, run.info.stage, run.info.id, run.info.config),
            track=training.runtime.track,
            emit=training.emit,
        )
        self.ledger = Ledger(run.path / goodput.FILE, meter=meter, step=step)
        self._step_ends = StepEnds(clock=meter.now)
        self._pace = Pace()
        self._origin = training.origin
        self._images, self._starving = training.images, starvation.Watch()
        self._others = starvation.Others()
        self._shared = mesh.devices.flat[0].platform == "cpu"
        self._flops = frozen.trained_flops(cfg.model, cfg.optim)
        peak = peak_flops(mesh.devices.flat[0].device_kind)
        self._peak = None if peak is None else peak * mesh.size
        self._task = f"{run.info.stage} {cfg.label}"
        self._step = self._told_step = step
        self._newest: StepStats | None = None
        self._told_at: float | None = None
        self._first: tuple[int, float] | None = None
        self._long_told = False
        self._read = 0.0
        self._idle = self._paused = self._active = 0.0

    def __enter__(self) -> Reporter:
        with ExitStack() as stack:
            for part in (self.metrics, self._step_ends, self.ledger):
                stack.enter_context(part)
            self._parts = stack.pop_all()
        if self.metrics.damaged:
            self.emit(
                Caution(
                    f"{self.run.metrics} holds damaged lines, which are left out "
                    f"({self.metrics.damaged}): curves have a gap there, the weights do not"
                )
            )
        rows = read(self.run.metrics)
        losses = tuple((row["step"], row["loss"]) for row in rows if row["kind"] == "train")
        self.emit(Trail(losses))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._parts.__exit__(kind, error, trace)
        spent = Spent(self.ledger.total(), starts=len(self.ledger.past) + 1)
        if isinstance(error, Diverged):  # whether that is the end, others decide
            error.spent = spent
        else:
            self.emit(spent)

    # Time

    @contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Time within in which the devices have nothing to do counts as waiting for the input; all
        of it, until the first batch, as starting."""
        since = self.meter.now()
        yield
        if self.meter.account == "start":
            self.meter.switch("step")
            self._active = self._active_s()
            return
        idle = self._step_ends.idle(since=since, now=self.meter.now())
        self.meter.move(idle, "step", "data_wait")
        self._idle += idle
        processes.starved(idle)

    @contextmanager
    def pausing(self, what: Pause) -> Iterator[None]:
        """Time within is not part of the training rate."""
        self.emit(Doing(_ACTIVITY[what]))
        began, compile_s = self.meter.now(), self.meter.seconds["compile"]
        with self.meter.during(what):
            yield
        took = self.meter.now() - began - (self.meter.seconds["compile"] - compile_s)
        self._paused += took
        self._pace.pause(what, took)
        self.ledger.flush()
        self.emit(Doing("step"))

    def stepped(self, step: int, stats: StepStats) -> None:
        """`step` steps are queued; `stats` are of the last. All before it are finished."""
        self._step_ends.follow(stats.finite)
        self.ledger.at(step)
        now = self.meter.now()
        finished, self._newest = self._newest, stats
        if self._told_at is None or now - self._told_at >= _STEPPED_EVERY_S:
            if self._step_ends.under_way():
                self._tell_finished(step - 1, finished, now)
            else:
                self._tell_finished(step, stats, now)

    def _tell_finished(self, step: int, stats: StepStats | None, now: float) -> None:
        """An event of the last step the devices finished, if it is news."""
        if stats is None or step <= self._told_step:
            return
        self._told_step, self._told_at = step, now
        self._time_early(step, self._active_s())
        left = self._left(step)
        self.emit(Stepped(self._task, step, self.cfg.steps, float(stats.loss), left=left))

    def _time_early(self, step: int, active: float) -> None:
        """`step` steps are finished `active` seconds after the first was begun."""
        if self._first is None:
            self._first = step, active
        else:
            self._pace.early(step - self._first[0], active - self._first[1])

    def _left(self, step: int) -> Left | None:
        left = self._pace.left(self.cfg.steps - step, pauses=self.cadence.pauses_after(step))
        if left is not None and left.likely >= LONG_S and not self._long_told:
            rest = quantities.duration(left.likely)
            self.emit(
                Caution(
                    f"at the pace of the first steps the rest takes {rest}; Ctrl-C saves, and the "
                    "same command continues"
                )
            )
        self._long_told = self._long_told or left is not None
        return left

    def _active_s(self) -> float:
        """Seconds so far without starting, compiling and pauses."""
        self.meter.settle()
        seconds = self.meter.seconds
        return sum(seconds.values()) - seconds["start"] - seconds["compile"] - self._paused

    # Rows and events

    def trained(self, step: int, stats: StepStats, *, rate: float) -> None:
        """One row for the steps since the last; `stats` and the learning `rate` are of the last."""
        active = self._active_s()
        steps, passed = step - self._step, max(active - self._active, 1e-9)
        images_per_s = steps * self.cfg.data.batch / passed
        elsewhere, who = self._others.worst()
        if elsewhere > self._idle:
            self.meter.move(elsewhere - self._idle, "step", "data_wait")
            self._idle = elsewhere
        else:
            who = None
        data_wait = min(1.0, self._idle / passed)
        self._pace.steps(steps, passed)
        self._time_early(step, active)
        self._told_step, self._told_at = step, self.meter.now()
        starved = self._starving.add(idle_s=self._idle, passed_s=passed, steps=steps)
        reading = self._images.clock.seconds - self._read
        self._read += reading
        self._step, self._active, self._idle = step, active, 0.0

        loss = self.last_loss = float(stats.loss)
        flops_per_s = images_per_s * self._flops
        mfu = None if self._peak is None else flops_per_s / self._peak
        speeds: dict[str, Any] = {
            "images_per_second": round(images_per_s, 3),
            "data_wait": round(data_wait, 4),
            "goodput": round(goodput.shares(self.ledger.total())["step"], 4),
        }
        if mfu is not None:
            speeds["mfu"] = round(mfu, 4)
        skipped = None if stats.skipped is None else int(stats.skipped)
        if skipped is not None:
            speeds["skipped"] = skipped
        self.metrics.row(
            "train",
            step,
            images=self._origin.images_at(step, cfg=self.cfg),
            lr=rate,
            loss=loss,
            grad_norm=float(stats.grad_norm),
            update_norm=float(stats.update_norm),
            param_norm=float(stats.param_norm),
            **speeds,
        )
        self.emit(
            Trained(
                self._task,
                step,
                self.cfg.steps,
                loss=loss,
                lr=rate,
                images_per_s=images_per_s,
                data_wait=data_wait,
                flops_per_s=flops_per_s,
                mfu=mfu,
                skipped=skipped,
                left=self._left(step),
            )
        )

        if starved is not None:
            if who is not None:
                self.emit(Caution(starvation.sentence(starved, starvation.elsewhere(), of=who)))
                return
            self._say_what_helps(starved, images_per_s=images_per_s, reading=reading / passed)

    def _say_what_helps(self, share: float, *, images_per_s: float, reading: float) -> None:
        """Measure what the input costs; the devices have nothing to do anyway."""
        began = self.meter.now()
        with self.meter.during("data_wait"):
            helps = self._images.what_helps(
                images_per_s=images_per_s, reading=min(1.0, reading), shared=self._shared
            )
        self._paused += self.meter.now() - began
        self.emit(Caution(starvation.sentence(share, helps)))

    def scored(self, step: int, scores: Scoring) -> None:
        """A row of held-out scores; those of the averaged weights begin with `ema_`."""
        self.scores, self.scored_at = scores, step
        split = self.cfg.data.eval_split
        ema = {} if scores.ema is None else scores.ema.means
        values = {**scores.raw.as_row(), **{f"ema_{name}": mean for name, mean in ema.items()}}
        self.metrics.row("eval", step, split=split, **values)
        assert split is not None  # there would be nothing to score
        self.emit(Scored(step, split, values))
        if not scores.is_finite:
            self.emit(
                Caution(
                    f"the loss of held-out images is not finite at step {step}, though the weights "
                    "are; training goes on, a lower --lr may help"
                )
            )

    def scores_at(self, step: int) -> Scoring | None:
        """The scores of exactly this step, if it was scored."""
        return self.scores if self.scored_at == step else None

    def saved(self, saved: Saved) -> None:
        """A row of a checkpoint that was written."""
        self.metrics.row(
            "save",
            saved.step,
            stall_s=round(saved.stall_s, 4),
            write_s=round(saved.write_s, 4),
            bytes=saved.bytes,
        )
        self.emit(saved)
