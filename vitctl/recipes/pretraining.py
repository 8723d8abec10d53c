"""Model, data and recipe -> the settings of a pretraining run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from vitctl.artifacts.artifact import Artifact
from vitctl.data.config import AugmentConfig, held_out_count
from vitctl.errors import UsageError
from vitctl.model import variants
from vitctl.model.config import Loss, ModelConfig, calm_bias, nearest_sizes
from vitctl.optim.schedules import OPEN_ENDED
from vitctl.recipes import cropping
from vitctl.recipes.recipe import RecipeName, load
from vitctl.settings.trees import Tree, at, merge, positive
from vitctl.text import quantities
from vitctl.train.config import DataConfig

# From here on the paper's recipe is the better start: sizes it was made for, or data
# large enough that strong augmentation is not needed.
_PAPER_WIDTH = 1408
_PAPER_IMAGES = 1_000_000
RESOLUTION = 224
# Of synthetic images, where no batch is given: seconds a step on any machine.
_MADE_UP_BATCH, _MADE_UP_STEPS, _MADE_UP_RESOLUTION = 16, 1_000, 32
MOCK_CLASSES = 1000
"""Of synthetic images, where nothing says how many."""
_SIZES = {"width", "depth", "mlp_dim", "heads", "patch"}


@dataclass(frozen=True)
class ImageFacts:
    """What the settings depend on of the images."""

    examples: int
    classes: int
    eval_split: str | None
    names: tuple[str, ...] = ()
    """Of the classes, where what is trained before is matched by them."""
    made_up: bool = False
    """Synthetic, to try something out: not what a plan for hardware stands for."""
    side: int | None = None
    """Of small ones, as `cropping.side_of` gives it."""


def examples_of_epoch(images: ImageFacts, overrides: Tree) -> int:
    """How many images an epoch is: all but those that settings of a user hold out (of images that
    are in the dataset several times, to within their copies)."""
    share = at(overrides, "data.held_out")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        return images.examples  # anything else is refused where the settings are validated
    return without_held_out(images.examples, share=share)


def without_held_out(examples: int, *, share: float | None) -> int:
    """How many images are trained on where this share of them is held out."""
    if share is None:
        return examples
    return max(1, examples - held_out_count(examples, share=share))


def images_of(dataset: Artifact, *, split: str) -> ImageFacts:
    """Read off a dataset artifact's description; images are looked at if they may be small. Raises
    `InputError` for one without labels."""
    from vitctl.data.dataset import Dataset, check_classes, scoring_split

    info = Dataset.load(dataset.path).info
    check_classes(len(info.classes), dataset=dataset.path)
    return ImageFacts(
        examples=info.examples(split),
        classes=len(info.classes),
        names=info.classes,
        eval_split=scoring_split(info) if {"val", "test"} & set(info.splits) else None,
        side=cropping.side_of(dataset, split=split),
    )


@dataclass(frozen=True)
class Resolved:
    """Settings, and the sentences that say how they came about."""

    tree: Tree
    notes: tuple[str, ...]
    before: tuple[Tree, ...] = ()
    """What earlier versions would have chosen differently, the newest first: their runs are
    continued."""


def choose(*, width: int, examples: int) -> tuple[RecipeName, str]:
    """The recipe for a model and a dataset, and the reason; `little` is for those who name it
    (docs/decisions/0039)."""
    if width >= _PAPER_WIDTH:
        return "paper", "a model of ViT-g's size or more"
    if examples >= _PAPER_IMAGES:
        return "paper", f"{quantities.show_count(_PAPER_IMAGES)} images or more"
    return "small", f"fewer than {quantities.show_count(_PAPER_IMAGES)} images"


def size_of(model: str | None, overrides: Tree) -> str | None:
    """The name of the size that settings begin from: --model's, else that of `name`; None for the
    recipe's.

    A name of the user's own stands for no size; it may be given where sizes are, too.
    """
    if model is not None:
        return model
    name = overrides.get("name")
    if not isinstance(name, str) or not name:
        return None  # anything else is refused where the settings are validated
    custom = _SIZES & (overrides.get("model") or {}).keys()
    return name if variants.spelled(name) or not custom else None


def resolve(
    *,
    model: str | None,
    recipe: RecipeName | None,
    images: ImageFacts,
    duration: tuple[float, quantities.Unit] | None,
    overrides: Tree,
) -> Resolved:
    """Settings for `TrainConfig`, to be merged under `overrides` (which they take into account:
    a given batch decides the derived steps). Precision is left to the caller.

    Args:
      model: a name; None for the recipe's own model.
    """
    notes = []
    custom = _SIZES & (overrides.get("model") or {}).keys()
    if recipe is None:
        unsized = variants.parse(model or load("small").model).variant
        width = positive(overrides, "model.width") or unsized.width
        recipe, reason = choose(width=width, examples=images.examples)
    else:
        reason = "as requested"
    rules = load(recipe)
    named = variants.parse(model or rules.model)
    size = named.variant
    # Of the recipe's own model nobody has mistaken the name.
    if model is not None and not custom and (twin := variants.case_twin(model)) is not None:
        notes.append(twin)
    notes.append(f"recipe {recipe} ({reason}): {rules.title}")
    if model is None and not custom and rules.model != load("small").model:
        notes.append(f"--model {named.name} (of recipe {recipe})")
    width = positive(overrides, "model.width") or size.width

    epoch = examples_of_epoch(images, overrides)
    closed = (at(overrides, "schedule.kind") or "rsqrt") not in OPEN_ENDED

    def lengths(batch: int, own: int) -> Tree:
        """`own`: the steps of the recipe itself."""
        steps = own
        if duration is not None:
            steps = quantities.to_steps(*duration, batch=batch, examples=epoch)
        return {
            "data": {"batch": batch},
            "schedule": {
                "total_steps": steps,
                # Shares are of the recipe's own duration, not of the asked one: more steps must
                # continue the same run, so its warmup may not depend on them. A closed schedule is
                # never continued.
                "warmup_steps": min(rules.warmup.of(whole=steps), steps - 1)
                if closed
                else rules.warmup.of(whole=own),
                "timescale_steps": rules.timescale.of(whole=own),
            },
        }

    given = positive(overrides, "data.batch")
    batch = given or rules.batch.of(width=width, examples=images.examples)
    own = rules.duration.of(batch=batch, examples=epoch)
    before: Tree = {}
    if given is None:
        usual = rules.batch.of(width=width, examples=images.examples, least=1)
        before = lengths(usual, rules.duration.of(batch=usual, examples=epoch))
    small = images.made_up and given is None
    if small:
        batch, own = min(batch, _MADE_UP_BATCH), min(own, _MADE_UP_STEPS)
        notes.append(f"--batch {batch} (synthetic images are to try something out)")
    classes = positive(overrides, "model.classes") or images.classes
    resolution = named.resolution
    if resolution is None:
        patch = positive(overrides, "model.patch") or named.patch
        tiny = images.made_up and size.name == "test"
        usual_side = _MADE_UP_RESOLUTION if tiny else size.resolution or RESOLUTION
        resolution = nearest_sizes(usual_side, patch=patch)[0]
        why = None
        if tiny:
            why = "synthetic images are to try something out"
        elif size.resolution is not None:
            why = f"{size.name} is a size for images of {usual_side} px"
        elif resolution != usual_side:
            why = f"of the usual {usual_side} px the nearest size that patches of {patch} px divide"
        if why is not None and at(overrides, "model.resolution") is None:
            notes.append(f"--res {resolution} ({why})")
    tree: Tree = {
        "name": named.name,
        "recipe": recipe,
        "model": {
            "width": size.width,
            "depth": size.depth,
            "mlp_dim": size.mlp_dim,
            "heads": size.heads,
            "patch": named.patch,
            "resolution": resolution,
            "classes": classes,
        },
        "data": {"eval_split": images.eval_split},
    }
    merge(tree, lengths(batch, own))
    merge(tree, rules.settings)
    loss = overrides.get("loss") or tree["loss"]
    if loss in get_args(Loss):  # another word is refused where the settings are validated
        tree["model"]["head_bias"] = calm_bias(loss, classes=classes)
    if not images.made_up:
        notes += unscaled(
            tree["schedule"]["peak_lr"],
            batch=batch,
            usual=rules.batch.whole(width=width),
            adaptive=True,
            overrides=overrides,
        )
    augment = AugmentConfig.model_validate(tree["data"]["augment"])
    crops = cropping.of_small_images(images.side, rules.crop, usual=augment, overrides=overrides)
    notes += crops.notes
    earlier: Tree = {}
    if crops.area_min is not None:
        tree["data"]["augment"]["area_min"] = crops.area_min
        earlier = {"data": {"augment": {"area_min": augment.area_min}}}
    if before == lengths(batch, own):
        before = {}
    if named.resolution is None and size.resolution is None and resolution != RESOLUTION:
        before["model"] = {"resolution": RESOLUTION}
    return Resolved(tree, tuple(notes), before=earlier_versions(earlier, before))


def earlier_versions(*changes: Tree) -> tuple[Tree, ...]:
    """What each version before had otherwise than now, the newest first, of what one change after
    another has replaced."""
    versions: list[Tree] = []
    whole: Tree = {}
    for change in changes:
        if change:
            whole = merge({}, whole, change)
            versions.append(whole)
    return tuple(versions)


def unscaled(
    rate: float, *, batch: int, usual: int, adaptive: bool, overrides: Tree
) -> Iterator[str]:
    """The learning rate is the recipe's whatever the batch: said where the batch is another.
    `adaptive`: of Adam and its like, whose rates people scale with the square root of the batch."""
    if at(overrides, "schedule.peak_lr") is not None or batch == usual:
        return
    share = batch / usual
    scaled = rate * (share**0.5 if adaptive else share)
    how = "by the square root" if adaptive else "in proportion"
    flag = "" if adaptive else " (--scale-lr linear)"
    yield (
        f"--lr {rate:g} is the recipe's for batches of {usual} and is not scaled to "
        f"{batch}; {how} it would be --lr {scaled:.2g}{flag}"
    )


def example_count(examples: int | str | None, *, names_dataset: bool) -> int | None:
    """The images of --examples; None where it is not given. Raises UsageError for none at all, or
    where a dataset is named as well."""
    if examples is None:
        return None
    if names_dataset:
        raise UsageError(
            "--data and --examples both give the number of images", hint="keep one of them"
        )
    count = quantities.parse_count(str(examples), name="--examples")
    if count < 1:
        raise UsageError("--examples 0 leaves nothing to train on")
    return count


def check_one_asked(*, mock: bool, data: object | None) -> None:
    """Raise UsageError where a caller names a dataset and asks for synthetic images, too."""
    if mock and data is not None:
        raise UsageError(
            "--mock requests synthetic images, and --data names a dataset",
            hint="leave out one of them",
        )


def check_images(*, mock: bool, dataset: bool) -> None:
    """Raise UsageError unless images come from one place: made up, or a dataset."""
    if mock and dataset:
        raise UsageError(
            "data.mock requests synthetic images, and a dataset is given, too",
            hint="pass --mock, or --set data.mock=none",
        )
    if not mock and not dataset:
        raise UsageError(
            "--mock requests synthetic images, and data.mock=none forbids them",
            hint="leave out one of them",
        )


def edge(model: ModelConfig) -> str | None:
    """A caution about a size whose last pixels no patch covers, or None."""
    if model.covered == model.resolution:
        return None
    sizes = nearest_sizes(model.resolution, patch=model.patch)
    return (
        f"patches of {model.patch} px do not divide {model.resolution} px: the last "
        f"{model.resolution - model.covered} px at the right and at the bottom of every image are "
        f"not seen; {' or '.join(f'--res {size}' for size in sizes)} would lose none"
    )


def mixed_alone(data: DataConfig) -> str | None:
    """A caution about a batch whose only image is mixed with itself, or None."""
    if data.batch > 1 or data.augment.mixup_alpha is None:
        return None
    return (
        "mixup mixes an image with its neighbour in the batch, and in a batch of 1 with itself: "
        "--set data.augment.mixup_alpha=none leaves it out"
    )


def check(
    *, batch: int, examples: int, steps: int, warmup: int, flag: str = "--warmup"
) -> str | None:
    """A caution about these lengths, or None. `flag` sets the warmup.

    Raises UsageError for a batch of more than the images that are trained on.
    """
    if batch > examples:
        raise UsageError(
            f"a batch of {batch} images is larger than the {examples} images to train on",
            hint=f"use --batch {max(1, examples // 8)} or less",
        )
    shorter = max(1, steps // 10)
    if warmup >= steps and shorter < warmup:
        return (
            f"the warmup of {quantities.show_count(warmup)} steps is no shorter than the run of "
            f"{quantities.show_count(steps)}, which never trains at the full rate; {flag} "
            f"{shorter} would"
        )
    if warmup * 4 > steps and shorter < warmup:
        return (
            f"the warmup takes {quantities.show_count(warmup)} of {quantities.show_count(steps)} "
            f"steps; {flag} {shorter} would leave more at the full rate"
        )
    return None
