"""Features as an artifact, in parts.

    features.json                    classes, width, splits and their parts: what we go by
    train-00000-of-00003.npy         float32[rows, width], in the order of the dataset's records
    train.labels.npy                 int32[n, L], padded with -1
    train.keys.npy                   uint64[n]: the sample keys of the dataset

A part is written as a whole, so what was cut off goes on after the last one that is there. All but
the last part of a split have the same number of rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.documents import read_document
from vitctl.artifacts.files import sha256_file
from vitctl.errors import InputError
from vitctl.feature_sets.contract import no_split
from vitctl.settings.config import Config

FORMAT = 1
DESCRIPTION = "features.json"

_PART_BYTES = 64 * 2**20
_FLOAT = np.dtype("<f4")


class SplitFeatures(Config):
    """Images of a split, and how many rows each of its parts has (the last may have fewer)."""

    examples: int = Field(ge=0)
    rows_a_part: PositiveInt

    @property
    def parts(self) -> int:
        return -(-self.examples // self.rows_a_part)


class FeaturesInfo(Config):
    """The content of `features.json`.

    classes       names in the order of the labels' numbers; none where there are no labels
    at            where in the model they were read
    width         numbers an image
    trained_on    names of the classes that the model was trained with
    """

    format: int = FORMAT
    classes: tuple[str, ...]
    at: str
    width: PositiveInt
    splits: dict[str, SplitFeatures]
    trained_on: tuple[str, ...] = ()


def rows_a_part(width: int) -> int:
    """Rows of a part: 64 MiB of them, and one at least."""
    return max(1, _PART_BYTES // (_FLOAT.itemsize * width))


def part_name(split: str, *, index: int, parts: int) -> str:
    return f"{split}-{index:05d}-of-{parts:05d}.npy"


def labels_name(split: str) -> str:
    return f"{split}.labels.npy"


def keys_name(split: str) -> str:
    return f"{split}.keys.npy"


def as_npy(array: NDArray[np.generic]) -> bytes:
    """The bytes of an npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


@dataclass(frozen=True)
class StoredFeatures:
    """A `FeatureSource`: the features in an artifact. A file is hashed before its first use."""

    artifact: Artifact
    info: FeaturesInfo
    _checked: set[str] = field(default_factory=set, compare=False)

    @staticmethod
    def load(artifact: Artifact) -> StoredFeatures:
        """Raises InputError where it is damaged."""
        info = read_document(
            artifact.path / DESCRIPTION,
            FeaturesInfo,
            what="set of features",
            newest=FORMAT,
            missing=f"{artifact.path} holds no features (it has no {DESCRIPTION})",
            make="make them with `vitctl embed`",
            repair="make them again with `vitctl embed --force`",
        )
        stored = StoredFeatures(artifact, info)
        stored._check(DESCRIPTION)
        return stored

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    @property
    def width(self) -> int:
        return self.info.width

    def labels(self, split: str) -> NDArray[np.int32]:
        examples = self._split(split).examples
        labels = self._array(labels_name(split))
        if labels.dtype != np.int32 or labels.ndim != 2 or len(labels) != examples:
            raise self._damaged(labels_name(split), f"expected int32[{examples}, L]")
        if labels.size and not -1 <= labels.min() <= labels.max() < len(self.classes):
            raise self._damaged(labels_name(split), "a label is no class")
        return labels

    def keys(self, split: str) -> NDArray[np.uint64]:
        """uint64[n]: the sample keys of the images. Raises as `labels`."""
        examples = self._split(split).examples
        keys = self._array(keys_name(split))
        if keys.dtype != np.uint64 or keys.shape != (examples,):
            raise self._damaged(keys_name(split), f"expected uint64[{examples}]")
        return keys

    def rows(
        self,
        split: str,
        positions: NDArray[np.int64],
        *,
        progress: Callable[[int], None] = lambda done: None,
    ) -> NDArray[np.float32]:
        info = self._split(split)
        out = np.empty((len(positions), self.width), np.float32)
        bounds = np.searchsorted(positions, np.arange(info.parts + 1) * info.rows_a_part)
        for index in range(info.parts):
            low, high = bounds[index], bounds[index + 1]
            if low == high:
                continue
            name = part_name(split, index=index, parts=info.parts)
            first = index * info.rows_a_part
            expected = (min(info.rows_a_part, info.examples - first), self.width)
            part = self._array(name)
            if part.dtype != _FLOAT or part.shape != expected:
                raise self._damaged(name, f"expected float32{list(expected)}")
            out[low:high] = part[positions[low:high] - first]
            progress(int(high))
        return out

    def _split(self, name: str) -> SplitFeatures:
        info = self.info.splits.get(name)
        if info is None:
            raise no_split(name, of=self.artifact.path, splits=self.info.splits)
        return info

    def _array(self, name: str) -> NDArray[Any]:
        self._check(name)
        try:
            return np.load(io.BytesIO((self.artifact.path / name).read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise self._damaged(name, str(error)) from None

    def _check(self, name: str) -> None:
        """Raise InputError unless a file has the bytes that were published."""
        if name in self._checked:
            return
        entry = self.artifact.manifest.file(name)
        try:
            whole = entry is not None and sha256_file(self.artifact.path / name) == (
                entry.size,
                entry.sha256,
            )
        except OSError:
            whole = False
        if not whole:
            raise self._damaged(name, "it has other bytes than were published")
        self._checked.add(name)

    def _damaged(self, name: str, reason: str) -> InputError:
        return InputError(
            f"{self.artifact.path / name} is damaged: {reason}",
            hint="make them again: vitctl embed --force",
        )
