"""The flags of `vitctl evaluate`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from stages.evaluate.settings import read_classes, read_tops, resolve
from stages.evaluate.spec import EvaluateConfig
from vitctl.artifacts import Artifact
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.text import safe
from vitctl.console.verb import verb
from vitctl.errors import UsageError
from vitctl.events import Settings
from vitctl.recipes.measuring import MeasuringRuntime

_SETTINGS = (
    flags.SCORED_SPLIT,
    Flag(
        "class_map",
        "Names of the dataset's classes in the model, where they differ: a file of lines "
        "dataset-class<TAB>model-class (with further tabs and names where several are right), "
        "JSON, or ObjectNet's folder mappings (default: the same names).",
        reads=read_classes,
        remarks=True,
        metavar="FILE",
    ),
    Flag(
        "answers",
        "Classes that may be answered: all of the model's (model, the default), or only those that "
        "images of the split have (dataset), as ImageNet-A and ImageNet-R are scored.",
    ),
    flags.WEIGHTS,
    Flag(
        "preprocess.trim_border",
        "Cut N pixels off each side of the images first: 1 for ObjectNet, which has a red line "
        "there (default: 0).",
        metavar="N",
    ),
    Flag(
        "top",
        "Measure whether a right class is among the N best answers, for example 1,5,10 "
        "(default: 1,5).",
        reads=read_tops,
        metavar="N,N,...",
    ),
)


@verb(
    sets=Flags(EvaluateConfig, _SETTINGS),
    runs=Flags(MeasuringRuntime, flags.LOOKING),
    parallel=True,
)
def evaluate(
    session: Session,
    source: flags.Sources = None,
    data: flags.InheritedDatasets = None,
    labels: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Labels in place of the dataset's, by the names of its images: JSON (also the "
            "real.json of ImageNet ReaL), JSON lines, CSV or TSV (default: the dataset's own).",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        Option(
            metavar="A B",
            help="Compare two models image by image: two runs, which are evaluated on the same "
            "dataset, or two evaluations.",
        ),
    ] = None,
) -> None:
    """Example: vitctl evaluate --from RUN --data DATASET

    Score a model on all labelled images of a split: top-1, top-5, loss, accuracy per class,
    calibration, and mAP where images have several labels; each with a 95% interval. The dataset's
    classes are matched with the model's by name. If an image has several labels, each of them
    counts as right. Several models and datasets are scored one after another, and one table ends
    the report. --compare A B prints whether one of two models is right more often.
    """
    runtime = session.runtime(MeasuringRuntime)
    if compare is not None:
        if len(data or ()) > 1:
            raise UsageError("--compare is on one dataset", hint="name one with --data")
        _compare(session, compare, source, data[0] if data else None, labels, runtime=runtime)
        return
    made: list[Artifact] = []
    for checkpoint, dataset in session.measurements(source, data):
        cfg, inputs = resolve(
            session.overrides, checkpoint, dataset, labels=labels, emit=session.emit
        )
        artifact = session.deliver("evaluate", cfg, inputs, runtime=runtime)
        if artifact is not None:
            made.append(artifact)
    if len(made) > 1:
        from stages.evaluate.run import in_a_table

        session.emit(Settings("evaluations", in_a_table(made)))


def _compare(
    session: Session,
    references: tuple[str, str],
    source: list[str] | None,
    data: str | None,
    labels: Path | None,
    *,
    runtime: MeasuringRuntime,
) -> None:
    """Print how two evaluations differ, or make those of two runs on the same dataset first."""
    if source:
        raise UsageError("--from and --compare are both given", hint="--compare names both models")
    session.check_one_place(2)
    named = [session.named(reference, kind="checkpoint")[0][0] for reference in references]
    evaluations = [e for e in named if isinstance(e, Artifact) and e.kind == "evaluation"]
    if not evaluations:
        checkpoints = [
            session.one("checkpoint", reference, option="--compare") for reference in references
        ]
        dataset = session.measured_on(checkpoints[0], data)
        for checkpoint in checkpoints:
            cfg, inputs = resolve(
                session.overrides, checkpoint, dataset, labels=labels, emit=session.emit
            )
            made = session.result_of("evaluate", cfg, inputs, runtime=runtime)
            evaluations += [made] if made is not None else []
        if not evaluations:
            return  # --print-config
    elif len(evaluations) == 1:
        raise UsageError(
            "--compare names an evaluation and a run", hint="give two runs or two evaluations"
        )
    else:
        _check_nothing_scored(session, data, labels)
    from stages.evaluate.compare import compare

    comparison = compare(*evaluations)
    if session.options.json:
        session.answer_json(comparison.as_json())
    else:
        session.answer_text("\n".join(map(safe, comparison.lines())))


def _check_nothing_scored(session: Session, data: str | None, labels: Path | None) -> None:
    """Raises UsageError if something is set that evaluations which are there no longer take."""
    settings = session.overrides.tree()
    given = ["--data"] * (data is not None) + ["--labels"] * (labels is not None) + [*settings]
    if given:
        raise UsageError(
            f"--compare names two evaluations, and {given[0]} is for one that is made",
            hint="leave it out, or name the two runs, which are evaluated with it",
        )
