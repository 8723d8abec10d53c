"""The flags of `vitctl fewshot`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
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
from vitctl import processes
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Settings
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.summaries import Features

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
        "L2 penalty (default: 1024 for ridge, auto for logistic); auto: chosen for each draw by "
        "cross-validation within its training images, never on those that are scored.",
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
    source: flags.Sources = None,
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
    compare: Annotated[
        tuple[str, str] | None,
        Option(
            metavar="A B",
            help="Compare two runs, checkpoints or results of vitctl fewshot on the same draws: "
            "prints the difference (B minus A) with its 95% interval.",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
) -> None:
    """Example: vitctl fewshot --from RUN --data DATASET --shots 1,5,10,25

    Measure the few-shot accuracy of a model whose weights stay as they are: a simple classifier is
    fitted to its features of a few training images per class (shots), in several draws, and scored
    on a whole split. Several models, datasets and kinds of features are probed one after another,
    and one table ends the report.

    With baselines: vitctl fewshot --from RUN --features model,pixels,untrained

    Two runs compared: vitctl fewshot --compare RUN RUN --data DATASET
    """
    runtime = session.runtime(MeasuringRuntime)
    kinds, references = read_features(features or [])
    if compare:
        _check_comparable(source, data, kinds, references)
        _compare(session, compare, data[0] if data else None, kinds, runtime=runtime)
        return
    if references and not kinds:
        _check_nothing_computed(source, data)
        inputs = [given for text in references for given in _given(session, text)]
        session.check_one_place(len(inputs))
        made = []
        for given in inputs:
            cfg = resolve_given(session.overrides, given, emit=session.emit)
            made.append(_result(session, cfg, given, runtime=runtime))
        _show_table(session, made)
        return
    made = []
    for checkpoint, dataset in session.measurements(source, data, results=max(1, len(kinds))):
        made += _probe(session, checkpoint, dataset, kinds, runtime=runtime)
    _show_table(session, made)


def _probe(
    session: Session,
    checkpoint: Artifact,
    dataset: Artifact | None,
    kinds: Sequence[Features],
    *,
    runtime: MeasuringRuntime,
) -> list[Artifact | None]:
    """A checkpoint on a dataset, or the synthetic images that it was trained on: a result for each
    kind."""
    given = Measured(checkpoint, dataset)
    return [
        _result(session, cfg, given, runtime=runtime)
        for cfg in resolve(
            session.overrides,
            checkpoint,
            dataset,
            features=kinds,
            store=session.store,
            emit=session.emit,
        )
    ]


def _result(
    session: Session,
    cfg: FewshotConfig,
    given: Measured | Given,
    *,
    runtime: MeasuringRuntime,
    prints: bool = True,
) -> Artifact | None:
    """One result, which is printed if it `prints`; None where the settings were."""
    made_by = session.deliver if prints else session.result_of
    return made_by("fewshot", cfg, given, runtime=runtime)


def _show_table(session: Session, made: Sequence[Artifact | None]) -> None:
    """Several results in one table, for people."""
    results = [artifact for artifact in made if artifact is not None]
    if len(results) < 2:
        return
    from stages.fewshot.results import in_a_table

    session.emit(Settings("few-shot accuracies", in_a_table(results)))


def _check_comparable(
    source: list[str] | None,
    data: list[str] | None,
    kinds: Sequence[Features],
    references: Sequence[str],
) -> None:
    if source or references:
        raise UsageError(
            f"{'--from' if source else '--features'} names what to probe, and so does --compare",
            hint="--compare A B takes runs and results of vitctl fewshot; stored features are "
            "probed first",
        )
    if len(data or ()) > 1 or len(kinds) > 1:
        raise UsageError("--compare is on one dataset and one kind of features")


def _compare(
    session: Session,
    references: tuple[str, str],
    data: str | None,
    kinds: Sequence[Features],
    *,
    runtime: MeasuringRuntime,
) -> None:
    """Probe what is not a result yet, and print the differences."""
    session.check_one_place(len(references))
    first, second = (
        session.one("checkpoint", text, option="--compare", or_kind=FEWSHOT.name)
        for text in references
    )
    from stages.fewshot.comparing import compared

    answer = compared(
        first,
        second,
        overrides=session.overrides,
        features=kinds,
        dataset=lambda checkpoint: session.measured_on(checkpoint, data),
        probe=lambda cfg, given: _result(session, cfg, given, runtime=runtime, prints=False),
        store=session.store,
        emit=session.emit,
    )
    if answer is None or not processes.first():  # --print-config, or another process answers
        return
    from stages.fewshot.comparison import COLUMNS, cells
    from vitctl.console.table import table

    *results, differences = answer
    if session.options.json:
        session.answer_json(
            {
                "results": [result.as_json() for result in results],
                "comparison": [row.as_json() for row in differences],
            }
        )
    else:
        session.answer_text(table(COLUMNS, cells(differences)))


def _given(session: Session, text: str) -> list[Given]:
    """What `--features` names besides kinds of features: another program's files, or artifacts."""
    files = features_in_files(Path(text)) if text != "-" else None
    if files is not None:
        return [files]
    return [Given(artifact) for artifact in session.many("feature-set", text, option="--features")]


def _check_nothing_computed(source: list[str] | None, data: list[str] | None) -> None:
    for option, value in (("--from", source), ("--data", data)):
        if value:
            raise UsageError(
                f"{option} is for features to compute, and --features names stored ones",
                hint="leave one of the two out; for a comparison, probe them one after the other",
            )
