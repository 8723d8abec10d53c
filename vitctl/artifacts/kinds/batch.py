"""What is recorded of a batch that a step diverged on."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field, PositiveInt

from vitctl.summaries import Count, Summary
from vitctl.text.quantities import counted


class Batch(Summary):
    """A batch that a step diverged on, kept by `vitctl pretrain`, `cooldown` or `finetune`."""

    step: PositiveInt = Field(
        description="The step that diverged, as metrics count: the update after step - 1 finished "
        "ones."
    )
    number: Count = Field(description="Its place in the order of the data, from 0.")
    images: PositiveInt = Field(description="Images in it.")
    resolution: PositiveInt = Field(description="Side of the square image in pixels.")
    loss: str = Field(description="The step's loss, as text: JSON has no infinity.")
    grad_norm: str = Field(description="Its gradient norm, as text: JSON has no infinity.")
    update_norm: str | None = Field(
        default=None,
        description="The norm of the update it would have made, as text: JSON has no infinity.",
    )
    param_norm: str | None = Field(
        default=None,
        description="The norm of the weights before it, as text: JSON has no infinity.",
    )

    def phrases(self) -> Iterable[str]:
        yield f"step {self.step} diverged on it"
        yield f"loss {self.loss}"
        yield f"gradient norm {self.grad_norm}"
        yield counted(self.images, "image")
