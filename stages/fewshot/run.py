"""How `vitctl fewshot` works: features of labelled images -> accuracies of many draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from stages.fewshot import subjects
from stages.fewshot.spec import VERSION, FewshotConfig, Given
from stages.fewshot.subjects import Subject
from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.artifacts.kinds.fewshot import Fewshot, Shots
from vitctl.artifacts.store import slug
from vitctl.data.classes import map_labels
from vitctl.errors import DoesNotFitError, InputError
from vitctl.events import Caution, Emit, Progress, Settings, silent
from vitctl.hardware import machine
from vitctl.probe import draws, fewshot
from vitctl.quoting import quoted
from vitctl.recipes import measuring
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.summaries import Interval
from vitctl.train.program import footprint

RESULTS = "results.json"
_FORMAT = 1

_FLOAT = 4
_NAMES_SHOWN = 5


def run(
    cfg: FewshotConfig,
    inputs: Measured | Given,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Probe the features. `results.json` has every draw, the summary the means."""
    subject = subjects.subject_of(inputs)
    recipe = Recipe(
        stage="fewshot",
        version=VERSION,
        kind=FEWSHOT.name,
        config=cfg.identity(),
        parents=subject.parents,
    )
    computed = isinstance(inputs, Measured)
    images = [subject.images] if computed else []
    kind = [] if cfg.features in ("model", "given") else [cfg.features]
    name = runtime.name or slug("-".join([subject.name, *images, *kind]), default="fewshot")
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        artifact = draft.finished or _probed(
            draft, cfg, inputs, subject, store=store, runtime=runtime, emit=emit
        )
    emit(Settings("few-shot accuracy", readable(FEWSHOT.summary(artifact))))
    emit(subjects.next_command(inputs, artifact))
    return artifact


def _probed(
    draft: Draft,
    cfg: FewshotConfig,
    inputs: Measured | Given,
    subject: Subject,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    # Numbers: which images, before any feature is computed
    source = subjects.opened(cfg, inputs, store=store, runtime=runtime, emit=emit)
    all_classes = source.classes
    probed, drawn = draws.all_draws(
        source.labels(cfg.train_split),
        names=all_classes,
        shots=cfg.shots[-1],
        draws=cfg.draws,
        seed=cfg.seed,
        leave_out=cfg.too_few == "leave-out",
    )
    classes = [all_classes[i] for i in probed]
    left_out = [all_classes[i] for i in np.setdiff1d(np.arange(len(all_classes)), probed)]
    if left_out:
        emit(Caution(_left_out_in_words(left_out, shots=cfg.shots[-1], of=len(all_classes))))
    shown = np.unique(drawn)
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

    # Regressions: process 0 makes them, the others wait where it publishes
    processes.mark("save")
    results: list[fewshot.Draw] = []
    if not processes.first():
        return draft.publish(summary={})
    regressions = fewshot.regress(
        train,
        np.searchsorted(shown, drawn),
        shots=cfg.shots,
        l2s=[cfg.l2],
        test=test,
        labels=labels[scored],
    )
    for done, accuracies in enumerate(regressions, start=1):
        results += accuracies
        processes.mark("save")
        emit(Progress("regressions", done, cfg.draws, "draws"))

    # Publish
    known = subjects.trained_on(inputs, source, store=store, emit=emit)
    summary = Fewshot(
        model=subject.label,
        step=subject.step,
        cooled=subject.cooled,
        features=cfg.features,
        weights=cfg.weights,
        dataset=subject.images,
        split=cfg.eval_split,
        classes=len(classes),
        **({"left_out": len(left_out)} if left_out else {}),
        seen=(
            "unknown" if known is None else measuring.share_trained_on(classes, trained_on=known)
        ),
        examples=len(scored),
        l2=cfg.l2,
        shots=tuple(Shots(**asdict(row)) for row in fewshot.summarise(results)),
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
                "shots": row.shots,
                "draw": row.draw,
                "seed": cfg.seed + row.draw,
                "correct": row.correct,
                "accuracy": row.accuracy,
            }
            for row in results
        ],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    draft.write(RESULTS, f"{text}\n".encode())
    return draft.publish(summary=summary.as_json())


def readable(summary: Fewshot) -> dict[str, str]:
    """What was probed, and a line for each number of shots."""
    what = {"pixels": " (its raw pixels)", "untrained": " (untrained)"}.get(summary.features, "")
    if summary.weights == "ema" and summary.features == "model":
        what = ", averaged weights"
    at = "" if summary.step is None else f" at step {summary.step}"
    known = {
        "all": ", all seen in training",
        "some": ", some seen in training",
        "none": ", none seen",
        "unknown": "",
    }
    return {
        "model": f"{summary.model}{at}{what}",
        "data": f"{summary.dataset} {summary.split}: {summary.examples:,} images, "
        f"{summary.classes} classes{_less(summary)}{known[summary.seen]}",
        **{f"{row.shots}-shot": _line(row) for row in summary.shots},
    }


def _less(summary: Fewshot) -> str:
    return f" ({summary.left_out} with too few images left out)" if summary.left_out else ""


def _line(row: Shots) -> str:
    test = f"test set ± {_half_width(row.test_interval):.2f}"
    if row.interval is None:
        return f"{row.accuracy_mean:.2%} (one draw; {test})"
    return (
        f"{row.accuracy_mean:.2%} ± {_half_width(row.interval):.2f} "
        f"(95 % of the mean over {row.draws} draws; {test})"
    )


def _half_width(interval: Interval) -> float:
    """In points of a percent."""
    low, high = interval
    return 100 * (high - low) / 2


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
        f"{len(names):,} of {of:,} classes have fewer than {shots} images to draw from and are "
        f"left out, also of the score: {shown}{more}"
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
