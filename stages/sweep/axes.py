"""The axes and common settings of a grid: keys of training that may be there, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.sweep.spec import SweepConfig
from vitctl.errors import UsageError
from vitctl.settings.overrides import check_keys
from vitctl.settings.trees import flat, from_keys
from vitctl.text.quoting import quoted
from vitctl.train.config import TrainConfig

_OF_THE_GRID = {
    "name": "models",
    "schedule.total_steps": "durations",
    "model.width": "models",
    "model.depth": "models",
    "model.mlp_dim": "models",
    "model.heads": "models",
    "model.patch": "models",
}
"""Settings of training that have a place of their own in a grid."""
_REFUSED = {
    "data.mock": "a grid is of a dataset's images",
    "data.first_step": "runs of a grid begin with the first batch",
    "keep_best": "a run of a grid counts with its whole duration",
    "from_schedule": "runs of a grid begin from random weights",
    "from_weights": "runs of a grid begin from random weights",
    "from_head": "runs of a grid begin from random weights",
    "procedural": "the compute of a run of a grid is that of its images",
}


def axes_of(cfg: SweepConfig) -> dict[str, tuple[Any, ...]]:
    """Each axis and its values. Raises UsageError for one without any, a value twice, a key that
    training has not, or that has another place in a grid."""
    axes: dict[str, tuple[Any, ...]] = {}
    for key, values in flat(cfg.axes).items():
        if not isinstance(values, list | tuple) or not values:
            raise UsageError(
                f"axes.{key} is no list of values (got {quoted(str(values)[:40])})",
                hint=f"as in {key} = [1, 2]; one value for all runs goes into [settings]",
            )
        values = [None if value == "none" else value for value in values]
        if any(value in values[:place] for place, value in enumerate(values)):
            raise UsageError(f"axes.{key} has a value twice")
        axes[key] = tuple(values)
    _check(axes, table="axes")
    return axes


def settings_of(cfg: SweepConfig) -> dict[str, Any]:
    """The settings of all runs by dotted keys. Raises UsageError as `axes_of`."""
    keys = flat(cfg.settings)
    _check(keys, table="settings")
    return keys


def _check(keys: Mapping[str, Any], *, table: str) -> None:
    for key in keys:
        if key in _OF_THE_GRID:
            raise UsageError(
                f"{table}.{key} is set, which has a place of its own in a grid",
                hint=f"it is {_OF_THE_GRID[key]}",
            )
        for refused, reason in _REFUSED.items():
            if key == refused or key.startswith(f"{refused}."):
                raise UsageError(f"{table}.{key} is set, and {reason}", hint="leave it out")
    check_keys(TrainConfig, from_keys(keys))
