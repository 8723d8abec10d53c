"""The flags of `vitctl fewshot`, and how they become its settings."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any

from typer import Option

from stages.fewshot.settings import read_features, read_shots, resolve
from stages.fewshot.spec import FewshotRuntime, Inputs
from vitctl.console.flags import CacheDir, EvalSplit, LookBatch, Source, WhichWeights, Workers
from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(configurable=True, parallel=True)
def fewshot(
    session: Session,
    source: Source = None,
    data: Annotated[
        list[str] | None,
        Option(help="Dataset; what the run was trained on if left out; may be repeated."),
    ] = None,
    shots: Annotated[
        str | None, Option(help="Images a class, as in 1,5,10,25 (the default).")
    ] = None,
    draws: Annotated[
        int | None, Option(help="How often the shots are drawn anew; 10 if left out.")
    ] = None,
    seed: Annotated[int | None, Option(help="Draw i takes seed + i.")] = None,
    l2: Annotated[float | None, Option(help="Ridge penalty; 1024 if left out.")] = None,
    features: Annotated[
        str | None,
        Option(help="What is probed: model (the default), or the baselines pixels, untrained."),
    ] = None,
    too_few: Annotated[
        str | None,
        Option(
            metavar="refuse|leave-out",
            help="Classes with fewer images than shots: end with an error, or probe the others.",
        ),
    ] = None,
    train_split: Annotated[str | None, Option(help="Split to draw shots from.")] = None,
    eval_split: EvalSplit = None,
    weights: WhichWeights = None,
    batch: LookBatch = None,
    workers: Workers = None,
    cache_dir: CacheDir = None,
) -> None:
    """Example: vitctl fewshot --from RUN --data DATASET --shots 1,5,10,25

    Few-shot accuracy of a frozen model: closed-form ridge regression on its features, over several
    draws of the shots. Every image of the scored split counts. Several models, datasets and kinds
    of features (--features model,pixels,untrained) are probed one after another.
    """
    flags: dict[str, Any] = {
        "shots": None if shots is None else read_shots(shots, name="--shots"),
        "draws": draws,
        "seed": seed,
        "l2": l2,
        "too_few": too_few,
        "train_split": train_split,
        "eval_split": eval_split,
        "weights": weights,
    }
    runtime = session.runtime(FewshotRuntime, batch=batch, workers=workers, cache_dir=cache_dir)
    kinds = read_features(features) if features is not None else []
    datasets = [*data] if data else [None]
    checkpoints = session.many("checkpoint", source, option="--from")
    session.check_one_place(len(checkpoints) * len(datasets) * max(1, len(kinds)))
    overrides = session.overrides.with_flags(flags)
    for checkpoint, reference in product(checkpoints, datasets):
        dataset = session.measured_on(checkpoint, reference)
        for cfg in resolve(
            overrides,
            checkpoint,
            dataset,
            features=kinds,
            store=session.store,
            emit=session.emit,
        ):
            session.deliver("fewshot", cfg, Inputs(checkpoint, dataset), runtime=runtime)
