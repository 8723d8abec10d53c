"""What `--format` calls the formats of sources; a stage's settings name them, and load without
numpy."""

from typing import Literal

FormatName = Literal[
    "array_record",
    "arrow",
    "cifar",
    "folder",
    "idx",
    "mat",
    "npz",
    "parquet",
    "stl10",
    "tar",
    "tfrecord",
    "webdataset",
    "zip",
]
