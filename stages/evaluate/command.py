"""The flags of `vitctl evaluate`, and how they become its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Option

from stages.evaluate.settings import read_tops, resolve
from stages.evaluate.spec import EvaluateConfig
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.events import Emit
from vitctl.recipes.measuring import MeasuringRuntime


def _read_class_map(text: str, *, name: str, emit: Emit) -> dict[str, Any]:
    from vitctl.data.class_map import read_class_map

    del name
    return dict(read_class_map(Path(text), emit=emit))


_SETTINGS = (
    flags.SCORED_SPLIT,
    Flag(
        "class_map",
        "Names of the dataset's classes in the model, where they differ: a file of lines "
        "dataset-class<TAB>model-class, with a tab and a name more for each further class that is "
        "right; JSON; or the folder mappings of ObjectNet (default: the same names).",
        reads=_read_class_map,
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
    source: flags.Source = None,
    data: flags.InheritedData = None,
    labels: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Labels in place of the dataset's, by the names of its images: JSON (also the "
            "real.json of ImageNet ReaL), JSON lines, CSV or TSV (default: the dataset's own).",
        ),
    ] = None,
) -> None:
    """Example: vitctl evaluate --from RUN --data DATASET

    Score a model on all labelled images of a split: top-1, top-5, loss, accuracy per class,
    calibration, and mAP where images have several labels; each with a 95% interval. The dataset's
    classes are matched with the model's by name. If an image has several labels, each of them
    counts as right.
    """
    runtime = session.runtime(MeasuringRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        dataset = session.measured_on(checkpoint, data)
        cfg, inputs = resolve(
            session.overrides, checkpoint, dataset, labels=labels, emit=session.emit
        )
        session.deliver("evaluate", cfg, inputs, runtime=runtime)
