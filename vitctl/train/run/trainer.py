"""The story of a training run, which pretrain, cooldown and finetune share.

    trained    the result is in the store already, or a run is trained until it is
    train      attempts, each from the newest checkpoint; a divergence ends one, and the next one
               skips the batches that led to it
    _attempt   restore, with the first batch under way
    _loop      steps, what is due after each, the end

What is fixed before the first step is in `setup`; where a run begins in `beginning`; what is due
when in `cadence`; which checkpoint is the answer in `selection`; `saving`, `held_out` and
`reporting` do it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np

from vitctl import processes
from vitctl.artifacts import crew
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.manifest import Recipe
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.store import Store
from vitctl.data.tensorflow import require_tensorflow
from vitctl.errors import DivergedError, InterruptedRun, UsageError
from vitctl.events import Caution, Doing, Emit, Note
from vitctl.optim import schedules
from vitctl.places import nofollow
from vitctl.places.local import based
from vitctl.signals import Stop, graceful, nothing_to_save, unless_owned
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.program import run_numbers
from vitctl.train.program import state as states
from vitctl.train.program.lowered import arguments
from vitctl.train.program.state import TrainState
from vitctl.train.run import procedural, rollback
from vitctl.train.run.beginning import StartingPoint, of_checkpoint
from vitctl.train.run.diverged import Diverged, UpdateRecord
from vitctl.train.run.diverged_batch import keep
from vitctl.train.run.feed import Feed, begun
from vitctl.train.run.held_out import Evaluate, evaluator
from vitctl.train.run.images import Images, open_images
from vitctl.train.run.reporting import Reporter
from vitctl.train.run.saving import Saver, summary_of
from vitctl.train.run.selection import BestSoFar
from vitctl.train.run.setup import Training, check_disk, prepare
from vitctl.train.telemetry.goodput import Meter


def trained(
    recipe: Recipe,
    cfg: TrainConfig,
    *,
    origin: Callable[[Images], StartingPoint],
    source: Artifact | None = None,
    dataset: Artifact | None,
    name: str,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit,
) -> Artifact:
    """The checkpoint of `cfg.steps`: found, or trained by a run that is continued or made anew.

    Args:
      origin: where a run begins that has no checkpoint of its own.
      source: the checkpoint it begins from, which its run keeps until this one is finished.
      dataset: what is trained on; None if the images are synthetic.

    Raises:
      UsageError: `optim.freeze` names no parameter of the model, or TensorFlow is not installed,
        which training on images needs.
      DoesNotFitError: the disk has no room for a checkpoint.
      And as `train`.
    """
    _check_parameters(cfg)
    # Without the lock first: a run that trains on still answers for what it is done with.
    done = (
        None
        if runtime.force
        else crew.of(store).earlier_result(recipe, cfg.steps, name=name, out=runtime.out, emit=emit)
    )
    if done is not None:
        return done
    if cfg.data.mock is None:
        require_tensorflow(to="train on images")
    with crew.of(store).open_run(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        # Where the best is kept, the answer is known once the run has chosen it.
        answer = cfg.steps if cfg.keep_best is None else draft.info.chosen
        checkpoint = None if answer is None else draft.result(answer, emit=emit)
        if checkpoint is None:
            check_disk(draft, cfg)
            if source is not None:
                draft.begin_from(source)
            images = open_images(
                cfg,
                dataset,
                workers=runtime.workers,
                cache=runtime.cache_dir,
                image_cache=runtime.image_cache,
                emit=emit,
            )
            checkpoint = train(
                draft, cfg, images=images, origin=origin(images), runtime=runtime, emit=emit
            )
        if source is not None:
            draft.finish_from(source)
    return checkpoint


def train(
    run: RunDraft,
    cfg: TrainConfig,
    *,
    images: Images,
    origin: StartingPoint,
    runtime: TrainRuntime,
    emit: Emit,
) -> Artifact:
    """Train `run` up to `cfg.steps` and return that checkpoint, or with `cfg.keep_best` the best;
    resume from the newest before it.

    Raises:
      InterruptedRun: a signal came; everything done is saved. (Where a command owns the signals,
        one that comes before or after the loop is raised as Interrupted.)
      DivergedError: a loss or a norm was not finite; nothing from there on is applied or saved,
        and with `runtime.on_divergence="rollback"` going back did not help.
      InputError: the data is not what the checkpoint was trained on.
      DoesNotFitError: it needs more memory than there is.
    """
    prepared = prepare(run, cfg, images=images, origin=origin, runtime=runtime, emit=emit)
    signal = Stop()
    with unless_owned(signal):
        while True:
            training = prepared.skipping(rollback.passed(run.info, before=origin.passed))
            try:
                return _attempt(training, signal)
            except Diverged as divergence:
                # Answered outside of this block: a DivergedError is not chained to this.
                update, spent = divergence.update, divergence.spent
            try:
                _go_back(training, update)
            except DivergedError:
                if spent is not None:
                    emit(spent)
                raise


def _attempt(training: Training, signal: Stop) -> Artifact:
    """Train from the newest usable checkpoint, or from where the run begins, to the end.

    Raises InterruptedRun after a signal, with everything saved; Diverged, with nothing from there
    on applied or saved, and all before it written.
    """
    run, cfg, images = training.run, training.cfg, training.images
    meter = Meter()
    training.emit(Doing("start"))
    if run.info.rollbacks:
        rollback.drop_abandoned(run, windows=images.passed)
    origin, damaged = _begin(training)
    origin.consumed.check(images.keys_of_step)
    trains = origin.step < cfg.steps
    batches = images.train_batches(training.layout, start_step=origin.step) if trains else iter(())
    with begun(batches) as batches:
        # Weights that learn sequences first are made where a signal and the time are heeded.
        state = None if origin.procedural else origin.state(training.layout)
        run.begin(from_step=origin.step, runtime=training.recorded)
        _write_stacks_beside(run)
        return _loop(training, signal, origin, state, batches, damaged=damaged, meter=meter)


def _loop(
    training: Training,
    signal: Stop,
    origin: StartingPoint,
    state: TrainState | None,
    batches: Feed,
    *,
    damaged: list[int],
    meter: Meter,
) -> Artifact:
    """Train from `state`, that of `origin`, to the end; None: learn sequences first. Raises as
    `_attempt`."""
    run, cfg, emit = training.run, training.cfg, training.emit
    cadence, layout = training.cadence, training.layout
    step, consumed = origin.step, origin.consumed

    # What each step, and what is due after it, is done with
    train_step = training.step.timed(meter=meter, emit=emit)
    numbers = layout.place(run_numbers.of(cfg))
    report = Reporter(training, step=step, meter=meter)
    saver = Saver(training, damaged=damaged)
    select = BestSoFar(run, cfg, step=step, emit=emit)
    score = _Scoring(training, evaluator(training, meter=meter), report, select)
    stop = processes.shared_stop(signal, step=step)  # of all processes, at the same step

    with graceful(signal), report, saver:
        if state is None:
            state = _after_sequences(origin, training, signal, batches, meter=meter)
        if training.origin.step < step and (step < cfg.steps or select.missing(step)):
            score.make_up_for(state, step=step, stop=stop)
        before: UpdateRecord | None = None

        while step < cfg.steps and not select.is_over:
            # One step. The first is compiled, and its batch waits for imports and open files; of
            # several processes none may leave the others alone with that.
            alone_at_first = before is None and processes.count() == 1
            with nothing_to_save() if alone_at_first else nullcontext():
                if before is None:
                    processes.mark("compile", step=step)
                    batches.raise_error()
                    _compile(training, state, meter=meter)
                    emit(Doing("open"))
                processes.mark("data" if before else "start", step=step)
                with report.waiting_for_data():
                    batch = next(batches)
                processes.mark("step" if before else "compile", step=step)
                rate = np.float32(schedules.value(cfg.schedule, step=step))
                inputs, labels = layout.place_batch(batch.local)
                if training.device_images is not None:
                    inputs = training.device_images(inputs)
                scalars = layout.place((rate, np.int32(step)))
                state, stats = train_step(state, inputs, labels, *scalars, numbers)
                if before is None:
                    emit(Doing("step"))
            # Looking at the step before keeps one step under way on the device.
            _check_finite(before, report)
            before = UpdateRecord(batch, float(rate), stats)
            consumed = consumed.advance(batch.keys)
            step += 1
            report.stepped(step, stats)

            # What is due after it
            for saved in saver.finished():
                report.saved(saved)
            stopping = stop.after(step) and step < cfg.steps
            log = cadence.due(cadence.log, step)
            scores = score.due(step) and not stopping
            if log or scores or stopping or cadence.saves(step):
                _check_finite(before, report)
            if log:
                report.trained(step, stats, rate=float(rate))
            if scores and not score(state, step=step, stop=stop):
                stopping = True
            if stopping or cadence.saves(step) or select.best == step:
                processes.mark("save", step=step)
                with report.pausing("checkpoint"):
                    report.metrics.sync()
                    saver.save(
                        state,
                        step=step,
                        consumed=consumed,
                        loss=report.last_loss,
                        scores=report.scores_at(step),
                        best=select.best,
                    )
            if stopping:
                with report.pausing("checkpoint"):
                    saver.wait()
                raise InterruptedRun(
                    f"{stop.reason} after step {step}; it is saved in {run.place(step)}",
                    hint="run the same command again (without --force) to continue",
                )

        # The end
        with report.pausing("checkpoint"):
            saver.wait()
        for saved in saver.finished():
            report.saved(saved)
        return select.choose()


def _check_parameters(cfg: TrainConfig) -> None:
    """Raise UsageError for patterns of parameters that the model does not have."""
    if cfg.optim.freeze:
        try:
            states.optimizer(cfg)
        except ValueError as error:
            raise UsageError(
                str(error), hint="--freeze takes regular expressions of whole names"
            ) from None


def _begin(training: Training) -> tuple[StartingPoint, list[int]]:
    """Where to go on from: the run's newest whole checkpoint, else where it starts; and the steps
    whose checkpoints are damaged."""
    run, cfg, origin = training.run, training.cfg, training.origin
    # What was chosen and is damaged is made again.
    newest, problems = run.usable(at_most=run.info.chosen or cfg.steps)
    for problem in problems.values():
        training.emit(Caution(f"{problem}; going back to the checkpoint before it"))
    if newest is not None:
        training.emit(Doing("restore"))
        origin = of_checkpoint(cfg, newest)
        training.emit(Note(f"continuing {run.path} from step {show_count(origin.step)}"))
    return origin, list(problems)


def _after_sequences(
    origin: StartingPoint, training: Training, signal: Stop, batches: Feed, *, meter: Meter
) -> TrainState:
    """The state of a new run whose blocks have learnt sequences. A signal ends a process alone
    between two steps, with nothing to save; of several, after the first step on images."""
    assert origin.procedural is not None
    is_alone = processes.count() == 1

    def after_step(done: int) -> None:
        batches.raise_error()
        if is_alone and signal.requested:
            raise InterruptedRun(
                f"{signal.reason} after {done} steps on sequences, of which nothing is saved",
                hint="run the same command again: it begins with the sequences",
            )

    with nothing_to_save() if is_alone else nullcontext():
        return procedural.warmed(
            training.cfg,
            origin.procedural,
            layout=training.layout,
            memory=training.memory,
            meter=meter,
            after_step=after_step,
            emit=training.emit,
        )


def _compile(training: Training, state: TrainState, *, meter: Meter) -> None:
    """Compile the step while the first batch is under way, and what makes images on devices."""
    labels = training.images.labels_an_image
    arrays = arguments(training.cfg, layout=training.layout, labels=labels)[1:]
    training.step.compile(state, *arrays, meter=meter, emit=training.emit)
    if training.device_images is not None:
        training.device_images.compile(meter=meter)


def _go_back(training: Training, update: UpdateRecord) -> None:
    """Keep the batch of an update that diverged, and record that the run goes back before it.
    Raises DivergedError if the run must not, or went back often enough."""
    windows = training.images.passed
    batch = keep(training.run, update, images=training.images, passed=windows)
    back = rollback.answer(
        training.run,
        update,
        batch=batch,
        first_step=training.origin.step,
        cadence=training.cadence,
        windows=windows,
        runtime=training.runtime,
    )
    training.emit(Caution(back.in_words))


def _check_finite(update: UpdateRecord | None, report: Reporter) -> None:
    """Raise Diverged if that update was not finite."""
    if update is not None and not bool(update.stats.finite):
        report.metrics.sync()
        raise Diverged(update)


class _Scoring:
    """Scores held-out images when they are due; a call says whether it came to its end."""

    def __init__(
        self,
        training: Training,
        evaluate: Evaluate | None,
        report: Reporter,
        select: BestSoFar,
    ) -> None:
        self._run, self._cadence, self._steps = training.run, training.cadence, training.cfg.steps
        self._evaluate, self._report, self._select = evaluate, report, select

    def due(self, step: int) -> bool:
        if self._evaluate is None:
            return False
        return self._select.due(step) or self._cadence.due(self._cadence.evaluate, step)

    def make_up_for(self, state: TrainState, *, step: int, stop: Stop) -> None:
        """Score where a signal broke off the scores of an earlier start, for its checkpoint, too,
        which was saved without them."""
        scored = self._report.metrics.has("eval", step) and not self._select.missing(step)
        if self.due(step) and not scored and self(state, step=step, stop=stop):
            scores = self._report.scores_at(step)
            assert scores is not None
            self._run.add_to_summary(step, **summary_of(scores))

    def __call__(self, state: TrainState, *, step: int, stop: Stop) -> bool:
        """A signal breaks it off, but never the last scores: they belong to the result."""
        assert self._evaluate is not None
        processes.mark("scoring", step=step)
        with self._report.pausing("evaluation"):
            scores = self._evaluate(state, lambda: step < self._steps and stop.breaks_off)
            if scores is not None:
                self._report.scored(step, scores)
                if self._select.due(step):
                    self._select.add(step, scores)
        return scores is not None


def _write_stacks_beside(run: RunDraft) -> None:
    """Where the stacks of a process that hangs are written, when nothing else works any more."""
    folder = run.path.local or based(tempfile.gettempdir()) / f"vitctl-{run.path.name}"
    processes.stacks_in(folder, create=nofollow.create)
