"""The flags of `vitctl evaluate`, and how they become its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from stages.evaluate.spec import EvaluateConfig, EvaluateRuntime, Inputs
from vitctl.console.evaluation_data import images_for
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
from vitctl.events import Note


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
    from vitctl.recipes import branching, measuring

    flags: dict[str, Any] = {"eval_split": eval_split, "weights": weights}
    if class_map is not None:
        from vitctl.data.classes import read_pairs

        flags["class_map"] = read_pairs(class_map, option="--class-map")
    runtime = session.runtime(EvaluateRuntime, batch=batch, workers=workers, cache_dir=cache_dir)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        dataset = images_for(session, checkpoint, data)
        trained = branching.trained_with(checkpoint)
        overrides = session.overrides(flags)
        chosen = measuring.weights(checkpoint, asked=overrides.get("weights"))
        for note in chosen.notes:
            session.emit(Note(note))
        base = {
            "weights": chosen.name,
            "loss": trained.loss,
            "preprocess": trained.data.evaluation.model_dump(mode="json"),
            **measuring.settings(checkpoint, dataset, overrides=overrides),
        }
        cfg = session.build(EvaluateConfig, base, flags)
        session.deliver("evaluate", cfg, Inputs(checkpoint, dataset), runtime=runtime)
