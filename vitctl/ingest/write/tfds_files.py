"""The three files that let TensorFlow Datasets read a dataset artifact as it is.

`tfds.builder_from_directory(path).as_data_source()`; its `as_dataset()` doesn't read ArrayRecord
(4.9.10). Field names are those of its protos dataset_info.proto and feature.proto.
"""

from __future__ import annotations

from typing import Any

from vitctl.artifacts.documents import json_bytes
from vitctl.data.dataset import STEM, DatasetInfo

_FEATURES = "tensorflow_datasets.core.features"


def description_files(info: DatasetInfo) -> dict[str, bytes]:
    """File name -> content."""
    files = {
        "dataset_info.json": json_bytes(_dataset_info(info)),
        "features.json": json_bytes(_features(info)),
    }
    if info.classes:
        files["label.labels.txt"] = "".join(f"{name}\n" for name in info.classes).encode()
    return files


def _dataset_info(info: DatasetInfo) -> dict[str, Any]:
    return {
        "name": STEM,
        "version": "1.0.0",
        "description": f"{'Labelled' if info.classes else 'Unlabelled'} images sharded by vitctl.",
        "fileFormat": "array_record",
        "splits": [
            {
                "name": name,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                # 64-bit integers are text in the JSON form of protocol buffers.
                "numBytes": str(split.record_bytes),
                "shardLengths": [str(length) for length in split.shard_lengths],
            }
            for name, split in info.splits.items()
        ],
    }


def _features(info: DatasetInfo) -> dict[str, Any]:
    label: dict[str, Any] = {
        "pythonClassName": f"{_FEATURES}.class_label_feature.ClassLabel",
        "classLabel": {"numClasses": str(len(info.classes))},
    }
    if info.multi_label:
        label = {
            "pythonClassName": f"{_FEATURES}.sequence_feature.Sequence",
            "sequence": {"feature": label, "length": "-1"},
        }
    image = {
        "pythonClassName": f"{_FEATURES}.image_feature.Image",
        "image": {"shape": {"dimensions": ["-1", "-1", "3"]}, "dtype": "uint8"},
    }
    text = {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}}
    features = {"id": text, "image": image}
    if info.classes:
        features["label"] = label
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": features},
    }
