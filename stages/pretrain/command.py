"""The flags of `vitctl pretrain`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from stages.pretrain.spec import Inputs
from vitctl.artifacts import Artifact
from vitctl.console.asked import Asked, resolve
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
    duration,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.events import Caution, Note
from vitctl.optim import schedules
from vitctl.optim.config import SPIKE_SIGMAS
from vitctl.recipes import pretraining
from vitctl.settings.overrides import build
from vitctl.settings.trees import at
from vitctl.train.config import MockConfig, TrainRuntime


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
    dataset: Artifact | None = None

    def look(overrides: dict[str, Any]) -> pretraining.Images:
        """Only once the settings are known to make sense: this may wait for a pipe."""
        nonlocal dataset
        dataset = None if mock else session.one("dataset", data, option="--data")
        return _images(dataset, overrides)

    asked = Asked(
        model=model,
        recipe=recipe,
        length=duration(steps=steps, images=images, epochs=epochs),
        flags=flags,
    )
    cfg, there, notes, before = resolve(session, asked, images=look, mock=mock)
    pretraining.check_images(mock=cfg.data.mock is not None, dataset=dataset is not None)
    cfg, begun = session.begun("pretrain", cfg, before, Inputs(dataset))
    for note in begun or notes:
        session.emit(Note(note))
    caution = pretraining.check(
        batch=cfg.data.batch,
        examples=there.examples,
        steps=cfg.steps,
        warmup=cfg.schedule.warmup_steps,
    )
    for sentence in (caution, pretraining.edge(cfg.model)):
        if sentence:
            session.emit(Caution(sentence))
    runtime = session.runtime(TrainRuntime)
    session.deliver("pretrain", cfg, Inputs(dataset), runtime=runtime)


def _images(dataset: Artifact | None, overrides: dict[str, Any]) -> pretraining.Images:
    """How many images and classes there are, and what may be scored."""
    if dataset is None:
        mock = build(MockConfig, at(overrides, "data.mock") or {})
        return pretraining.Images(examples=mock.examples, classes=1000, eval_split="val")
    return pretraining.images_of(dataset, split=at(overrides, "data.split") or "train")
