"""What `vitctl fewshot` is asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from typer import Option

from vitctl.artifacts import Artifact
from vitctl.console.evaluation_data import images_for
from vitctl.console.flags import CacheDir, EvalSplit, LookBatch, Source, WhichWeights, Workers
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess
from vitctl.errors import UsageError
from vitctl.events import Caution, Note
from vitctl.hardware.precision import Precision
from vitctl.quantities import parse_count
from vitctl.settings.config import Config
from vitctl.stage import ReadsImages
from vitctl.train.config import MockConfig

VERSION = 1

Features = Literal["model", "pixels", "untrained"]


class FewshotConfig(Config):
    """What decides the accuracies, besides the checkpoint and the images.

    shots       images of each class that are learned from
    draws       how often they are drawn anew; draw i takes seed + i
    l2          the ridge penalty; 2^10 is the public protocol's
    features    model: the checkpoint's; pixels: the image itself, at the model's resolution;
                untrained: the same model with the weights its training started from
    precision   of the model's matrix multiplications; the regression is solved in float64
    weights     the checkpoint's weights as they are, or their average
    mock        the synthetic images a --mock run was trained on, instead of a dataset
    """

    shots: tuple[PositiveInt, ...] = Field((1, 5, 10, 25), min_length=1)
    draws: PositiveInt = 10
    seed: NonNegativeInt = 0
    l2: PositiveFloat = 2.0**10
    features: Features = "model"
    train_split: str = "train"
    eval_split: str
    preprocess: EvalPreprocess = FEWSHOT_PREPROCESS
    precision: Precision
    weights: Literal["raw", "ema"] = "raw"
    mock: MockConfig | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if list(self.shots) != sorted(set(self.shots)):
            raise ValueError(f"shots {list(self.shots)} are not ascending")
        if self.train_split == self.eval_split:
            raise ValueError(f"shots are drawn from {self.train_split!r}, so it can't be scored")
        return self


@dataclass(frozen=True)
class Inputs:
    """The checkpoint that is probed, and the images (None if mock)."""

    checkpoint: Artifact
    dataset: Artifact | None


class FewshotRuntime(ReadsImages):
    """`batch`: images at a time. `devices`: so many of those there are, None takes all. `workers`:
    threads that decode images, None takes one a core."""

    batch: PositiveInt | None = None
    devices: PositiveInt | None = None
    workers: PositiveInt | None = None


@verb(configurable=True, parallel=True)
def fewshot(
    session: Session,
    source: Source = None,
    data: Annotated[
        list[str] | None,
        Option(help="Dataset; what the run was trained on if left out; may be repeated."),
    ] = None,
    shots: Annotated[
        str | None, Option(help="Images a class, as in 1,5,10,25 (the default).")
    ] = None,
    draws: Annotated[
        int | None, Option(help="How often the shots are drawn anew; 10 if left out.")
    ] = None,
    seed: Annotated[int | None, Option(help="Draw i takes seed + i.")] = None,
    l2: Annotated[float | None, Option(help="Ridge penalty; 1024 if left out.")] = None,
    features: Annotated[
        str | None,
        Option(help="What is probed: model (the default), or the baselines pixels, untrained."),
    ] = None,
    train_split: Annotated[str | None, Option(help="Split to draw shots from.")] = None,
    eval_split: EvalSplit = None,
    weights: WhichWeights = None,
    batch: LookBatch = None,
    workers: Workers = None,
    cache_dir: CacheDir = None,
) -> None:
    """Example: vitctl fewshot --from RUN --data DATASET --shots 1,5,10,25

    Few-shot accuracy of a frozen model: closed-form ridge regression on its features, over several
    draws of the shots. Every image of the scored split counts. Several models, datasets and kinds
    of features (--features model,pixels,untrained) are probed one after another.
    """
    from vitctl.recipes import measuring

    flags: dict[str, Any] = {
        "shots": _shots(shots),
        "draws": draws,
        "seed": seed,
        "l2": l2,
        "train_split": train_split,
        "eval_split": eval_split,
        "weights": weights,
    }
    runtime = session.runtime(FewshotRuntime, batch=batch, workers=workers, cache_dir=cache_dir)
    kinds, datasets = _kinds(features), [*data] if data else [None]
    checkpoints = session.many("checkpoint", source, option="--from")
    session.check_one_place(len(checkpoints) * len(datasets) * len(kinds))
    for checkpoint, named in product(checkpoints, datasets):
        dataset = images_for(session, checkpoint, named)
        overrides = session.overrides(flags)
        chosen = measuring.weights(checkpoint, asked=overrides.get("weights"))
        for note in chosen.notes:
            session.emit(Note(note))
        base = {
            "weights": chosen.name,
            # A tree, so that --set of one field leaves the others as the protocol has them.
            "preprocess": FEWSHOT_PREPROCESS.model_dump(mode="json"),
            **measuring.settings(checkpoint, dataset, overrides=overrides),
        }
        line = session.command("cooldown", "--from", checkpoint.path)
        caution = measuring.uncooled(checkpoint, cooldown=line)
        for kind in kinds:
            cfg = session.build(FewshotConfig, base, {**flags, "features": kind})
            if caution and cfg.features == "model":
                session.emit(Caution(caution))
            session.deliver("fewshot", cfg, Inputs(checkpoint, dataset), runtime=runtime)


def _kinds(text: str | None) -> list[Features | None]:
    """`model,pixels` -> ["model", "pixels"]; [None], to be settled elsewhere, if not given."""
    if text is None:
        return [None]
    known = {name: name for name in get_args(Features)}
    kinds = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [kind for kind in kinds if kind not in known]:
        raise UsageError(
            f"--features {unknown[0]!r} is none of {', '.join(known)}",
            hint="one or several, as in --features model,pixels",
        )
    return [known[kind] for kind in kinds]


def _shots(text: str | None) -> list[int] | None:
    """`10,1,5` -> [1, 5, 10]; None stays None."""
    if text is None:
        return None
    return sorted({parse_count(part, name="--shots") for part in text.split(",")})
