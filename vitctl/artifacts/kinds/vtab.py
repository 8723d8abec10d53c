"""What is recorded of a VTAB-1k result."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.measures.vtab import TASKS, Group
from vitctl.summaries import (
    Count,
    Interval,
    Many,
    Overlap,
    Part,
    Share,
    Summary,
    WeightsName,
    percent,
)
from vitctl.text.quantities import plural


class TaskScore(Part):
    """A task: a dataset that the model was fine-tuned on."""

    task: str = Field(description="VTAB's name of the task, else the dataset's.")
    group: Group = Field(description="VTAB's group of the task; other for what is none of its 19.")
    dataset: str = Field(description="Name of the dataset.")
    top1: Share = Field(description="Share of the scored images whose highest score is right.")
    interval: Interval = Field(
        description="95 % interval of top1 for other images of the same kind (binomial)."
    )
    split: str = Field(description="The split that was scored, all of it.")
    examples: Count = Field(description="Images that were scored.")
    train_examples: Count = Field(description="Images that were trained on.")
    classes: Count = Field(description="Classes told apart.")
    lr: float = Field(description="Peak learning rate: the one setting's, or the one chosen.")
    checkpoint: str = Field(description="Id of the fine-tuned checkpoint.")
    overlap: Overlap | None = Field(
        default=None,
        description="What `vitctl dedup` says of images that the model was pretrained on; absent "
        "where nothing is known.",
    )


class GroupMean(Part):
    """The mean of a group."""

    group: Group = Field(description="The group.")
    top1: Share = Field(description="Mean top1 of its tasks, each alike.")
    tasks: Count = Field(description="How many tasks it has here.")


class Vtab(Summary):
    """Fine-tuning on few images of many datasets, made by `vitctl vtab`."""

    model: str = Field(description="Name of the model.")
    step: Count = Field(description="Step of the checkpoint that was fine-tuned.")
    weights: WeightsName = Field(description="Which of its weights: the last, or their average.")
    images: Count = Field(description="Training images drawn of each dataset, where it has more.")
    tasks: Many[TaskScore] = Field(description="One object a dataset.", min_length=1)
    groups: Many[GroupMean] = Field(description="The mean of each group that has a task here.")
    mean: Share | None = Field(
        description="Mean over VTAB's tasks, each alike: the VTAB score if all 19 are here; null "
        "if none is."
    )
    mean_of_groups: Share | None = Field(
        description="Mean of the means of VTAB's three groups; null unless all have a task."
    )

    @property
    def of_vtab(self) -> int:
        """How many of VTAB's tasks are among them."""
        return sum(row.task in TASKS for row in self.tasks)

    def phrases(self) -> Iterable[str]:
        yield self.model
        yield f"on {plural(len(self.tasks), 'dataset')}"
        if self.mean is not None:
            yield f"mean of {self.of_vtab} of VTAB's {len(TASKS)} tasks {percent(self.mean)}"
        yield from (f"{row.group} {percent(row.top1)}" for row in self.groups)
