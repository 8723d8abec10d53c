"""`vitctl shard formula`: its options, and the set of pictures that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stages.shard.spec import FORMULA, Inputs, ShardConfig, reading_options
from vitctl.errors import UsageError
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.pixels.policy import AS_IT_IS

OPTIONS = {
    "family": "family",
    "classes": "classes",
    "per_class": "per-class",
    "val_per_class": "val-per-class",
    "resolution": "res",
    "seed": "seed",
}
"""Setting of a set -> the option that gives it."""

WRITTEN_PER_CLASS = 100
"""Training pictures of each class unless the user says how many: 1,000 classes of 256 px are some
11 GiB of PNG. What is only described takes no room; its default is that of the published sets."""


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
    tree = {} if virtual else {"per_class": WRITTEN_PER_CLASS}
    tree |= given
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
        raise UsageError(
            f"--{OPTIONS[name]}: {problem['msg']}, got {tree[name]}",
            hint=f"--{OPTIONS[name]} of formula images takes {_values(name)}",
        ) from None
    return cfg.model_copy(update={"classes": None, "val_per_class": None}), formula


def _values(name: str) -> str:
    """Those of a setting of a set, in words."""
    setting = FormulaConfig.model_json_schema()["properties"][name]
    if "enum" in setting:
        return ", ".join(setting["enum"])
    most = setting.get("maximum", setting.get("exclusiveMaximum", 0) - 1)
    return f"{setting['minimum']:,} to {most:,}"


def check_source(inputs: Inputs, cfg: ShardConfig) -> None:
    """Raise UsageError where the source and a set of formula images do not belong together, and for
    options about files where it is one."""
    if (inputs.source == FORMULA) != (inputs.formula is not None) or (
        inputs.virtual and inputs.formula is None
    ):
        raise UsageError(
            f"the source {FORMULA} and a description of its pictures go together",
            hint=f'api.shard("{FORMULA}", family="fractal")',
        )
    about_shards = {
        "--part": cfg.part is not None,
        "--shards": cfg.shards is not None,
        "--shard-size": cfg.shard_bytes != ShardConfig().shard_bytes,
    }
    for name, is_given in about_shards.items():
        if inputs.virtual and is_given:
            raise UsageError(
                f"{name} is about shards, and --virtual stores none",
                hint="leave one of them out",
            )
    if inputs.formula is None:
        return
    about_files = {
        **reading_options(inputs, cfg),
        "--classes-from": inputs.classes_from,
        "--class-titles": inputs.class_titles,
        "--exclude": inputs.exclude,
        "--rehash": inputs.rehash,
        "--val-fraction": cfg.val_fraction,
        "--keep-bytes": cfg.keep_bytes,
        "changing images": cfg.pixels != AS_IT_IS,
    }
    option = next((name for name, value in about_files.items() if value), None)
    if option is not None:
        raise UsageError(
            f"{option} is about image files, and formula images are made, with classes and splits "
            "of their own",
            hint="leave it out; for a folder of that name: vitctl shard ./formula",
        )
