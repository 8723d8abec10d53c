"""What `vitctl evaluate` reads and decides: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from vitctl.data.config import EvalPreprocess
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss
from vitctl.recipes.measuring import Measured
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName

if TYPE_CHECKING:
    from vitctl.ingest.labels.replaced_labels import ReplacedLabels

VERSION = 1

_LATER = ("top", "labels_sha256", "answers")
"""Settings that the first version did not have."""


AnswersAmong = Literal["model", "dataset"]


@dataclass(frozen=True)
class Inputs(Measured):
    """A checkpoint, images, and labels to take in place of theirs."""

    labels: ReplacedLabels | None = None


class EvaluateConfig(Config):
    """What decides the scores, besides the checkpoint and the images.

    loss, preprocess, precision   as the checkpoint was trained and scored with
    weights     the checkpoint's weights as they are, or their average
    class_map   the model's name, or names, for classes of the dataset that are called otherwise
                there; no name for a class that the model has nothing for
    labels_sha256  of a file of labels in place of the dataset's
    answers     the classes that may be answered: all of the model's, or those that images of the
                split have
    top         the k of each top-k that is measured
    """

    eval_split: str
    loss: Loss
    preprocess: EvalPreprocess
    precision: Precision
    class_map: dict[str, str | tuple[str, ...]] | None = None
    weights: WeightsName = "raw"
    labels_sha256: str | None = None
    answers: AnswersAmong = "model"
    top: tuple[PositiveInt, ...] = Field((1, 5), min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if list(self.top) != sorted(set(self.top)):
            raise ValueError(f"top {list(self.top)} is not ascending")
        return self

    def identity(self) -> dict[str, Any]:
        """What names a result; settings that came later only where they are used, so that all older
        results keep their ids."""
        tree = self.model_dump(mode="json")
        for name in _LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                del tree[name]
        return tree
