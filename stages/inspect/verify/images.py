"""Whether a dataset's records are those it describes, and a run's samples those it should have
seen. No TensorFlow: what images look like was checked when they were sharded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

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
from vitctl.data.local_shards import is_shard, local_folder
from vitctl.data.opening import PartGoneError, open_dataset
from vitctl.data.order import windows_from_json
from vitctl.errors import NotFoundError, VitctlError
from vitctl.recipes.branching import trained_with
from vitctl.train.config import TrainConfig
from vitctl.train.image_source import image_source

# A damaged dataset may have a million bad records; a few are enough to show the cause.
_MOST_PROBLEMS = 100


def check_small_files(artifact: Artifact) -> Iterator[str]:
    """One sentence for each file besides the shards whose bytes are not as published: labels, keys
    and the description, which commands that use the dataset compare, too."""
    for entry in artifact.manifest.files:
        if not is_shard(entry.path) and (problem := artifact.check_content(entry)) is not None:
            yield problem


def check_counts(artifact: Artifact) -> Iterator[str]:
    """One sentence for each count that does not fit another; opens no shard."""
    try:
        dataset = open_dataset(artifact)
        recorded = DATASET.summary(artifact).examples
        for split, info in dataset.info.splits.items():
            promised = recorded.get(split)
            if promised != info.examples:
                yield (
                    f"{split} has {info.examples:,} records by dataset.json, "
                    f"{promised} by the manifest"
                )
            keys, labels = dataset.keys(split), dataset.labels(split)
            # What is no array is arithmetic, and may be billions. An image may be in two parts of a
            # mixture.
            if isinstance(keys, np.ndarray) and dataset.info.mixture is None:
                twins = len(keys) - len(np.unique(keys))
                if twins:
                    yield f"{split} has {twins:,} ids twice"
            if not isinstance(labels, np.ndarray):
                continue
            if labels.max(initial=-1) >= len(dataset.info.classes) or labels.min(initial=0) < -1:
                yield f"{split} has labels outside its {len(dataset.info.classes)} classes"
    except VitctlError as error:
        yield error.message


def check_records(artifact: Artifact) -> tuple[list[str], int]:
    """Read every record: what is wrong, and how many there are."""
    try:
        dataset = open_dataset(artifact)
        if dataset.info.formula is not None:
            return [], 0
        if dataset.info.has_shards:
            record_problems = verify.check_records(Dataset.load(artifact.path))
        else:
            everything = partial(local_folder, splits=tuple(dataset.info.splits))
            record_problems = verify.check_parts(open_dataset(artifact, folder=everything))
    except VitctlError:
        return [], 0  # told by check_counts
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
            first_step=cfg.data.first_step,
        )
        if consumed.step != artifact.step:
            return [f"its samples are those of step {consumed.step}"], []
        consumed.check(keys)
    except (NotFoundError, PartGoneError) as error:
        return [], [f"its samples cannot be checked: {error.message}"]
    except VitctlError as error:
        return [error.message], []
    return [], []


def _dataset(artifact: Artifact, cfg: TrainConfig, *, store: Store) -> ImageSource:
    mock = cfg.data.mock
    dataset = inherited(artifact, "data", store=store) if mock is None else None
    return image_source(cfg, dataset)
