"""Runs: pretrained, cooled down, fine-tuned, and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from stages.api.call import Call, Count, Options, Reference
from stages.api.translation import in_python
from vitctl.artifacts import Artifact, inputs
from vitctl.optim.schedules import CooldownShape
from vitctl.recipes.recipe import Preset, RateScaling, RecipeName
from vitctl.recipes.settings import length
from vitctl.summaries import WeightsName
from vitctl.text.quantities import parse_count


@in_python
def pretrain(
    *,
    model: str | None = None,
    recipe: RecipeName | None = None,
    data: Reference | None = None,
    from_: Reference | None = None,
    steps: Count | None = None,
    images: Count | None = None,
    epochs: float | None = None,
    mock: bool = False,
    **options: Unpack[Options],
) -> Artifact:
    """A dataset -> the checkpoint at the end of a run; more steps continue it. `data` left out is
    the newest dataset of the store, and with `from_`, a checkpoint to go on from, the one that it
    was trained on; `mock` trains on synthetic images."""
    from stages.pretrain.settings import resolve
    from vitctl.recipes import pretraining
    from vitctl.recipes.going_on import has_dataset, inherits_mock
    from vitctl.train.config import TrainRuntime

    call = Call(pretrain, options)
    pretraining.check_one_asked(mock=mock, data=data)
    runtime = call.runtime(TrainRuntime)
    checkpoint = None
    if from_ is not None:
        checkpoint = call.input("checkpoint", from_, option="from_", trunk=True)
        mock = mock or (data is None and inherits_mock(checkpoint, emit=call.emit))

    def dataset() -> Artifact:
        own = has_dataset(checkpoint) if data is None else None
        return call.input("dataset", data) if own is None else call.trained_on(own)

    cfg, inputs = resolve(
        call.overrides,
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        dataset=dataset,
        mock=mock,
        checkpoint=checkpoint,
        store=call.store,
        runtime=runtime,
        emit=call.emit,
    )
    call.resolved(lambda: cfg)
    from stages.pretrain.run import run

    return run(cfg, inputs, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def cooldown(
    source: Reference | None = None,
    *,
    steps: Count | None = None,
    shape: CooldownShape = "linear",
    weights: WeightsName = "raw",
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint of an open-ended run -> a finished model. `source` left out is the newest
    checkpoint, `steps` the recipe's rule."""
    from stages.cooldown.settings import resolve
    from stages.cooldown.spec import Inputs
    from vitctl.train.config import TrainRuntime

    call = Call(cooldown, options)
    runtime = call.runtime(TrainRuntime)
    checkpoint = call.input("checkpoint", source, option="source", trunk=True)
    cfg = resolve(
        call.overrides,
        checkpoint,
        steps=None if steps is None else parse_count(str(steps), name="steps"),
        shape=shape,
        weights=weights,
        emit=call.emit,
    )
    dataset = None if inputs.is_synthetic(checkpoint) else call.trained_on(checkpoint)
    call.resolved(lambda: cfg)
    from stages.cooldown.run import run

    given = Inputs(checkpoint, dataset)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def finetune(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    steps: Count | None = None,
    images: Count | None = None,
    epochs: float | None = None,
    weights: WeightsName | None = None,
    preset: Preset | None = None,
    sweep_lr: Sequence[float] | None = None,
    scale_lr: RateScaling | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> a model for a dataset's classes. `source` left out is the newest checkpoint,
    `data` what it was trained on. The learning rate is the best of `sweep_lr` on held-out training
    images; `scale_lr` scales it to the batch."""
    from stages.finetune.settings import resolve
    from vitctl.train.config import TrainRuntime

    call = Call(finetune, options)
    runtime = call.runtime(TrainRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.trained_on(checkpoint) if data is None else call.input("dataset", data)
    cfg, given = resolve(
        call.overrides.with_flags({"from_weights": weights}),
        checkpoint,
        dataset,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        store=call.store,
        runtime=runtime,
        emit=call.emit,
        preset=preset,
        scale_lr=scale_lr,
        sweep_lr=sweep_lr,
    )
    call.resolved(lambda: cfg)
    from stages.finetune.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def average(
    *checkpoints: Reference,
    last: int | None = None,
    data: Reference | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """Several checkpoints -> a run of the mean of their weights; of one run its `last` so many.
    `data` are the images that `set={"rule": "greedy"}` chooses by."""
    from stages.average.settings import newest_of, resolve
    from vitctl.recipes.measuring import MeasuringRuntime

    call = Call(average, options)
    runtime = call.runtime(MeasuringRuntime)
    sources: Sequence[Reference | None] = checkpoints or [None]
    named = [call.input("checkpoint", source) for source in sources]
    if last is not None:
        named = newest_of(named, count=last)
    dataset = None if data is None else call.input("dataset", data)
    cfg, given = resolve(call.overrides, named, dataset, emit=call.emit)
    call.resolved(lambda: cfg)
    from stages.average.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)
