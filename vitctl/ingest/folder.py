"""A folder as a source, listed without opening an image.

    SRC/CLASS/any/depth/image.jpg                one split, `val` taken from it by hash
    SRC/{train,val,test}/CLASS/any/depth/...     splits as they are; see folder_layout.py
    SRC/any/depth/image.jpg and a label file     any number of labels an image
    SRC/any/depth/image.jpg, unlabelled          no labels; splits as they are, too

What vitctl wrote, what systems leave and what is no image is left alone and counted.
"""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vitctl.data.dataset import Split
from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest import folder_layout, own_output
from vitctl.ingest.folder_layout import Layout, LayoutName, Top
from vitctl.ingest.litter import file_kind, folder_kind
from vitctl.ingest.sources import Entry, Listing
from vitctl.textfiles import slashed

OUTSIDE = "images outside a class folder"
_NO_LINE = "images without a line in the label file"
_ASIDE = "images outside the folders of splits"

_SHOWN = 3


@dataclass(frozen=True)
class _Tree:
    """What lies below a folder: images as (path below it, size, mtime_ns)."""

    files: list[tuple[bytes, int, int]] = field(default_factory=list)
    folders: dict[bytes, set[bytes]] = field(default_factory=dict)
    """The folders directly in it and those in them, with images or without."""
    excluded: set[str] = field(default_factory=set)
    """Those directly in it that were left out by name."""
    skipped: Counter[str] = field(default_factory=Counter)


def list_folder(
    root: Path,
    *,
    labels: Mapping[str, tuple[str, ...]] | None = None,
    unlabelled: bool = False,
    layout: LayoutName | None = None,
    exclude: Collection[str] = (),
    own: Iterable[Path] = (),
) -> Listing:
    """List a folder of class folders, or with `labels` (id -> class names) or `unlabelled` of
    images anywhere.

    `layout` says what its folders are where they do not; `exclude` names folders directly in it,
    classes or ids that are left out; `own` are places that this command writes to. Raises
    `NotFoundError`, or `InputError` and `UsageError` with what to do.
    """
    if not root.exists():
        raise NotFoundError(
            f"{root} does not exist",
            hint="give a folder of class folders, or `digits` for the built-in ones",
        )
    if not root.is_dir():
        raise InputError(f"{root} is not a folder", hint="give a folder of class folders")
    tree = _walk(os.fsencode(root), exclude=set(map(_nfc, exclude)), own=own)
    if unlabelled:
        listing = _unlabelled(root, tree, asked=layout)
    elif labels is not None:
        listing = _labelled(root, tree, labels, asked=layout)
    else:
        listing = _in_classes(root, tree, asked=layout)
    return _with_one_spelling(_without(listing, exclude, tops=tree.excluded))


def _in_classes(root: Path, tree: _Tree, *, asked: LayoutName | None) -> Listing:
    found: dict[bytes, set[bytes]] = {}
    for path, _, _ in tree.files:
        top, _, rest = path.partition(b"/")
        if rest:
            subfolders = found.setdefault(top, set())
            second, separator, _ = rest.partition(b"/")
            if separator:
                subfolders.add(second)
    shown = text_of(os.fsencode(root))
    layout = folder_layout.read_class_layout(
        [Top(text_of(top), frozenset(map(text_of, subs))) for top, subs in found.items()],
        asked=asked,
        root=shown,
        source=shlex.quote(str(root)),
    )
    names = _Names()
    entries = []
    for path, size, mtime_ns in tree.files:
        parts = path.split(b"/", 2)
        split, position = None, 0
        if layout.name == "splits" and len(parts) > 1:
            split, position = layout.splits.get(names[parts[0]]), 1
            if split is None:
                tree.skipped[_ASIDE] += 1
                continue
        if len(parts) <= position + 1:
            tree.skipped[OUTSIDE] += 1
            continue
        entries.append(
            Entry(
                id=text_of(path),
                class_names=(names[parts[position]],),
                split=split,
                path=os.path.join(os.fsencode(root), path),
                size=size,
                mtime_ns=mtime_ns,
            )
        )
    entries.sort(key=lambda entry: entry.id)
    if not entries:
        raise _nothing_found(root, tree)
    return Listing(
        shown,
        entries,
        skipped=tree.skipped,
        empty_classes=_empty(tree, layout, entries),
        reading=_class_reading(shown, layout),
        layout=_unless_first(tree, layout),
    )


def _labelled(
    root: Path, tree: _Tree, labels: Mapping[str, tuple[str, ...]], *, asked: LayoutName | None
) -> Listing:
    shown = text_of(os.fsencode(root))
    ids = [text_of(path) for path, _, _ in tree.files]
    known = set(ids)
    labels = {slashed(name, known=known): names for name, names in labels.items()}
    strange = sorted(labels.keys() - known)
    if strange:
        raise InputError(
            f"{len(strange)} of the {len(labels)} images in the label file are not in "
            f"{shown} ({', '.join(strange[:3])}{', ...' if len(strange) > 3 else ''})",
            hint="an id is the path of the image below the source",
        )
    if not labels:
        raise InputError("the label file names no image", hint="give it a line for each image")
    tops = dict.fromkeys(name.split("/", 1)[0] for name in ids if name in labels and "/" in name)
    others = any("/" in name and name.split("/", 1)[0] not in tops for name in ids)
    layout = folder_layout.read_flat_layout(
        tops, others=others, asked=asked, root=shown, source=shlex.quote(str(root))
    )
    entries = []
    for name, (path, size, mtime_ns) in zip(ids, tree.files, strict=True):
        if name not in labels:
            tree.skipped[_NO_LINE] += 1
            continue
        top, separator, _ = name.partition("/")
        if layout.splits and separator and top not in layout.splits:
            tree.skipped[_ASIDE] += 1
            continue
        entries.append(
            Entry(
                id=name,
                class_names=labels[name],
                split=layout.splits.get(top),
                path=os.path.join(os.fsencode(root), path),
                size=size,
                mtime_ns=mtime_ns,
            )
        )
    entries.sort(key=lambda entry: entry.id)
    first = folder_layout.first_version_layout(list(map(text_of, tree.folders)), nested=True)
    same = (first == "splits") == bool(layout.splits)
    return Listing(
        shown,
        entries,
        skipped=tree.skipped,
        reading=f"{shown} is read by its label file, {_splits_in_words(layout)}",
        layout=None if same else layout.name,
    )


def _unlabelled(root: Path, tree: _Tree, *, asked: LayoutName | None) -> Listing:
    shown = text_of(os.fsencode(root))
    tops = dict.fromkeys(
        text_of(path.partition(b"/")[0]) for path, _, _ in tree.files if b"/" in path
    )
    layout = folder_layout.read_flat_layout(
        tops,
        others=any(b"/" not in path for path, _, _ in tree.files),
        asked=asked,
        root=shown,
        source=shlex.quote(str(root)),
    )
    names = _Names()
    entries = []
    for path, size, mtime_ns in tree.files:
        top, separator, _ = path.partition(b"/")
        split = layout.splits.get(names[top]) if separator else None
        if layout.splits and split is None:
            tree.skipped[_ASIDE] += 1
            continue
        entries.append(
            Entry(
                id=text_of(path),
                class_names=(),
                split=split,
                path=os.path.join(os.fsencode(root), path),
                size=size,
                mtime_ns=mtime_ns,
            )
        )
    entries.sort(key=lambda entry: entry.id)
    if not entries:
        raise _nothing_found(root, tree)
    return Listing(
        shown,
        entries,
        skipped=tree.skipped,
        reading=f"{shown} is read without labels, {_splits_in_words(layout)}",
        layout=layout.name,
    )


class _Names(dict[bytes, str]):
    """Names of folders as text, each made once."""

    def __missing__(self, name: bytes) -> str:
        self[name] = text_of(name)
        return self[name]


def _walk(base: bytes, *, exclude: Collection[str], own: Iterable[Path]) -> _Tree:
    """All images below `base`. Links are followed, but never into a folder we are inside of."""
    tree = _Tree()
    outputs = {_identity(os.stat(path)) for path in own if path.is_dir()}
    stack = [(base, b"", frozenset([_identity(os.stat(base))]))]
    while stack:
        folder, below, above = stack.pop()
        items = _scan(folder)
        if own_output.made_by_vitctl(folder, {item.name for item in items}):
            if not below:
                raise InputError(
                    f"{text_of(base)} is what vitctl made of images, not a source of them",
                    hint="give the folder of the images themselves",
                )
            tree.skipped[own_output.KIND] += 1
            continue
        parts = below.split(b"/") if below else []
        if len(parts) == 1:
            tree.folders.setdefault(parts[0], set())
        elif len(parts) == 2:
            tree.folders[parts[0]].add(parts[1])
        for item in items:
            name = os.fsdecode(item.name)
            path = below + b"/" + item.name if below else item.name
            try:
                if item.is_dir():
                    if kind := folder_kind(name):
                        tree.skipped[kind] += 1
                        continue
                    identity = _identity(item.stat())
                    if identity in above:
                        tree.skipped["links that lead back up"] += 1
                    elif identity in outputs:
                        tree.skipped[own_output.KIND] += 1
                    elif not below and (top := _nfc(text_of(item.name))) in exclude:
                        tree.excluded.add(top)
                        tree.skipped["folders left out by --exclude"] += 1
                    else:
                        stack.append((item.path, path, above | {identity}))
                elif kind := file_kind(name):
                    tree.skipped[kind] += 1
                elif not item.is_file():
                    broken = item.is_symlink() and not os.path.exists(item.path)
                    tree.skipped["broken links" if broken else "pipes, sockets and devices"] += 1
                else:
                    info = item.stat()
                    tree.files.append((path, info.st_size, info.st_mtime_ns))
            except OSError:
                tree.skipped["broken links"] += 1
    return tree


def _scan(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as items:
            return list(items)
    except OSError as error:
        raise InputError(
            f"the folder {text_of(folder)} can't be listed ({error.strerror})",
            hint="make it readable, or move it out of the source",
        ) from None


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _without(listing: Listing, exclude: Collection[str], *, tops: set[str]) -> Listing:
    """The listing without the classes and ids named by `exclude`, in whatever form of Unicode;
    `tops` are those of its names that were found already."""
    if not exclude:
        return listing
    wanted = {_nfc(name): name for name in exclude}
    names = {name for entry in listing.entries for name in entry.class_names}
    names |= set(listing.empty_classes)
    classes = {name for name in names if _nfc(name) in wanted}
    ids = {entry.id for entry in listing.entries if _nfc(entry.id) in wanted}
    left = listing.without(classes, ids=ids)
    matched = tops | {_nfc(name) for name in classes | ids}
    unmatched = tuple(name for form, name in wanted.items() if form not in matched)
    return replace(left, unmatched=unmatched)


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _with_one_spelling(listing: Listing) -> Listing:
    """Classes whose names are the same text in two forms of Unicode (NFC and NFD, as macOS writes
    it) become one, in NFC. Other names stay as they are."""
    forms: dict[str, set[str]] = {}
    for name in {name for entry in listing.entries for name in entry.class_names}:
        forms.setdefault(_nfc(name), set()).add(name)
    one = {name: nfc for nfc, names in forms.items() if len(names) > 1 for name in names}
    if not one:
        return listing
    entries = [
        replace(
            entry,
            class_names=tuple(dict.fromkeys(one.get(name, name) for name in entry.class_names)),
        )
        for entry in listing.entries
    ]
    return replace(listing, entries=entries, united=tuple(sorted(set(one.values()))))


def _unless_first(tree: _Tree, layout: Layout) -> LayoutName | None:
    """The layout, if the first version would have read these folders in another way."""
    nested = any(tree.folders.values())
    first = folder_layout.first_version_layout(list(map(text_of, tree.folders)), nested=nested)
    return None if layout.name == first else layout.name


def _empty(tree: _Tree, layout: Layout, entries: list[Entry]) -> list[str]:
    """Folders that would be classes, had they an image."""
    if layout.name == "splits":
        folders = {
            text_of(name)
            for top, names in tree.folders.items()
            for name in names
            if text_of(top) in layout.splits
        }
    else:
        folders = set(map(text_of, tree.folders))
    return sorted(folders - {name for entry in entries for name in entry.class_names})


def _class_reading(shown: str, layout: Layout) -> str:
    if layout.name == "splits":
        return f"{shown} is read {_splits_in_words(layout)}; the folders in them are the classes"
    return f"{shown} is read as folders of classes"


def _splits_in_words(layout: Layout) -> str:
    if not layout.splits:
        return "without splits of its own"
    named = [
        name if name == split else f"{name} (as {split})"
        for name, split in sorted(layout.splits.items(), key=lambda item: _ORDER[item[1]])
    ]
    return f"as folders of splits: {', '.join(named)}"


_ORDER: dict[Split, int] = {"train": 0, "val": 1, "test": 2}


def _nothing_found(root: Path, tree: _Tree) -> InputError:
    if tree.skipped[OUTSIDE] and not tree.folders:
        return InputError(
            f"{root} holds files but no class folders",
            hint="put the images of each class into a folder of its name, or give the folder "
            "above; images without labels: --unlabelled",
        )
    seen = ", ".join(f"{count} {what}" for what, count in tree.skipped.most_common(_SHOWN))
    return InputError(
        f"there is no image in {root}" + (f" (it holds {seen})" if seen else ""),
        hint="give a folder of class folders with images, of images without labels with "
        "--unlabelled, or `digits` for the built-in ones",
    )
