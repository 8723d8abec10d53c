from __future__ import annotations

import numpy as np
import pytest

from vitctl.data.dataset import (
    Dataset,
    DatasetInfo,
    SplitInfo,
    keys_name,
    labels_name,
    shard_name,
)
from vitctl.data.example import Example, encode_example
from vitctl.data.order import sample_key
from vitctl.data.records import open_writer
from vitctl.data.verify import check_records


def make(folder, *, records=None, keys=None, labels=None):
    examples = [Example(b"pixels %d" % i, (i % 2,), f"id {i}") for i in range(6)]
    records = [encode_example(example) for example in examples] if records is None else records
    for index in range(2):
        with open_writer(folder / shard_name("train", index=index, shards=2)) as writer:
            for record in records[3 * index : 3 * index + 3]:
                writer.write(record)
    keys = [sample_key(example.id) for example in examples] if keys is None else keys
    labels = [example.labels for example in examples] if labels is None else labels
    np.array(keys, "<u8").tofile(folder / keys_name("train"))
    np.array(labels, "<i4").tofile(folder / labels_name("train"))
    split = SplitInfo(shard_lengths=(3, 3), record_bytes=1)
    info = DatasetInfo(classes=("a", "b"), splits={"train": split})
    (folder / "dataset.json").write_text(info.model_dump_json())
    return Dataset.load(folder)


def with_record(position, record):
    records = [encode_example(Example(b"x", (i % 2,), f"id {i}")) for i in range(6)]
    records[position] = record
    return records


def test_a_whole_dataset_has_no_problem(tmp_path):
    assert list(check_records(make(tmp_path))) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"records": with_record(4, b"noise")}, "record 1 of .*00001-of-00002 can't be read"),
        (
            {"records": with_record(4, encode_example(Example(b"x", (0,), "id 9")))},
            "record 1 of .* is 'id 9', another example",
        ),
        (
            {"records": with_record(4, encode_example(Example(b"x", (0, 1), "id 4")))},
            r"record 1 of .* has the labels \(0, 1\), the index says \(0,\)",
        ),
        (
            {
                "records": with_record(4, encode_example(Example(b"x", (2,), "id 4"))),
                "labels": [[0], [1], [0], [1], [2], [1]],
            },
            "images-train.labels has labels outside the 2 classes",
        ),
        ({"keys": [7] * 6}, "two examples of train have the same id"),
    ],
)
def test_each_problem_is_told(tmp_path, changes, problem):
    import re

    problems = list(check_records(make(tmp_path, **changes)))
    assert any(re.search(problem, sentence) for sentence in problems)
    if "keys" not in changes:
        assert len(problems) == 1


def test_damaged_shards_are_told_once_and_damaged_records_each(tmp_path):
    dataset = make(tmp_path)
    first, second = (shard.path for shard in dataset.shards("train"))
    first.unlink()
    content = second.read_bytes()
    at = content.index(b"pixels 4")
    second.write_bytes(content[:at] + b"P" + content[at + 1 :])
    problems = list(check_records(dataset))
    assert len(problems) == 2
    assert "missing" in problems[0]
    assert "record 1 of" in problems[1]
