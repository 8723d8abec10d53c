"""The flags of `vitctl evaluate`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from stages.evaluate.settings import read_classes, read_tops, resolve
from stages.evaluate.spec import EvaluateConfig
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import EVALUATION
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
        "Classes that the model chooses from: all of its own (model, the default), or only those "
        "that images of the split have (dataset), as ImageNet-A and ImageNet-R are scored.",
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
        "Measure whether a right class is among the N likeliest, for example 1,5,10 "
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
    first, second = (
        session.one("checkpoint", text, option="--compare", or_kind=EVALUATION.name)
        for text in references
    )
    from stages.evaluate.comparing import compared

    comparison = compared(
        first,
        second,
        overrides=session.overrides,
        labels=labels,
        named_data=data is not None,
        dataset=lambda checkpoint: session.measured_on(checkpoint, data),
        evaluate=lambda cfg, given: session.result_of("evaluate", cfg, given, runtime=runtime),
        emit=session.emit,
    )
    if comparison is None:  # --print-config
        return
    if session.options.json:
        session.answer_json(comparison.as_json())
    else:
        session.answer_text("\n".join(map(safe, comparison.lines())))
