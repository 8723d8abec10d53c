"""The flags of `vitctl pretrain`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from stages.pretrain.settings import resolve
from vitctl.console.flags import (
    Ema,
    Epochs,
    Head,
    Images,
    Model,
    RecipeChoice,
    Resolution,
    SkipSpikes,
    Steps,
    TrainBatch,
    TrainSplit,
    Warmup,
    count,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.optim import schedules
from vitctl.optim.config import SPIKE_SIGMAS
from vitctl.recipes.settings import length
from vitctl.train.config import TrainRuntime


@verb(configurable=True, parallel=True, trains=True)
def pretrain(
    session: Session,
    model: Model = None,
    recipe: RecipeChoice = None,
    data: Annotated[
        str | None, Option(help="Dataset: a path, a name, an id, 'latest' or '-'.")
    ] = None,
    steps: Steps = None,
    images: Images = None,
    epochs: Epochs = None,
    batch: TrainBatch = None,
    res: Resolution = None,
    head: Head = None,
    schedule: Annotated[
        schedules.Kind | None,
        Option(help="Trunk of the learning rate."),
    ] = None,
    lr: Annotated[float | None, Option(help="Peak learning rate.")] = None,
    warmup: Warmup = None,
    cooldown: Annotated[
        str | None, Option(help="Cool down over the last steps; off if left out.")
    ] = None,
    wd_head: Annotated[float | None, Option(help="Weight decay of the classifier.")] = None,
    wd_body: Annotated[float | None, Option(help="Weight decay of all other kernels.")] = None,
    ema: Ema = None,
    skip_spikes: SkipSpikes = False,
    seed: Annotated[int | None, Option(help="Of weights, order and augmentation.")] = None,
    train_split: TrainSplit = None,
    eval_split_: Annotated[str | None, Option("--eval-split", help="Split to score.")] = None,
    mock: Annotated[bool, Option("--mock", help="Synthetic images; needs no data.")] = False,
) -> None:
    """Example: vitctl pretrain --model S16 --steps 20k

    Pretrain a vision transformer. On an open-ended schedule (both recipes') the same command with
    more steps continues the run, and any checkpoint can be cooled down into a finished model.
    """
    flags: dict[str, Any] = {
        "data.batch": batch,
        "data.split": train_split,
        "data.eval_split": eval_split_,
        "model.resolution": res,
        "model.head": head,
        "schedule.kind": schedule,
        "schedule.peak_lr": lr,
        "schedule.warmup_steps": count(warmup, "--warmup"),
        "schedule.cooldown_steps": count(cooldown, "--cooldown"),
        "optim.wd_head": wd_head,
        "optim.wd_body": wd_body,
        "optim.ema": ema,
        "optim.skip_spikes": SPIKE_SIGMAS if skip_spikes else None,
        "seed": seed,
    }
    runtime = session.runtime(TrainRuntime)
    cfg, inputs = resolve(
        session.overrides.with_flags(flags),
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        dataset=lambda: session.one("dataset", data, option="--data"),
        mock=mock,
        store=session.store,
        runtime=runtime,
        emit=session.emit,
    )
    session.deliver("pretrain", cfg, inputs, runtime=runtime)
