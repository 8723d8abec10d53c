"""All metrics of some answers, each with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitctl.measures import bootstrap
from vitctl.measures.answers import Answers
from vitctl.measures.metric_titles import MetricTitle
from vitctl.measures.metrics import Applied, metrics
from vitctl.probe import intervals


@dataclass(frozen=True)
class MeasuredMetric:
    """A metric and its value; `interval` is None where there is none, `draws` 0 where it is not
    from drawing the images again."""

    metric: MetricTitle
    value: float
    interval: tuple[float, float] | None
    draws: int = 0


def all_metrics(answers: Answers, *, tops: Sequence[int]) -> list[MeasuredMetric]:
    """Every metric that means something for these answers. Of shares of the images the interval is
    Wilson's, of others from drawing the images again."""
    rows = [*metrics(answers, tops=tops)]
    redrawn = [of for _, of in rows if of.successes is None]
    drawn = iter(zip(redrawn, bootstrap.intervals(redrawn, images=len(answers)), strict=True))

    def row(metric: MetricTitle, of: Applied) -> MeasuredMetric:
        value = of.value(None)
        if of.successes is not None:
            return MeasuredMetric(metric, value, intervals.binomial(value, examples=len(answers)))
        _, interval = next(drawn)
        return MeasuredMetric(
            metric, value, interval, draws=bootstrap.draws_of(of) if interval else 0
        )

    return [row(metric, of) for metric, of in rows]
