"""The flags of `vitctl evaluate`, and how they become its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from stages.evaluate.settings import resolve
from stages.evaluate.spec import EvaluateRuntime, Inputs
from vitctl.console.flags import (
    CacheDir,
    EvalSplit,
    InheritedData,
    LookBatch,
    Source,
    WhichWeights,
    Workers,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(configurable=True, parallel=True)
def evaluate(
    session: Session,
    source: Source = None,
    data: InheritedData = None,
    eval_split: EvalSplit = None,
    class_map: Annotated[
        Path | None,
        Option(metavar="FILE", help="Lines of dataset-class<TAB>model-class, where they differ."),
    ] = None,
    weights: WhichWeights = None,
    batch: LookBatch = None,
    workers: Workers = None,
    cache_dir: CacheDir = None,
) -> None:
    """Example: vitctl evaluate --from RUN --data DATASET

    Top-1, top-5 and loss over every labelled image once. Classes are matched by name; of several
    labels of an image any is right.
    """
    flags: dict[str, Any] = {"eval_split": eval_split, "weights": weights}
    if class_map is not None:
        from vitctl.data.classes import read_pairs

        flags["class_map"] = read_pairs(class_map, option="--class-map")
    runtime = session.runtime(EvaluateRuntime, batch=batch, workers=workers, cache_dir=cache_dir)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        dataset = session.measured_on(checkpoint, data)
        overrides = session.overrides.with_flags(flags)
        cfg = resolve(overrides, checkpoint, dataset, emit=session.emit)
        session.deliver("evaluate", cfg, Inputs(checkpoint, dataset), runtime=runtime)
