"""How `vitctl fewshot` works: features of labelled images -> accuracies of many draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from stages.fewshot import subjects
from stages.fewshot.results import cautions, parameter, readable, recorded, shots_of
from stages.fewshot.spec import VERSION, FewshotConfig, Given, Inputs
from stages.fewshot.subjects import Subject
from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.artifacts.kinds.fewshot import Fewshot, TrainedImages
from vitctl.artifacts.store import slug
from vitctl.data.classes import map_labels
from vitctl.errors import DoesNotFitError, InputError
from vitctl.events import Caution, Emit, Progress, Settings, silent
from vitctl.feature_sets.contract import FeatureSource
from vitctl.hardware import machine
from vitctl.probe import draws, fewshot, probes
from vitctl.probe.probes import Knn, Logistic, Probe, Ridge
from vitctl.recipes import measuring, overlap
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.recipes.searches import KnownOverlap
from vitctl.recipes.trained_records import trained_records
from vitctl.text.quantities import plural
from vitctl.text.quoting import quoted
from vitctl.train.program import footprint

RESULTS = "results.json"
_FORMAT = 1

_FLOAT = 4
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Origin:
    """The checkpoint and the dataset behind features, and what is known of images that both have;
    None where nobody knows."""

    checkpoint: Artifact | None
    dataset: Artifact | None
    shared: KnownOverlap | None


def run(
    cfg: FewshotConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Probe the features. `results.json` has every draw, the summary the means."""
    subject = subjects.subject_of(inputs)
    settings = cfg.identity()
    images: list[str] = []
    if isinstance(inputs, Measured):
        settings, images = inputs.named_by(settings), [subject.images]
    recipe = Recipe(
        stage="fewshot",
        version=VERSION,
        kind=FEWSHOT.name,
        config=settings,
        parents=subject.parents,
    )
    kind = [] if cfg.features in ("model", "given") else [cfg.features]
    name = runtime.name or slug("-".join([subject.name, *images, *kind]), default="fewshot")
    checkpoint, dataset = subjects.behind_features(inputs, cfg, store=store)
    shared = None
    if checkpoint is not None:
        shared = overlap.of_training(checkpoint, dataset, split=cfg.eval_split, store=store)
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        artifact = draft.finished or _probed(
            draft,
            cfg,
            inputs,
            subject,
            Origin(checkpoint, dataset, shared),
            store=store,
            runtime=runtime,
            emit=emit,
        )
    emit(Settings("few-shot accuracy", readable(FEWSHOT.summary(artifact))))
    overlap.tell(shared, dataset, store=store, emit=emit)
    emit(subjects.next_command(inputs, artifact))
    return artifact


def _probed(
    draft: Draft,
    cfg: FewshotConfig,
    inputs: Measured | Given,
    subject: Subject,
    origin: Origin,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    # Numbers: which images, before any feature is computed
    source = subjects.opened(cfg, inputs, store=store, runtime=runtime, emit=emit)
    all_classes = source.classes
    probed, drawn = _drawn(cfg, source)
    probe = _probe(cfg)
    shots = (drawn.shape[2],) if cfg.shots == "all" else cfg.shots
    if isinstance(probe, Knn) and probe.neighbours:
        fewest = int((drawn[0, :, : shots[0]] >= 0).sum())
        probes.check_neighbours(probe.neighbours, examples=fewest)
    classes = [all_classes[i] for i in probed]
    left_out = [all_classes[i] for i in np.setdiff1d(np.arange(len(all_classes)), probed)]
    if left_out:
        emit(Caution(_left_out_in_words(left_out, shots=_most(cfg), of=len(all_classes))))
    shown = np.unique(drawn[drawn >= 0])
    labels = _renumbered(source.labels(cfg.eval_split), probed, classes=len(all_classes))
    scored = np.flatnonzero((labels >= 0).any(axis=1))
    if not scored.size:
        raise InputError(f"no image of the split {quoted(cfg.eval_split)} has a label")
    _check_fits(images=len(shown) + len(scored), width=source.width)

    # Arrays: features of the images drawn, and of those scored
    def features_of(split: str, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        def show(done: int) -> None:
            emit(Progress(f"{split} features", done, len(positions), "images"))

        return source.rows(split, positions, progress=show)

    train = features_of(cfg.train_split, shown)
    test = features_of(cfg.eval_split, scored)
    _check_finite({cfg.train_split: train, cfg.eval_split: test})

    # Probes: process 0 makes them, the others wait where it publishes
    processes.mark("save")
    results: list[fewshot.Draw] = []
    if not processes.first():
        return draft.publish(summary={})
    probing = fewshot.probed(
        train,
        np.where(drawn >= 0, np.searchsorted(shown, drawn), -1),
        shots=shots,
        probe=probe,
        test=test,
        labels=labels[scored],
    )
    for done, of_draw in enumerate(probing, start=1):
        results += of_draw
        processes.mark("save")
        emit(Progress("probes", done, cfg.draws, "draws"))
    for caution in cautions(cfg, results):
        emit(Caution(caution))

    # Publish
    known = subjects.trained_on(inputs, source, store=store, emit=emit)
    only_some: dict[str, Any] = parameter(cfg)
    if left_out:
        only_some["left_out"] = len(left_out)
    if origin.shared is not None:
        only_some["overlap"] = origin.shared.overlap
    of_files = not isinstance(inputs, Measured) or inputs.dataset is not None
    if of_files and cfg.features in ("model", "given"):
        only_some["trained_images"] = _trained_images(
            cfg, origin, source, scored=scored, drawn=shown, store=store
        )
    summary = Fewshot(
        model=subject.label,
        step=subject.step,
        cooled=subject.cooled,
        features=cfg.features,
        weights=cfg.weights,
        dataset=subject.images,
        split=cfg.eval_split,
        classes=len(classes),
        **only_some,
        seen=(
            "unknown" if known is None else measuring.share_trained_on(classes, trained_on=known)
        ),
        examples=len(scored),
        shots=tuple(shots_of(cfg, row, results) for row in fewshot.summarise(results)),
    )
    content = {
        "format": _FORMAT,
        "classes": list(classes),
        **({} if known is None else {"classes_seen": [c for c in classes if c in known]}),
        **({"classes_left_out": left_out} if left_out else {}),
        "feature_width": source.width,
        "examples": len(scored),
        "draws": [
            {
                "shots": None if cfg.shots == "all" else row.shots,
                "draw": row.draw,
                "seed": cfg.seed + row.draw,
                "correct": row.correct,
                "accuracy": row.accuracy,
                **recorded(cfg, row),
            }
            for row in results
        ],
    }
    draft.write(RESULTS, json_bytes(content))
    return draft.publish(summary=summary.as_json())


def _trained_images(
    cfg: FewshotConfig,
    origin: Origin,
    source: FeatureSource,
    *,
    scored: NDArray[np.int64],
    drawn: NDArray[np.int64],
    store: Store,
) -> TrainedImages | None:
    """How many of the positions `scored` and `drawn` the model was trained on; None where records
    do not tell."""
    checkpoint, dataset = origin.checkpoint, origin.dataset
    if checkpoint is None or dataset is None:
        return None
    counts, complete = [], True
    for split, positions in ((cfg.eval_split, scored), (cfg.train_split, drawn)):
        known = trained_records(checkpoint, dataset, split=split, store=store)
        if known is None or len(known.mask) != len(source.labels(split)):
            return None
        counts.append(int(known.mask[positions].sum()))
        complete &= known.complete
    return TrainedImages(scored=counts[0], learned_from=counts[1], complete=complete)


def _renumbered(
    labels: NDArray[np.int32], probed: NDArray[np.int64], *, classes: int
) -> NDArray[np.int32]:
    """Labels [m, l] as places among the classes that are probed, -1 for others."""
    place = np.full(classes, -1, np.int32)
    place[probed] = np.arange(len(probed))
    return map_labels(labels, place)


def _left_out_in_words(names: Sequence[str], *, shots: int, of: int) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    return (
        f"left out, also of the score, as fewer than {plural(shots, 'image')} can be drawn from: "
        f"{len(names):,} of {of:,} classes ({shown}{more})"
    )


def _drawn(cfg: FewshotConfig, source: FeatureSource) -> draws.DrawnShots:
    labels, leave_out = source.labels(cfg.train_split), cfg.too_few == "leave-out"
    if cfg.shots == "all":
        return draws.everything(labels, names=source.classes, seed=cfg.seed, leave_out=leave_out)
    return draws.all_draws(
        labels,
        names=source.classes,
        shots=cfg.shots[-1],
        draws=cfg.draws,
        seed=cfg.seed,
        leave_out=leave_out,
    )


def _most(cfg: FewshotConfig) -> int:
    """Images that a class needs."""
    return 1 if cfg.shots == "all" else cfg.shots[-1]


def _probe(cfg: FewshotConfig) -> Probe:
    l2 = None if cfg.l2 == "auto" else cfg.l2
    match cfg.probe:
        case "ridge":
            return Ridge(l2)
        case "logistic":
            return Logistic(l2)
        case "knn":
            neighbours = None if cfg.neighbours == "auto" else cfg.neighbours
            return Knn(neighbours, cfg.temperature)
        case _:
            assert_never(cfg.probe)


def _check_finite(features: Mapping[str, NDArray[np.float32]]) -> None:
    """Raise InputError if a feature is no number."""
    for split, rows in features.items():
        # A sum is finite if all are, or so large that each is looked at.
        if not np.isfinite(rows.sum(dtype=np.float64)) and not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows)).any(axis=1).sum())
            raise InputError(
                f"the features of {bad:,} of {len(rows):,} images of the split {quoted(split)} "
                "are not finite (NaN or infinite)",
                hint="the model has diverged, or computes in too few bits: try another step, or "
                "--set precision=float32",
            )


def _check_fits(*, images: int, width: int) -> None:
    """Raise DoesNotFitError if the features are more than this machine can hold."""
    needed, free = images * width * _FLOAT, machine.host_bytes()
    if free is not None and needed > free:
        raise DoesNotFitError(
            f"{width:,} features of each of {images:,} images need {footprint.gib(needed)}, "
            f"but only {footprint.gib(free)} are free",
            hint="fewer --shots and --draws, or a smaller split to score, need less",
        )
