"""A checkpoint and the images it is measured on: a stage's inputs, how it runs, and the settings to
start from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import PositiveInt

from vitctl.artifacts import ancestry
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.artifacts.manifest import Parent
from vitctl.artifacts.pasteable import command
from vitctl.artifacts.store import Store
from vitctl.data.config import MockConfig
from vitctl.data.names import compose
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit
from vitctl.inference import weights_choice
from vitctl.optim.schedules import OPEN_ENDED
from vitctl.recipes import branching
from vitctl.settings.trees import Tree
from vitctl.stage import ReadsImages
from vitctl.summaries import Seen, WeightsName
from vitctl.train.trained_classes import classes_trained_on


@dataclass(frozen=True)
class Measured:
    """The checkpoint that is measured, and the images that it is measured on: those of a dataset,
    or the synthetic ones it was trained on if that is None."""

    checkpoint: Artifact
    dataset: Artifact | None

    @property
    def parents(self) -> tuple[Parent, ...]:
        """As a result records them."""
        images = () if self.dataset is None else (self.dataset.as_parent("data"),)
        return self.checkpoint.as_parent("from"), *images

    @property
    def images(self) -> str:
        """What the images are called."""
        return "mock" if self.dataset is None else self.dataset.path.name

    @property
    def mock(self) -> MockConfig | None:
        """The synthetic images; None where there is a dataset. They follow from the checkpoint, so
        no setting of a measurement says which."""
        return (
            None if self.dataset is not None else branching.trained_with(self.checkpoint).data.mock
        )

    def named_by(self, settings: Tree) -> Tree:
        """The settings that name a result, with the synthetic images that it records."""
        return {**settings, "mock": self.mock and self.mock.model_dump(mode="json")}


class MeasuringRuntime(ReadsImages):
    """`batch`: images at a time. `devices`: so many of those there are, None takes all. `workers`:
    threads that decode images, None takes one per core."""

    batch: PositiveInt | None = None
    devices: PositiveInt | None = None
    workers: PositiveInt | None = None


def settings(checkpoint: Artifact, dataset: Artifact | None, *, overrides: Tree) -> Tree:
    """`precision` as the checkpoint was trained with; the split that is scored.

    Raises NotFoundError if the dataset holds nothing out and no `eval_split` was chosen, InputError
    if it has no labels.
    """
    trained = branching.trained_with(checkpoint)
    tree: dict[str, Any] = {"precision": trained.precision}
    if dataset is None:
        tree["eval_split"] = "val"
        return tree
    from vitctl.data.dataset import Dataset, check_classes, scoring_split

    check_classes(DATASET.summary(dataset).classes, dataset=dataset.path)
    if "eval_split" not in overrides:
        tree["eval_split"] = scoring_split(Dataset.load(dataset.path).info)
    return tree


@dataclass(frozen=True)
class Weights:
    """Which weights of a checkpoint are taken, and the sentences that say so."""

    name: WeightsName
    notes: tuple[str, ...] = ()


def weights(checkpoint: Artifact, *, requested: WeightsName | None) -> Weights:
    """Those requested; left out, the average where the checkpoint has one.

    Raises UsageError if an average is requested for and there is none.
    """
    name = weights_choice.chosen(checkpoint, requested=requested)
    if requested is not None or name == "raw":
        return Weights(name)
    decay = weights_choice.average_decay(checkpoint)
    return Weights(
        "ema", (f"--weights ema (averaged, decay {decay:g}; raw weights are saved, too)",)
    )


def uncooled(checkpoint: Artifact, *, store: Store) -> str | None:
    """A sentence for a checkpoint whose learning rate has not fallen to its end, else None; it
    names the command line that branches a cooled one off it. None also where that is not known.
    """
    if branching.is_cooled(checkpoint) or branching.may_be_chosen(checkpoint):
        return None
    kind = branching.trained_with(checkpoint).schedule.kind
    if kind not in OPEN_ENDED:
        return (
            f"{checkpoint.path} is in the middle of a {kind} schedule; a later checkpoint of its "
            "run is better"
        )
    try:
        branching.cooled(checkpoint, steps=None, shape="linear")
    except UsageError as error:
        return f"{error.message}; the checkpoint at its end is better, or {error.hint}"
    line = command("cooldown", "--from", checkpoint.path, store=store)
    return f"{checkpoint.path} is not cooled down, which costs accuracy; cool it down: {line}"


def can_cool(checkpoint: Artifact) -> bool:
    """Whether a cooldown can branch off here and has not."""
    if branching.is_cooled(checkpoint):
        return False
    try:
        branching.cooled(checkpoint, steps=None, shape="linear")
    except UsageError:
        return False
    return True


class Known(NamedTuple):
    """`classes`: names of those trained on; `gone`: a sentence each for a checkpoint that it was
    made from and that cannot be read any more."""

    classes: frozenset[str]
    gone: tuple[str, ...]


def known(checkpoint: Artifact, *, store: Store) -> Known:
    """The classes that the checkpoint, or what it was made from, was trained with. It records them;
    only of one that an earlier version made the ancestors are read."""
    names, gone = set(classes_trained_on(checkpoint)), []
    recorded = CHECKPOINT.summary(checkpoint).classes_before is not None
    queue = [] if recorded else list(ancestry.ancestors(checkpoint, store=store))
    while queue:
        above = queue.pop()
        if above.parent.kind != CHECKPOINT.name:
            continue
        if above.artifact is None:
            gone.append(f"{above.parent.path or above.parent.id[:8]} is {above.problem}")
            continue
        names |= classes_trained_on(above.artifact)
        if CHECKPOINT.summary(above.artifact).classes_before is None:
            queue += above.ancestors
    return Known(frozenset(names), tuple(gone))


def known_classes(checkpoint: Artifact, *, store: Store, emit: Emit) -> frozenset[str]:
    """`known(...).classes`; a caution says which training could not be read."""
    classes, gone = known(checkpoint, store=store)
    for sentence in gone:
        emit(Caution(f"{sentence}: classes from that training count as new"))
    return classes


def share_trained_on(classes: Collection[str], *, trained_on: Collection[str]) -> Seen:
    """How many of these classes were among those trained on, by name in any form of Unicode."""
    names = set(map(compose, trained_on))
    known = sum(compose(name) in names for name in classes)
    return "all" if known == len(classes) else "some" if known else "none"
