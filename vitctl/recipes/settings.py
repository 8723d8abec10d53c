"""What a user gives -> the settings of a training run: what `pretrain` trains and `plan` plans.

No terminal is needed: the command line and the Python API (`stages.api`) both come here, so the
same arguments make the same settings, and so the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from vitctl import processes
from vitctl.artifacts import Recipe, Store
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit, Note
from vitctl.hardware import precision
from vitctl.recipes import cropping, pretraining
from vitctl.recipes.recipe import RecipeName
from vitctl.settings.overrides import Overrides, check_keys
from vitctl.settings.trees import Tree, at, merge
from vitctl.stage import Runtime
from vitctl.text import quantities
from vitctl.train.config import TrainConfig

_MODEL_SETTINGS = (
    "name",
    "model.width",
    "model.depth",
    "model.mlp_dim",
    "model.heads",
    "model.patch",
)

Length = tuple[float, quantities.Unit]


@dataclass(frozen=True)
class RunSettings:
    """The settings of a run, the images they were made for, and sentences that say where the
    settings come from. `before`: what earlier versions would have chosen, where that differs.
    `from_step`: where a schedule goes on, that of the checkpoint it goes on from."""

    cfg: TrainConfig
    images: pretraining.ImageFacts
    notes: tuple[str, ...]
    before: tuple[TrainConfig, ...] = ()
    from_step: int = 0

    def announce(self, emit: Emit) -> None:
        """Emit the notes, and a caution where lengths or sizes are unusual.

        Raises UsageError for a batch of more than the images that are trained on.
        """
        for note in self.notes:
            emit(Note(note))
        schedule = self.cfg.schedule
        caution = pretraining.check(
            batch=self.cfg.data.batch,
            examples=pretraining.without_held_out(
                self.images.examples, share=self.cfg.data.held_out
            ),
            steps=self.cfg.steps - self.from_step,
            warmup=schedule.rewarm_steps if self.from_step else schedule.warmup_steps,
            flag="--rewarm" if self.from_step else "--warmup",
        )
        alone = pretraining.mixed_alone(self.cfg.data)
        for sentence in (caution, pretraining.edge(self.cfg.model), alone):
            if sentence:
                emit(Caution(sentence))


def length(given: Mapping[quantities.Unit, str | float | None]) -> Length | None:
    """The one length that was given, in steps, images or epochs. UsageError for several."""
    lengths = {unit: value for unit, value in given.items() if value is not None}
    if len(lengths) > 1:
        flags = " and ".join(f"--{unit}" for unit in lengths)
        raise UsageError(f"{flags} both give the length", hint="keep one of them")
    for unit, value in lengths.items():
        read = quantities.parse_amount if unit == "epochs" else quantities.parse_count
        return read(str(value), name=f"--{unit}"), unit
    return None


def resolve(
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: Length | None,
    images: Callable[[Tree], pretraining.ImageFacts],
    mock: bool,
    target_precision: precision.Precision | None = None,
) -> RunSettings:
    """The settings of a run.

    Args:
      images: called with the user's settings, and only once these are known to make sense: it may
        wait for a pipe.
      mock: the images are synthetic.
      target_precision: of the hardware that the run is for; None means this machine's (and imports
        jax).
    """
    # The sizes that --model stands for are not taken from a file.
    without = _MODEL_SETTINGS if model else ()
    tree = overrides.tree(without=without)
    check_keys(TrainConfig, tree)
    configured = tree.get("recipe")
    if recipe and configured and configured != recipe:
        raise UsageError(
            f"--recipe {recipe} is given, and the settings are of recipe {configured}",
            hint="leave out --recipe, or --config",
        )
    described = images(tree)
    resolved = pretraining.resolve(
        model=pretraining.size_of(model, tree),
        recipe=recipe or configured,
        images=described,
        duration=length,
        overrides=tree,
    )
    base = resolved.tree
    if "precision" not in tree:
        base["precision"] = target_precision or precision.resolve()
    if mock:
        base["data"]["mock"] = {}
    # A flag wins over a file.
    flags = ("schedule.total_steps",) if length is not None else ()
    cfg, *before = versions(overrides, base, resolved.before, flags=flags, without=without)
    return RunSettings(cfg, described, resolved.notes, tuple(before))


def built(overrides: Overrides, tree: Tree, *, without: Sequence[str] = ()) -> TrainConfig:
    """The settings `tree`, overridden. Raises UsageError for wrong ones, and for those that would
    change nothing; a file may hold all settings of an earlier run."""
    cfg = overrides.build(TrainConfig, tree, without=without)
    given = merge({}, overrides.flags, overrides.settings)
    cropping.check_counts(cfg.data.augment, given=given, file=overrides.file, usual=tree)
    return cfg


def versions(
    overrides: Overrides,
    tree: Tree,
    before: Sequence[Tree],
    *,
    flags: Sequence[str],
    without: Sequence[str] = (),
) -> tuple[TrainConfig, ...]:
    """The settings of now and of earlier versions, which chose `before` differently; a version that
    would have refused its own has begun no run. `flags` are keys whose values in each version's
    tree win over a file. Raises UsageError."""

    def build(version: Tree) -> TrainConfig:
        own = overrides.with_flags({key: at(version, key) for key in flags})
        return built(own, version, without=without)

    configs = [build(tree)]
    for earlier in before:
        with suppress(UsageError):
            configs.append(build(merge({}, tree, earlier)))
    return tuple(configs)


def continued(
    settings: RunSettings,
    recipe_of: Callable[[TrainConfig], Recipe],
    *,
    store: Store,
    runtime: Runtime,
) -> RunSettings:
    """The settings to train with: those of `before`, what earlier versions chose, with which a run
    was begun in the store, if these settings have begun none."""
    if not settings.before or runtime.force:
        return settings

    def begun() -> int | None:
        candidates = (settings.cfg, *settings.before)
        return next(
            (
                index
                for index, cfg in enumerate(candidates)
                if store.has_begun(recipe_of(cfg), out=runtime.out)
            ),
            None,
        )

    index = processes.share("begun before", begun)
    if not index:
        return settings
    note = (
        "continuing a run that an earlier version began, with the settings it chose; --force "
        "starts anew"
    )
    return RunSettings(settings.before[index - 1], settings.images, (note,))
