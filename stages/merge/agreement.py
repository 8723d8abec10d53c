"""Whether parts are those of one dataset, each once."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.kinds import DATASET_PART
from vitctl.data.dataset import Split, shard_name
from vitctl.errors import InputError, NotFoundError
from vitctl.events import Emit, Note
from vitctl.ingest.write.dataset_part import PartInfo, part_recipe, read_part, whole_recipe
from vitctl.job_parts import JobPart

_NUMBERS_SHOWN = 5
_MOST_TEXT = 60
_ROLES = {
    "source": "listing of the source, by names, sizes and times",
    "dataset": "dataset that the images are of",
    "labels": "file of labels",
    "classes_from": "list of classes",
    "class_titles": "list of class titles",
}


@dataclass(frozen=True)
class DatasetParts:
    """All parts of a dataset, in their order, and what each says of itself."""

    parts: tuple[tuple[Artifact, PartInfo], ...]

    @property
    def info(self) -> PartInfo:
        """What all say alike."""
        return self.parts[0][1]


def agreed(given: Sequence[Artifact], *, version: int) -> Recipe:
    """Of the dataset that all given parts are of. Raises InputError where two are not of one
    dataset, or one is of another version."""
    first = given[0]
    for artifact in given:
        if artifact.manifest.version != version:
            raise InputError(
                f"{artifact.path} was made by version {artifact.manifest.version} of vitctl shard, "
                f"and this vitctl makes version {version} of its datasets",
                hint="make all parts, and merge them, with one vitctl",
            )
        _check_same(first, artifact)
    return whole_recipe(first.manifest.recipe)


def complete(
    given: Sequence[Artifact], recipe: Recipe, *, store: Store, emit: Emit
) -> DatasetParts:
    """The given parts and, of the same dataset, those of the store.

    Raises:
      InputError: one is damaged.
      NotFoundError: some are neither given nor in the store.
    """
    first = given[0]
    count = DATASET_PART.summary(first).count
    by_index = {DATASET_PART.summary(artifact).index: artifact for artifact in given}
    for index in range(1, count + 1):
        if index not in by_index:
            made = store.made(part_recipe(recipe, JobPart(index, count)))
            if made is not None:
                by_index[index] = made
    if len(by_index) > len(given):
        more = len(by_index) - len(given)
        emit(Note(f"{more:,} more part{'s' * (more > 1)} of the same dataset in {store.root}"))
    missing = [index for index in range(1, count + 1) if index not in by_index]
    if missing:
        _refuse_missing(first, missing, recipe, store=store)
    parts = tuple((by_index[i], read_part(by_index[i])) for i in range(1, count + 1))
    _check_shards(parts)
    return DatasetParts(parts)


def _check_same(first: Artifact, other: Artifact) -> None:
    """Raise InputError where two parts are not of one division of one dataset."""
    one, two = DATASET_PART.summary(first), DATASET_PART.summary(other)
    if one.dataset != two.dataset:
        differences = list(_differences(first, other))
        listing = any(f"another {_ROLES['source']}" in text for text in differences)
        rehash = (
            "; where machines have copies of the source with times of their own, --rehash compares "
            "contents"
            if listing
            else ""
        )
        again = _command(other, JobPart(two.index, two.count), force=True)
        raise InputError(
            f"{other.path} and {first.path} are parts of two datasets: "
            f"{'; '.join(differences) or 'their ids differ'}",
            hint=f"make one of them again as the other was made: {again}{rehash}",
        )
    if one.count != two.count:
        raise InputError(
            f"{first.path} is one of {one.count} parts and {other.path} one of {two.count}, so "
            "that they divide the shards in two ways",
            hint="name parts of one division",
        )


def _differences(first: Artifact, other: Artifact) -> Iterator[str]:
    """What makes two datasets of the recipes of two parts, a clause each."""
    one, two = whole_recipe(first.manifest.recipe), whole_recipe(other.manifest.recipe)
    if one.version != two.version:
        yield f"versions {two.version} and {one.version} of vitctl shard"
    for key in sorted({*one.config, *two.config}):
        if one.config.get(key) != two.config.get(key):
            yield f"{key} is {_shown(two.config.get(key))} and {_shown(one.config.get(key))}"
    proofs = [{p.role: (p.id, p.digest) for p in recipe.parents} for recipe in (one, two)]
    for role in sorted({*proofs[0], *proofs[1]}):
        if proofs[0].get(role) != proofs[1].get(role):
            yield f"each has another {_ROLES.get(role, role)}"


def _shown(value: object) -> str:
    text = "left out" if value is None else json.dumps(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _refuse_missing(
    first: Artifact, missing: Sequence[int], recipe: Recipe, *, store: Store
) -> None:
    """Raise NotFoundError; InputError where a part of that number and name is there, but is one of
    another dataset."""
    summary = DATASET_PART.summary(first)
    for artifact in store.finished():
        if artifact.kind == DATASET_PART.name:
            other = DATASET_PART.summary(artifact)
            if other.name == summary.name and other.index in missing:
                _check_same(first, artifact)
    shown = ", ".join(map(str, missing[:_NUMBERS_SHOWN]))
    more = f" and {len(missing) - _NUMBERS_SHOWN:,} more" if len(missing) > _NUMBERS_SHOWN else ""
    several = len(missing) > 1
    begun = [i for i in missing if store.has_begun(part_recipe(recipe, JobPart(i, summary.count)))]
    unfinished = f" ({', '.join(map(str, begun[:_NUMBERS_SHOWN]))} begun, not finished)"
    raise NotFoundError(
        f"part{'s' * several} {shown}{more} of {summary.count} of {summary.name} "
        f"{'are' if several else 'is'} missing{unfinished * bool(begun)}",
        hint=f"make {'each' if several else 'it'}: "
        f"{_command(first, JobPart(missing[0], summary.count))}; one that lies elsewhere is named: "
        "vitctl merge PART PART ...",
    )


def _check_shards(parts: Sequence[tuple[Artifact, PartInfo]]) -> None:
    """Raise InputError unless the parts say the same of their dataset, and have each of its shards
    once: so it is where nobody edited one."""
    first, info = parts[0]
    for artifact, other in parts[1:]:
        if _of_dataset(other) != _of_dataset(info):
            raise InputError(
                f"{artifact.path} and {first.path} describe their dataset in two ways",
                hint=f"make one of them again: {_command(artifact, other.part, force=True)}",
            )
    counts: Counter[tuple[Split, int]] = Counter(
        (shard.split, shard.index) for _, other in parts for shard in other.shards
    )
    every = {(split, index) for split, count in info.splits.items() for index in range(count)}
    if set(counts) != every or max(counts.values()) > 1:
        raise InputError(
            f"the {len(parts)} parts of {info.name} do not have each of its {len(every)} shards "
            "once",
            hint="make the parts again with --force, all with one version of vitctl",
        )
    for artifact, other in parts:
        for shard in other.shards:
            name = shard_name(shard.split, index=shard.index, shards=info.splits[shard.split])
            if artifact.manifest.file(name) is None:
                raise InputError(
                    f"{artifact.path} describes the shard {name}, and its artifact.json does not",
                    hint=f"make the part again: {_command(artifact, other.part, force=True)}",
                )


def _of_dataset(info: PartInfo) -> tuple[object, ...]:
    return info.images, info.classes, info.class_titles, info.multi_label, info.splits


def _command(artifact: Artifact, part: JobPart, *, force: bool = False) -> str:
    """The command that made a part, for another part, as far as it is recorded."""
    typed = list(artifact.manifest.provenance.command)
    if typed[1:2] != ["shard"] or not any(word.startswith("--part") for word in typed):
        typed = ["vitctl", "shard", "SRC", "--part", "1/1"]
    line = ["vitctl"]
    rest = iter(typed[1:])
    for word in rest:
        if word == "--part":
            next(rest, None)
            line += ["--part", str(part)]
        elif word.startswith("--part="):
            line.append(f"--part={part}")
        else:
            line.append(word)
    return shlex.join([*line, *(["--force"] if force and "--force" not in line else [])])
