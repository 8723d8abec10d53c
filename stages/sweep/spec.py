"""What `vitctl sweep` reads, decides and makes: its version, the settings of a grid, and inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import unwrap
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from vitctl.artifacts import Artifact
from vitctl.artifacts.manifest import Parent
from vitctl.events import Emit
from vitctl.job_parts import parsed_part
from vitctl.optim.schedules import CooldownShape
from vitctl.recipes.composed import ComposedRuntime, SubsetCommand
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName
from vitctl.text.quantities import Unit, parse_amount, parse_count
from vitctl.text.quoting import quoted
from vitctl.workers.ray_address import AddressText

VERSION = 1

ProbeCommand = Literal["fewshot", "evaluate"]
Choose = Literal["each", "model", "smallest"]
Carry = Literal["same", "inverse-sqrt-width", "inverse-width"]


def _count(value: Any) -> Any:
    return parse_count(value, name="a count") if isinstance(value, str) else value


def _size(value: Any) -> Any:
    return value if value == "all" else _count(value)


def _amount(value: Any) -> Any:
    return parse_amount(value, name="a length") if isinstance(value, str) else value


CountText = Annotated[PositiveInt, BeforeValidator(_count)]
"""A count, also as people write it: "20k"."""
SizeText = Annotated[PositiveInt | Literal["all"], BeforeValidator(_size)]
"""Images of a training set, or all of them."""
AmountText = Annotated[PositiveFloat, BeforeValidator(_amount)]


class GridModel(Config):
    """A model of the grid: a size that has a name, or one of the user's own.

    name      as --model takes it, or any name where the five sizes below are given
    width, depth, mlp_dim, heads, patch   of a size of the user's own
    lr        its peak learning rate; None: the settings', or that which is chosen
    """

    name: str = Field(min_length=1)
    width: PositiveInt | None = None
    depth: PositiveInt | None = None
    mlp_dim: PositiveInt | None = None
    heads: PositiveInt | None = None
    patch: PositiveInt | None = None
    lr: PositiveFloat | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that are given, by their names in the settings of a model."""
        names = ("width", "depth", "mlp_dim", "heads", "patch")
        return {name: size for name in names if (size := getattr(self, name)) is not None}


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


ModelText = Annotated[GridModel, BeforeValidator(_named)]


class DurationsConfig(Config):
    """Lengths of the runs, cooldown included, in one unit."""

    steps: tuple[CountText, ...] = ()
    images: tuple[CountText, ...] = ()
    epochs: tuple[AmountText, ...] = ()

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if sum(bool(values) for values in (self.steps, self.images, self.epochs)) != 1:
            raise ValueError("lengths are given in one of steps, images and epochs")
        return self

    @property
    def lengths(self) -> tuple[tuple[float, Unit], ...]:
        if self.steps:
            return tuple((float(n), "steps") for n in self.steps)
        if self.images:
            return tuple((float(n), "images") for n in self.images)
        return tuple((n, "epochs") for n in self.epochs)


class RateChoice(Config):
    """How the learning rate is chosen: the best of some candidates on training images that are held
    out of a short run.

    candidates  peak learning rates to try
    steps       of each such run, a cooldown as long for its length as that of the grid's included
    held_out    the share of the training images that is scored, and not trained on
    choose      each: for each model and dataset size; model: for each model, on the largest size;
                smallest: for the smallest model, on the largest size, and carried over to the
                others. Axes have a choice each, but for the seed.
    carry       how the rate of the smallest model is carried over to one of another width
    """

    candidates: tuple[PositiveFloat, ...] = Field(min_length=2)
    steps: CountText
    held_out: float = Field(0.1, gt=0, lt=1)
    choose: Choose = "each"
    carry: Carry = "same"

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if len({*self.candidates}) < len(self.candidates):
            raise ValueError("lr.candidates has a learning rate twice")
        if self.carry != "same" and self.choose != "smallest":
            raise ValueError(
                f"lr.carry={self.carry} is for lr.choose=smallest: otherwise nothing is carried "
                "over to another width"
            )
        return self


class ProbeConfig(Config):
    """A measurement of every branch.

    command   fewshot or evaluate
    data      the dataset, as --data names one; None: the one that the grid's images are from
    name      before the names of its columns; none where there is one of each command
    settings  of the command, by dotted keys or tables
    """

    command: ProbeCommand
    data: str | None = None
    name: str = ""
    settings: dict[str, Any] = Field({})

    @model_validator(mode="after")
    def _column(self) -> Self:
        if self.name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise ValueError(
                f"{quoted(self.name)} begins names of columns: letters, digits and _ only"
            )
        return self


class SweepConfig(Config):
    """A grid. Every model is trained on every size for every duration, with every combination of
    the axes.

    Attributes:
      data: the dataset that all images are from; None: as --data says.
      models: the models.
      sizes: images in the training set; `all` is the whole dataset. The smaller lie inside the
        larger ones.
      durations: lengths of the runs.
      axes: settings of training by their keys, with a list of values each.
      settings: further settings of all runs.
      cooldown: the share of a run that is its cooldown; None: the recipe's rule.
      cooldown_shape: how the learning rate falls to 0; a list of several is a cooldown of each
        shape for each duration, off the same trunk.
      subset_seed: of the choice of images of the smaller sizes.
      lr: how the learning rate is chosen; None: it is given, or the recipe's.
      probes: measurements of every branch; None: few-shot probes and an evaluation on the dataset.
      part: as in 2/8: the second of eight parts, each with its own trunks; None: all.
    """

    data: str | None = None
    models: tuple[ModelText, ...] = Field(min_length=1)
    sizes: tuple[SizeText, ...] = Field(("all",), min_length=1)
    durations: DurationsConfig
    axes: dict[str, Any] = Field({})
    settings: dict[str, Any] = Field({})
    cooldown: float | None = Field(None, gt=0, lt=1)
    cooldown_shape: CooldownShape | tuple[CooldownShape, ...] = "linear"
    subset_seed: NonNegativeInt = 0
    lr: RateChoice | None = None
    probes: tuple[ProbeConfig, ...] | None = None
    part: str | None = None

    @field_validator("cooldown_shape")
    @classmethod
    def _shapes(
        cls, shape: CooldownShape | tuple[CooldownShape, ...]
    ) -> CooldownShape | tuple[CooldownShape, ...]:
        """A list of one is that one, so that it is one id."""
        if isinstance(shape, str):
            return shape
        if not shape or len({*shape}) < len(shape):
            raise ValueError("cooldown_shape is a shape, or a list of different ones")
        return shape[0] if len(shape) == 1 else shape

    @property
    def cooldown_shapes(self) -> tuple[CooldownShape, ...]:
        """In the order of the grid; learning rates are chosen with the first."""
        shape = self.cooldown_shape
        return (shape,) if isinstance(shape, str) else shape

    @field_validator("part")
    @classmethod
    def _part_of_parts(cls, part: str | None) -> str | None:
        """Written in one way, so that it is one id."""
        return None if part is None else str(parsed_part(part))

    def identity(self) -> dict[str, Any]:
        """What names a table; datasets are among its inputs, however they were named."""
        tree = self.model_dump(mode="json", exclude={"data"})
        for probe in tree["probes"] or ():
            del probe["data"]
        return tree


class SweepRuntime(ComposedRuntime):
    """As of several models, also on the nodes of a Ray cluster: `ray` is its address, None is this
    machine. There `devices` are the GPUs of each worker."""

    ray: AddressText | None = None

    def of_each(self, *, steps: int) -> dict[str, Any]:
        runtime = super().of_each(steps=steps)
        del runtime["ray"]
        return runtime


class PretrainCommand(Protocol):
    """`stages.api.pretrain`."""

    def __call__(
        self,
        *,
        data: Artifact,
        steps: int,
        set: Mapping[str, Any],
        runtime: Mapping[str, Any],
        name: str,
        store: Any,
        emit: Emit,
    ) -> Artifact: ...


class CooldownCommand(Protocol):
    """`stages.api.cooldown`."""

    def __call__(
        self,
        source: Artifact,
        *,
        steps: int,
        shape: CooldownShape,
        weights: WeightsName,
        runtime: Mapping[str, Any],
        store: Any,
        emit: Emit,
    ) -> Artifact: ...


class MeasureCommand(Protocol):
    """`stages.api.fewshot` and `stages.api.evaluate`."""

    def __call__(
        self,
        source: Artifact,
        *,
        data: Artifact,
        set: Mapping[str, Any],
        runtime: Mapping[str, Any],
        store: Any,
        emit: Emit,
    ) -> Artifact: ...


@dataclass(frozen=True)
class SweepCommands:
    """The commands that this one is made of, and the settings that probes have."""

    subset: SubsetCommand
    pretrain: PretrainCommand
    cooldown: CooldownCommand
    probes: Mapping[ProbeCommand, MeasureCommand]
    settings: Mapping[ProbeCommand, type[Config]]
    made_by: Callable[[], SweepCommands]
    """What makes the same on another machine, where this goes in place of functions."""

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made_by, ()

    @classmethod
    def of(
        cls,
        *,
        subset: SubsetCommand,
        pretrain: PretrainCommand,
        cooldown: CooldownCommand,
        fewshot: MeasureCommand,
        evaluate: MeasureCommand,
        settings: Mapping[ProbeCommand, type[Config]],
        made_by: Callable[[], SweepCommands],
    ) -> Self:
        """Of the API, whose errors name flags until they leave it: this command's caller may be the
        shell."""
        return cls(
            unwrap(subset),
            unwrap(pretrain),
            unwrap(cooldown),
            {"fewshot": unwrap(fewshot), "evaluate": unwrap(evaluate)},
            settings,
            made_by,
        )


@dataclass(frozen=True)
class Inputs:
    """The dataset, those that the probes measure on, in their order, and the commands."""

    dataset: Artifact
    probe_data: tuple[Artifact, ...]
    commands: SweepCommands = field(compare=False, repr=False)

    @property
    def parents(self) -> tuple[Parent, ...]:
        """As a table records them; probes on the dataset itself have no input of their own."""
        probes = (
            dataset.as_parent(f"probe-{number}")
            for number, dataset in enumerate(self.probe_data, start=1)
            if dataset.id != self.dataset.id
        )
        return self.dataset.as_parent("data"), *probes
