"""What `vitctl vtab` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import unwrap
from typing import Any, Protocol, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from vitctl.artifacts import Artifact
from vitctl.artifacts.manifest import Parent
from vitctl.events import Emit
from vitctl.measures.vtab import Task
from vitctl.recipes.composed import SubsetCommand
from vitctl.recipes.recipe import Preset
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName

VERSION = 1

PRESET: Preset = "vtab"


class VtabConfig(Config):
    """What decides the accuracies, besides the checkpoint and the datasets. What is None is the
    preset's.

    images      training images drawn of each dataset; all of one that has no more
    seed        of the draw, and of order, augmentation and classifier of each fine-tuning
    steps, warmup, batch, resolution, lr   of each fine-tuning
    sweep_lr    peak learning rates to choose from for each dataset, on a fifth of the images drawn;
                none: one setting for all
    train_split what is drawn from
    eval_split  what is scored, all of it; None: test, else val
    weights     of the checkpoint, the weights as they are or their average
    finetune    other settings of each fine-tuning, as `vitctl finetune` has them
    """

    images: PositiveInt = 1000
    seed: NonNegativeInt = 0
    steps: PositiveInt | None = None
    warmup: NonNegativeInt | None = None
    batch: PositiveInt | None = None
    resolution: PositiveInt | None = None
    lr: PositiveFloat | None = None
    sweep_lr: tuple[PositiveFloat, ...] | None = Field(None, min_length=2)
    train_split: str = "train"
    eval_split: str | None = None
    weights: WeightsName = "raw"
    finetune: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.sweep_lr is not None:
            if self.lr is not None:
                raise ValueError("lr is one learning rate, and sweep_lr are several to choose from")
            if len({*self.sweep_lr}) < len(self.sweep_lr):
                raise ValueError("sweep_lr has a learning rate twice")
        if self.eval_split == self.train_split:
            raise ValueError(f"{self.train_split} is trained on, so it can't be scored")
        return self


@dataclass(frozen=True)
class TaskData:
    """A dataset, which task it is, and the split of it that is scored."""

    task: Task
    dataset: Artifact
    split: str


class FinetuneCommand(Protocol):
    """`stages.api.finetune`."""

    def __call__(
        self,
        source: Artifact,
        *,
        data: Artifact,
        steps: int | None,
        weights: WeightsName,
        preset: Preset,
        sweep_lr: Sequence[float] | None,
        set: Mapping[str, Any],
        runtime: Mapping[str, Any],
        name: str,
        force: bool,
        store: Any,
        emit: Emit,
    ) -> Artifact: ...


@dataclass(frozen=True)
class Commands:
    """The commands that this one is made of."""

    subset: SubsetCommand
    finetune: FinetuneCommand

    @classmethod
    def of(cls, subset: SubsetCommand, finetune: FinetuneCommand) -> Self:
        """Of the API, whose errors name flags until they leave it: this command's caller may be the
        shell."""
        return cls(unwrap(subset), unwrap(finetune))


@dataclass(frozen=True)
class Inputs:
    """The checkpoint, the datasets, and the commands that draw from and train on them."""

    checkpoint: Artifact
    tasks: tuple[TaskData, ...]
    commands: Commands = field(compare=False, repr=False)

    @property
    def parents(self) -> tuple[Parent, ...]:
        """As a result records them: the task is the role, as it decides the means."""
        data = (one.dataset.as_parent(f"data-{one.task.name}") for one in self.tasks)
        return self.checkpoint.as_parent("from"), *data
