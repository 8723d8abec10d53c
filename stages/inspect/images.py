"""Whether a dataset's records are those it describes, and a run's samples those it should have
seen. No TensorFlow: what images look like was checked when they were sharded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.ancestry import inherited
from vitctl.artifacts.kinds import DATASET
from vitctl.checkpoints import position
from vitctl.data import verify
from vitctl.data.batches import keys_of_steps
from vitctl.data.dataset import Dataset
from vitctl.data.digest import ConsumedSamples
from vitctl.data.image_source import ImageSource
from vitctl.data.opening import open_source
from vitctl.data.order import windows_from_json
from vitctl.errors import NotFoundError, VitctlError
from vitctl.recipes.branching import trained_with
from vitctl.train.config import TrainConfig

# A damaged dataset may have a million bad records; a few are enough to show the cause.
_MOST_PROBLEMS = 100


def check_counts(artifact: Artifact) -> Iterator[str]:
    """One sentence for each count that does not fit another; opens no shard."""
    try:
        dataset = Dataset.load(artifact.path)
        recorded = DATASET.summary(artifact).examples
        for split, info in dataset.info.splits.items():
            promised = recorded.get(split)
            if promised != info.examples:
                yield (
                    f"{split} has {info.examples:,} records by dataset.json, "
                    f"{promised} by the manifest"
                )
            if dataset.info.formula is not None:
                continue  # its keys and labels are arithmetic, and may be billions
            keys, labels = dataset.keys(split), dataset.labels(split)
            if len(np.unique(keys)) != len(keys):
                yield f"{split} has {len(keys) - len(np.unique(keys)):,} ids twice"
            if labels.max(initial=-1) >= len(dataset.info.classes) or labels.min(initial=0) < -1:
                yield f"{split} has labels outside its {len(dataset.info.classes)} classes"
    except VitctlError as error:
        yield error.message


def check_records(artifact: Artifact) -> tuple[list[str], int]:
    """Read every record: what is wrong, and how many there are."""
    try:
        dataset = Dataset.load(artifact.path)
    except VitctlError:
        return [], 0  # told by check_counts
    if dataset.info.formula is not None:
        return [], 0
    record_problems = verify.check_records(dataset)
    problems = list(itertools.islice(record_problems, _MOST_PROBLEMS))
    if next(record_problems, None) is not None:
        problems.append(f"more than {_MOST_PROBLEMS} records are damaged; these are the first")
    return problems, sum(split.examples for split in dataset.info.splits.values())


def check_consumed(artifact: Artifact, *, store: Store) -> tuple[list[str], list[str]]:
    """(problems, remarks) on a checkpoint's record of the samples it was trained on: the newest
    of them are worked out again from the order and the dataset's keys."""
    try:
        at = position.read(artifact.path)
        consumed, passed = ConsumedSamples.from_json(at.consumed), windows_from_json(at.passed)
        cfg = trained_with(artifact)
        dataset = _dataset(artifact, cfg, store=store)
        keys = keys_of_steps(
            dataset,
            split=cfg.data.split,
            seed=cfg.seed,
            batch=cfg.data.batch,
            passed=passed,
        )
        if consumed.step != artifact.step:
            return [f"its samples are those of step {consumed.step}"], []
        consumed.check(keys)
    except NotFoundError as error:
        return [], [f"its samples cannot be checked: {error.message}"]
    except VitctlError as error:
        return [error.message], []
    return [], []


def _dataset(artifact: Artifact, cfg: TrainConfig, *, store: Store) -> ImageSource:
    mock = cfg.data.mock
    folder = inherited(artifact, "data", store=store).path if mock is None else None
    return open_source(folder, mock=mock, classes=cfg.model.classes)
