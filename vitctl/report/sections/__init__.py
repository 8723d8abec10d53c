"""For each kind of artifact a section of the page, in the order of the page.

    section       what a section is made of
    checkpoint    runs: curves over images seen, results, where the time went
    fewshot       accuracies by shots, with intervals
    vtab          each task with its interval, and the means
    sweep         every run of a grid, with its cost and what was measured
    evaluation    metrics with intervals, mistakes, calibration
    scaling_fit   the law with intervals, its forecasts, what it advises
    scaling_plot  drawn figures, as pictures
    dataset       counts, some images, what a search for duplicates left out
    dataset_part  parts of datasets, made by several machines
    image_hashes  hashes that duplicates are searched by
    feature_set   features that were stored
    export        files for other libraries
    batch         batches that a step diverged on
    overlap       a sentence on images that a model was trained on and measured on
    unknown       of kinds that a later version made

A new kind needs a row here; `tests/report/test_sections.py` says so.
"""

from __future__ import annotations

from vitctl.artifacts.kinds import (
    BATCH,
    CHECKPOINT,
    DATASET,
    DATASET_PART,
    EVALUATION,
    EXPORT,
    FEATURE_SET,
    FEWSHOT,
    IMAGE_HASHES,
    SCALING_FIT,
    SCALING_PLOT,
    SWEEP,
    VTAB,
)
from vitctl.report.sections import (
    batch,
    checkpoint,
    dataset,
    dataset_part,
    evaluation,
    export,
    feature_set,
    fewshot,
    image_hashes,
    scaling_fit,
    scaling_plot,
    sweep,
    unknown,
    vtab,
)
from vitctl.report.sections.section import Section
from vitctl.report.subjects import ReportEntry

SECTIONS: dict[str, Section] = {
    CHECKPOINT.name: checkpoint.SECTION,
    FEWSHOT.name: fewshot.SECTION,
    EVALUATION.name: evaluation.SECTION,
    VTAB.name: vtab.SECTION,
    SWEEP.name: sweep.SECTION,
    SCALING_FIT.name: scaling_fit.SECTION,
    SCALING_PLOT.name: scaling_plot.SECTION,
    DATASET.name: dataset.SECTION,
    DATASET_PART.name: dataset_part.SECTION,
    IMAGE_HASHES.name: image_hashes.SECTION,
    FEATURE_SET.name: feature_set.SECTION,
    EXPORT.name: export.SECTION,
    BATCH.name: batch.SECTION,
}

UNKNOWN = unknown.SECTION


def section_of(subject: ReportEntry) -> Section:
    """That of its kind; of one whose summary is not that of its kind, that of unknown ones. A run
    without a checkpoint is still a run."""
    known = SECTIONS.get(subject.kind)
    if known is None or (subject.artifact is not None and subject.summary is None):
        return UNKNOWN
    return known
