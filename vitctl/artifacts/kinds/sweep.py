"""What is recorded of a sweep: a table of trained models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from vitctl.artifacts.kinds.checkpoint import TriedRate
from vitctl.artifacts.kinds.evaluation import Metric
from vitctl.summaries import Count, Many, Part, Summary
from vitctl.text.quantities import plural

TABLE = "table.json"
"""Its table, a list of rows: what `scaling fit` reads. Numbers stay numbers in it."""
CSV = "table.csv"
PARQUET = "table.parquet"

COMPUTE = "flops"
"""The column that is compute, where nobody names another."""


class SweepRow(Part):
    """A model that was trained on so many images for a duration, and what was measured of it."""

    model: str = Field(description="Name of the model.")
    data_size: Count = Field(description="Images in its training set.")
    axes: dict[str, Any] = Field(
        default={}, description="Further settings that differ between runs, by their columns."
    )
    seed: Count = Field(description="Seed of weights, data order and augmentation.")
    steps: Count = Field(description="Steps, cooldown included.")
    trunk_steps: Count = Field(description="Steps before the cooldown.")
    cooldown_steps: Count = Field(
        description="Steps of the cooldown branch; 0 of a schedule that ends by itself."
    )
    images_seen: Count = Field(description="Images seen, with repetition.")
    epochs: float = Field(description="Passes over the training set.")
    batch: Count = Field(description="Images a step.")
    resolution: Count = Field(description="Side of the square image in pixels.")
    lr: float | None = Field(description="Peak learning rate; null where choosing it failed.")
    parameters: Count = Field(description="Parameters, head and classifier included.")
    flops: float = Field(
        description="FLOPs of this run alone: for each image three times the matrix products of a "
        "forward pass."
    )
    device_seconds: float | None = Field(
        description="Seconds of training steps and waiting for data, times devices, of this run "
        "alone; null where it was not recorded."
    )
    core_days: float | None = Field(
        description="Days that the run would take one core of TPUv3; null where no speed is known."
    )
    core_days_basis: Literal["paper", "estimated"] | None = Field(
        description="By the paper's measured throughput of this model, or by its throughput of "
        "others."
    )
    metrics: dict[str, Metric] = Field(
        description="What the probes measured, by column; empty where it failed."
    )
    dataset: str | None = Field(description="Id of its dataset; null where it failed before.")
    trunk: str | None = Field(
        description="Id of the checkpoint that the cooldown began from; null without one."
    )
    checkpoint: str | None = Field(description="Id of the finished model; null where it failed.")
    probes: Many[str] = Field(description="Ids of the measurements, in the order of the probes.")
    failure: str | None = Field(
        default=None, description="Why there is no result; null or absent where there is one."
    )
    exit_code: Count | None = Field(
        default=None, description="Of that failure, as the command that failed would end with."
    )

    def as_row(self, metrics: Iterable[str]) -> dict[str, Any]:
        """The row of a flat table: each metric with the ends of its interval."""
        flat = self.model_dump(
            mode="json", exclude={"axes", "metrics", "failure", "exit_code", "probes"}
        )
        row = {"model": flat.pop("model"), "data_size": flat.pop("data_size"), **self.axes, **flat}
        for name in metrics:
            metric = self.metrics.get(name)
            low, high = (None, None) if metric is None else metric.interval or (None, None)
            value = None if metric is None else metric.value
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        status = "done" if self.failure is None else "failed"
        return {**row, "status": status, "failure": self.failure, "probes": " ".join(self.probes)}


class RateOfSweep(Part):
    """A choice of a learning rate on held-out training images."""

    model: str = Field(description="Name of the model that it was chosen with.")
    data_size: Count = Field(description="Images in the training set, those held out included.")
    steps: Count = Field(description="Steps of each candidate.")
    lr: float | None = Field(description="What was chosen; null where all candidates diverged.")
    tried: Many[TriedRate] = Field(description="The candidates.")


class SweepTable(Summary):
    """A table of trained models, made by `vitctl sweep`."""

    rows: Many[SweepRow] = Field(description="One object a run.", min_length=1)
    metrics: Many[str] = Field(
        description="Columns of metrics; the first accuracy among them is what a law is fitted to "
        "where nobody names another."
    )
    accuracy: str | None = Field(
        description="Column of accuracies that a law is fitted to where nobody names another."
    )
    rates: Many[RateOfSweep] = Field(
        description="How learning rates were chosen; empty where they were given."
    )
    part: str | None = Field(
        default=None, description="As in 2/8, where it is a part of the grid alone."
    )
    flops: float = Field(description="FLOPs of all training, trunks counted once.")
    flops_apart: float = Field(description="FLOPs that a run for each row would have taken.")

    @property
    def failed(self) -> int:
        """Rows without a result."""
        return sum(row.failure is not None for row in self.rows)

    def table(self) -> list[dict[str, Any]]:
        """Its rows as a flat table; every row has every column."""
        return [row.as_row(self.metrics) for row in self.rows]

    def phrases(self) -> Iterable[str]:
        models, sizes = {row.model for row in self.rows}, {row.data_size for row in self.rows}
        yield f"{plural(len(self.rows), 'run')} of {plural(len(models), 'model')}"
        yield f"on {plural(len(sizes), 'size')} of training set"
        yield f"part {self.part}" if self.part else ""
        yield f"{self.failed} failed" if self.failed else ""
