"""Small artifacts, made without any stage."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vitctl.artifacts import Artifact, Parent, Recipe, Store
from vitctl.data.dataset import DatasetInfo, SplitInfo, keys_name, labels_name, shard_name
from vitctl.data.example import Example, encode_example
from vitctl.data.order import sample_key
from vitctl.data.records import open_writer
from vitctl.formula.family import FormulaConfig


def recipe(stage: str = "shard", kind: str = "dataset", **config: Any) -> Recipe:
    parents = config.pop("parents", ())
    return Recipe(stage=stage, version=1, kind=kind, config=config, parents=parents)


def made(
    store: Store,
    wanted: Recipe,
    *,
    name: str = "thing",
    content: bytes = b"content",
    summary: dict[str, Any] | None = None,
    **places: Any,
) -> Artifact:
    """A finished artifact of one file."""
    with store.open(wanted, name=name, **places) as draft:
        if draft.finished is None:
            (draft.path / "data.bin").write_bytes(content)
            draft.publish(summary=summary or {})
        assert draft.finished is not None
        return draft.finished


def checkpoint_summary(step: int, **changes: Any) -> dict[str, Any]:
    """What training records of a checkpoint: no less than its kind requires."""
    return {
        "step": step,
        "images": 4 * step,
        "model": "S/16",
        "resolution": 8,
        "parameters": 1000,
        "classes": ["cat", "dog"],
        "finished_schedule": False,
        "loss": None,
        "eval": None,
        **changes,
    }


def dataset_summary(examples: dict[str, int], **changes: Any) -> dict[str, Any]:
    """What `shard` records of a dataset of two classes."""
    return {
        "classes": 2,
        "examples": examples,
        "shards": dict.fromkeys(examples, 1),
        "bytes": 1000,
        "converted": {},
        "rejected": 0,
        "skipped": {},
        **changes,
    }


def part_summary(index: int, count: int) -> dict[str, Any]:
    """Of a part of a dataset that is called photos."""
    return {
        "dataset": "d" * 64,
        "name": "photos",
        "index": index,
        "count": count,
        "examples": {"train": 3},
        "shards": {"train": 1},
        "bytes": 100,
        "rejected": 0,
    }


def trained(
    store: Store,
    wanted: Recipe,
    *,
    steps: tuple[int, ...],
    name: str = "S16",
    results: tuple[int, ...] = (),
    **places: Any,
) -> Path:
    """A run with a checkpoint of one file at each of `steps`."""
    with store.open_run(wanted, name=name, **places) as draft:
        draft.begin(from_step=0, runtime={"workers": None})
        for step in steps:
            place = draft.empty_place(step)
            (place / "weights.bin").write_bytes(b"weights %d" % step)
            draft.publish(step, summary=checkpoint_summary(step), started="2026-01-01")
        for step in results:
            draft.mark_result(step)
        return draft.path


def dataset(store: Store, *, images: int = 6, name: str = "photos", **config: Any) -> Artifact:
    """A finished dataset of two classes and two shards of a train split, and a val split."""
    with store.open(recipe(**config), name=name) as draft:
        if draft.finished is not None:
            return draft.finished
        splits = {}
        for split, shards in (("train", 2), ("val", 1)):
            examples = [Example(b"pixels %d" % i, (i % 2,), f"{split}/{i}") for i in range(images)]
            each = images // shards
            for index in range(shards):
                path = draft.path / shard_name(split, index=index, shards=shards)
                with open_writer(path) as writer:
                    for example in examples[each * index : each * (index + 1)]:
                        writer.write(encode_example(example))
            keys = [sample_key(example.id) for example in examples]
            np.array(keys, "<u8").tofile(draft.path / keys_name(split))
            labels = [example.labels for example in examples]
            np.array(labels, "<i4").tofile(draft.path / labels_name(split))
            splits[split] = SplitInfo(shard_lengths=(each,) * shards, record_bytes=1)
        info = DatasetInfo(classes=("cat", "dog"), splits=splits)
        (draft.path / "dataset.json").write_text(info.model_dump_json())
        return draft.publish(summary=dataset_summary(dict.fromkeys(splits, images)))


def parent_of(artifact: Artifact, role: str = "data") -> Parent:
    return artifact.as_parent(role)


def half_made(store: Store, **config: Any) -> Path:
    """What a command that failed on its way left: a draft with a file in it."""
    with suppress(ZeroDivisionError), store.open(recipe(**config), name="half") as draft:
        (draft.path / "shard-0").write_bytes(b"half")
        raise ZeroDivisionError
    return draft.path


def formula_options(config: FormulaConfig, **settings: Any) -> dict[str, Any]:
    """Arguments of `api.shard("formula", ...)` that make this set of pictures."""
    sizes = {"classes": str(config.classes), "val_per_class": config.val_per_class}
    return {
        "family": config.family,
        "per_class": config.per_class,
        "res": config.resolution,
        "seed": config.seed,
        "set": sizes | settings,
    }
