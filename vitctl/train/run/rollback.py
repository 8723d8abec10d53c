"""After a divergence: the step that a run returns to, and the batches that it skips.

It goes back to the last checkpoint and leaves out every batch from there to the one that diverged,
as "PaLM" did by hand (https://arxiv.org/abs/2204.02311, section 5.1: restart from a checkpoint of
about 100 steps before, skip the batches that were seen during the spike). A checkpoint may hold
weights that are finite and lost already; so where it diverges again before the next one is due, it
goes one further back each time.

Interrupted or not, a run must go back to the same step. So that is no matter of which files there
are: it is the last step that was *due* to be saved. A checkpoint that a signal had saved in between
is of no more use, and where the due one is gone an older one is trained forward to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vitctl.artifacts.provenance import now
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.run_info import Rollback, RunInfo, diverged_in_words
from vitctl.artifacts.runs import BATCHES
from vitctl.checkpoints import position
from vitctl.data.order import Window, batch_of_step, windows_from_json
from vitctl.errors import DivergedError, VitctlError
from vitctl.places import Place
from vitctl.train.config import TrainRuntime
from vitctl.train.run.cadence import Cadence
from vitctl.train.run.diverged import UpdateRecord


def passed(info: RunInfo, *, before: Iterable[Window]) -> tuple[Window, ...]:
    """All windows passed over: those of what the run began from, and its own."""
    own: list[Window] = []
    for back in info.rollbacks:
        # Its batches count from `back.step`, so those of a window beyond are among them.
        own = [window for window in own if window.step <= back.step]
        own.append(Window(back.step, back.batches))
    return (*before, *own)


def until(windows: Iterable[Window], step: int) -> tuple[Window, ...]:
    """The windows that had a part in the first `step` updates."""
    return tuple(window for window in windows if window.step < step)


def goes_back_to(step: int, *, first_step: int, cadence: Cadence, info: RunInfo) -> int:
    """The last checkpoint that was due after at most `step` updates and that the run has not gone
    back to before: there it would diverge again.

    Never further back than where the run began, or a result that a command was answered with: what
    was published stays a part of the run. There it goes back to as often as it may.
    """
    been = {back.step for back in info.rollbacks}
    floor = max([first_step, *(result for result in info.results if first_step < result <= step)])

    def last_due(every: int) -> int:
        due = range(step // every * every, floor, -every)
        return next((each for each in due if each not in been), floor)

    return max(map(last_due, {cadence.save, cadence.keep, *info.kept_intervals}))


def window_of(step: int, *, back_to: int, windows: Sequence[Window]) -> Window:
    """What is left out when the update after `step` finished ones diverged."""
    first = batch_of_step(back_to, passed=windows)
    return Window(back_to, batch_of_step(step, passed=windows) - first + 1)


def answer(
    run: RunDraft,
    update: UpdateRecord,
    *,
    batch: Place,
    first_step: int,
    cadence: Cadence,
    windows: Sequence[Window],
    runtime: TrainRuntime,
) -> Rollback:
    """Record that the run goes back because of this update.

    Raises DivergedError if it must not, or went back often enough.
    """
    step = update.batch.step
    event = (
        f"step {step + 1} diverged ({diverged_in_words(update.numbers)}); nothing of it was "
        f"applied or saved, and its batch is kept in {batch}"
    )
    if any(beyond > step for beyond in run.steps()):
        raise DivergedError(
            f"{event}; the run had passed this step before, so the hardware is at fault, or "
            "versions have changed",
            hint="run the same command again; if it diverges again, on another machine",
        )
    if runtime.on_divergence == "stop":
        raise DivergedError(
            event,
            hint="go on without this stretch of the data: --on-divergence rollback; or take a "
            "lower --lr, a longer --warmup or --set optim.beta2=0.95",
        )
    if len(run.info.rollbacks) >= runtime.max_rollbacks:
        raise DivergedError(
            f"{event}; it went back {len(run.info.rollbacks)} times already",
            hint="a lower --lr or a longer --warmup often helps; --max-rollbacks allows more",
        )
    back_to = goes_back_to(step, first_step=first_step, cadence=cadence, info=run.info)
    back = Rollback(
        at=now(),
        diverged=step + 1,
        step=back_to,
        batches=window_of(step, back_to=back_to, windows=windows).batches,
        **update.numbers,
        kept=f"{BATCHES}/{batch.name}",
    )
    run.mark_rollback(back)
    return back


def drop_abandoned(run: RunDraft, *, windows: Sequence[Window]) -> list[int]:
    """Remove checkpoints that lie on ground which a roll-back gave up; their steps."""
    abandoned = [step for step in run.steps() if _recorded(run, step) != until(windows, step)]
    for step in abandoned:
        run.abandon(step)
    return abandoned


def _recorded(run: RunDraft, step: int) -> tuple[Window, ...] | None:
    """The windows a checkpoint was trained without; None if it does not tell."""
    try:
        return windows_from_json(position.read(run.place(step)).passed)
    except VitctlError:
        return None
