"""What pretrain, cooldown and finetune share: numbers, shapes, restore, loop, publish."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.runs import RunDraft
from vitctl.data.digest import ConsumedSamples
from vitctl.errors import DivergedError, UsageError
from vitctl.events import Caution, Doing, Emit, Note, Settings
from vitctl.hardware import machine
from vitctl.inference import scoring
from vitctl.model import accounting
from vitctl.quantities import show_count
from vitctl.sharding import layout as layouts
from vitctl.sharding import spec
from vitctl.sharding.layout import Layout
from vitctl.signals import Stop, graceful, unless_owned
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.program import footprint
from vitctl.train.program.compile_barrier import in_step
from vitctl.train.program.state import TrainState
from vitctl.train.program.step import make_step
from vitctl.train.run import rollback
from vitctl.train.run.beginning import Start, of_checkpoint
from vitctl.train.run.cadence import Cadence
from vitctl.train.run.diverged import Diverged
from vitctl.train.run.diverged_batch import keep
from vitctl.train.run.images import Images
from vitctl.train.run.loop import Evaluate, loop
from vitctl.train.run.reporting import Compiled, Reporter
from vitctl.train.run.saving import Saver
from vitctl.train.telemetry.goodput import Meter


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
      InterruptedRun: a signal came; everything done is saved. (Where a command owns the signals,
        one that comes before or after the loop is raised as Interrupted.)
      DivergedError: a loss or a norm was not finite; nothing from there on is applied or saved,
        and with `runtime.on_divergence="rollback"` going back did not help.
      InputError: the data is not what the checkpoint was trained on.
      DoesNotFitError: it needs more memory than there is.
    """
    # Numbers
    if runtime.devices is not None and processes.count() > 1:
        raise UsageError(
            "--devices is for one process; several use all that they see",
            hint="show each process fewer: CUDA_VISIBLE_DEVICES, TPU_VISIBLE_CHIPS",
        )
    devices = layouts.first(runtime.devices)
    plan = footprint.choose(
        cfg,
        devices=len(devices),
        available=_available(),
        mesh=spec.parse(runtime.mesh),
        remat=runtime.remat,
        microbatch=runtime.microbatch,
    )
    layout = layouts.make(plan.spec, devices=devices)
    if plan.reason is not None:
        emit(Note(plan.reason))
    emit(Settings(f"{run.info.stage} {cfg.name}", _announced(cfg, layout, plan, images)))

    if layout.platform == "cpu":
        machine.keep_freed_memory()

    # Programs, compiled when they are first called
    step = make_step(cfg, layout=layout, remat=plan.remat, microbatch=plan.microbatch)
    step_fn = Compiled(in_step(step))
    scorer = None if cfg.data.eval_split is None else Compiled(_scorer(cfg, layout=layout))

    # Restore, or start; loop; publish; after a divergence, again
    cadence = Cadence.of(runtime, start=start.step, total=cfg.steps)
    recorded = _recorded(runtime, cadence, layout, plan)
    asked = Stop()
    with unless_owned(asked):
        while True:
            passed = rollback.passed(run.info, before=start.passed)
            through = replace(images, passed=passed)
            try:
                return _attempt(
                    run,
                    cfg,
                    images=through,
                    start=start,
                    runtime=runtime,
                    recorded=recorded,
                    cadence=cadence,
                    layout=layout,
                    step_fn=step_fn,
                    scorer=scorer,
                    asked=asked,
                    emit=emit,
                )
            except Diverged as found:
                update, spent = found.update, found.spent
            kept = keep(run, update, images=through, passed=passed)
            try:
                back = rollback.answer(
                    run,
                    update,
                    kept=kept,
                    start=start.step,
                    cadence=cadence,
                    windows=passed,
                    runtime=runtime,
                )
            except DivergedError:
                if spent is not None:
                    emit(spent)
                raise
            emit(Caution(back.in_words))


def _attempt(
    run: RunDraft,
    cfg: TrainConfig,
    *,
    images: Images,
    start: Start,
    runtime: TrainRuntime,
    recorded: dict[str, Any],
    cadence: Cadence,
    layout: Layout,
    step_fn: Compiled[..., Any],
    scorer: Compiled[..., scoring.Rows] | None,
    asked: Stop,
    emit: Emit,
) -> Artifact:
    """Train from the newest usable checkpoint, or `start`, to the end. Diverged, as the loop."""
    meter = Meter()
    emit(Doing("start"))
    if run.info.rollbacks:
        rollback.drop_abandoned(run, windows=images.passed)
    state, step, consumed, damaged = _begin(run, cfg, start=start, layout=layout, emit=emit)
    consumed.check(images.keys_of_step)
    run.begin(from_step=step, runtime=recorded)
    report = Reporter(
        run,
        cfg,
        step=step,
        runtime=runtime,
        cadence=cadence,
        mesh=layout.mesh,
        images=images,
        meter=meter,
        emit=emit,
    )
    saver = Saver(
        run,
        cfg,
        classes=images.classes,
        classes_before=start.classes,
        cadence=cadence,
        damaged=damaged,
        passed=images.passed,
    )
    if isinstance(run.path, Path):
        processes.stacks_in(run.path)
    else:  # stacks are written when nothing else works any more
        processes.stacks_in(Path(tempfile.gettempdir()) / f"vitctl-{run.path.name}")
    evaluate = None
    if scorer is not None:
        scored = scorer.told(meter=meter, emit=emit)
        evaluate = _evaluator(scored, cfg, images=images, layout=layout)
    with graceful(asked):
        return loop(
            state,
            step=step,
            began=start.step,
            consumed=consumed,
            run=run,
            cfg=cfg,
            images=images,
            layout=layout,
            step_fn=step_fn.told(meter=meter, emit=emit),
            evaluate=evaluate,
            saver=saver,
            cadence=cadence,
            stop=processes.together(asked, step=step),
            report=report,
        )


def _available() -> int | None:
    """Memory of the smallest device of all processes, in bytes: they must all choose alike."""
    known = [found for found in processes.gather("memory", machine.device_bytes()) if found]
    return min(known) if known else None


def _scorer(cfg: TrainConfig, *, layout: Layout) -> scoring.Scorer:
    return scoring.make_scorer(cfg.model, loss=cfg.loss, precision=cfg.precision, layout=layout)


def _evaluator(
    scorer: scoring.Scorer, cfg: TrainConfig, *, images: Images, layout: Layout
) -> Evaluate:
    """Scores of the held-out split."""
    split = cfg.data.eval_split
    assert split is not None

    def evaluate(state: TrainState, breaks_off: Callable[[], bool]) -> scoring.Scoring | None:
        ema = None if state.average is None else state.average.weights
        batches = images.eval_batches(split, layout)
        return scoring.score(
            scorer, state.params, batches, layout=layout, ema=ema, breaks_off=breaks_off
        )

    return evaluate


def _begin(
    run: RunDraft, cfg: TrainConfig, *, start: Start, layout: Layout, emit: Emit
) -> tuple[TrainState, int, ConsumedSamples, list[int]]:
    """The state to go on from: the run's newest whole checkpoint, else where it starts; and the
    steps whose checkpoints are damaged."""
    newest, problems = run.usable(at_most=cfg.steps)
    for problem in problems.values():
        emit(Caution(f"{problem}; going back to the checkpoint before it"))
    if newest is not None:
        start = of_checkpoint(cfg, newest)
        emit(Note(f"continuing {run.path} from step {show_count(start.step)}"))
    return start.state(layout), start.step, start.consumed, list(problems)


def _announced(
    cfg: TrainConfig, layout: Layout, plan: footprint.Plan, images: Images
) -> dict[str, str]:
    """Every resolved number, once."""
    flops = accounting.matmul_flops(cfg.model)
    epochs = cfg.steps * cfg.data.batch / images.examples
    schedule = cfg.schedule
    each = cfg.data.batch // layout.batch_shards
    parts = f", {plan.microbatch} of {each} images at a time" if plan.microbatch < each else ""
    cooldown = (
        f", cooldown {show_count(schedule.cooldown_steps)}" if schedule.cooldown_steps else ""
    )
    model = cfg.model
    unseen = f" ({model.covered} seen)" if model.covered < model.resolution else ""
    return {
        "model": f"{cfg.name} at {model.resolution} px{unseen}, {model.head} head: "
        f"{accounting.parameters(cfg.model).total:,} parameters, {flops / 1e9:.4g} GFLOPs an image",
        "data": f"{images.examples:,} images, {len(images.classes)} classes; "
        f"{epochs:.4g} epochs of batches of {cfg.data.batch}",
        "schedule": f"{schedule.kind} to step {show_count(cfg.steps)}, peak {schedule.peak_lr:g}, "
        f"warmup {show_count(schedule.warmup_steps)}{cooldown}",
        "optimizer": f"{cfg.optim.name}, decay {cfg.optim.wd_head:g} head, "
        f"{cfg.optim.wd_body:g} body; {cfg.loss} loss; seed {cfg.seed}" + _beside(cfg),
        "devices": f"{layout.devices} x {layout.platform} ({layout}), {cfg.precision}, "
        f"remat {plan.remat}{parts}; about {footprint.gib(plan.need.total)} a device",
    }


def _beside(cfg: TrainConfig) -> str:
    """What is kept or left out beside the plain update."""
    optim, told = cfg.optim, ""
    if optim.ema is not None:
        told += f"; average of the weights, decay {optim.ema:g}"
    if optim.skip_spikes is not None:
        told += f"; gradient norms over {optim.skip_spikes:g} sigma left out"
    return told


def _recorded(
    runtime: TrainRuntime, cadence: Cadence, layout: Layout, plan: footprint.Plan
) -> dict[str, Any]:
    return {
        **runtime.model_dump(mode="json", exclude={"name", "out", "force"}),
        "keep": cadence.keep,
        "remat": plan.remat,
        "microbatch": plan.microbatch,
        "mesh": str(layout),
        "devices": layout.devices,
        "platform": layout.platform,
    }
