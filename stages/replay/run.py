"""How `vitctl replay` works: a run and a step -> the batch it trained on."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote

import numpy as np

from stages.replay.spec import PICTURE, Inputs, Request, Shown
from vitctl.artifacts import Artifact, Parent, Run, Store
from vitctl.artifacts.kinds import BATCH, CHECKPOINT, phrase_of
from vitctl.artifacts.run_info import MUST_BE_FINITE, diverged_in_words
from vitctl.artifacts.runs import CHECKPOINTS
from vitctl.data.order import Window, batch_of_step, windows_from_json
from vitctl.data.sheet import sheet
from vitctl.data.tensorflow import require_tensorflow
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.places import out_file
from vitctl.recipes.branching import trained_with
from vitctl.train.config import TrainConfig, from_identity
from vitctl.train.run import rollback
from vitctl.train.run.diverged_batch import load
from vitctl.train.run.images import open_images
from vitctl.train.run.replay import Pixels, Replayed, Seen, pixels, replay
from vitctl.train.telemetry import metrics

_MOST_PICTURED = 256
"""Images in a picture without --first; with 16,384 each would be too small to see."""
_MOST_NAMED = 8
"""Rows that a sentence names."""


def run(request: Request, inputs: Inputs, *, store: Store, emit: Emit = silent) -> Shown:
    """Replay a step of a run.

    Raises:
      NotFoundError: the dataset is not in the store.
      InputError: the dataset or a saved batch changed, or the entry is not a run.
      UsageError: no step is named, or another step than that of a saved batch; the run ends
        before that step.
    """
    entry = inputs.entry
    step = _step(request, entry, inputs.step)
    cfg, parents = _settings(entry, step)
    if step > cfg.steps:
        raise UsageError(f"{entry.path} ends at step {cfg.steps}, before step {step}")
    passed = _passed(entry, cfg, store=store)
    saved = _saved(entry, step, cfg, passed=passed, emit=emit)

    # The batch, as it was saved, or computed again
    first, file = request.first, request.file
    cut = first is None and file is not None and file.suffix == PICTURE
    first = _MOST_PICTURED if cut else first
    pictures: Pixels | None = None
    if saved is not None:
        replayed, pictures = load(saved, cfg)
        if spoilt := _not_finite(pictures):
            emit(Note(f"{sum(spoilt.values())} values of images are not finite, {_rows(spoilt)}"))
        replayed = replace(replayed, images=replayed.images[:first])
        pictures = Pixels(pictures.augmented[:first], pictures.learnt[:first])
    else:
        dataset = _dataset(entry, cfg, parents, store=store)
        if cfg.data.mock is None:
            require_tensorflow(to="augment images as training does")
        images = replace(open_images(cfg, dataset, workers=None, emit=emit), passed=passed)
        replayed = replay(images, step=step, first=first)
        if file is not None:
            pictures = pixels(images, replayed)
    if cut and len(replayed.images) < replayed.batch:
        emit(
            Note(
                f"the first {len(replayed.images)} of {replayed.batch:,} images; --first shows more"
            )
        )
    if file is not None:
        assert pictures is not None
        _write(file, replayed, pictures)
    identity = entry.info.id if isinstance(entry, Run) else entry.id
    return Shown(entry.path, identity, replayed, file, None if saved is None else saved.path)


def _step(request: Request, entry: Artifact | Run, at: int | None) -> int:
    own = entry.step if isinstance(entry, Artifact) else None
    step = request.step or at or own
    if step is None:
        raise UsageError(
            f"the step of {entry.path} is not given",
            hint="give --step, or name the run as RUN@STEP",
        )
    if isinstance(entry, Artifact) and entry.kind == BATCH.name and step != own:
        raise UsageError(
            f"{entry.path} is the batch of step {own}, not of step {step}",
            hint="leave out the step, or name the run instead of its batch",
        )
    return step


def _saved(
    entry: Artifact | Run,
    step: int,
    cfg: TrainConfig,
    *,
    passed: tuple[Window, ...],
    emit: Emit,
) -> Artifact | None:
    """The saved batch to show: the one that is named, or the one that a run diverged on
    and would take for this step again. Says if the step diverged, or was not trained."""
    if isinstance(entry, Artifact):
        return entry if entry.kind == BATCH.name else None
    done, number = _trained(entry), _number(step, cfg, passed=passed)
    for place in entry.batches():
        batch = Artifact.load(place, check=False)
        if batch.step != step:
            continue
        summary = BATCH.summary(batch)
        numbers = {name: text for name in MUST_BE_FINITE if (text := getattr(summary, name))}
        norms = diverged_in_words(numbers)
        same = summary.number == number
        event = f"step {step} diverged ({norms}) on {'this' if same else 'another'} batch"
        if step <= done or not same:
            emit(
                Note(f"{event} before; to see that batch: vitctl replay --from {quote(str(place))}")
            )
        elif problems := batch.check_contents():
            emit(
                Caution(
                    f"{event}, saved in {place}, but {problems[0]}; the batch is computed again"
                )
            )
            return None
        else:
            emit(Note(f"{event}; the batch is shown as it was saved in {place}"))
            return batch
    if step > done:
        emit(
            Note(
                f"step {step} was not trained yet (step {done} was): "
                "these are the images that it will use"
            )
        )
    return None


def _not_finite(pictures: Pixels) -> dict[int, int]:
    """Row -> how many of its values are not finite, where any are."""
    counts = (~np.isfinite(pictures.augmented)).sum(axis=(1, 2, 3))
    return {row: int(count) for row, count in enumerate(counts) if count}


def _rows(rows: Collection[int]) -> str:
    named = [str(row) for row in rows][:_MOST_NAMED]
    more = f" and {len(rows) - len(named)} more" if len(rows) > len(named) else ""
    return f"in row{'s' if len(rows) > 1 else ''} {', '.join(named)}{more}"


def _settings(entry: Artifact | Run, step: int) -> tuple[TrainConfig, tuple[Parent, ...]]:
    """How it trained, on what. An open-ended run gets `step` as its length."""
    if isinstance(entry, Run):
        return from_identity(entry.info.config, total_steps=step), entry.info.parents
    if entry.kind not in (CHECKPOINT.name, BATCH.name):
        raise InputError(
            f"{entry.path} is {phrase_of(entry.kind)}, where a run or checkpoint is expected",
            hint="list checkpoints: vitctl ls --kind checkpoint",
        )
    cfg = trained_with(entry)
    if cfg.schedule.open_ended:
        cfg = from_identity(entry.config, total_steps=max(step, cfg.steps))
    return cfg, entry.manifest.parents


def _number(step: int, cfg: TrainConfig, *, passed: tuple[Window, ...]) -> int:
    """Of the batch that a step trained on, in the order of the data."""
    return batch_of_step(step - 1, passed=passed, first_step=cfg.data.first_step)


def _passed(entry: Artifact | Run, cfg: TrainConfig, *, store: Store) -> tuple[Window, ...]:
    """The windows of batches that the run skipped."""
    if isinstance(entry, Artifact):
        return windows_from_json(entry.config.get("passed", ()))
    source = next((p for p in entry.info.parents if p.role == "from"), None)
    before: tuple[Window, ...] = ()
    goes_on = entry.info.stage == "cooldown" or cfg.from_schedule == "continue"
    if goes_on and source is not None:
        trunk = store.parent(source)
        if trunk is None:
            raise NotFoundError(
                f"the checkpoint {entry.path} branched off is missing (id {source.id[:8]}), so the "
                "batches it skipped are unknown",
                hint=f"name a checkpoint of the run: {entry.path / CHECKPOINTS}/STEP",
            )
        # Unless it begins another order where the trunk left off.
        if entry.info.stage == "cooldown" or cfg.data.first_step != trunk.step:
            before = windows_from_json(trunk.config.get("passed", ()))
    return rollback.passed(entry.info, before=before)


def _trained(run: Run) -> int:
    """The last step that is known to have been trained."""
    logged = [row["step"] for row in metrics.read(run.metrics)]
    return max([*run.steps(), *logged], default=0)


def _dataset(
    entry: Artifact | Run, cfg: TrainConfig, parents: tuple[Parent, ...], *, store: Store
) -> Artifact | None:
    if cfg.data.mock is not None:
        return None
    parent = next((parent for parent in parents if parent.role == "data"), None)
    if parent is None:
        raise InputError(f"{entry.path} records no dataset")
    dataset = store.parent(parent)
    if dataset is None:
        raise NotFoundError(
            f"the dataset that {entry.path} was trained on is not in this store "
            f"({parent.last_place})",
            hint="copy the dataset to that path, or into this store",
        )
    return dataset


def _write(file: Path, replayed: Replayed, pictures: Pixels) -> None:
    picture = file.suffix == PICTURE
    content = (
        sheet(pictures.learnt, list(_captions(replayed, pictures)))
        if picture
        else _arrays(replayed, pictures)
    )
    out_file.write(file, content)


def _captions(replayed: Replayed, pictures: Pixels) -> Iterator[list[str]]:
    """Class, row and epoch of each image; where it is mixed, how much of which row is in it; and
    how many of its values are not finite."""
    spoilt = _not_finite(pictures)
    for image in replayed.images:
        lines = [_classes(image), f"#{image.row} epoch {image.epoch}"]
        if replayed.mixup is not None:
            lines.append(f"+ {1 - replayed.mixup:.1%} of #{(image.row - 1) % replayed.batch}")
        if image.row in spoilt:
            lines.append(f"{spoilt[image.row]} not finite")
        yield lines


def _classes(image: Seen) -> str:
    return ", ".join(image.labels) or "no label"


def _arrays(replayed: Replayed, pictures: Pixels) -> bytes:
    """An .npz file. Loading it needs no pickle: ids are plain text."""
    out = io.BytesIO()
    rows = replayed.images
    np.savez(
        out,
        images=pictures.augmented,
        learnt=pictures.learnt,
        ids=np.array([row.id or "" for row in rows], np.str_),
        labels=np.array([_classes(row) for row in rows], np.str_),
        keys=np.array([row.key for row in rows], np.uint64),
        positions=np.array([row.position for row in rows], np.int64),
        epochs=np.array([row.epoch for row in rows], np.int64),
        mixup=np.float32(np.nan if replayed.mixup is None else replayed.mixup),
        step=np.int64(replayed.step),
    )
    return out.getvalue()
