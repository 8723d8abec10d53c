"""The report of a search for duplicates, beside the dataset that is left.

dedup.json   what was compared with what, how many are left out, how many match at each distance
pairs.jsonl  a line an image that is left out: what it matches, how, and by how much they differ
pairs.png    pairs side by side, the least alike first
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.dedup.compared import Compared
from stages.dedup.spec import DedupConfig
from vitctl.artifacts import Artifact
from vitctl.artifacts.documents import document_bytes
from vitctl.artifacts.references import plain_name
from vitctl.data.image_source import ImageSource
from vitctl.data.records import read_examples
from vitctl.data.sheet import sheet
from vitctl.duplicates.matching import HOW
from vitctl.duplicates.prints import decoded
from vitctl.duplicates.report import ComparedSplit, DedupReport, Within

PAIRS = "pairs.jsonl"
PICTURES = "pairs.png"

_SHOWN = 24
_SIDE = 112
_BLOCK = 1024


@dataclass(frozen=True)
class Side:
    """The images of one split of a dataset."""

    dataset: Artifact
    source: ImageSource
    split: str

    @property
    def name(self) -> str:
        return plain_name(self.dataset)


def report(cfg: DedupConfig, own: Side, others: Sequence[Side], compared: Compared) -> bytes:
    """The content of `dedup.json`."""
    curve = [] if cfg.exact else compared.curve(reach(cfg, against=bool(others)))
    content = DedupReport(
        dataset=_described(own),
        against=tuple(
            _described(side, matches=count)
            for side, count in zip(others, compared.every, strict=True)
        )
        if others
        else None,
        left_out=compared.left_out(),
        distance=None if cfg.exact else cfg.distance,
        images_within=tuple(
            Within(distance=distance, images=count) for distance, count in enumerate(curve)
        ),
    )
    return document_bytes(content)


def reach(cfg: DedupConfig, *, against: bool) -> int:
    """The largest distance that is counted: with a choice of what is removed in mind."""
    return cfg.distance + 2 if against else cfg.distance


def pair_lines(own: Side, others: Sequence[Side], compared: Compared) -> Iterator[bytes]:
    """The lines of `pairs.jsonl`, in the order of the dataset."""
    rows = np.flatnonzero(compared.matches.any)
    sides = others or [own]
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        names = _ids(own, block)
        entries, which = compared.matches.entry[block], compared.which[block]
        other_names: list[str | None] = [None] * len(block)
        for number in np.unique(which).tolist():
            places = np.flatnonzero(which == number)
            for place, name in zip(
                places.tolist(), _ids(sides[number], entries[places]), strict=True
            ):
                other_names[place] = name
        for place, row in enumerate(block.tolist()):
            side = sides[int(which[place])]
            line = {
                "position": row,
                "id": names[place],
                "how": HOW[compared.matches.how[row]],
                "bits": int(compared.matches.bits[row]),
                "matches": {
                    "dataset": side.name,
                    "split": side.split,
                    "position": int(entries[place]),
                    "id": other_names[place],
                },
            }
            yield f"{json.dumps(line, ensure_ascii=False)}\n".encode()


def pictures(own: Side, others: Sequence[Side], compared: Compared) -> bytes | None:
    """The content of `pairs.png`; None where there is no pair, or none that can be decoded."""
    rows = np.flatnonzero(compared.matches.any)
    bits = compared.matches.bits[rows]
    shown = rows[np.argsort(-(bits.astype(np.int64)), kind="stable")[:_SHOWN]]
    sides = others or [own]
    images, captions = [], []
    for row in shown.tolist():
        side, entry = sides[int(compared.which[row])], int(compared.matches.entry[row])
        pair = [_thumbnail(own, row), _thumbnail(side, entry)]
        how = HOW[compared.matches.how[row]]
        count = int(compared.matches.bits[row])
        differ = f", {count} bit{'' if count == 1 else 's'} differ" if how == "near" else ""
        images.append(np.concatenate([*pair], axis=1))
        captions.append((f"{how}{differ}", f"{_last(own, row)} | {_last(side, entry)}"))
    return sheet(np.stack(images), captions) if images else None


def _described(side: Side, *, matches: int | None = None) -> ComparedSplit:
    return ComparedSplit(
        name=side.name,
        id=side.dataset.id,
        digest=side.dataset.digest,
        split=side.split,
        images=side.source.info.examples(side.split),
        matches=matches,
    )


def _ids(side: Side, positions: NDArray[np.int64]) -> Sequence[str | None]:
    order = np.argsort(positions, kind="stable")
    names = side.source.ids(side.split, positions[order])
    out: list[str | None] = [None] * len(positions)
    for place, name in zip(order.tolist(), names, strict=True):
        out[place] = name
    return out


def _last(side: Side, row: int) -> str:
    (name,) = side.source.ids(side.split, np.array([row]))
    return (name or str(row)).rpartition("/")[2]


def _thumbnail(side: Side, row: int) -> NDArray[np.float32]:
    """float32[112, 112, 3] in [-1, 1]: the whole image on white; magenta if it can't be decoded."""
    page = Image.new("RGB", (_SIDE, _SIDE), "white")
    with closing(side.source.records(side.split)) as records:
        (example,) = read_examples(records, np.array([row]))
    image = decoded(example.image)
    if image is None:
        return np.full((_SIDE, _SIDE, 3), np.nan, np.float32)
    scale = _SIDE / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    image = image.resize(
        (width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    )
    page.paste(image, ((_SIDE - image.width) // 2, (_SIDE - image.height) // 2))
    return np.asarray(page, np.float32) / np.float32(127.5) - np.float32(1)
