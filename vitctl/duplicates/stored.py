"""What is compared of a dataset's images, as an artifact in parts, so that nothing is decoded again
for another question.

    prints.json                      of which version, how many, and their parts: what we go by
    prints-00000-of-00003.npy        `prints.PRINT`[rows], in the order of the dataset's records

A part is written as a whole, so what was cut off goes on after the last one that is there.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field, PositiveInt

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.documents import read_document
from vitctl.artifacts.files import sha256_file
from vitctl.duplicates.prints import PRINT, Prints
from vitctl.errors import InputError
from vitctl.places import Place
from vitctl.settings.config import Config

FORMAT = 2
"""A setting that hashes are recorded under, so that those of another format are made again. Format
1 clipped grey PNGs of 16 bits to white, and unlike ones had the same pixels."""
DESCRIPTION = "prints.json"

_ROWS = 4096
"""Of a part of a small dataset: ten seconds' work."""
_MOST_PARTS = 4096
_REMAKE = "remove it, and they are made again: vitctl rm "


class PrintsInfo(Config):
    """The content of `prints.json`. All parts but the last have the same number of rows."""

    format: int = FORMAT
    examples: int = Field(ge=0)
    rows_a_part: PositiveInt

    @property
    def parts(self) -> int:
        return -(-self.examples // self.rows_a_part)

    def rows(self, index: int) -> range:
        """The positions of a part's images."""
        first = index * self.rows_a_part
        return range(first, min(first + self.rows_a_part, self.examples))


def parted(examples: int) -> PrintsInfo:
    """How so many images are divided."""
    return PrintsInfo(examples=examples, rows_a_part=max(_ROWS, -(-examples // _MOST_PARTS)))


def part_name(index: int, *, parts: int) -> str:
    return f"prints-{index:05d}-of-{parts:05d}.npy"


def as_npy(prints: Prints) -> bytes:
    """The bytes of an npy file."""
    file = io.BytesIO()
    np.save(file, prints, allow_pickle=False)
    return file.getvalue()


def read_part(path: Place, *, rows: int) -> Prints | None:
    """PRINT[rows] in a file; None where it is missing or holds anything else."""
    try:
        part = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return part if part.dtype == PRINT and part.shape == (rows,) else None


@dataclass(frozen=True)
class StoredPrints:
    """Those in an artifact. Each file is hashed when it is read."""

    artifact: Artifact
    info: PrintsInfo

    @staticmethod
    def load(artifact: Artifact) -> StoredPrints:
        """Raises InputError where it is damaged or of a later version."""
        info = read_document(
            artifact.path / DESCRIPTION,
            PrintsInfo,
            what="image hashes",
            newest=FORMAT,
            missing=f"{artifact.path} holds no hashes of images (it has no {DESCRIPTION})",
            repair=f"{_REMAKE}{artifact.path}",
        )
        stored = StoredPrints(artifact, info)
        if info.format != FORMAT:
            raise stored._damaged(DESCRIPTION, f"format {info.format}, where {FORMAT} is expected")
        return stored

    def parts(self) -> Iterator[tuple[int, Prints]]:
        """(position of the first image, PRINT[n]) of each part. Raises InputError for damage."""
        info = self.info
        for index in range(info.parts):
            name = part_name(index, parts=info.parts)
            rows = info.rows(index)
            try:
                entry = self.artifact.manifest.file(name)
                if entry is None or sha256_file(self.artifact.path / name) != (
                    entry.size,
                    entry.sha256,
                ):
                    raise self._damaged(name, "it has other bytes than were published")
            except OSError as error:
                raise self._damaged(name, str(error)) from None
            part = read_part(self.artifact.path / name, rows=len(rows))
            if part is None:
                raise self._damaged(name, f"it does not hold the hashes of {len(rows):,} images")
            yield rows.start, part

    def whole(self) -> Prints:
        """PRINT[n] of all images."""
        out = np.empty(self.info.examples, PRINT)
        for first, part in self.parts():
            out[first : first + len(part)] = part
        return out

    def _damaged(self, name: str, reason: str) -> InputError:
        return InputError(
            f"{self.artifact.path / name} is damaged: {reason}",
            hint=f"{_REMAKE}{self.artifact.path}",
        )
