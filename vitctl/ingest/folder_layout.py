"""What the folders of a source mean: classes, or splits that hold classes.

    splits        SRC/{train,val,test}/CLASS/image.jpg
    classes       SRC/CLASS/image.jpg
    inner-splits  SRC/CLASS/{train,val,test}/image.jpg
    flat          SRC/image.jpg, where labels come from a file or are not there

Names of splits are known in any case (train, training; val, valid, validation, dev, eval, holdout;
test, testing). Only folders with images count. Where the folders could mean either, nothing is
guessed: the source is refused with both readings and the flag that chooses.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

from vitctl.errors import InputError, UsageError

if TYPE_CHECKING:  # a stage's settings name layouts, and load without numpy
    from vitctl.data.dataset import Split

LayoutName = Literal["splits", "classes", "inner-splits", "flat"]

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "holdout"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# What the first version of `vitctl shard` took for splits.
_FIRST_VERSION = frozenset(("train", "val", "validation", "test"))

_SHOWN = 3


@dataclass(frozen=True)
class Top:
    """A folder directly in the source, with images somewhere below it.

    Attributes:
      name: as text.
      subfolders: those directly in it that have images below them.
      holds_images: whether images lie directly in it.
    """

    name: str
    subfolders: frozenset[str]
    holds_images: bool = False


@dataclass(frozen=True)
class Layout:
    """How the folders of a source are read; `splits` are the top folders that are one, or those
    in each class folder."""

    name: LayoutName
    splits: Mapping[str, Split]


def split_named(folder: str) -> Split | None:
    """The split that a folder of this name is, exactly but for upper and lower case."""
    return _SPLITS.get(folder.casefold())


# images, images_001, HAM10000_images_part_1, masks; annotations/ beside them.
_NO_CLASS = re.compile(
    r"([a-z0-9]+[-_ ])?(images?|imgs?|photos?|pictures?|pics?|jpe?gs?|pngs?|tiffs?|masks?|"
    r"trimaps?|data|dataset|jpegimages|segmentation(class|object)|voc|annotations?|"
    r"(bounding[-_ ]?|b)box(es)?|xmls?|metadata)([-_ ]?part)?([-_ ]?[0-9]+)?",
    re.IGNORECASE,
)


def names_no_class(folder: str) -> bool:
    """Whether a folder is called as what is in it, images or what belongs to them."""
    return _NO_CLASS.fullmatch(folder) is not None


def read_class_layout(
    tops: Sequence[Top], *, chosen: LayoutName | None, root: str, source: str
) -> Layout:
    """The layout of a source whose folders name the classes.

    `root` names the source in sentences, `source` in a command. Raises UsageError for a choice that
    does not fit, InputError where both readings are possible.
    """
    if chosen == "flat":
        raise UsageError(
            "--layout flat has no classes",
            hint="give labels with --labels FILE, or shard without any: --unlabelled",
        )
    if chosen == "classes":
        return Layout("classes", {})
    named = {top.name: split for top in tops if (split := split_named(top.name))}
    similar = {top.name: split for top in tops if (split := split_in(top.name))}
    if chosen == "splits":
        return _splits(named or similar, root=root)
    inner, only_splits = _inner_splits(tops)
    if chosen == "inner-splits":
        return _inner(inner, root=root)
    if named and len(named) == len(tops):
        # Two classes that happen to be called train and test hold images, not folders of them.
        if any(top.subfolders for top in tops):
            _check_doubled(tops, root=root, source=source)
            return _splits(named, root=root)
        return Layout("classes", {})
    repeated = _repeated(tops, among=similar)
    if repeated and (named or len(set(similar.values())) > 1):
        _refuse(tops, named or similar, repeated=repeated, root=root, source=source)
    if inner and only_splits:
        return _inner(inner, root=root)
    if inner:
        raise InputError(
            f"the folders of {root} can be read in two ways: as classes, each with folders of "
            f"splits ({_listed(inner)}), or as classes alone: some of them hold images elsewhere",
            hint=f"choose one: vitctl shard {source} --layout inner-splits, which leaves out what "
            "is in no split, or --layout classes",
        )
    _check_names(tops, similar, root=root, source=source)
    return Layout("classes", {})


def _check_doubled(tops: Sequence[Top], *, root: str, source: str) -> None:
    """Refuse splits that each hold one folder of their own name (train/train/, test/test/), as
    unpacking into a folder of the archive's name makes: it is no class."""
    if all(top.subfolders == {top.name} and not top.holds_images for top in tops):
        first = tops[0].name
        raise InputError(
            f"each folder of {root} holds a folder of its own name alone, as {first}/{first}/, "
            "which is no class",
            hint=f"move what is in {first}/{first}/ up into {first}/, and so the others; if these "
            f"are the classes: vitctl shard {source} --layout splits",
        )


def _check_names(
    tops: Sequence[Top], similar: Mapping[str, Split], *, root: str, source: str
) -> None:
    """Refuse folders as classes of which most are called as splits (seg_train, seg_test and
    seg_pred), or all as what is in them (images, annotations)."""
    names = [top.name for top in tops]
    splits = set(similar.values())
    if "train" in splits and len(splits) > 1 and 2 * len(similar) >= len(tops):
        what = "splits"
    elif len(tops) > 1 and all(map(names_no_class, names)):
        what = "what is in them"
    else:
        return
    inner = [top.name for top in tops if top.subfolders]
    inner.sort(key=lambda name: (similar.get(name) != "train", "annot" in name.casefold()))
    deeper = f"{root.rstrip('/')}/{inner[0]}" if inner else None
    ways = [
        "put folders of classes into train/, val/ and test/" if what == "splits" else "",
        f"give a folder of classes in it: vitctl shard {shlex.quote(deeper)}" if deeper else "",
        "labels in a file: --labels FILE",
        f"if they are the classes: vitctl shard {source} --layout classes",
    ]
    raise InputError(
        f"the folders of {root} are called as {what}, not as classes: {_listed(names)}",
        hint="; ".join(filter(None, ways)),
    )


def read_flat_layout(
    tops: Collection[str],
    *,
    others: bool = False,
    chosen: LayoutName | None,
    root: str,
    source: str,
) -> Layout:
    """The layout of a source whose labels come from elsewhere: its top folders are splits or mean
    nothing. `tops` are those with images that are taken, `others` whether there are more with
    images that are not. Raises as `read_class_layout` does."""
    if chosen in ("classes", "inner-splits"):
        raise UsageError(
            "with --labels or --unlabelled no folder is a class",
            hint="--layout splits or flat chooses what the folders mean",
        )
    if chosen == "flat":
        return Layout("flat", {})
    named = {name: split for name in tops if (split := split_named(name))}
    several = len(set(named.values())) > 1
    # One folder called train, among others, says little.
    if chosen == "splits" or (named and len(named) == len(tops) and (several or not others)):
        return _splits(named, root=root)
    if several:
        rest = [name for name in tops if name not in named]
        raise InputError(
            f"the folders of {root} can be read in two ways: {_listed(named)} as splits (then "
            f"{_listed(rest)} would be left out), or all as one set without splits",
            hint=f"choose one: vitctl shard {source} --layout splits, or --layout flat; "
            "--exclude NAME leaves a folder out",
        )
    return Layout("flat", {})


def first_version_layout(tops: Collection[str], *, nested: bool) -> LayoutName:
    """What the first version took a folder for: its ids of datasets stay where the reading is the
    same. `tops` are all folders in the source, `nested` whether any has a folder in it."""
    return "splits" if tops and nested and set(tops) <= _FIRST_VERSION else "classes"


def split_in(folder: str) -> Split | None:
    """The split whose name is a word of the folder's: train2017, images_val."""
    parts = re.split(r"[^a-z]+", folder.casefold().replace("hold-out", "holdout"))
    return next((_SPLITS[word] for word in parts if word in _SPLITS), None)


def _inner_splits(tops: Sequence[Top]) -> tuple[dict[str, Split], bool]:
    """Folders of splits in the class folders, if half of these or more hold several; and whether
    all images lie in them."""
    of_each = [
        {name: split for name in top.subfolders if (split := split_named(name))} for top in tops
    ]
    several = sum(len(set(named.values())) > 1 for named in of_each)
    if len(tops) < 2 or 2 * several < len(tops):
        return {}, False
    inner = {name: split for named in of_each for name, split in named.items()}
    only = all(
        named and len(named) == len(top.subfolders) and not top.holds_images
        for named, top in zip(of_each, tops, strict=True)
    )
    return dict(sorted(inner.items())), only


def _repeated(tops: Sequence[Top], *, among: Collection[str]) -> list[str]:
    """Sub-folders that a folder like a split shares with another top folder."""
    counts: dict[str, int] = {}
    for top in tops:
        for name in top.subfolders:
            counts[name] = counts.get(name, 0) + 1
    like_splits = {name for top in tops if top.name in among for name in top.subfolders}
    return sorted(name for name in like_splits if counts[name] > 1)


def _splits(named: Mapping[str, Split], *, root: str) -> Layout:
    if not named:
        raise UsageError(
            f"--layout splits: no folder of {root} is called train, val or test",
            hint="folders are splits by their names: train, val (or valid, dev), test",
        )
    by_split: dict[Split, str] = {}
    for name, split in named.items():
        if split in by_split:
            raise InputError(
                f"{root} has the folders {by_split[split]} and {name}, which are one split",
                hint=f"keep one of them, or leave one out: --exclude {name}",
            )
        by_split[split] = name
    return Layout("splits", dict(named))


def _inner(named: Mapping[str, Split], *, root: str) -> Layout:
    return Layout("inner-splits", _splits(named, root=f"the class folders of {root}").splits)


def _refuse(
    tops: Sequence[Top], splits: Mapping[str, Split], *, repeated: list[str], root: str, source: str
) -> NoReturn:
    others = [top.name for top in tops if top.name not in splits]
    left_out = f" (then {_listed(others)} would be left out)" if others else ""
    raise InputError(
        f"the folders of {root} can be read in two ways: {_listed(splits)} as splits of the "
        f"classes in them, as {_listed(repeated)}{left_out}; or {_listed([t.name for t in tops])} "
        "as the classes",
        hint=f"choose one: vitctl shard {source} --layout splits, or --layout classes; "
        "--exclude NAME leaves a folder out",
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
