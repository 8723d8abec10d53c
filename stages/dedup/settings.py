"""What a user gives -> the settings and inputs of `vitctl dedup`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from stages.dedup.spec import DedupConfig, Inputs
from vitctl.artifacts import Artifact
from vitctl.errors import UsageError
from vitctl.settings.overrides import Overrides

R = TypeVar("R")


def resolve(
    overrides: Overrides,
    data: Callable[[], Artifact],
    against: Sequence[R],
    other: Callable[[R], Artifact],
) -> tuple[DedupConfig, Inputs]:
    """`data` and `other` look datasets up, once the settings are known to make sense.

    Raises UsageError where splits of other datasets are named and there are none.
    """
    cfg = overrides.build(DedupConfig, {})
    if cfg.eval_splits is not None and not against:
        raise UsageError(
            "--against-splits without --against: there is no other dataset",
            hint="leave it out, or name a dataset: --against REF",
        )
    datasets = {dataset.id: dataset for dataset in map(other, against)}
    return cfg, Inputs(data(), tuple(datasets.values()))


def read_splits(text: str) -> list[str]:
    """`val,test` -> ["val", "test"], each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
