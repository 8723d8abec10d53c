"""`vitctl shard formula`: what names a set of formula images, and sets that hold no image."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stages.shard.spec import FORMULA, VERSION, Inputs, ShardConfig, ShardRuntime
from vitctl.artifacts import Artifact, Parent, Recipe, Store
from vitctl.artifacts.canonical import fingerprint
from vitctl.artifacts.files import write_atomic
from vitctl.artifacts.store import slug
from vitctl.data.dataset import DESCRIPTION
from vitctl.data.formula_images import described
from vitctl.errors import UsageError
from vitctl.events import Emit, Next, Note
from vitctl.formula.family import FormulaConfig

OPTIONS = {
    "family": "family",
    "classes": "classes",
    "per_class": "per-class",
    "val_per_class": "val-per-class",
    "resolution": "res",
    "seed": "seed",
}
"""Setting of a set -> the option that gives it."""


def formula_settings(
    source: str, cfg: ShardConfig, given: Mapping[str, Any], virtual: bool
) -> tuple[ShardConfig, FormulaConfig | None]:
    """The set that the options name, where the source is `FORMULA`, and the settings that are left.

    Raises UsageError for options of formula images where the source is another.
    """
    if source != FORMULA:
        if given or virtual:
            option = f"--{OPTIONS[next(iter(given))]}" if given else "--virtual"
            raise UsageError(
                f"{option} is about formula images, and the source is {source}",
                hint=f"leave it out, or: vitctl shard {FORMULA}",
            )
        return cfg, None
    tree = dict(given)
    if cfg.classes is not None:
        if not cfg.classes.isdecimal():
            raise UsageError(
                f"--classes {cfg.classes}: of formula images, give how many classes to make",
                hint="for example --classes 1000",
            )
        tree["classes"] = int(cfg.classes)
    if cfg.val_per_class is not None:
        tree["val_per_class"] = cfg.val_per_class
    try:
        formula = FormulaConfig(**tree)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise UsageError(f"--{OPTIONS[name]}: {problem['msg']}, got {tree[name]}") from None
    return cfg.model_copy(update={"classes": None, "val_per_class": None}), formula


def check_options(inputs: Inputs, cfg: ShardConfig) -> None:
    """Raise UsageError for options that say something about files, or about formula images where
    the source is none."""
    about_files = {
        "--format": inputs.format,
        "--labels": inputs.labels,
        "--classes-from": inputs.classes_from,
        "--class-titles": inputs.class_titles,
        "--exclude": inputs.exclude,
        "--rehash": inputs.rehash,
        "--layout": cfg.layout,
        "--unlabelled": cfg.unlabelled,
        "--val-fraction": cfg.val_fraction,
        "--keep-bytes": cfg.keep_bytes,
    }
    option = next((name for name, value in about_files.items() if value), None)
    if option is not None:
        raise UsageError(
            f"{option} is about image files, and formula images are made, with classes and splits "
            "of their own",
            hint="leave it out; for a folder of that name: vitctl shard ./formula",
        )


def formula_recipe(config: FormulaConfig, cfg: ShardConfig) -> Recipe:
    """The set is the source: its integers are its fingerprint."""
    proof = fingerprint(config.model_dump(mode="json"))
    source = Parent(role="source", kind="source", id=proof, digest=proof, path="formula")
    return Recipe(
        stage="shard",
        version=VERSION,
        kind="dataset",
        config={**cfg.identity(), "formula": config.model_dump(mode="json")},
        parents=(source,),
    )


def describe(config: FormulaConfig, *, store: Store, runtime: ShardRuntime, emit: Emit) -> Artifact:
    """A dataset artifact of a description alone, found or made."""
    recipe = Recipe(
        stage="shard",
        version=VERSION,
        kind="dataset",
        config={"formula": config.model_dump(mode="json"), "virtual": True},
        parents=(),
    )
    info = described(config)
    name = runtime.name or slug(config.family, default="formula")
    with store.open(recipe, name=name, out=runtime.out, force=runtime.force, emit=emit) as draft:
        artifact = draft.finished
        if artifact is None:
            content = (info.model_dump_json(indent=1) + "\n").encode()
            write_atomic(draft.path / DESCRIPTION, content)
            artifact = draft.publish(
                summary={
                    "classes": len(info.classes),
                    "examples": {split: part.examples for split, part in info.splits.items()},
                    "shards": dict.fromkeys(info.splits, 0),
                    "bytes": 0,
                    "converted": {},
                    "differ": {},
                    "rejected": 0,
                    "skipped": {},
                }
            )
    pictures = sum(part.examples for part in info.splits.values())
    emit(Note(f"{pictures:,} pictures that are made when they are read; none is stored"))
    emit(Next(f"vitctl pretrain --data {shlex.quote(str(artifact.path))}"))
    return artifact
