"""Folders that TensorFlow Datasets prepared, as sources; without importing it.

    cifar10/3.0.2/dataset_info.json    splits, their files and how many records each has
                  features.json        which features are images and classes
                  label.labels.txt     names of classes, by number
                  cifar10-train.tfrecord-00000-of-00001   (or .array_record)

A folder above, as `cifar10/`, is read if it holds one version only.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitctl.artifacts.manifest import MANIFEST
from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.folder_layout import split_named
from vitctl.ingest.listing import Listing
from vitctl.ingest.sources.array_records import list_array_records
from vitctl.ingest.sources.examples import Meaning
from vitctl.ingest.sources.json_files import read_object
from vitctl.ingest.sources.tfrecord import list_tfrecords
from vitctl.ingest.trees import own_output
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import read_text

_INFO, _FEATURES = "dataset_info.json", "features.json"
_MOST_SHARDS = 1_000_000
_DEEPEST = 3
_MOST_CONFIGS = 50
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_SAFE = re.compile(r"(?!\\.)[^/\\\\\0]+")
_USUAL_LABELS = ("label", "labels", "fine_label", "objects/label")


@dataclass(frozen=True)
class _Label:
    """A feature of classes."""

    name: str
    several: bool


def is_prepared(folder: str) -> bool:
    """Whether a folder is what TensorFlow Datasets prepared, or holds such a one."""
    return any(_versions(Path(folder)))


def list_prepared(given: str, choices: Choices) -> Listing:
    """The images of a folder that TensorFlow Datasets prepared."""
    folders = list(_versions(Path(given)))
    if len(folders) > 1:
        names = [str(folder.relative_to(given)) for folder in folders]
        raise InputError(
            f"{given} holds {len(folders)} prepared datasets: {', '.join(names[:5])}",
            hint=f"give one of them: {folders[0]}",
        )
    (folder,) = folders
    info, features = read_object(folder / _INFO), read_object(folder / _FEATURES)
    format_, paths, meaning, unread = _files(folder, info)
    meaning = _with_features(meaning, features, info, folder=folder, choices=choices)
    list_files = list_array_records if format_ == "array_record" else list_tfrecords
    listing = list_files(given, paths, choices, meaning=meaning)
    notes = [f"the splits {', '.join(unread)} are not read, since vitctl has train, val and test"]
    return replace(listing, notes=(*listing.notes, *(notes if unread else ())))


def _versions(root: Path, depth: int = 0) -> Iterator[Path]:
    """Prepared folders: `root` itself, or folders called by versions below it."""
    if own_output.made_by_vitctl(os.fsencode(root)):
        return
    if os.path.isfile(root / _INFO) and os.path.isfile(root / _FEATURES):
        # A dataset of vitctl is one, too; where it is damaged, that is what is wrong with it.
        if os.path.lexists(root / MANIFEST):
            return
        if not depth or _VERSION.fullmatch(root.name):
            yield root
    elif depth < _DEEPEST:
        for name in _folders_only(root):
            yield from _versions(root / name, depth + 1)


def _folders_only(folder: Path) -> list[str]:
    """The folders in one that holds nothing else, and few: those above prepared ones are so."""
    names: list[str] = []
    try:
        with os.scandir(folder) as items:
            for item in items:
                if not item.is_dir() or len(names) == _MOST_CONFIGS:
                    return []
                names.append(item.name)
    except OSError:
        return []
    return sorted(names)


def _files(folder: Path, info: dict[str, Any]) -> tuple[str, list[bytes], Meaning, list[str]]:
    """(format, the files, their splits and lengths, splits that are not read)."""
    where = folder / _INFO
    name, format_ = info.get("name"), info.get("fileFormat", "tfrecord")
    if not isinstance(name, str) or not _SAFE.fullmatch(name):
        raise InputError(f"{where} does not name its dataset")
    if format_ not in ("tfrecord", "array_record"):
        raise InputError(
            f"{folder} is stored as {format_}, which is not read",
            hint="convert it: tfds convert_format --out_dir=NEW --out_file_format=array_record "
            f"--dataset_version_dir={shlex.quote(str(folder))}",
        )
    splits = [split for split in info.get("splits") or () if isinstance(split, dict)]
    known = [split for split in splits if split_named(str(split.get("name")))]
    paths: list[bytes] = []
    of_files, expected = [], []
    for split in known or splits:
        title, lengths = split.get("name"), split.get("shardLengths")
        if not (isinstance(title, str) and _SAFE.fullmatch(title) and isinstance(lengths, list)):
            raise InputError(f"{where} does not name the files of its splits")
        if len(lengths) > _MOST_SHARDS or not all(
            re.fullmatch(r"\d{1,18}", str(n)) for n in lengths
        ):
            raise InputError(f"{where} does not say how long its files are")
        template = split.get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        for number, length in enumerate(lengths):
            file = _filled(str(template), name, title, format_, number, len(lengths))
            if not _SAFE.fullmatch(file):
                raise InputError(f"{where} names a file outside its folder: {quoted(file)}")
            paths.append(os.fsencode(folder / file))
            of_files.append(split_named(title) if known else None)
            expected.append(int(length))
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing or not paths:
        first = text_of(missing[0]) if missing else str(folder)
        raise InputError(
            f"{first} is missing ({len(missing)} of {len(paths)} files are)"
            if missing
            else f"{first} has no files of data",
            hint="prepare the dataset again: builder.download_and_prepare()",
        )
    unread = [str(split.get("name")) for split in splits if known and split not in known]
    meaning = Meaning(splits=tuple(of_files), expected=tuple(expected))
    return str(format_), paths, meaning, unread


def _filled(template: str, name: str, split: str, format_: str, shard: int, shards: int) -> str:
    values = {
        "{DATASET}": name,
        "{SPLIT}": split,
        "{FILEFORMAT}": format_,
        "{SHARD_INDEX}": f"{shard:05d}",
        "{NUM_SHARDS}": f"{shards:05d}",
        "{SHARD_X_OF_Y}": f"{shard:05d}-of-{shards:05d}",
    }
    return re.sub(r"\{[A-Z_]+\}", lambda match: values.get(match[0], match[0]), template)


def _with_features(
    meaning: Meaning,
    features: dict[str, Any],
    info: dict[str, Any],
    *,
    folder: Path,
    choices: Choices,
) -> Meaning:
    """With the feature of images and that of labels."""
    images: list[str] = []
    labels: list[_Label] = []
    for name, kind, several in _flat(features, "", several=False, depth=0):
        if kind == "image":
            images.append(name)
        elif kind == "classLabel":
            labels.append(_Label(name, several))
    supervised = re.findall(r'"featureKey": *"([^"]*)"', json.dumps(info.get("supervisedKeys")))
    image = _one(images, choices.image_column, supervised, ("image",), "image", folder)
    if image is None:
        raise InputError(f"{folder} has no feature of images")
    if not choices.takes_labels:
        return replace(meaning, image=image)
    names = [label.name for label in labels]
    chosen = _one(names, choices.label_column, supervised, _USUAL_LABELS, "label", folder)
    if chosen is None:
        raise InputError(
            f"{folder} has no feature of classes",
            hint="give labels with --labels FILE, or shard without any: --unlabelled",
        )
    label = next((label for label in labels if label.name == chosen), _Label(chosen, False))
    file = folder / f"{chosen.replace('/', '-')}.labels.txt"
    classes = None
    if file.is_file():
        lines = read_text(file).lines()
        classes = tuple(text_of(line.strip().encode()) for line in lines)
        if len(set(classes)) < len(classes):
            raise InputError(f"{file} names a class twice")
    return replace(meaning, image=image, label=chosen, classes=classes, several=label.several)


def _one(
    names: list[str],
    wanted: str | None,
    supervised: list[str],
    usual: tuple[str, ...],
    what: str,
    folder: Path,
) -> str | None:
    """The feature that is meant: by name, as TensorFlow Datasets' own pair of input and target, by
    a usual name, or the only one."""
    if wanted is not None:
        return wanted
    for preferred in (supervised, usual):
        for name in preferred:
            if name in names:
                return name
    if len(names) > 1:
        raise UsageError(
            f"{folder} has {len(names)} features of {what}s: {', '.join(names[:8])}",
            hint=f"choose one: --{what}-column {names[0]}",
        )
    return names[0] if names else None


def _flat(feature: Any, name: str, *, several: bool, depth: int) -> Iterator[tuple[str, str, bool]]:
    """(name in an Example, kind, whether there may be several of it) of each image and class."""
    if not isinstance(feature, dict) or depth > 8:
        return
    if isinstance(inner := feature.get("featuresDict"), dict):
        for key, value in (inner.get("features") or {}).items():
            below = f"{name}/{key}" if name else str(key)
            yield from _flat(value, below, several=several, depth=depth + 1)
    elif isinstance(inner := feature.get("sequence"), dict):
        yield from _flat(inner.get("feature"), name, several=True, depth=depth + 1)
    else:
        for kind in ("image", "classLabel"):
            if kind in feature and not (kind == "image" and several):
                yield name, kind, several
