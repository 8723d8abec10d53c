"""What is recorded of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.measures import metric_titles
from vitctl.summaries import AverageRule, Count, Many, Part, Share, Summary, WeightsName
from vitctl.text.quantities import shown_digits


class Scores(Part):
    """Scores on held-out images."""

    # Fields with a title are means of `vitctl.inference.metrics`.
    top1: Share = Field(
        title=metric_titles.title("top1"),
        description="Share of images whose highest score is a right class.",
    )
    top5: Share = Field(
        title=metric_titles.title("top5"),
        description="Share of images with a right class among the five highest scores.",
    )
    loss: float | None = Field(
        title=metric_titles.title("loss"),
        description="Mean loss, of the kind the model was trained with; null if it is not finite.",
    )
    examples: Count = Field(description="Images that were scored.")

    def shown(self, *, digits: int = 1) -> dict[str, str]:
        """The scores that were recorded as people read them, by their titles: shares in percent to
        so many decimals, others to as many places behind the second."""
        return {
            title: metric_titles.shown(name, getattr(self, name), digits=digits)
            for name, title in TITLES.items()
            if name in self.model_fields_set
        }


TITLES = {name: field.title for name, field in Scores.model_fields.items() if field.title}
"""Of every metric, by its name."""


class Imported(Part):
    """Of an import: the file that the weights are from."""

    file: str = Field(description="Name of the file, without its folders.")
    sha256: str = Field(description="Of the file; of several, of their names and hashes.")
    layout: str = Field(description="Whose names the tensors have.")
    matched: Count = Field(description="Tensors that were matched by name and shape.")
    left_out: Count = Field(description="Tensors that are no part of the image model.")


class Ingredient(Part):
    """Of an average: one checkpoint in it."""

    step: Count = Field(description="Its training step.")
    id: str = Field(description="Its id.")
    weights: WeightsName = Field(description="Its weights as they are, or their average.")
    share: Share = Field(description="How much of it is in the mean; 0 if a soup left it out.")


class Averaged(Part):
    """Of an average: the checkpoints that it is the mean of."""

    rule: AverageRule = Field(description="How the shares were chosen.")
    decay: float | None = Field(description="Of rule ema: the share of each next older one.")
    ingredients: Many[Ingredient] = Field(description="The checkpoints, the newest first.")


class TriedRate(Part):
    """Of a sweep: one learning rate that was tried."""

    lr: float = Field(description="Its peak learning rate.")
    scores: Scores | None = Field(
        description="Scores on training images that were held out; null if the training diverged."
    )
    id: str | None = Field(description="Id of its checkpoint; null if the training diverged.")


class Checkpoint(Summary):
    """One checkpoint of a run, made by `vitctl pretrain`, `cooldown`, `finetune`, `import` or
    `average`."""

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
        default=0, description="Batches skipped because steps diverged on them or near them."
    )
    skipped: Count | None = Field(
        default=None,
        description="Updates left out as spikes so far; null if they are not judged.",
    )
    images_before: Count | None = Field(
        default=None,
        description="Images that its weights had seen before step 0, in what the run was made "
        "from, as far as is recorded; null if none is.",
    )
    flops: float | None = Field(
        default=None,
        description="FLOPs of the training of its weights since they were random, that of what "
        "the run was made from included: for each image three times the matrix products of a "
        "forward pass. Null if some of it is not recorded, absent in earlier versions.",
    )
    sweep: Many[TriedRate] | None = Field(
        default=None,
        description="Learning rates that were tried on held-out training images to choose that of "
        "this run; null if it was given.",
    )
    imported: Imported | None = Field(
        default=None, description="Of an import: the file that the weights are from."
    )
    averaged: Averaged | None = Field(
        default=None, description="Of an average: the checkpoints that it is the mean of."
    )

    def phrases(self) -> Iterable[str]:
        yield self.model
        if self.imported is not None:
            yield f"imported from {self.imported.layout}"
        elif self.averaged is not None:
            used = sum(part.share > 0 for part in self.averaged.ingredients)
            yield f"mean of {used} checkpoints"
        else:
            yield "cooled" if self.finished_schedule else ""
        yield f"loss {shown_digits(self.loss, least=3)}" if self.loss is not None else ""
        if self.eval is not None:
            yield f"{TITLES['top1']} {metric_titles.shown('top1', self.eval.top1)}"
