"""What `vitctl shard` reads: the source as it was understood, its classes and their titles."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stages.shard.spec import (
    DEFAULT_VAL_FRACTION,
    DIGITS,
    Inputs,
    ShardConfig,
    ShardRuntime,
    reading_options,
)
from vitctl.artifacts import Store
from vitctl.data.classes import read_class_list, read_names, read_pairs, select_classes, titles_for
from vitctl.data.dataset import SPLITS
from vitctl.errors import InputError, UsageError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.choices import Choices
from vitctl.ingest.labels.label_file import LabelTable, read_labels
from vitctl.ingest.labels.label_tables import LabelTables, are_tables
from vitctl.ingest.labels.named_lists import NamedLists, is_list_file, read_lists
from vitctl.ingest.listing import Listing
from vitctl.ingest.sources.digits import list_digits
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.sources.formula import largest_picture, list_formula
from vitctl.ingest.sources.imagenet import list_imagenet
from vitctl.ingest.sources.wordnet import known_titles
from vitctl.ingest.spelled_paths import expanded
from vitctl.places import Place, place
from vitctl.text.quantities import show_bytes
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest
from vitctl.text.textfiles import slashed


def source_name(given: str) -> str:
    """What to call a dataset of this source: its folder, its file without endings, or of a pattern
    what comes before `{`, `*` or `?`, if only the folder."""
    path = Path(given).resolve()
    if path.is_dir():
        return path.name
    name = re.split(
        r"[{*?[]|\.(?:tar|t[gbx]z\w*|zip|parquet|arrow|npz|bin|mat|tfrecord|array_record)\b",
        path.name,
    )[0].strip("-_.")
    return name or path.parent.name


def own_places(store: Store, runtime: ShardRuntime) -> list[Path]:
    """Where this command writes, which is no part of any source."""
    places = [store.root, *([] if runtime.out is None else [place(runtime.out)])]
    return [path.local for path in places if path.local is not None]


def _room_for(formula: FormulaConfig) -> str:
    count = formula.pictures("train") + formula.pictures("val")
    most = count * largest_picture(formula)
    return (
        f"{count:,} pictures of {formula.resolution} px are written, at most "
        f"{show_bytes(most)}; --classes, --per-class and --res choose how many and how large, and "
        "--virtual writes none"
    )


def list_source(
    inputs: Inputs, cfg: ShardConfig, *, own: Sequence[Path] = (), emit: Emit = silent
) -> Listing:
    """The images of the source, as its layout says, without what is excluded."""
    if inputs.formula is not None:
        emit(Note(_room_for(inputs.formula)))  # before a list of millions is made
        return list_formula(inputs.formula)
    if cfg.unlabelled:
        _check_unlabelled(inputs)
    if inputs.label_separator == "":
        raise UsageError("--label-separator is empty", hint="give the text between two labels")
    labels = None if inputs.labels is None else _labels(inputs, inputs.labels)
    if inputs.source == DIGITS:
        given = reading_options(inputs, cfg)
        option = next((name for name, is_given in given.items() if is_given), None)
        if option is not None:
            raise UsageError(f"{option} is for a folder; the digits have classes of their own")
        if Path(DIGITS).is_dir():
            emit(Note("digits are the built-in ones; the folder of that name is ./digits"))
        names = _excluded(inputs.exclude, emit=emit)
        return list_digits().without(names, ids=names)
    exclude = _excluded(inputs.exclude, emit=emit)
    if inputs.imagenet is not None:
        listing = list_imagenet(inputs.imagenet, Choices(exclude=exclude), own=own)
    else:
        listing = list_images(
            inputs.source,
            format=inputs.format,
            image_column=inputs.image_column,
            label_column=inputs.label_column,
            label_separator=inputs.label_separator,
            multi_label=inputs.multi_label,
            labels=labels,
            unlabelled=cfg.unlabelled,
            layout=cfg.layout,
            exclude=exclude,
            own=own,
        )
    _check_excluded(inputs.exclude, listing, emit=emit)
    return listing


def _labels(inputs: Inputs, file: Path) -> LabelTable | LabelTables | NamedLists:
    """The table or the lists that `--labels` names. Raises `NotFoundError`, InputError."""
    given = str(file)
    is_pattern = not file.exists() and (glob.has_magic(given) or "{" in given)
    if is_list_file(file) or is_pattern:
        paths = [Path(os.fsdecode(path)) for path in expanded(given)]
        if is_pattern and are_tables([path.name for path in paths]):
            return LabelTables(given, {str(path): _table(inputs, path) for path in paths})
        options = {
            "--image-column": inputs.image_column,
            "--label-column": inputs.label_column,
            "--label-separator": inputs.label_separator,
            "--multi-label": inputs.multi_label or None,
        }
        option = next((name for name, value in options.items() if value is not None), None)
        if option is not None:
            raise UsageError(f"{option} is for a table, and --labels {given} are lists of images")
        return read_lists(paths, source=Path(inputs.source), given=given)
    return _table(inputs, file)


def _table(inputs: Inputs, file: Path) -> LabelTable:
    return read_labels(
        file,
        folder=_folder_below(inputs.source, file),
        image_column=inputs.image_column,
        label_column=inputs.label_column,
        separator=inputs.label_separator,
        rows_are_labels=inputs.multi_label,
    )


def _folder_below(source: str, file: Path) -> str:
    """Where a file lies below a source that is a folder; empty if it lies elsewhere."""
    folder, root = file.resolve().parent, Path(source).resolve()
    return folder.relative_to(root).as_posix().strip(".") if folder.is_relative_to(root) else ""


def _check_unlabelled(inputs: Inputs) -> None:
    """Refuse options that are about labels or classes."""
    given = {
        "--labels": inputs.labels,
        "--label-separator": inputs.label_separator,
        "--multi-label": inputs.multi_label or None,
        "--classes-from": inputs.classes_from,
        "--class-titles": inputs.class_titles,
    }
    for option, value in given.items():
        if value is not None:
            raise UsageError(
                f"--unlabelled makes a dataset without classes, and {option} is about classes",
                hint="leave one of them out",
            )


def _excluded(arguments: Sequence[str], *, emit: Emit) -> list[str]:
    """The names that `--exclude` gives, by themselves or in files of one a line."""
    names: list[str] = []
    for argument in arguments:
        if Path(argument).is_file():
            listed = read_names(Path(argument), option="--exclude", emit=emit)
            names += [slashed(name.strip()) for name in listed]
        else:
            names += [slashed(argument).rstrip("/")]
    return names


def _check_excluded(names: Sequence[str], listing: Listing, *, emit: Emit) -> None:
    """Refuse a name that was typed and is not there; of those in files, count them."""
    missing = set(listing.unmatched)
    typed = [name for name in names if slashed(name).rstrip("/") in missing]
    if typed:
        raise UsageError(
            f"--exclude: {listing.root} has no class, top folder or image {quoted(typed[0])}",
            hint=suggest(
                typed[0], listing.classes, otherwise="give a name, or a file of one name a line"
            ),
        )
    if missing:
        shown = ", ".join(sorted(missing)[:3])
        emit(Caution(f"--exclude: {len(missing):,} names are not in {listing.root} ({shown})"))


def resolve(listing: Listing, cfg: ShardConfig) -> tuple[Listing, ShardConfig]:
    """The chosen classes only, and the configuration without open questions."""
    chosen = chosen_classes(listing, cfg.classes)
    own_splits = {SPLITS[i] for i in np.unique(chosen.entries.splits) if i >= 0} - {"train"}
    option = "--val-fraction" if cfg.val_fraction is not None else "--val-per-class"
    splits_wanted = cfg.val_fraction is not None or cfg.val_per_class is not None
    if "val" in own_splits and splits_wanted:
        raise UsageError(
            f"{option} is of no use: {listing.root} has validation images of its own",
            hint="leave it out",
        )
    fraction = cfg.val_fraction
    if not splits_wanted and not own_splits:
        fraction = DEFAULT_VAL_FRACTION
    return chosen, cfg.model_copy(update={"val_fraction": fraction})


def chosen_classes(listing: Listing, classes: str | None) -> Listing:
    """The images of the classes that `--classes` names; all if it is left out."""
    if classes is None:
        return listing
    return listing.only(select_classes(classes, available=listing.classes))


def class_list(
    listing: Listing, classes_from: Place | None, *, emit: Emit
) -> tuple[Listing, list[str]]:
    """The classes in the order of their numbers; and the listing, in which folders that are called
    by such numbers have the names of their classes."""
    classes = listing.classes
    if classes_from is not None:
        listed = read_class_list(classes_from, emit=emit)
        if (renamed := _by_number(listing, listed)) is not None:
            listing = renamed
            first = min(classes, key=int)
            emit(
                Note(
                    f"the classes in {listing.root} are read as numbers, from 0 on, of those of "
                    f"{classes_from}: {first} is {listed[int(first)]}"
                )
            )
            classes = listing.classes
        unlisted = sorted(set(classes).difference(listed))
        if unlisted:
            raise InputError(
                f"{len(unlisted)} of the {len(classes)} classes in {listing.root} are not among "
                f"the {len(listed)} of {classes_from} ({', '.join(unlisted[:3])}"
                f"{', ...' if len(unlisted) > 3 else ''})",
                hint=_unlisted_hint(unlisted, listed),
            )
        classes = listed
    if len(classes) < 2:
        only = f"one class only ({classes[0]})" if classes else "no class"
        raise InputError(
            f"{listing.root} has {only}; there is nothing to tell apart",
            hint=_way_to_classes(listing),
        )
    return listing, classes


def _way_to_classes(listing: Listing) -> str:
    if listing.inside is None:
        return (
            "give a folder of at least two class folders; for a part of a larger list of "
            "classes, name the list with --classes-from; without labels: --unlabelled"
        )
    below = f"{listing.root.rstrip('/')}/{listing.inside}"
    if listing.parts:  # no folder of an archive can be named
        return (
            f"if the folders in {listing.inside} are the classes, unpack it and give that folder "
            f"to vitctl shard"
        )
    return f"if the folders in {listing.inside} are the classes: vitctl shard {shlex.quote(below)}"


def _unlisted_hint(unlisted: Sequence[str], listed: Sequence[str]) -> str:
    """What helps where classes are not in a list: names that stand among other words of a line, as
    in `1 001.Ovenbird`, are the list's fault."""
    missing = set(unlisted)
    for line in listed:
        tokens = re.split(r"[\s,;:]+", line)
        name = next((token for token in tokens if token in missing), None)
        if name is not None:
            return f"write only a name on each line: {name}, where the file says {quoted(line)}"
    return "rename the folders, or choose classes with --classes or --exclude"


def _by_number(listing: Listing, listed: Sequence[str]) -> Listing | None:
    """The listing with each class `7` called as the one of that number, where all are called so and
    none is in the list by that name, as in ImageNet-V2; None for others."""
    classes = listing.classes
    if not classes or set(classes) & set(listed):
        return None
    if not all(name.isascii() and name.isdecimal() and int(name) < len(listed) for name in classes):
        return None
    if len({int(name) for name in classes}) < len(classes):  # 7 and 007
        return None
    used = set(classes)
    return replace(
        listing, names=[listed[int(name)] if name in used else name for name in listing.names]
    )


@dataclass(frozen=True)
class ClassTitles:
    """A readable name for each class.

    Attributes:
      names: in the order of the classes.
      path: what says them.
      since: what versions did before such a file was read, where neither the user nor the source
        gave the names: a clause.
      before: the names that versions gave which did not read that file, where they gave others.
    """

    names: tuple[str, ...]
    path: str
    since: str | None = None
    before: tuple[str, ...] | None = None


def class_titles(
    listing: Listing, classes: Sequence[str], inputs: Inputs, *, emit: Emit
) -> ClassTitles | None:
    """From the user's file, else from the source itself, else from files that come with the images,
    or of WordNet ids by what is known of them."""
    if (file := inputs.class_titles) is not None:
        pairs = read_pairs(file, option="--class-titles", emit=emit)
        return ClassTitles(titles_for(classes, pairs), str(file))
    if any(name in listing.titles for name in classes):
        return ClassTitles(titles_for(classes, listing.titles), listing.root)
    known = known_titles(classes, _folders_of(inputs), listing.title_files)
    if known is None:
        return None
    for note in known.notes:
        emit(Note(note))
    if not known.titles:
        return None
    count = sum(name in known.titles for name in classes)
    first = next(name for name in classes if name in known.titles)
    kind = "WordNet ids" if known.of_wordnet else "classes"
    emit(
        Note(
            f"readable names of {count:,} of the {len(classes):,} {kind} are from "
            f"{known.origin}: {first} is {known.titles[first]}; others: --class-titles FILE"
        )
    )
    path = listing.root if known.path is None else str(known.path)
    since = "which gave WordNet ids no readable names"
    if not known.of_wordnet:
        since = "which read no files of readable names"
    before = titles_for(classes, known.before) if known.before else None
    return ClassTitles(titles_for(classes, known.titles), path, since, before)


def _folders_of(inputs: Inputs) -> list[Path]:
    """Where files that belong to the images may lie: in the source, or beside it."""
    given = [] if inputs.imagenet is None else list(inputs.imagenet.given.values())
    places = [path.absolute() for path in given or [Path(inputs.source)]]
    return [folder for place in places for folder in (place, place.parent) if folder.is_dir()]
