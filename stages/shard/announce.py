"""What `vitctl shard` says of a source and of its plan."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from stages.shard.spec import ShardConfig
from vitctl.events import Caution, Emit, Note, Settings
from vitctl.ingest.listing import Listing
from vitctl.ingest.litter import MISNAMED, NAMED, kinds_in_words
from vitctl.ingest.write.shard_plan import Splitting, Unit
from vitctl.job_parts import JobPart
from vitctl.text.quantities import counted, first_few, plural
from vitctl.text.quoting import quoted

_KINDS_SHOWN = 8
_NAMES_SHOWN = 5


def announce_source(listing: Listing, *, emit: Emit) -> None:
    if listing.skipped:
        kinds = kinds_in_words(listing.skipped, most=_KINDS_SHOWN)
        emit(Note(f"skipped in {listing.root}: {kinds}"))
    misnamed = Counter(
        {
            kind.removeprefix(NAMED): count
            for kind, count in listing.skipped.items()
            if kind.startswith(MISNAMED)
        }
    )
    if misnamed:
        kinds = kinds_in_words(misnamed, most=len(misnamed))
        total = f"skipped for their names: {counted(misnamed.total(), 'image')}"
        emit(Caution(f"{total} ({kinds}); rename them to use them"))
    without = (
        0 if listing.declared else sum(not os.path.splitext(id_)[1] for id_ in listing.entries.ids)
    )
    if without:
        emit(Note(f"without an ending, and read as images: {counted(without, 'file')}"))
    if listing.united:
        emit(
            Note(
                "spelled in two forms of Unicode (NFC and NFD), taken for one class: "
                f"{_some(listing.united)}"
            )
        )
    if listing.empty_classes:
        folders = (
            counted(len(listing.empty_classes), "class folder holds", "class folders hold")
            + " no image"
        )
        emit(Caution(f"{folders}: {_some(listing.empty_classes)}"))
    if twins := _case_twins(listing.classes):
        emit(
            Caution(f"classes that differ by case or outer spaces only stay apart: {_some(twins)}")
        )


def _case_twins(classes: Sequence[str]) -> list[str]:
    by_fold: dict[str, list[str]] = {}
    for name in classes:
        by_fold.setdefault(name.casefold().strip(), []).append(name)
    return [" and ".join(map(quoted, names)) for names in by_fold.values() if len(names) > 1]


def _some(names: Sequence[str]) -> str:
    return first_few(names, most=_NAMES_SHOWN)


def announce_plan(
    units: Sequence[Unit],
    *,
    classes: Sequence[str],
    splitting: Splitting,
    cfg: ShardConfig,
    emit: Emit,
) -> None:
    values = {"classes": str(len(classes)) if classes else "none (unlabelled)"}
    for split in dict.fromkeys(unit.split for unit in units):
        parts = [unit for unit in units if unit.split == split]
        images = sum(len(unit.entries) for unit in parts)
        values[split] = f"{plural(images, 'image', grouped=True)} in {plural(len(parts), 'shard')}"
    if changes := ", ".join(cfg.pixels.phrases()):
        values["images"] = changes
    emit(Settings("dataset", values))
    if (held_out := _held_out(splitting, cfg)) is not None:
        emit(Note(held_out))
    if splitting.held_back:
        stay = counted(len(splitting.held_back), "image stays", "images stay")
        emit(
            Note(
                f"{stay} to train on instead of going to val, as the last of a class "
                f"({_some([e.id for e in splitting.held_back])})"
            )
        )
    if splitting.few and cfg.val_per_class is not None:
        names = [f"{name} has {count}" for name, count in splitting.few.items()]
        classes_have = counted(len(names), "class has", "classes have")
        emit(Caution(f"{classes_have} fewer images for val: {_some(names)}"))
    splits = {unit.split for unit in units}
    if "train" not in splits:
        emit(Caution("there is no image to train on: all fell to val"))
    elif len(splits) == 1:
        emit(
            Caution(
                f"there is no image to score on: all fell to train{_way_to_val(splitting, classes)}"
            )
        )


def announce_part(part: JobPart, units: Sequence[Unit], *, of: Sequence[Unit], emit: Emit) -> None:
    images = sum(len(unit.entries) for unit in units)
    emit(Note(f"part {part}: {len(units):,} of {len(of):,} shards, {counted(images, 'image')}"))


def _held_out(splitting: Splitting, cfg: ShardConfig) -> str | None:
    """One sentence: which images were held out, and how many. None if none were to be."""
    val, train = (len(splitting.by_split.get(split, ())) for split in ("val", "train"))
    counts = f"{val:,} of {val + train:,} images"
    if cfg.val_per_class is not None:
        each = f"{cfg.val_per_class:,} image{'s' * (cfg.val_per_class > 1)}"
        return f"held out as val: {each} of each class, by a hash of their paths: {counts}"
    share = f"{100 * (cfg.val_fraction or 0):.4g} %"
    match splitting.share_of:
        case None:
            return None
        case "class":
            sentence = f"held out as val: {share} of each class, by a hash of their paths: {counts}"
            if splitting.few:
                small = f"classes that are too small for one in val: {len(splitting.few):,}"
                sentence += f"; {small} ({_of_small_classes(splitting)})"
            return sentence
        case "image":
            return f"held out as val: {share} of all images, by a hash of each path: {counts}"


def _of_small_classes(splitting: Splitting) -> str:
    """What `--val-per-class 1` would do for classes of which a share holds out no image."""
    if splitting.single == len(splitting.few):
        return "of one image each, which is trained on"
    rest = f" but {splitting.single:,} of one image" if splitting.single else ""
    return f"--val-per-class 1 takes one of each{rest}"


def _way_to_val(splitting: Splitting, classes: Sequence[str]) -> str:
    """What a dataset needs to have images to score on, as a clause."""
    if splitting.few and splitting.single == len(splitting.few):
        return ", as no class has two; more images of a class, or a folder called val, change that"
    several = classes and not splitting.held_back
    return "; --val-per-class 1 holds out one of each class" if several else ""
