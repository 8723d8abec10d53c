"""What a user gives -> the settings and inputs of `vitctl sweep`; needs no terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.sweep.spec import (
    GridModel,
    Inputs,
    ProbeConfig,
    SweepCommands,
    SweepConfig,
    SweepRuntime,
)
from vitctl.artifacts import Artifact
from vitctl.artifacts.store import slug
from vitctl.errors import InputError, UsageError
from vitctl.events import Emit, Note
from vitctl.settings.config import Config
from vitctl.settings.overrides import Overrides, check_keys, read_toml
from vitctl.settings.trees import Tree, at, from_keys, merge
from vitctl.text.quoting import quoted

if TYPE_CHECKING:
    from vitctl.data.dataset import DatasetInfo

_ROW = re.compile(r"^(models|probes)\.(\d+)(?:\.|: )")
"""How a message on a value in a list of tables begins."""
_SHOTS = (1, 5, 10)
"""Of the few-shot probe of a grid that names no probes."""

Grid = Path | Mapping[str, Any]
"""A file, or in Python what it would hold."""


def resolve(
    overrides: Overrides,
    grid: Grid,
    *,
    dataset: Callable[[str | None], Artifact],
    data: str | None,
    commands: SweepCommands,
    emit: Emit,
) -> tuple[SweepConfig, Inputs]:
    """The settings and inputs. `dataset` finds one by its name, or, of None, what was piped in or
    is the newest; `data` is what the user names in place of the grid's own.

    Raises UsageError for a grid that makes no sense, with the nearest keys; NotFoundError,
    InputError for datasets that are not there or are of no use to a probe.
    """
    file = dict(grid) if isinstance(grid, Mapping) else read_toml(grid, label=f"the grid {grid}")
    overrides = replace(overrides, file=merge({}, overrides.file, file))
    tree = overrides.tree()
    check_keys(SweepConfig, tree)
    _check_rows(tree, "models", GridModel)
    _check_rows(tree, "probes", ProbeConfig)
    try:
        cfg = overrides.build(SweepConfig, {})
    except UsageError as error:  # rows count from 1, as in the other messages on them
        message = _ROW.sub(lambda row: f"{row[1]}, row {int(row[2]) + 1}: ", error.message)
        raise UsageError(message, hint=error.hint) from None
    _check_settings(cfg, commands)
    images = dataset(data if data is not None else cfg.data)
    if cfg.probes is None:
        cfg = cfg.model_copy(update={"probes": _usual(images, cfg, emit=emit)})
    assert cfg.probes is not None
    probe_data = tuple(images if p.data is None else dataset(p.data) for p in cfg.probes)
    for probe, of_probe in zip(cfg.probes, probe_data, strict=True):
        _check_probe(probe, of_probe, images, model=commands.settings[probe.command])
    return cfg, Inputs(images, probe_data, commands)


def runtime_of(runtime: SweepRuntime, grid: Grid) -> SweepRuntime:
    """With the name of the grid's file for the table, where nobody gives one."""
    if runtime.name is not None or runtime.out is not None or isinstance(grid, Mapping):
        return runtime
    return runtime.model_copy(update={"name": slug(grid.stem, default="sweep")})


def _check_rows(tree: Tree, table: str, model: type[Config]) -> None:
    """Raise UsageError for a key that a row of a list of tables does not have."""
    rows = tree.get(table)
    for number, row in enumerate(rows if isinstance(rows, list | tuple) else (), start=1):
        if isinstance(row, Mapping):
            try:
                check_keys(model, row)
            except UsageError as error:
                raise UsageError(
                    f"{table}, row {number}: {error.message}", hint=error.hint
                ) from None


def _check_settings(cfg: SweepConfig, commands: SweepCommands) -> None:
    """Raise UsageError for settings that no command has, and columns that would be two."""
    names = set()
    for probe in cfg.probes or ():
        try:
            check_keys(commands.settings[probe.command], from_keys(probe.settings))
        except UsageError as error:
            raise UsageError(
                f"a probe by {probe.command}: {error.message}", hint=error.hint
            ) from None
        if (probe.command, probe.name) in names:
            raise UsageError(
                f"two probes by {probe.command} have the name {quoted(probe.name)}, so their "
                "columns would be the same",
                hint='name one of them, as in name = "digits"',
            )
        names.add((probe.command, probe.name))


# ---- Probes


def _usual(images: Artifact, cfg: SweepConfig, *, emit: Emit) -> tuple[ProbeConfig, ...]:
    """An evaluation and a few-shot probe on the dataset itself."""
    split = at(from_keys(cfg.settings), "data.split") or "train"
    fewest = _fewest(images, split)
    shots = [n for n in _SHOTS if n <= fewest]
    probes = [ProbeConfig(command="evaluate")]
    if shots:
        probes.insert(0, ProbeConfig(command="fewshot", settings={"shots": shots}))
    few = f"few-shot probes of {', '.join(map(str, shots))} images a class and " if shots else ""
    emit(Note(f"probes: {few}an evaluation on {images.path} ([[probes]] names others)"))
    return tuple(probes)


def _fewest(dataset: Artifact, split: str) -> int:
    """Images of the rarest class that has any."""
    import numpy as np

    from vitctl.data.opening import open_dataset

    labels = np.asarray(open_dataset(dataset).labels(split))
    _, counts = np.unique(labels[labels >= 0], return_counts=True)
    return int(counts.min()) if len(counts) else 0


def _check_probe(
    probe: ProbeConfig, dataset: Artifact, images: Artifact, *, model: type[Config]
) -> None:
    """Raise for a probe that would fail on every branch: no split to score, too few images for its
    shots, or none of the classes that are trained on."""
    from vitctl.data.dataset import Dataset, check_classes, scoring_split

    info: DatasetInfo = Dataset.load(dataset.path).info
    check_classes(len(info.classes), dataset=dataset.path)
    given = from_keys(probe.settings)
    if given.get("eval_split") is None:
        scoring_split(info)
    else:
        info.split(given["eval_split"])
    if probe.command == "evaluate":
        trained = Dataset.load(images.path).info.classes
        if given.get("class_map") is None and not {*trained} & {*info.classes}:
            raise InputError(
                f"no class of {dataset.path} is one of {images.path}, so no model of this grid can "
                "be evaluated on it",
                hint='probe its features instead: command = "fewshot"',
            )
        return
    shots = given.get("shots", model.model_fields["shots"].default)
    if shots == "all" or given.get("too_few") == "leave-out":
        return
    split = given.get("train_split") or "train"
    info.split(split)
    most = max(shots) if isinstance(shots, list | tuple) and shots else shots
    fewest = _fewest(dataset, split)
    if isinstance(most, int) and most > fewest:
        raise UsageError(
            f"a probe takes {most} images of each class, and a class of {split} in {dataset.path} "
            f"has {fewest}",
            hint='take fewer shots, or set too_few = "leave-out"',
        )
