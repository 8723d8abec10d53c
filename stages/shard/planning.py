"""What `vitctl shard` knows of a source before an image is read: its splits, its classes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.shard.source import ClassTitles, class_list, class_titles, list_source, resolve
from stages.shard.spec import VERSION, Inputs, ShardConfig, ShardRuntime
from stages.shard.virtual import formula_recipe
from vitctl.artifacts import Artifact, Parent, Recipe, Store, crew
from vitctl.artifacts.canonical import fingerprint as canonical_fingerprint
from vitctl.artifacts.kinds import DATASET
from vitctl.events import Caution, Emit, Note
from vitctl.ingest.listing import Listing
from vitctl.ingest.write.dataset_part import part_recipe, whole_recipe
from vitctl.ingest.write.shard_plan import (
    Splitting,
    Unit,
    assign_splits,
    class_numbers,
    make_units,
)
from vitctl.job_parts import JobPart, parsed_part, rows_of


@dataclass(frozen=True)
class SourcePlan:
    """A source as it was understood.

    Attributes:
      listing: its images.
      choices: the settings with which it is listed again.
      cfg: the settings without open questions.
      splitting: which image is in which split.
      classes: in the order of their numbers; none of unlabelled images.
      titles: a readable name for each class, where there are any.
      inputs: what was asked for.
      listing_s: seconds that the listing took.
    """

    listing: Listing
    choices: ShardConfig
    cfg: ShardConfig
    splitting: Splitting
    classes: list[str]
    titles: ClassTitles | None
    inputs: Inputs
    listing_s: float

    @cached_property
    def recipe(self) -> Recipe:
        """Of the dataset, or of a part of it. With `--rehash` all images are read for it."""
        recipe = _recipe(
            self.listing,
            self.cfg,
            inputs=self.inputs,
            classes=self.classes,
            titles=self.titles,
        )
        if self.part is None:
            return recipe
        return part_recipe(whole_recipe(recipe), self.part)

    @property
    def title_names(self) -> tuple[str, ...] | None:
        """A readable name for each class, in their order."""
        return None if self.titles is None else self.titles.names

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """int32[names]: the number of each class of the listing; see `class_numbers`."""
        return class_numbers(self.listing.names, self.classes)

    @property
    def part(self) -> JobPart | None:
        """The part of the shards that is made here; None: all are."""
        return None if self.cfg.part is None else parsed_part(self.cfg.part)

    def own_of(self, units: Sequence[Unit]) -> list[Unit]:
        """The shards that are made here, of those of `units`.

        Raises UsageError for more parts than there are shards.
        """
        if self.part is None:
            return list(units)
        pieces = f"there are {len(units)} shards, and one machine makes a shard"
        images = [len(unit.entries) for unit in units]
        return [units[row] for row in rows_of(self.part, images, pieces=pieces)]

    def units(self) -> list[Unit]:
        """The work, a shard each."""
        return make_units(
            self.splitting.by_split,
            names=self.listing.names,
            classes=self.classes,
            shard_bytes=self.cfg.shard_bytes,
            shards=self.cfg.shards,
            storage=self.cfg.storage,
        )


def plan(cfg: ShardConfig, inputs: Inputs, *, own: Sequence[Path], emit: Emit) -> SourcePlan:
    """List the source and settle what is made of it. `own` are places that this command writes
    to."""
    began = time.monotonic()
    listing = list_source(inputs, cfg, own=own, emit=emit)
    listing_s = time.monotonic() - began
    listing, cfg = resolve(listing, cfg)
    emit(Note(listing.reading))
    for note in listing.notes:
        emit(Note(note))
    for caution in listing.cautions:
        emit(Caution(caution))
    splitting = assign_splits(
        listing,
        val_fraction=cfg.val_fraction or 0.0,
        val_per_class=cfg.val_per_class,
        share_of=cfg.share_of,
    )
    settled = cfg.model_copy(
        update={
            "layout": listing.layout,
            "stratified": bool(splitting.held_back),
            "share_of": "class" if splitting.share_of == "class" else None,
        }
    )
    classes: list[str] = []
    if not cfg.unlabelled:
        listing, classes = class_list(listing, inputs.classes_from, emit=emit)
    titles = class_titles(listing, classes, inputs, emit=emit)
    return SourcePlan(listing, cfg, settled, splitting, classes, titles, inputs, listing_s)


def earlier_artifact(
    planned: SourcePlan, *, store: Store, runtime: ShardRuntime
) -> tuple[Artifact, str] | None:
    """The dataset that an earlier version made of the same source and settings, and what it did
    otherwise. None once this version has begun one, as with --force: that is the newer."""
    if store.has_begun(planned.recipe, out=runtime.out):
        return None
    for recipe, how in _earlier_recipes(planned):
        artifact = crew.of(store).made(recipe, out=runtime.out)
        if artifact is not None:
            return artifact, how
    return None


def _earlier_recipes(planned: SourcePlan) -> Iterator[tuple[Recipe, str]]:
    """The recipe as earlier versions wrote it, and what these did otherwise: a dataset that was
    made stays the one that the same command returns."""
    recipe = planned.recipe
    yield from _differently_made(recipe, planned.splitting)
    if planned.titles is not None and (untitled := planned.titles.since) is not None:
        if planned.titles.before is not None:
            yield (
                _with_titles(recipe, planned.titles.before),
                "which read fewer files of readable names",
            )
        bare = _without_titles(recipe)
        yield bare, untitled
        for other, how in _differently_made(bare, planned.splitting):
            yield other, f"{untitled}, and {how.removeprefix('which ')}"


def _without_titles(recipe: Recipe) -> Recipe:
    parents = tuple(parent for parent in recipe.parents if parent.role != "class_titles")
    return recipe.model_copy(update={"parents": parents})


def _with_titles(recipe: Recipe, names: Sequence[str]) -> Recipe:
    proof = canonical_fingerprint(list(names))
    parents = tuple(
        parent.model_copy(update={"id": proof, "digest": proof})
        if parent.role == "class_titles"
        else parent
        for parent in recipe.parents
    )
    return recipe.model_copy(update={"parents": parents})


def _differently_made(recipe: Recipe, splitting: Splitting) -> Iterator[tuple[Recipe, str]]:
    """The recipe as versions wrote it that split or stored images in another way."""
    kept_bytes = "which kept the bytes of palette, 16-bit and transparent images"
    config = dict(recipe.config)
    if config.pop("share_of", None) is None:
        yield _version_1(recipe), kept_bytes
        return
    if splitting.had_held_back:
        config["stratified"] = True
    of_all = recipe.model_copy(update={"config": config})
    how = "which held images out by a hash of each, not a share of each class"
    yield of_all, how
    yield _version_1(of_all), f"{how}, and {kept_bytes.removeprefix('which ')}"


def _version_1(recipe: Recipe) -> Recipe:
    """The recipe as the first version of this stage wrote it."""
    config = {key: value for key, value in recipe.config.items() if key != "keep_bytes"}
    return recipe.model_copy(update={"version": 1, "config": config})


def _recipe(
    listing: Listing,
    cfg: ShardConfig,
    *,
    inputs: Inputs,
    classes: Sequence[str],
    titles: ClassTitles | None,
) -> Recipe:
    """Outside inputs are parents of kind "source", known by their fingerprint."""

    def outside(role: str, proof: str, path: str) -> Parent:
        return Parent(role=role, kind="source", id=proof, digest=proof, path=path)

    if inputs.formula is not None:
        return formula_recipe(inputs.formula, cfg)
    proof = listing.fingerprint_of(contents=True) if inputs.rehash else listing.fingerprint
    parents = [outside("source", proof, listing.root)]
    if (made := listing.artifact) is not None:
        parents.append(
            Parent(
                role="dataset",
                kind=DATASET.name,
                id=made.id,
                digest=made.digest,
                path=str(made.path),
            )
        )
    if inputs.classes_from is not None:
        proof = canonical_fingerprint(list(classes))
        parents.append(outside("classes_from", proof, str(inputs.classes_from)))
    if inputs.labels is not None:
        proof = canonical_fingerprint(
            [[e.id, list(listing.class_names(e))] for e in listing.entries]
        )
        parents.append(outside("labels", proof, str(inputs.labels)))
    if titles is not None:
        proof = canonical_fingerprint(list(titles.names))
        parents.append(outside("class_titles", proof, titles.path))
    return Recipe(
        stage="shard",
        version=VERSION,
        kind=DATASET.name,
        config=cfg.identity(),
        parents=tuple(parents),
    )
