"""What `vitctl evaluate` decides: its version and settings. Inputs: `vitctl.recipes.measuring`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from vitctl.data.config import EvalPreprocess, MockConfig
from vitctl.hardware.precision import Precision
from vitctl.model.config import Loss
from vitctl.settings.config import Config
from vitctl.summaries import WeightsName

VERSION = 1

_LATER = ("top",)
"""Settings that the first version did not have."""


class EvaluateConfig(Config):
    """What decides the scores, besides the checkpoint and the images.

    loss, preprocess, precision   as the checkpoint was trained and scored with
    weights     the checkpoint's weights as they are, or their average
    class_map   the model's name for classes of the dataset that are called otherwise there
    top         the k of each top-k that is measured
    mock        the synthetic images a --mock run was trained on, instead of a dataset
    """

    eval_split: str
    loss: Loss
    preprocess: EvalPreprocess
    precision: Precision
    class_map: dict[str, str] | None = None
    weights: WeightsName = "raw"
    mock: MockConfig | None = None
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
