"""What is recorded of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.summaries import Count, Many, Part, Share, Summary, percent


class Scores(Part):
    """Scores on held-out images."""

    top1: Share = Field(description="Share of images whose highest score is a right class.")
    top5: Share = Field(
        description="Share of images with a right class among the five highest scores."
    )
    loss: float | None = Field(
        description="Mean loss, of the kind the model was trained with; null if it is not finite."
    )
    examples: Count = Field(description="Images that were scored.")


class Checkpoint(Summary):
    """One checkpoint of a run, made by `vitctl pretrain`, `cooldown` or `finetune`."""

    step: Count = Field(description="Training steps done.")
    images: Count = Field(description="Images seen, with repetition.")
    model: str = Field(description="Name of the model, as in S/16.")
    resolution: Count = Field(description="Side of the square image in pixels.")
    parameters: Count = Field(description="Parameters, head and classifier included.")
    classes: Many[str] = Field(
        description="Names of the classes in the order of the classifier's outputs."
    )
    classes_before: Many[str] | None = Field(
        default=None,
        description="Names of other classes that its weights were trained on before: by what it "
        "was made from. Absent in checkpoints made before this was recorded.",
    )
    finished_schedule: bool = Field(
        description="Whether the learning rate has come to its end: a finished model. A trunk can "
        "still be cooled down."
    )
    loss: float | None = Field(
        description="Training loss at the last logged step; null if none was logged."
    )
    eval: Scores | None = Field(
        description="Scores on held-out images when this step was scored last; null if none are "
        "held out."
    )
    ema: float | None = Field(
        default=None,
        description="Decay of the average of the weights that is kept beside them; null if none "
        "is.",
    )
    eval_ema: Scores | None = Field(
        default=None,
        description="Scores of the averaged weights, as eval has those of the weights.",
    )
    passed: Count = Field(
        default=0, description="Batches passed over because steps diverged on them or near them."
    )
    skipped: Count | None = Field(
        default=None,
        description="Updates left out as spikes so far; null if they are not judged.",
    )

    def words(self) -> Iterable[str]:
        yield self.model
        yield "cooled" if self.finished_schedule else ""
        yield f"loss {self.loss:.3g}" if self.loss is not None else ""
        yield f"top-1 {percent(self.eval.top1)}" if self.eval is not None else ""
