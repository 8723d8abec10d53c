from __future__ import annotations

import json

import numpy as np
import pytest

from tests.artifacts import making
from vitctl.artifacts import Store
from vitctl.data.dataset import Dataset, DatasetInfo, SplitInfo, scoring_split
from vitctl.data.local_shards import local_folder
from vitctl.errors import InputError, NotFoundError


def info(**changes):
    values = {
        "classes": ("a", "b"),
        "splits": {"train": SplitInfo(shard_lengths=(3, 2), record_bytes=9)},
        **changes,
    }
    return DatasetInfo(**values)


def lengths_in_text(*lengths):
    split = {"record_bytes": 1, "shard_lengths": lengths}
    return json.dumps({"classes": ["a"], "splits": {"val": split}})


def saved(path, described):
    (path / "dataset.json").write_text(described.model_dump_json())
    return Dataset.load(path)


def test_round_trip_without_any_shard(tmp_path):
    """Opening a dataset reads its description and nothing else."""
    dataset = saved(tmp_path, info(class_titles=("Ä", "B"), multi_label=True, max_labels=3))
    assert dataset.info == info(class_titles=("Ä", "B"), multi_label=True, max_labels=3)
    assert dataset.info.examples("train") == 5
    assert [shard.path.name for shard in dataset.shards("train")] == [
        "images-train.array_record-00000-of-00002",
        "images-train.array_record-00001-of-00002",
    ]


def test_side_files_are_counted(tmp_path):
    dataset = saved(tmp_path, info(max_labels=2))
    with pytest.raises(InputError, match="missing"):
        dataset.keys("train")
    np.arange(5, dtype="<u8").tofile(tmp_path / "images-train.keys")
    assert dataset.keys("train").tolist() == [0, 1, 2, 3, 4]
    np.arange(9, dtype="<i4").tofile(tmp_path / "images-train.labels")
    with pytest.raises(InputError, match="9 values where 10 were written"):
        dataset.labels("train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "damaged"),
        ('{"classes": ["a"]}', "splits: Field required"),
        ('{"classes": ["a", "a"], "splits": {}}', "two classes have the same name"),
        ('{"classes": ["a"], "class_titles": [], "splits": {}}', "as many class titles"),
        ('{"format": 4}', "dataset format 4"),
        (lengths_in_text(10**60), "shard_lengths"),
        (lengths_in_text(-1), "shard_lengths"),
        (lengths_in_text(2**53, 1), "more than 9,007,199,254,740,992 records"),
    ],
)
def test_damaged_descriptions(tmp_path, content, message):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=message):
        Dataset.load(tmp_path)


def test_not_a_dataset(tmp_path):
    with pytest.raises(NotFoundError, match="not a dataset"):
        Dataset.load(tmp_path)


def test_unknown_splits_name_the_known(tmp_path):
    with pytest.raises(NotFoundError) as error:
        info().examples("val")
    assert "it has train" in error.value.hint


def test_scores_are_measured_on_val_else_test():
    one = SplitInfo(shard_lengths=(1,), record_bytes=1)
    assert scoring_split(info(splits={"train": one, "test": one, "val": one})) == "val"
    assert scoring_split(info(splits={"train": one, "test": one})) == "test"
    with pytest.raises(NotFoundError, match="neither a val nor a test"):
        scoring_split(info())


def test_description_is_plain_json():
    assert json.loads(info().model_dump_json())["splits"]["train"]["shard_lengths"] == [3, 2]


def test_side_files_are_compared_with_the_manifest_before_they_are_used(tmp_path):
    """Labels that were moved after publishing would train and score silently."""
    artifact = making.dataset(Store(tmp_path))
    assert local_folder(artifact, splits=("train", None)) == artifact.path
    labels = artifact.path / "images-train.labels"
    content = labels.read_bytes()
    labels.write_bytes(content[4:] + content[:4])
    assert local_folder(artifact, splits=("val",)) == artifact.path  # not a file of this split
    with pytest.raises(InputError, match=r"images-train\.labels has other bytes"):
        local_folder(artifact, splits=("train", "val"))


def test_labels_that_name_no_class_are_refused(tmp_path):
    dataset = saved(tmp_path, info())
    for label in (-2, len(dataset.info.classes)):
        np.full(5, label, "<i4").tofile(tmp_path / "images-train.labels")
        with pytest.raises(InputError, match="labels outside the"):
            dataset.labels("train")
