"""What pretrain, cooldown and finetune share: numbers, shapes, restore, loop, publish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from vitctl import checkpoints, machine, schedules
from vitctl import mesh as meshes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.provenance import now
from vitctl.artifacts.runs import RunDraft
from vitctl.data.digest import ConsumedSamples
from vitctl.durations import show_count
from vitctl.errors import DivergedError, InputError, InterruptedRun
from vitctl.events import Caution, Emit, Note, Progress, Settings
from vitctl.model import accounting
from vitctl.signals import Stop, graceful
from vitctl.train import memory, scoring
from vitctl.train import state as states
from vitctl.train.cadence import Cadence
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.images import Images
from vitctl.train.metrics import Metrics
from vitctl.train.state import TrainState
from vitctl.train.step import StepStats, make_step


@dataclass(frozen=True)
class Start:
    """Where a run begins when it has no checkpoint of its own.

    `state` makes the arrays with a given sharding; `consumed` is what was seen before `step`.
    """

    step: int
    state: Callable[[NamedSharding], TrainState]
    consumed: ConsumedSamples


def scratch(cfg: TrainConfig) -> Start:
    """Random weights, nothing seen."""
    return Start(0, lambda sharding: states.fresh(cfg, sharding=sharding), ConsumedSamples())


def continued(cfg: TrainConfig, checkpoint: Artifact) -> Start:
    """The whole state of a checkpoint: the branch goes on where the trunk was.

    Raises InputError if its bytes are not those that were published.
    """
    checkpoint.require_whole()
    step, consumed = _position(checkpoint)
    return Start(step, lambda sharding: _restore(cfg, checkpoint, sharding=sharding), consumed)


def train(
    run: RunDraft,
    cfg: TrainConfig,
    *,
    images: Images,
    start: Start,
    runtime: TrainRuntime,
    emit: Emit,
) -> Artifact:
    """Train `run` up to `cfg.steps` and return that checkpoint; resume from the newest before it.

    Raises:
      InterruptedRun: a signal came; everything done is saved.
      DivergedError: a loss or a norm was not finite; nothing from there on is applied or saved.
      InputError: the data is not what the checkpoint was trained on.
      DoesNotFitError: it needs more memory than there is.
    """
    # Numbers
    mesh = meshes.make(runtime.devices)
    meshes.check_batch(mesh, cfg.data.batch)
    images_per_device = cfg.data.batch // mesh.shape[meshes.DATA]

    # Shapes
    shapes = states.shapes(cfg)
    remat, needed = memory.choose(
        cfg,
        state=shapes,
        images_per_device=images_per_device,
        available=machine.device_bytes(),
        remat=runtime.remat,
    )
    emit(Settings(f"{run.info.stage} {cfg.name}", _announced(cfg, mesh, remat, needed, images)))

    # Restore, or start
    whole = meshes.replicated(mesh)
    state, step, consumed, damaged = _begin(run, cfg, start=start, sharding=whole, emit=emit)
    consumed.check(images.keys_of_step)
    cadence = Cadence.of(runtime, start=start.step, total=cfg.steps)
    run.begin(from_step=step, runtime=_recorded(runtime, cadence, mesh, remat))

    # Loop, publish
    with graceful() as stop:
        loop = _Loop(
            run=run,
            cfg=cfg,
            images=images,
            mesh=mesh,
            emit=emit,
            stop=stop,
            cadence=cadence,
            remat=remat,
            damaged=damaged,
        )
        return loop.run_from(state, step=step, consumed=consumed)


class _Loop:
    """The loop and what it holds on to."""

    def __init__(
        self,
        *,
        run: RunDraft,
        cfg: TrainConfig,
        images: Images,
        mesh: Mesh,
        emit: Emit,
        stop: Stop,
        cadence: Cadence,
        remat: memory.Remat,
        damaged: Iterable[int],
    ) -> None:
        self.run, self.cfg, self.images, self.mesh = run, cfg, images, mesh
        self.emit, self.stop = emit, stop
        self.cadence = cadence
        self.step_fn = make_step(cfg, mesh=mesh, remat=remat)
        self.scorer = scoring.make_scorer(
            cfg.model, loss=cfg.loss, precision=cfg.precision, mesh=mesh
        )
        self.started = now()
        self.scores: scoring.Scores | None = None
        self.scored_at = -1
        self.damaged = set(damaged)
        self.last_loss: float | None = None

    def run_from(self, state: TrainState, *, step: int, consumed: ConsumedSamples) -> Artifact:
        kept = max(self.run.steps(), default=0)
        with Metrics(self.run.metrics, keep_to=max(kept, step)) as metrics:
            batches = iter(self.images.train_batches(start_step=step))
            split, whole = meshes.split(self.mesh), meshes.replicated(self.mesh)
            before: tuple[int, StepStats] | None = None
            waited = logged_waited = 0.0
            logged_step, logged_at = step, time.perf_counter()

            while step < self.cfg.steps:
                asked = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - asked
                rate = np.float32(schedules.value(self.cfg.schedule, step=step))
                arrays = meshes.place((batch.images, batch.labels), split)
                scalars = meshes.place((rate, np.int32(step)), whole)
                state, stats = self.step_fn(state, *arrays, *scalars)
                # Looking at the step before keeps one step under way on the device.
                self._check(before, state, consumed, metrics)
                before = (step, stats)
                consumed = consumed.advance(batch.keys)
                step += 1

                if self.cadence.due(self.cadence.log, step):
                    self._check(before, state, consumed, metrics)
                    now_at = time.perf_counter()
                    passed = max(now_at - logged_at, 1e-9)
                    self._log(
                        metrics,
                        step,
                        stats,
                        rate=float(rate),
                        images_per_s=(step - logged_step) * self.cfg.data.batch / passed,
                        data_wait=(waited - logged_waited) / passed,
                    )
                    logged_step, logged_at, logged_waited = step, now_at, waited
                stopping = self.stop.requested and step < self.cfg.steps
                score = self.cadence.due(self.cadence.evaluate, step) and not stopping
                save = self.cadence.saves(step) or stopping
                if score or save:
                    self._check(before, state, consumed, metrics)
                    paused = time.perf_counter()
                    if score:
                        self._score(metrics, step, state)
                    if save:
                        metrics.sync()
                        self._save(state, step=step, consumed=consumed)
                    logged_at += time.perf_counter() - paused
                if stopping:
                    raise InterruptedRun(
                        f"{self.stop.reason} after step {step}; it is saved in "
                        f"{self.run.place(step)}",
                        hint="run the same command again (without --force) to continue",
                    )
            return self.run.checkpoint(self.cfg.steps)

    def _check(
        self,
        before: tuple[int, StepStats] | None,
        state: TrainState,
        consumed: ConsumedSamples,
        metrics: Metrics,
    ) -> None:
        """Stop if that step diverged. `state` is then still the one before it (see TrainState)."""
        if before is None or bool(before[1].finite):
            return
        step, stats = before
        metrics.sync()
        raise DivergedError(
            f"step {step + 1} diverged: its loss is {float(stats.loss):g}, its gradient norm "
            f"{float(stats.grad_norm):g}; nothing of it was applied or saved",
            hint="a lower --lr, a longer --warmup or --set optim.beta2=0.95 often helps",
        )

    def _log(
        self,
        metrics: Metrics,
        step: int,
        stats: StepStats,
        *,
        rate: float,
        images_per_s: float,
        data_wait: float,
    ) -> None:
        loss = float(stats.loss)
        self.last_loss = loss
        metrics.row(
            "train",
            step,
            images=step * self.cfg.data.batch,
            lr=rate,
            loss=loss,
            grad_norm=float(stats.grad_norm),
            update_norm=float(stats.update_norm),
            param_norm=float(stats.param_norm),
            images_per_second=round(images_per_s, 3),
            data_wait=round(min(1.0, data_wait), 4),
        )
        fields = {
            "loss": f"{loss:.4g}",
            "lr": f"{rate:.3g}",
            "img/s": f"{images_per_s:.4g}",
            "data wait": f"{min(1.0, data_wait):.0%}",
        }
        if self.scores is not None:
            fields["top-1"] = f"{self.scores.top1:.2%}"
        self.emit(Progress(self.run.info.stage, step, self.cfg.steps, "steps", fields))

    def _score(self, metrics: Metrics, step: int, state: TrainState) -> None:
        if self.cfg.data.eval_split is None:
            return
        self.scored_at = step
        batches = self.images.eval_batches(self.cfg.data.eval_split)
        self.scores = scoring.score(self.scorer, state.params, batches, mesh=self.mesh)
        metrics.row("eval", step, split=self.cfg.data.eval_split, **self.scores.as_json())

    def _save(self, state: TrainState, *, step: int, consumed: ConsumedSamples) -> Artifact:
        done = self.run.steps()
        again = step in done and step not in self.damaged
        if step == self.cfg.steps:
            self.run.mark_result(step)
        if again:  # a shorter request going over ground that was trained before
            return self.run.checkpoint(step)
        place = self.run.empty_place(step)
        position = {"step": step, "consumed": consumed.to_json()}
        checkpoints.save(place, params=state.params, opt=state.opt, position=position)
        artifact = self.run.publish(
            step, summary=self._summary(step), started=self.started, volatile=checkpoints.VOLATILE
        )
        self.damaged.discard(step)
        if step > max(done, default=0):  # only what is new ground pushes older ones out
            stay = (*self.run.info.results, step)
            for old in self.cadence.to_drop([*done, step], keep=stay, intervals=self.run.kept):
                self.run.drop(old)
        return artifact

    def _summary(self, step: int) -> dict[str, Any]:
        model = self.cfg.model
        return {
            "step": step,
            "images": step * self.cfg.data.batch,
            "model": self.cfg.name,
            "resolution": model.resolution,
            "parameters": accounting.parameters(model).total,
            "classes": list(self.images.classes),
            "finished_schedule": not self.cfg.schedule.open_ended and step == self.cfg.steps,
            "loss": self.last_loss,
            "eval": self.scores.as_json() if self.scores and self.scored_at == step else None,
        }


def _begin(
    run: RunDraft, cfg: TrainConfig, *, start: Start, sharding: NamedSharding, emit: Emit
) -> tuple[TrainState, int, ConsumedSamples, list[int]]:
    """The state to go on from: the run's newest whole checkpoint, else where it starts; and the
    steps whose checkpoints are damaged."""
    newest, problems = run.usable(at_most=cfg.steps)
    for problem in problems.values():
        emit(Caution(f"{problem}; going back to the checkpoint before it"))
    if newest is None:
        return start.state(sharding), start.step, start.consumed, list(problems)
    step, consumed = _position(newest)
    emit(Note(f"continuing {run.path} from step {show_count(step)}"))
    return _restore(cfg, newest, sharding=sharding), step, consumed, list(problems)


def _restore(cfg: TrainConfig, checkpoint: Artifact, *, sharding: NamedSharding) -> TrainState:
    like = meshes.like(states.shapes(cfg), sharding)
    return TrainState(
        params=checkpoints.restore(checkpoint.path, checkpoints.PARAMS, like=like.params),
        opt=checkpoints.restore(checkpoint.path, checkpoints.OPT, like=like.opt),
        finite=jax.device_put(jnp.bool_(True), sharding),
    )


def _position(checkpoint: Artifact) -> tuple[int, ConsumedSamples]:
    position = checkpoints.read_position(checkpoint.path)
    try:
        return int(position["step"]), ConsumedSamples.from_json(position["consumed"])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{checkpoint.path / checkpoints.POSITION} is damaged") from None


def _announced(
    cfg: TrainConfig, mesh: Mesh, remat: memory.Remat, needed: memory.Need, images: Images
) -> dict[str, str]:
    """Every resolved number, once."""
    flops = accounting.matmul_flops(cfg.model)
    epochs = cfg.steps * cfg.data.batch / images.examples
    schedule = cfg.schedule
    cooldown = (
        f", cooldown {show_count(schedule.cooldown_steps)}" if schedule.cooldown_steps else ""
    )
    return {
        "model": f"{cfg.name} at {cfg.model.resolution} px, {cfg.model.head} head: "
        f"{accounting.parameters(cfg.model).total:,} parameters, {flops / 1e9:.4g} GFLOPs an image",
        "data": f"{images.examples:,} images, {len(images.classes)} classes; "
        f"{epochs:.4g} epochs of batches of {cfg.data.batch}",
        "schedule": f"{schedule.kind} to step {show_count(cfg.steps)}, peak {schedule.peak_lr:g}, "
        f"warmup {show_count(schedule.warmup_steps)}{cooldown}",
        "optimizer": f"{cfg.optim.name}, decay {cfg.optim.wd_head:g} head, "
        f"{cfg.optim.wd_body:g} body; {cfg.loss} loss; seed {cfg.seed}",
        "devices": f"{mesh.size} x {mesh.devices.flat[0].platform}, {cfg.precision}, "
        f"remat {remat}; about {memory.gib(needed.total)} a device",
    }


def _recorded(
    runtime: TrainRuntime, cadence: Cadence, mesh: Mesh, remat: memory.Remat
) -> dict[str, Any]:
    return {
        **runtime.model_dump(mode="json", exclude={"name", "out", "force"}),
        "keep": cadence.keep,
        "remat": remat,
        "devices": mesh.size,
        "platform": mesh.devices.flat[0].platform,
    }
