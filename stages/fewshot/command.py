"""The flags of `vitctl fewshot`, and how they become its settings."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated

from typer import Option

from stages.fewshot.settings import (
    features_in_files,
    read_features,
    read_l2,
    read_neighbours,
    read_shots,
    resolve,
    resolve_given,
)
from stages.fewshot.spec import FewshotConfig, Given
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.recipes.measuring import Measured, MeasuringRuntime

_SETTINGS = (
    Flag(
        "shots",
        "Training images per class, for example 1,5,10,25 (the default); all: every image, once.",
        reads=read_shots,
        metavar="N,N,...",
    ),
    Flag("draws", "Number of random draws of the training images (default: 10)."),
    Flag("seed", "Seed of the first draw; draw i uses seed + i (default: 0)."),
    Flag(
        "probe",
        "What learns from the features: ridge regression (ridge, the default), k nearest "
        "neighbours (knn) or logistic regression (logistic).",
    ),
    Flag(
        "l2",
        "L2 penalty (default: 1024 for ridge, auto for logistic); auto: chosen for each draw on "
        "training images that are held out of it, never on those that are scored.",
        reads=read_l2,
        metavar="X|auto",
    ),
    Flag(
        "neighbours",
        "Number of neighbours of --probe knn (default: 20); auto: chosen like --l2 auto.",
        reads=read_neighbours,
        metavar="N|auto",
    ),
    Flag(
        "too_few",
        "Classes with fewer images than shots: end with an error (refuse, the default), or probe "
        "the other classes (leave-out).",
    ),
    Flag("train_split", "Split to draw the training images from (default: train)."),
    flags.SCORED_SPLIT,
    flags.WEIGHTS,
)


@verb(
    sets=Flags(FewshotConfig, _SETTINGS), runs=Flags(MeasuringRuntime, flags.LOOKING), parallel=True
)
def fewshot(
    session: Session,
    source: flags.Source = None,
    data: flags.InheritedDatasets = None,
    features: Annotated[
        list[str] | None,
        Option(
            metavar="KIND,...|REF|FILE",
            help="Features to classify: the model's (model, the default), or as baselines the "
            "pixels (pixels) and an untrained model's (untrained); or stored features: REF of "
            "vitctl embed, or another program's npz, Parquet or folder of npy. Repeatable.",
            autocompletion=completion.probed_features,
        ),
    ] = None,
) -> None:
    """Example: vitctl fewshot --from RUN --data DATASET --shots 1,5,10,25

    Measure the few-shot accuracy of a model whose weights stay as they are: a simple classifier is
    fitted to its features of a few training images per class (shots), in several draws, and scored
    on a whole split. Several models, datasets and kinds of features are probed one after another.

    With baselines: vitctl fewshot --from RUN --features model,pixels,untrained
    """
    runtime = session.runtime(MeasuringRuntime)
    kinds, references = read_features(features or [])
    if references and not kinds:
        _check_nothing_computed(source, data)
        inputs = [given for text in references for given in _given(session, text)]
        session.check_one_place(len(inputs))
        for given in inputs:
            cfg = resolve_given(session.overrides, given, emit=session.emit)
            session.deliver("fewshot", cfg, given, runtime=runtime)
        return
    datasets = [*data] if data else [None]
    checkpoints = session.many("checkpoint", source, option="--from")
    session.check_one_place(len(checkpoints) * len(datasets) * max(1, len(kinds)))
    for checkpoint, reference in product(checkpoints, datasets):
        dataset = session.measured_on(checkpoint, reference)
        for cfg in resolve(
            session.overrides,
            checkpoint,
            dataset,
            features=kinds,
            store=session.store,
            emit=session.emit,
        ):
            session.deliver("fewshot", cfg, Measured(checkpoint, dataset), runtime=runtime)


def _given(session: Session, text: str) -> list[Given]:
    """What `--features` names besides kinds of features: another program's files, or artifacts."""
    files = features_in_files(Path(text)) if text != "-" else None
    if files is not None:
        return [files]
    return [Given(artifact) for artifact in session.many("feature-set", text, option="--features")]


def _check_nothing_computed(source: str | None, data: list[str] | None) -> None:
    for option, value in (("--from", source), ("--data", data)):
        if value:
            raise UsageError(
                f"{option} is for features to compute, and --features names stored ones",
                hint="leave one of the two out; for a comparison, probe them one after the other",
            )
