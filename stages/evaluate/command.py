"""What `vitctl evaluate` is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import PositiveInt
from typer import Option

from vitctl.artifacts import Artifact
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
from vitctl.data.config import EvalPreprocess
from vitctl.events import Note
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss
from vitctl.settings.config import Config
from vitctl.stage import ReadsImages
from vitctl.train.config import MockConfig

VERSION = 1


class EvaluateConfig(Config):
    """What decides the scores, besides the checkpoint and the images.

    loss, preprocess, precision   as the checkpoint was trained and scored with
    weights     the checkpoint's weights as they are, or their average
    class_map   the model's name for classes of the dataset that are called otherwise there
    mock        the synthetic images a --mock run was trained on, instead of a dataset
    """

    eval_split: str
    loss: Loss
    preprocess: EvalPreprocess
    precision: Precision
    class_map: dict[str, str] | None = None
    weights: Literal["raw", "ema"] = "raw"
    mock: MockConfig | None = None


@dataclass(frozen=True)
class Inputs:
    """The checkpoint that is scored, and the images (None if mock)."""

    checkpoint: Artifact
    dataset: Artifact | None


class EvaluateRuntime(ReadsImages):
    """`batch`: images at a time. `devices`: so many of those there are, None takes all. `workers`:
    threads that decode images, None takes one a core."""

    batch: PositiveInt | None = None
    devices: PositiveInt | None = None
    workers: PositiveInt | None = None


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
