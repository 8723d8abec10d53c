"""The smallest crop of small images: 5 % of a photo show a face, 5 % of 48 x 48 pixels nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vitctl.artifacts.artifact import Artifact
from vitctl.data.config import LATER_AUGMENT, AugmentConfig
from vitctl.errors import UsageError, VitctlError
from vitctl.recipes.recipe import CropRule, load
from vitctl.settings.trees import Tree, at

_OF_INCEPTION = ("area_min", "area_max", "aspect_min", "aspect_max")
"""Settings that the other crops have no use for."""


@dataclass(frozen=True)
class Crops:
    """`area_min`: what the recipe sets, where that is not what it sets for large images. `notes`:
    sentences about it."""

    area_min: float | None = None
    notes: tuple[str, ...] = ()


def check_counts(
    augment: AugmentConfig,
    *,
    given: Tree,
    file: Tree,
    usual: Tree,
    table: str = "data.augment",
) -> None:
    """Raise UsageError where a user gives what is of crop=inception alone, and the crop is another:
    it would change nothing. The trees hold the settings under `table`: `given` by flags and --set,
    those of a `file`, and the `usual` ones without the user's, which may be given again.

    A file with the whole table is the record of an earlier run, and a crop that is given beside a
    file wins over what the file says of crops. `AugmentConfig` itself takes it, as runs are stored
    with it: a recipe has its `area_min` whatever the crop that a user sets.
    """
    if augment.crop == "inception":
        return
    chosen, before, in_file = (_table(tree, table) for tree in (given, usual, file))
    is_record = in_file.keys() >= AugmentConfig.model_fields.keys() - set(LATER_AUGMENT)
    if is_record or "crop" in chosen:
        before = {**before, **in_file}
    else:
        chosen = {**in_file, **chosen}
    for name in _OF_INCEPTION:
        value = getattr(augment, name)
        default = AugmentConfig.model_fields[name].default
        if name in chosen and value not in (before.get(name), default):
            raise UsageError(
                f"{table}.{name} is of crop=inception, and crop is {augment.crop}",
                hint=f"leave it out, or choose the crop: --set {table}.crop=inception",
            )


def _table(tree: Tree, key: str) -> Mapping[str, Any]:
    table = at(tree, key)
    return table if isinstance(table, Mapping) else {}


def small_rule() -> CropRule:
    """The rule of the recipe for small datasets, which others are measured by."""
    rule = load("small").crop
    assert rule is not None  # a test of the recipes sees to it
    return rule


def side_of(dataset: Artifact, *, split: str) -> int | None:
    """The typical side of a dataset's images in pixels, where they are so small that a rule may
    crop them otherwise; None of large ones, and of those that cannot be read, which training
    reports."""
    from vitctl.data.opening import open_dataset
    from vitctl.data.stored_size import may_be_below, typical_side

    below = small_rule().from_side
    try:
        source = open_dataset(dataset)
        if not may_be_below(source, split, below=below):
            return None
        return typical_side(source, split, below=below)
    except VitctlError:
        return None


def of_small_images(
    side: int | None, rule: CropRule | None, *, usual: AugmentConfig, overrides: Tree
) -> Crops:
    """The crops of images of a side as `side_of` gives it. A recipe without a rule keeps its
    `usual` ones, with a sentence that reports what they show."""
    given = at(overrides, "data.augment")
    given = given if isinstance(given, Mapping) else {}
    if side is None or given.get("crop", usual.crop) != "inception" or "area_min" in given:
        return Crops()
    share = f"{usual.area_min:.0%}"
    wanted = (rule or small_rule()).of(side=side)
    most = given.get("area_max", usual.area_max)  # of another type it is refused later
    if wanted <= usual.area_min or (isinstance(most, int | float) and most < wanted):
        return Crops()
    usually = f"{round(usual.area_min**0.5 * side)} px"
    if rule is not None:
        sentence = (
            f"crops keep {wanted:.0%} of an image or more, as images are about {side} px wide "
            f"({share} would be {usually}); --set data.augment.area_min sets it"
        )
        return Crops(wanted, (sentence,))
    sentence = (
        f"crops keep {share} of an image or more, {usually} of images about {side} px wide; "
        f"--set data.augment.area_min={wanted:g} would keep {round(wanted**0.5 * side)} px"
    )
    return Crops(notes=(sentence,))
