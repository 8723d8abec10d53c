"""What a user gives -> the settings of `vitctl bench feed`."""

from __future__ import annotations

from stages.bench.feed.spec import FeedConfig
from vitctl.settings.overrides import Overrides


def resolve(overrides: Overrides) -> FeedConfig:
    """The settings given, over those of training by the paper: inception crop and flip."""
    return overrides.build(FeedConfig, {})
