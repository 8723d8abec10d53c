"""What a user gives -> the settings of `vitctl bench feed`."""

from __future__ import annotations

from stages.bench.feed.spec import FeedConfig
from vitctl.recipes import cropping
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import merge


def resolve(overrides: Overrides) -> FeedConfig:
    """The settings given, over those of training by the paper: inception crop and flip. Raises
    UsageError for wrong ones, and for those that would change nothing."""
    cfg = overrides.build(FeedConfig, {})
    given = merge({}, overrides.flags, overrides.settings)
    cropping.check_counts(cfg.augment, given=given, file=overrides.file, usual={}, table="augment")
    return cfg
