"""The flags of `vitctl finetune`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from typer import Option

from stages.finetune.spec import Inputs
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
    duration,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Caution, Note
from vitctl.optim.config import SPIKE_SIGMAS
from vitctl.settings.trees import at, merge
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
        Literal["raw", "ema"] | None,
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
    from vitctl.recipes import finetuning, measuring, pretraining

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
    overrides = session.overrides(flags, model=TrainConfig)
    length = duration(steps=steps, images=images, epochs=epochs)
    runtime = session.runtime(TrainRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        dataset = session.one("dataset", data, option="--data", stdin=False, of=checkpoint)
        split = at(overrides, "data.split") or "train"
        there = pretraining.images_of(dataset, split=split)
        resolved = finetuning.resolve(
            checkpoint, images=there, duration=length, overrides=overrides
        )
        chosen = measuring.weights(checkpoint, asked=weights or at(overrides, "from_weights"))
        resolved.tree["from_weights"] = flags["from_weights"] = chosen.name
        line = session.command("cooldown", "--from", checkpoint.path)
        if (uncooled := measuring.uncooled(checkpoint, cooldown=line)) is not None:
            session.emit(Caution(uncooled))
        if length is not None:  # a flag wins over a file
            flags["schedule.total_steps"] = at(resolved.tree, "schedule.total_steps")
        cfg, before = session.build(TrainConfig, resolved.tree, flags), None
        if resolved.before is not None:
            before = session.build(TrainConfig, merge(resolved.tree, resolved.before), flags)
        cfg, begun = session.begun("finetune", cfg, before, Inputs(checkpoint, dataset))
        for note in (*(begun or resolved.notes), *chosen.notes):
            session.emit(Note(note))
        if cfg.data.mock is not None:
            raise UsageError("fine-tuning reads a dataset, and data.mock asks for made-up images")
        caution = pretraining.check(
            batch=cfg.data.batch,
            examples=there.examples,
            steps=cfg.steps,
            warmup=cfg.schedule.warmup_steps,
        )
        for sentence in (caution, pretraining.edge(cfg.model)):
            if sentence:
                session.emit(Caution(sentence))
        session.deliver("finetune", cfg, Inputs(checkpoint, dataset), runtime=runtime)
