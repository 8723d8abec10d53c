"""Readable names of classes that are called by WordNet ids: n01440764 is a tench.

They are in files that come with ImageNet and its kin, which are looked for where the images are; of
the 1,000 classes of ILSVRC-2012 they are known without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitctl.data.class_map import ilsvrc2012_titles
from vitctl.data.classes import read_pairs
from vitctl.errors import VitctlError
from vitctl.ingest.sources.imagenet_truth import read_devkit

_WNID = re.compile(r"n\d{8}")
_LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
"""Of Kaggle, of Caffe, and of ImageNet's own site and Tiny ImageNet."""
_DEVKITS = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12")
_MOST_BYTES = 2**25
"""Of a list. The largest, words.txt of all 82,115 synsets, has 3 MB."""


@dataclass(frozen=True)
class WordNetTitles:
    """Names of classes by their WordNet ids.

    Attributes:
      titles: WordNet id -> words for it.
      origin: what says them, as a phrase.
      path: the file that says them; None where it is vitctl itself.
      notes: on files that could not be read, a sentence each.
    """

    titles: Mapping[str, str]
    origin: str
    path: Path | None = None
    notes: tuple[str, ...] = ()


def wordnet_titles(classes: Sequence[str], folders: Sequence[Path]) -> WordNetTitles | None:
    """Names of classes that are all WordNet ids, from the first file in `folders` that has most of
    them; None for other classes, and where none is known."""
    if not classes or not all(map(_WNID.fullmatch, classes)):
        return None
    own = _of_classes(classes, ilsvrc2012_titles())
    best = WordNetTitles(own, "WordNet 3.0, which vitctl has for ImageNet-1k")
    notes: list[str] = []
    for path in _candidates(folders):
        try:
            titles = read_devkit(path).titles if path.name in _DEVKITS else _listed(path)
        except VitctlError as error:
            notes.append(f"{path} is not read for names of classes: {error}")
            continue
        known = _of_classes(classes, titles)
        more = len(known) - len(best.titles)
        if known and (more > 0 or (more == 0 and best.path is None)):
            best = WordNetTitles(known, str(path), path)
    if not best.titles and not notes:
        return None
    return WordNetTitles(best.titles, best.origin, best.path, tuple(notes))


def _of_classes(classes: Sequence[str], titles: Mapping[str, str]) -> dict[str, str]:
    return {name: titles[name] for name in classes if name in titles}


def _candidates(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in dict.fromkeys(folders):
        for name in (*_LISTS, *_DEVKITS):
            path = folder / name
            is_list = path.is_file() and path.stat().st_size <= _MOST_BYTES
            if is_list or (name in _DEVKITS and path.exists()):
                yield path


def _listed(path: Path) -> dict[str, str]:
    pairs = read_pairs(path, option="the list")
    return {name: " ".join(title.split()) for name, title in pairs.items()}
