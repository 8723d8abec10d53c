"""Every kind of artifact: what makes one, its typed summary, its one line of words.

    kind        what is known of a kind
    dataset     the summary of a dataset
    checkpoint  the summary of a checkpoint, and the scores in it
    batch       the summary of a batch that a step diverged on
    evaluation  the summary of the scores of a checkpoint
    fewshot     the summary of a few-shot probe
    feature_set  the summary of a set of features
    vtab        the summary of a VTAB-1k result
    sweep       the summary of a table of trained models
    export      the summary of an export
    plots       the summary of drawn figures
    dataset_part  the summary of a part of a dataset
    image_hashes  the summary of hashes of a dataset's images
    schema      the JSON schema of artifacts, made from all summaries

A new kind is a row of the table below and a class beside the others. Listing, completion, hints,
`--kind`, the schema and its test take it from there; `vitctl.report.sections` has a section for it.
Kinds that no row names are listed, too: a later version may have made them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vitctl.artifacts.kinds.kind import Kind

if TYPE_CHECKING:
    from vitctl.artifacts.kinds.batch import Batch
    from vitctl.artifacts.kinds.checkpoint import Checkpoint
    from vitctl.artifacts.kinds.dataset import Dataset
    from vitctl.artifacts.kinds.dataset_part import DatasetPart
    from vitctl.artifacts.kinds.evaluation import Evaluation
    from vitctl.artifacts.kinds.export import Export
    from vitctl.artifacts.kinds.feature_set import FeatureSet
    from vitctl.artifacts.kinds.fewshot import Fewshot
    from vitctl.artifacts.kinds.image_hashes import ImageHashes
    from vitctl.artifacts.kinds.plots import Plots
    from vitctl.artifacts.kinds.sweep import SweepTable
    from vitctl.artifacts.kinds.vtab import Vtab
    from vitctl.scaling.fit_line import FitLine
    from vitctl.scaling.summary import FitSummary


def _dataset() -> type[Dataset]:
    from vitctl.artifacts.kinds.dataset import Dataset

    return Dataset


def _dataset_part() -> type[DatasetPart]:
    from vitctl.artifacts.kinds.dataset_part import DatasetPart

    return DatasetPart


def _checkpoint() -> type[Checkpoint]:
    from vitctl.artifacts.kinds.checkpoint import Checkpoint

    return Checkpoint


def _feature_set() -> type[FeatureSet]:
    from vitctl.artifacts.kinds.feature_set import FeatureSet

    return FeatureSet


def _fewshot() -> type[Fewshot]:
    from vitctl.artifacts.kinds.fewshot import Fewshot

    return Fewshot


def _evaluation() -> type[Evaluation]:
    from vitctl.artifacts.kinds.evaluation import Evaluation

    return Evaluation


def _vtab() -> type[Vtab]:
    from vitctl.artifacts.kinds.vtab import Vtab

    return Vtab


def _sweep() -> type[SweepTable]:
    from vitctl.artifacts.kinds.sweep import SweepTable

    return SweepTable


def _export() -> type[Export]:
    from vitctl.artifacts.kinds.export import Export

    return Export


def _scaling_fit() -> type[FitSummary]:
    from vitctl.scaling.summary import FitSummary

    return FitSummary


def _scaling_line() -> type[FitLine]:
    from vitctl.scaling.fit_line import FitLine

    return FitLine


def _scaling_plot() -> type[Plots]:
    from vitctl.artifacts.kinds.plots import Plots

    return Plots


def _image_hashes() -> type[ImageHashes]:
    from vitctl.artifacts.kinds.image_hashes import ImageHashes

    return ImageHashes


def _batch() -> type[Batch]:
    from vitctl.artifacts.kinds.batch import Batch

    return Batch


_TRAINING = ("pretrain", "cooldown", "finetune")
_WITH_WEIGHTS = (*_TRAINING, "import", "average")

DATASET = Kind(
    "dataset",
    "a dataset",
    ("shard", "merge", "subset", "mix", "dedup", "cluster"),
    _dataset,
    "vitctl shard SRC",
)
DATASET_PART = Kind(
    "dataset-part",
    "a part of a dataset",
    ("shard --part",),
    _dataset_part,
    "vitctl shard SRC --part 1/8",
)
CHECKPOINT = Kind(
    "checkpoint",
    "a checkpoint",
    _WITH_WEIGHTS,
    _checkpoint,
    "vitctl pretrain --model S16 --data DATASET",
)
FEATURE_SET = Kind(
    "feature-set",
    "a feature set",
    ("embed",),
    _feature_set,
    "vitctl embed --from RUN --data DATASET",
)
FEWSHOT = Kind(
    "fewshot",
    "a few-shot result",
    ("fewshot",),
    _fewshot,
    "vitctl fewshot --from RUN",
)
EVALUATION = Kind(
    "evaluation",
    "an evaluation",
    ("evaluate",),
    _evaluation,
    "vitctl evaluate --from RUN",
)
VTAB = Kind(
    "vtab",
    "a VTAB-1k result",
    ("vtab",),
    _vtab,
    "vitctl vtab --from RUN --data DATASET --data DATASET",
)
SWEEP = Kind(
    "sweep",
    "a sweep",
    ("sweep",),
    _sweep,
    "vitctl sweep GRID.toml",
)
EXPORT = Kind(
    "export",
    "an export",
    ("export",),
    _export,
    "vitctl export --from RUN --to timm",
)
SCALING_FIT = Kind(
    "scaling-fit",
    "a scaling fit",
    ("scaling fit",),
    _scaling_fit,
    "vitctl scaling fit TABLE",
    line=_scaling_line,
)
SCALING_PLOT = Kind(
    "scaling-plot",
    "a scaling plot",
    ("scaling plot",),
    _scaling_plot,
    "vitctl scaling plot TABLE",
)
IMAGE_HASHES = Kind(
    "image-hashes",
    "a set of image hashes",
    ("dedup",),
    _image_hashes,
    "vitctl dedup --data DATASET",
)
BATCH = Kind(
    "batch",
    "a batch",
    _TRAINING,
    _batch,
)

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind
    for kind in (
        DATASET,
        DATASET_PART,
        CHECKPOINT,
        FEATURE_SET,
        FEWSHOT,
        EVALUATION,
        VTAB,
        SWEEP,
        EXPORT,
        SCALING_FIT,
        SCALING_PLOT,
        IMAGE_HASHES,
        BATCH,
    )
}


def kind_named(text: str) -> str:
    """The kind that a person means: its own name, or a command that makes no other
    (`scaling fit`, `evaluate`), in any case and with spaces, hyphens or underscores. Other text is
    returned as it is."""
    plain = _plain(text)
    for kind in KINDS.values():
        if plain == _plain(kind.name):
            return kind.name
    fitting = [
        kind.name for kind in KINDS.values() if plain in [_plain(word) for word in kind.commands]
    ]
    return fitting[0] if len(fitting) == 1 else text


def phrase_of(kind: str) -> str:
    """What one of a kind is called in a sentence, with its article; also of a kind that only a
    later version knows."""
    known = KINDS.get(kind)
    return known.phrase if known else f"an artifact of kind {kind}"


def example_of(kind: str) -> str:
    """A command line that makes a kind, or what comes before it: a checkpoint."""
    known = KINDS.get(kind)
    return (known.example if known else None) or CHECKPOINT.example or ""


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).lower()
