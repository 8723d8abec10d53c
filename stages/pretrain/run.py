"""How `vitctl pretrain` works: dataset, and a checkpoint to begin from -> a run of checkpoints."""

from __future__ import annotations

from stages.pretrain.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.events import Caution, Emit, Next, Note, silent
from vitctl.recipes import few_images
from vitctl.recipes.naming import name_of
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.run import beginning as begin
from vitctl.train.run import chance, warm_start
from vitctl.train.run.images import Images
from vitctl.train.run.trainer import trained


def run(
    cfg: TrainConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Train to `cfg.steps` and return that checkpoint. A checkpoint that exists is returned, and
    an unfinished run continued."""
    recipe = recipe_of(cfg, inputs)

    def starting_point(images: Images) -> begin.StartingPoint:
        if inputs.checkpoint is None:
            return begin.scratch(cfg)
        emit(Note(warm_start.taken(inputs.checkpoint, cfg, classes=images.classes)))
        return begin.further(cfg, inputs.checkpoint, classes=images.classes)

    checkpoint = trained(
        recipe,
        cfg,
        origin=starting_point,
        source=inputs.checkpoint,
        dataset=inputs.dataset,
        name=runtime.name or _name(cfg, inputs),
        store=store,
        runtime=runtime,
        emit=emit,
    )
    if (caution := chance.sentence(checkpoint, cfg, inputs.dataset)) is not None:
        emit(Caution(caution))
        replay = Next.of("replay", "--from", checkpoint.path, "--out", "batch.png")
        better = few_images.command(cfg, inputs.dataset) if inputs.checkpoint is None else None
        if better is not None:
            emit(Caution(few_images.MADE_FOR_THEM))
        emit(better or replay)
    elif cfg.schedule.open_ended:
        emit(Next.of("cooldown", "--from", checkpoint.path))
    else:
        emit(Next.of("fewshot", "--from", checkpoint.path))
    return checkpoint


def _name(cfg: TrainConfig, inputs: Inputs) -> str:
    """Of a run that goes on from another: that one's name, and that of its images."""
    if inputs.checkpoint is None:
        return slug(cfg.label, default="run")
    images = "mock" if inputs.dataset is None else plain_name(inputs.dataset)
    return slug(f"{name_of(inputs.checkpoint)}-{images}", default="run")
