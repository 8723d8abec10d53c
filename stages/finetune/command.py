"""The flags of `vitctl finetune`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from stages.finetune.settings import resolve
from vitctl.console.flags import (
    Ema,
    Epochs,
    EvalSplit,
    Images,
    InheritedData,
    Resolution,
    SkipSpikes,
    Source,
    Steps,
    TrainBatch,
    TrainSplit,
    Warmup,
    count,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.optim.config import SPIKE_SIGMAS, WeightsName
from vitctl.recipes.settings import length
from vitctl.settings.overrides import check_keys
from vitctl.train.config import TrainConfig, TrainRuntime


@verb(configurable=True, parallel=True, trains=True)
def finetune(
    session: Session,
    source: Source = None,
    data: InheritedData = None,
    res: Resolution = None,
    steps: Steps = None,
    images: Images = None,
    epochs: Epochs = None,
    batch: TrainBatch = None,
    lr: Annotated[
        float | None, Option(help="Peak learning rate; the paper tries 0.03, 0.01.")
    ] = None,
    warmup: Warmup = None,
    ema: Ema = None,
    skip_spikes: SkipSpikes = False,
    weights: Annotated[
        WeightsName | None,
        Option(help="Begin from the last weights, or their average if there is one (the default)."),
    ] = None,
    seed: Annotated[int | None, Option(help="Of order, augmentation and a new head.")] = None,
    train_split: TrainSplit = None,
    eval_split: EvalSplit = None,
) -> None:
    """Example: vitctl finetune --from RUN --data DATASET --res 384

    Fine-tune all weights of a pretrained model: SGD with momentum, cosine, no weight decay.
    At another resolution learned position embeddings are resampled, and fixed ones span the grid
    of pretraining. Classes that differ get a new head.
    """
    flags: dict[str, Any] = {
        "model.resolution": res,
        "data.batch": batch,
        "data.split": train_split,
        "data.eval_split": eval_split,
        "schedule.peak_lr": lr,
        "schedule.warmup_steps": count(warmup, "--warmup"),
        "optim.ema": ema,
        "optim.skip_spikes": SPIKE_SIGMAS if skip_spikes else None,
        "seed": seed,
    }
    overrides = session.overrides.with_flags(flags)
    check_keys(TrainConfig, overrides.tree())
    given_length = length({"steps": steps, "images": images, "epochs": epochs})
    runtime = session.runtime(TrainRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        dataset = session.one("dataset", data, option="--data", stdin=False, of=checkpoint)
        cfg, inputs = resolve(
            overrides,
            checkpoint,
            dataset,
            length=given_length,
            weights=weights,
            store=session.store,
            runtime=runtime,
            emit=session.emit,
        )
        session.deliver("finetune", cfg, inputs, runtime=runtime)
