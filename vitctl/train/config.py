"""Everything that decides the weights of a run. Imports no array library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ByteSize,
    Field,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from vitctl.data.config import (
    HELD_OUT,
    AugmentConfig,
    EvalPreprocess,
    MockConfig,
    ProceduralConfig,
)
from vitctl.errors import InputError
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss, ModelConfig
from vitctl.model.remat import RematChoice
from vitctl.optim.config import OptimConfig
from vitctl.optim.schedules import ScheduleConfig
from vitctl.settings.config import Config, first_problem, without_defaults
from vitctl.sharding import spec
from vitctl.stage import ReadsImages
from vitctl.summaries import WeightsName

_BYTES = TypeAdapter(ByteSize)

TrackerName = Literal["wandb", "mlflow"]
"""Experiment trackers that rows of metrics can be sent to."""

RecipeName = Literal["paper", "small", "little"]
OnDivergence = Literal["stop", "rollback"]
FromSchedule = Literal["continue", "restart"]
FromHead = Literal["keep", "fresh"]
MadeOn = Literal["hosts", "devices"]
HeldOutShare = Annotated[float, Field(gt=0, lt=1)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
ClassBalance = Annotated[float, Field(gt=0, lt=1)]


class DataConfig(Config):
    """Which images, in which batches, seen how.

    Attributes:
      split: what is trained on.
      eval_split: what is scored while training; None means nothing is held out.
      batch: images a step, over all devices.
      augment: how training sees an image.
      evaluation: how scoring sees an image.
      mock: synthetic images instead of a dataset.
      held_out: the share of `split` that is not trained on but is the split "held-out"
        (`vitctl.data.held_out`), to choose by.
      first_step: the step that takes the first batch of the order: where a run goes on from a
        checkpoint with other images.
      made_on: what makes the pictures of `vitctl shard formula --virtual`, and crops and mirrors
        them: "hosts", in the threads that feed, or "devices", right before each step. Crops are
        the same, and pixels up to rounding.
    """

    split: str = "train"
    eval_split: str | None = None
    batch: PositiveInt
    augment: AugmentConfig = AugmentConfig()
    evaluation: EvalPreprocess = EvalPreprocess()
    mock: MockConfig | None = None
    first_step: NonNegativeInt = 0
    held_out: HeldOutShare | None = None
    made_on: MadeOn = "hosts"

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_defaults(self, dump, later=("first_step", "held_out", "made_on"))

    @property
    def not_on_devices(self) -> str | None:
        """Why devices cannot make these images; None: they can, if formulas do."""
        if self.augment.crop == "simple":
            return "made_on is devices, which have no crop simple (data.augment.crop)"
        if self.augment.randaugment is not None:
            return (
                "made_on is devices, which have no RandAugment "
                "(data.augment.randaugment=none leaves it out)"
            )
        if self.augment.jpeg_oversampling is not None:
            return "made_on is devices, and data.augment.jpeg_oversampling is of JPEGs"
        return None

    @model_validator(mode="after")
    def _sees_what_devices_can_make(self) -> Self:
        if self.made_on == "devices" and self.not_on_devices is not None:
            raise ValueError(self.not_on_devices)
        return self

    @model_validator(mode="after")
    def _holds_out_what_it_scores(self) -> Self:
        if HELD_OUT in (self.split, self.eval_split) and self.held_out is None:
            raise ValueError(f"there is no split {HELD_OUT} unless data.held_out says how much")
        if self.split == HELD_OUT:
            raise ValueError(f"the split {HELD_OUT} is scored, not trained on")
        return self

    @property
    def scored_from(self) -> str:
        """The split of the stored dataset that has the images that are scored: what is held out,
        and what is scored where nothing else is, is of the split that is trained on."""
        return self.split if self.eval_split in (None, HELD_OUT) else self.eval_split


class KeepBest(Config):
    """The result of a run is its best checkpoint, not its last.

    Attributes:
      metric: what is best: the most top-1 or top-5, the least loss, of the held-out split.
      every: steps between scores that count; the last step's do, too.
      patience: so many scores in a row without a better one end the training; None: none do.
    """

    metric: Literal["top1", "top5", "loss"]
    every: PositiveInt
    patience: PositiveInt | None = None


class TrainConfig(Config):
    """A whole training run. `schedule.total_steps` is its length.

    Attributes:
      name: the model's, as settings have it; people are shown `label`.
      recipe: where the settings came from; it decides the default length of a cooldown.
      from_weights: of the checkpoint it begins from, the weights as they are or their average
        (`optim.ema`). A run from scratch has no such choice.
      from_schedule: of pretraining that begins from a checkpoint, whether the checkpoint's schedule
        goes on, from its step, or a new one begins, from step 0. None: of all other runs.
      from_head: of the checkpoint it begins from, whether the classifier is kept, where the classes
        are the same, or begins anew.
      label_smoothing: the share of the targets that is spread over all classes while training.
      keep_best: how the result is chosen among the checkpoints; None: it is the last.
      class_balance: beta of class-balanced weights (`vitctl.losses.balanced_weights`) by the counts
        of classes in the training split; None: every image counts alike.
      procedural: what the blocks of a run from random weights are trained on before the first
        image; None: nothing.
    """

    name: str
    recipe: RecipeName
    model: ModelConfig
    loss: Loss
    data: DataConfig
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig
    seed: NonNegativeInt = 0
    precision: Precision
    from_weights: WeightsName = "raw"
    from_schedule: FromSchedule | None = None
    from_head: FromHead = "keep"
    label_smoothing: Smoothing = 0.0
    class_balance: ClassBalance | None = None
    keep_best: KeepBest | None = None
    procedural: ProceduralConfig | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        later = (
            "from_schedule",
            "from_head",
            "label_smoothing",
            "class_balance",
            "keep_best",
            "procedural",
        )
        return without_defaults(self, dump, later=later)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.schedule.total_steps is None:
            raise ValueError("schedule.total_steps has no value")
        return self

    @model_validator(mode="after")
    def _chooses_by_what_is_held_out_and_no_test(self) -> Self:
        if self.keep_best is None:
            return self
        split = self.data.eval_split
        if split in (None, "test", self.data.split):
            how = "needs held-out images" if split is None else f"would choose by split {split}"
            raise ValueError(
                f"keep_best {how}: --hold-out 0.02 holds some of the training images out for it, "
                "or --eval-split names a split that is no test set"
            )
        if self.schedule.open_ended:
            raise ValueError(
                f"keep_best chooses when training ends, and a {self.schedule.kind} schedule has "
                "no end: schedule.cooldown_steps gives it one"
            )
        return self

    @property
    def label(self) -> str:
        """The model as people are shown it. `name` alone may stand for another size: it is part of
        what names a run, so it stays what it was when settings of the size are changed."""
        return self.model.label(self.name)

    @property
    def steps(self) -> int:
        assert self.schedule.total_steps is not None  # validated
        return self.schedule.total_steps

    def identity(self) -> dict[str, Any]:
        """What names the run: all of it, but for the length where the schedule is open-ended."""
        tree = self.model_dump(mode="json")
        if self.schedule.open_ended:
            tree["schedule"].pop("total_steps")
        return tree


def from_identity(tree: dict[str, Any], *, total_steps: int) -> TrainConfig:
    """The configuration behind a checkpoint's recorded config, with its length filled in.

    Raises InputError for one that no training run has: of a later version, or edited.
    """
    fields = {key: value for key, value in tree.items() if key in TrainConfig.model_fields}
    try:
        schedule = {"total_steps": total_steps, **tree["schedule"]}
        return TrainConfig.model_validate({**fields, "schedule": schedule})
    except ValidationError as error:
        problem = first_problem(error, whole="they")
    except (KeyError, TypeError):
        problem = "schedule: is not a table of settings"
    raise InputError(f"the recorded settings are of no training run: {problem}")


class TrainRuntime(ReadsImages):
    """How fast and where; a run may change any of it when it continues.

    Attributes:
      devices: so many of the devices there are; None takes all.
      workers: threads that decode images; None takes one per core.
      image_cache: bytes of memory for decoded images, 0 keeps none; auto keeps those of a set that
        fits well into the memory that is free (`vitctl.data.image_cache`).
      log_every, eval_every, checkpoint_every: in steps; None derives them from the length.
        `eval_every=0` scores only at the end.
      keep_every: checkpoints at its multiples stay for good; None derives it from the length.
      keep_newest: so many of the newest stay, too.
      on_divergence: stop, or go back to the last checkpoint and pass over the batches since. What
        is passed over decides numbers, so it is part of every checkpoint after it; whether it may
        be is not, so that a run which stopped can go on.
      max_rollbacks: so many in the whole run; then it stops after all.
      mesh: devices along each axis, as in `data=4,fsdp=2`; auto takes what fits.
      microbatch: images a device at a time, their gradients averaged; None takes all at once.
      remat: what the backward pass computes again, from nothing to everything; auto takes what
        fits.
      tensorboard: whether the metrics are also written as TensorBoard's event files.
      track: experiment trackers that the metrics are also sent to.
    """

    devices: PositiveInt | None = None
    workers: PositiveInt | None = None
    image_cache: Literal["auto"] | ByteSize = "auto"
    log_every: PositiveInt | None = None
    eval_every: NonNegativeInt | None = None
    checkpoint_every: PositiveInt | None = None
    keep_every: PositiveInt | None = None
    keep_newest: PositiveInt = 2
    on_divergence: OnDivergence = "stop"
    max_rollbacks: PositiveInt = 3
    mesh: str = spec.AUTO
    microbatch: PositiveInt | None = None
    remat: RematChoice = "auto"
    tensorboard: bool = True
    track: tuple[TrackerName, ...] = ()

    @field_validator("image_cache", mode="before")
    @classmethod
    def _is_a_size(cls, value: Any) -> Any:
        """One sentence for what is neither, in place of one for each."""
        if value == "auto":
            return value
        try:
            size = _BYTES.validate_python(value)
        except ValidationError:
            size = ByteSize(-1)
        if size < 0:
            raise ValueError("write auto, or a size such as 500MiB or 2GiB")
        return size

    @field_validator("mesh")
    @classmethod
    def _makes_sense(cls, mesh: str) -> str:
        spec.parse(mesh)
        return mesh
