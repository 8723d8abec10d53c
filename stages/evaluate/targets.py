"""What is right for each image: its labels as places among the classes that may be answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.spec import EvaluateConfig, Inputs
from vitctl.data.classes import class_mapping
from vitctl.data.image_source import ImageSource
from vitctl.errors import InputError
from vitctl.events import Caution, Emit, Note, Progress
from vitctl.ingest.labels.replaced_labels import ReplacedLabels, class_numbers
from vitctl.text.quantities import counted
from vitctl.text.quoting import quoted

_NAMES_AT_ONCE = 512
"""Records that are read for their ids at once: they hold the images, too."""


@dataclass(frozen=True)
class Targets:
    """Of a split of N images.

    answers     names of the classes that may be answered
    among       their places in the model's list; None for all of it
    labels      int32[N, l], places among `answers`, padded with -1: any of them is right
    classes     names of the classes whose images are counted: `answers`, or the dataset's where one
                of those stands for several of the model's
    own_labels  int32[N, m], places among `classes`, padded with -1
    without_counterpart  images whose classes the model has nothing for
    """

    answers: tuple[str, ...]
    among: tuple[int, ...] | None
    labels: NDArray[np.int32]
    classes: tuple[str, ...]
    own_labels: NDArray[np.int32]
    without_counterpart: int

    @property
    def scored(self) -> NDArray[np.int64]:
        """Positions of the images that have a label."""
        return np.flatnonzero(np.any(self.labels >= 0, axis=1))

    def of(self, positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Labels of images; -1 for the position -1, which is none."""
        return np.where(positions[:, None] >= 0, self.labels[positions], np.int32(-1))

    def own_of(self, positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Like `of`, as places among `classes`."""
        return np.where(positions[:, None] >= 0, self.own_labels[positions], np.int32(-1))


def targets(
    cfg: EvaluateConfig,
    inputs: Inputs,
    dataset: ImageSource,
    *,
    model: tuple[str, ...],
    emit: Emit,
) -> Targets:
    """Raises InputError where a class of the dataset has no counterpart in the model."""
    names, labels = dataset.info.classes, np.asarray(dataset.labels(cfg.eval_split))
    if inputs.labels is not None:
        names, labels = _replaced(
            inputs.labels, dataset, cfg=cfg, shown=inputs.images, model=model, emit=emit
        )
    _report_stray(cfg.class_map or {}, names, emit=emit)
    mapping = _mapping(names, model=model, class_map=cfg.class_map or {})
    in_model = _through(mapping, labels)
    has_own, has_label = np.any(labels >= 0, axis=1), np.any(in_model >= 0, axis=1)
    without = int(np.count_nonzero(has_own & ~has_label))
    if without:
        classes = int(np.count_nonzero(np.all(mapping < 0, axis=1)))
        emit(
            Note(
                f"left out: {counted(without, 'image')} of "
                f"{counted(classes, 'class')} that --class-map gives no counterpart "
                "in the model"
            )
        )
    answers, among = model, None
    if cfg.answers == "dataset":
        used = np.unique(in_model[in_model >= 0])
        answers, among = tuple(model[i] for i in used), tuple(used.tolist())
        places = np.full(len(model), -1, np.int32)
        places[used] = np.arange(len(used))
        in_model = np.where(in_model >= 0, places[in_model], np.int32(-1))
        emit(Note(f"answers are chosen among {len(answers):,} of the model's {len(model):,} "
                  "classes, those that images of the split have"))  # fmt: skip
    several = mapping.shape[1] > 1
    return Targets(
        answers=answers,
        among=among,
        labels=in_model,
        classes=names if several else answers,
        own_labels=np.where(has_label[:, None], labels, -1) if several else in_model,
        without_counterpart=without,
    )


def _replaced(
    file: ReplacedLabels,
    dataset: ImageSource,
    *,
    cfg: EvaluateConfig,
    shown: str,
    model: Sequence[str],
    emit: Emit,
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Names of classes, and labels of the whole split by the file."""
    images = dataset.info.examples(cfg.eval_split)
    ids = [*_ids(dataset, split=cfg.eval_split, images=images, emit=emit)]
    of_images = file.of_images(ids, shown=f"{shown} {cfg.eval_split}")
    names, labels, remark = class_numbers(
        of_images.labels,
        classes=dataset.info.classes,
        known={*model, *(cfg.class_map or {})},
        label=f"--labels {file.path}",
    )
    for note in (*of_images.notes, *([remark] if remark else [])):
        emit(Note(note))
    for caution in of_images.cautions:
        emit(Caution(caution))
    return names, labels


def _ids(dataset: ImageSource, *, split: str, images: int, emit: Emit) -> Iterator[str | None]:
    for begin in range(0, images, _NAMES_AT_ONCE):
        positions = np.arange(begin, min(begin + _NAMES_AT_ONCE, images), dtype=np.int64)
        yield from dataset.ids(split, positions)
        emit(Progress("names of images", int(positions[-1]) + 1, images, "images"))


def _report_stray(
    class_map: Mapping[str, str | tuple[str, ...]], classes: Sequence[str], *, emit: Emit
) -> None:
    """Report names in the class map that the dataset does not have. Raises InputError if it has
    none of them."""
    known = frozenset(classes)
    stray = [name for name in class_map if name not in known]
    if stray and len(stray) == len(class_map):
        raise InputError(
            f"--class-map renames none of the dataset's {len(classes)} classes; it names "
            f"{', '.join(map(quoted, stray[:3]))}",
            hint="a line is dataset-class<TAB>model-class; the dataset's classes begin with "
            + ", ".join(classes[:3]),
        )
    if stray:
        emit(
            Note(f"--class-map: {len(stray)} of its {len(class_map)} names are not in the dataset")
        )


def _mapping(
    classes: Sequence[str],
    *,
    model: Sequence[str],
    class_map: Mapping[str, str | tuple[str, ...]],
) -> NDArray[np.int32]:
    """int32[classes, m]: the model's indices of each, padded with -1."""
    counterparts = [class_map.get(name, name) for name in classes]
    lists = [(of,) if isinstance(of, str) else tuple(dict.fromkeys(of)) for of in counterparts]
    flat = class_mapping(dataset=[name for names in lists for name in names], model=model)
    if not flat.size:
        raise InputError("--class-map gives no class of the dataset a counterpart in the model")
    mapping = np.full((len(classes), max(map(len, lists))), -1, np.int32)
    indices = iter(flat.tolist())
    for row, names in zip(mapping, lists, strict=True):
        row[: len(names)] = [next(indices) for _ in names]
    return mapping


def _through(mapping: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32[N, l * m]: labels int32[N, l] as the model's indices, each once."""
    mapped = np.where(labels[:, :, None] >= 0, mapping[labels], np.int32(-1))
    mapped = mapped.reshape(len(labels), -1)
    if mapped.shape[1] == 1:
        return mapped
    ordered = -np.sort(-mapped, axis=1)
    repeated = np.zeros(ordered.shape, bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    kept_labels = np.where(repeated, np.int32(-1), ordered)
    width = max(1, int((kept_labels >= 0).sum(axis=1).max(initial=0)))
    return -np.sort(-kept_labels, axis=1)[:, :width]
