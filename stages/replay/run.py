"""How `vitctl replay` works: a run and a step -> the batch it trained on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stages.replay.command import PICTURE, Asked
from vitctl.artifacts import Artifact, Parent, Run, Store
from vitctl.artifacts.files import write_atomic
from vitctl.artifacts.runs import CHECKPOINTS
from vitctl.data.order import Window, windows_from_json
from vitctl.data.sheet import sheet
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Emit, Note, silent
from vitctl.places import Place
from vitctl.recipes.branching import trained_with
from vitctl.train import metrics, rollback
from vitctl.train.config import TrainConfig, from_identity
from vitctl.train.images import Images, local_images, open_images
from vitctl.train.replay import Pixels, Replayed, Seen, pixels, replay

_MOST_PICTURED = 256
"""Images of a picture unless told otherwise; in one of 16,384 nobody would see any."""


@dataclass(frozen=True)
class Found:
    """The batch, the run it belongs to, and the file that was written, if one was asked for."""

    run: Place
    id: str
    batch: Replayed
    file: Path | None


def run(
    asked: Asked, entry: Artifact | Run, *, at: int | None, store: Store, emit: Emit = silent
) -> Found:
    """Replay a step of `entry`, a run or one of its checkpoints; `at` is the step of RUN@STEP.

    Raises:
      NotFoundError: the dataset is gone.
      InputError: it is not what it was, or `entry` is no run.
      UsageError: no step is named, or the run ends before it.
    """
    step = _step(asked, entry, at)
    cfg, parents = _settings(entry, step)
    if step > cfg.steps:
        raise UsageError(f"{entry.path} ends at step {cfg.steps}, before step {step}")
    if isinstance(entry, Run) and step > (done := _trained(entry)):
        emit(Note(f"step {step} was not trained yet (step {done} was): this is what it will see"))
    dataset = _dataset(entry, cfg, parents, store=store)
    folder = local_images(cfg, dataset, cache=None, emit=emit)
    images = open_images(cfg, folder, workers=None)
    images = replace(images, passed=_passed(entry, store=store))

    # The batch, and what was asked of it
    first, file = asked.first, asked.file
    cut = first is None and file is not None and file.suffix == PICTURE
    found = replay(images, step=step, first=_MOST_PICTURED if cut else first)
    if cut and len(found.images) < found.batch:
        emit(Note(f"the first {len(found.images)} of {found.batch:,} images; --first shows more"))
    if file is not None:
        _write(file, found, images)
    identity = entry.info.id if isinstance(entry, Run) else entry.id
    return Found(entry.path, identity, found, file)


def _step(asked: Asked, entry: Artifact | Run, at: int | None) -> int:
    step = asked.step or at or (entry.step if isinstance(entry, Artifact) else None)
    if step is None:
        raise UsageError(f"which step of {entry.path}?", hint="give --step, or name it RUN@STEP")
    return step


def _settings(entry: Artifact | Run, step: int) -> tuple[TrainConfig, tuple[Parent, ...]]:
    """How it trained, on what. An open-ended run gets `step` as its length."""
    if isinstance(entry, Run):
        return from_identity(entry.info.config, total_steps=step), entry.info.parents
    if entry.kind not in ("checkpoint", "batch"):
        raise InputError(
            f"{entry.path} is a {entry.kind}, where a run or checkpoint is expected",
            hint="see what there is: vitctl ls --kind checkpoint",
        )
    cfg = trained_with(entry)
    if cfg.schedule.open_ended:
        cfg = from_identity(entry.config, total_steps=max(step, cfg.steps))
    return cfg, entry.manifest.parents


def _passed(entry: Artifact | Run, *, store: Store) -> tuple[Window, ...]:
    """The windows of batches that it passed over."""
    if isinstance(entry, Artifact):
        return windows_from_json(entry.config.get("passed", ()))
    source = next((p for p in entry.info.parents if p.role == "from"), None)
    before: tuple[Window, ...] = ()
    if entry.info.stage == "cooldown" and source is not None:
        trunk = store.parent(source)
        if trunk is None:
            raise NotFoundError(
                f"what {entry.path} branched off is gone (id {source.id[:8]}), and what it passed "
                "over is not known",
                hint=f"name a checkpoint of it: {entry.path / CHECKPOINTS}/STEP",
            )
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
            f"the dataset that {entry.path} was trained on is gone (id {parent.id[:8]}, last seen "
            f"at {parent.path})",
            hint="copy it back, or into this store",
        )
    return dataset


def _write(file: Path, found: Replayed, images: Images) -> None:
    seen = pixels(images, found)
    picture = file.suffix == PICTURE
    content = sheet(seen.learnt, list(_captions(found))) if picture else _arrays(found, seen)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, content)
    except OSError as error:
        raise UsageError(f"--out {file} cannot be written: {error.strerror}") from None


def _captions(found: Replayed) -> Iterator[list[str]]:
    """Class, row and epoch of each image; where it is mixed, how much of which row is in it."""
    for image in found.images:
        lines = [_classes(image), f"#{image.row} epoch {image.epoch}"]
        if found.mixup is not None:
            lines.append(f"+ {1 - found.mixup:.1%} of #{(image.row - 1) % found.batch}")
        yield lines


def _classes(image: Seen) -> str:
    return ", ".join(image.labels) or "no label"


def _arrays(found: Replayed, seen: Pixels) -> bytes:
    """An .npz file. Loading it needs no pickle: ids are plain text."""
    out = io.BytesIO()
    rows = found.images
    np.savez(
        out,
        images=seen.augmented,
        learnt=seen.learnt,
        ids=np.array([row.id or "" for row in rows], np.str_),
        labels=np.array([_classes(row) for row in rows], np.str_),
        keys=np.array([row.key for row in rows], np.uint64),
        positions=np.array([row.position for row in rows], np.int64),
        epochs=np.array([row.epoch for row in rows], np.int64),
        mixup=np.float32(np.nan if found.mixup is None else found.mixup),
        step=np.int64(found.step),
    )
    return out.getvalue()
