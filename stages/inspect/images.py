"""Whether a dataset's records are those it describes, and a run's samples those it should have
seen. No TensorFlow: what images look like was checked when they were sharded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.lineage import inherited
from vitctl.data.batches import keys_of_steps
from vitctl.data.dataset import Dataset
from vitctl.data.digest import ConsumedSamples
from vitctl.data.example import decode_example
from vitctl.data.mock import MockDataset
from vitctl.data.order import sample_key
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.events import Emit, Progress
from vitctl.recipes.branching import trained_with
from vitctl.train.config import TrainConfig

# Records read at once: a few hundred images fit any memory.
_CHUNK = 256
# A damaged dataset may have a million bad records; a few tell what is wrong.
_MOST_PROBLEMS = 10
# `vitctl.checkpoints.POSITION`, whose module imports jax.
_POSITION = "position.json"


def check_counts(artifact: Artifact) -> Iterator[str]:
    """One sentence for each count that does not fit another; opens no shard."""
    try:
        dataset = Dataset.load(artifact.path)
        for split, info in dataset.info.splits.items():
            promised = artifact.summary.get("examples", {}).get(split)
            if promised != info.examples:
                yield (
                    f"{split} has {info.examples:,} records by dataset.json, "
                    f"{promised} by the manifest"
                )
            keys, labels = dataset.keys(split), dataset.labels(split)
            if len(np.unique(keys)) != len(keys):
                yield f"{split} has {len(keys) - len(np.unique(keys)):,} ids twice"
            if labels.max(initial=-1) >= len(dataset.info.classes) or labels.min(initial=0) < -1:
                yield f"{split} has labels outside its {len(dataset.info.classes)} classes"
    except VitctlError as error:
        yield error.message


def check_records(artifact: Artifact, *, emit: Emit) -> tuple[list[str], int]:
    """Read every record. What is wrong, and how many were read; ids and labels must be those of
    the side files, images must not be empty."""
    try:
        dataset = Dataset.load(artifact.path)
    except VitctlError:
        return [], 0  # told by check_counts
    problems: list[str] = []
    read = 0
    for split in dataset.info.splits:
        for problem in _check_split(dataset, split, emit=emit):
            problems.append(problem)
            if len(problems) >= _MOST_PROBLEMS:
                return [*problems, "there may be more"], read
        read += dataset.info.examples(split)
    return problems, read


def _check_split(dataset: Dataset, split: str, *, emit: Emit) -> Iterator[str]:
    """Shard by shard, so that a damaged one does not hide the others."""
    try:
        keys, labels = dataset.keys(split), dataset.labels(split)
    except VitctlError:
        return  # told by check_counts
    records = dataset.records(split)
    first, total = 0, len(keys)
    for shard in dataset.shards(split):
        end = first + shard.records
        for start in range(first, end, _CHUNK):
            span = np.arange(start, min(start + _CHUNK, end), dtype=np.int64)
            try:
                found = records.read(span)
            except InputError as error:
                yield error.message
                break
            for index, record in zip(span.tolist(), found, strict=True):
                wrong = _wrong(record, key=int(keys[index]), labels=labels[index])
                if wrong is not None:
                    yield f"record {index - first} of {shard.path.name}: {wrong}"
            done, where = int(span[-1]) + 1, f"{split} of {dataset.path}"
            emit(Progress("reading", done, total, "records", {"of": where}))
        first = end
    records.close()


def _wrong(record: bytes, *, key: int, labels: NDArray[np.int32]) -> str | None:
    try:
        example = decode_example(record)
    except ValueError as error:
        return str(error)
    if sample_key(example.id) != key:
        return f"its id {example.id!r} is not the one the key file has there"
    if sorted(example.labels) != sorted(labels[labels >= 0].tolist()):
        return f"its labels {list(example.labels)} are not those of the label file"
    return None if example.image else "its image is empty"


def check_consumed(artifact: Artifact, *, store: Store) -> tuple[list[str], list[str]]:
    """(problems, remarks) on a checkpoint's record of the samples it was trained on: the newest
    of them are worked out again from the order and the dataset's keys."""
    try:
        consumed = _consumed(artifact.path / _POSITION)
        cfg = trained_with(artifact)
        dataset = _dataset(artifact, cfg, store=store)
        keys = keys_of_steps(dataset, split=cfg.data.split, seed=cfg.seed, batch=cfg.data.batch)
        if consumed.step != artifact.step:
            return [f"its samples are those of step {consumed.step}"], []
        consumed.check(keys)
    except NotFoundError as error:
        return [], [f"its samples cannot be checked: {error.message}"]
    except VitctlError as error:
        return [error.message], []
    return [], []


def _consumed(path: Path) -> ConsumedSamples:
    try:
        return ConsumedSamples.from_json(json.loads(path.read_bytes())["consumed"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path.name} is missing or damaged") from None


def _dataset(artifact: Artifact, cfg: TrainConfig, *, store: Store) -> Dataset | MockDataset:
    if (mock := cfg.data.mock) is not None:
        return MockDataset(
            classes=cfg.model.classes,
            train_examples=mock.examples,
            val_examples=mock.eval_examples,
        )
    return Dataset.load(inherited(artifact, "data", store=store).path)
