"""What a stage reports while it works. A stage emits events, whoever shows them.

`run(..., emit=silent)` is the Python API's default: nothing is printed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from vitctl.printable import visible


@dataclass(frozen=True)
class Note:
    """One line a user should read once; printable, whatever names it holds."""

    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))


@dataclass(frozen=True)
class Caution:
    """One line that says the result may not be what the user expects; printable, as a `Note`."""

    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))


@dataclass(frozen=True)
class Settings:
    """Resolved numbers, announced once: name -> value, already formatted for reading."""

    title: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of `task`. `fields` are shown beside it (loss, lr, img/s)."""

    task: str
    done: int
    total: int | None
    unit: str
    fields: Mapping[str, str] = field(default_factory=dict)


Activity = Literal[
    "import", "start", "restore", "procedural", "open", "compile", "step", "score", "save"
]


@dataclass(frozen=True)
class Doing:
    """What a training run does from now on, until the next such event."""

    activity: Activity


@dataclass(frozen=True)
class Left:
    """Seconds until a run ends: `likely`, and what it would be at the `low` and `high` pace."""

    likely: float
    low: float
    high: float


@dataclass(frozen=True)
class Trained:
    """Where a training run stands after `step` of `total` steps.

    Attributes:
      task: what is trained, for people.
      lr: the rate this step used.
      data_wait: share of the time since the last such event that the devices had no batch.
      flops_per_s: model FLOPs, forward and backward, over all devices.
      mfu: `flops_per_s` as a share of the devices' peak; None where no peak is published.
      skipped: updates left out as spikes so far; None where they are not judged.
      left: None until the pace is known.
    """

    task: str
    step: int
    total: int
    loss: float
    lr: float
    images_per_s: float
    data_wait: float
    flops_per_s: float
    mfu: float | None = None
    skipped: int | None = None
    left: Left | None = None


@dataclass(frozen=True)
class Stepped:
    """Between two `Trained`: `step` of `total` steps are finished. Attributes as there."""

    task: str
    step: int
    total: int
    loss: float
    left: Left | None = None


@dataclass(frozen=True)
class Trail:
    """Losses of a run before this start: (step, loss) in the order of steps."""

    losses: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Scored:
    """What held-out images say of the weights after `step`: name -> value (top1, top5, loss)."""

    step: int
    split: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was written.

    stall_s  how long training stood still for it: waiting for the one before, and copying
    write_s  from then on until its manifest was there
    """

    step: int
    stall_s: float
    write_s: float
    bytes: int


@dataclass(frozen=True)
class Spent:
    """Where the time of a run went until it ended or stopped: account -> seconds, over all of its
    `starts`. The accounts are those of `vitctl.train.telemetry.goodput`."""

    seconds: Mapping[str, float]
    starts: int


@dataclass(frozen=True)
class Next:
    """A command that makes sense after this one: its arguments, without `vitctl`."""

    arguments: tuple[str, ...]

    @classmethod
    def of(cls, *arguments: object) -> Self:
        """`Next.of("pretrain", "--data", path)`."""
        return cls(tuple(map(str, arguments)))

    @property
    def command(self) -> str:
        """As one pastes it into a shell."""
        return shlex.join(["vitctl", *self.arguments])


@dataclass(frozen=True)
class Answering:
    """The answer is about to be written to stdout: nothing may be drawn below it."""


TrainingEvent = Doing | Trained | Stepped | Trail | Scored | Saved | Spent
"""What a training run tells."""

Event = Note | Caution | Settings | Progress | TrainingEvent | Next | Answering
Emit = Callable[[Event], None]


def silent(event: Event) -> None:
    """Show nothing."""


def of_a_part(emit: Emit) -> Emit:
    """For a command within another: without the commands that follow it, as one follows the whole,
    and without what an earlier part said in the same words."""
    earlier: set[Note | Caution] = set()

    def pass_on(event: Event) -> None:
        if isinstance(event, Note | Caution):
            if event in earlier:
                return
            earlier.add(event)
        if not isinstance(event, Next):
            emit(event)

    return pass_on
