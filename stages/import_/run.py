"""How `vitctl import` works: file -> layout -> model -> every tensor matched -> a run."""

from __future__ import annotations

from typing import Any

from stages.import_.model_settings import classes_of, model_of, name_of, trained_as
from stages.import_.spec import VERSION, ImportConfig, ImportRuntime, Inputs
from vitctl.artifacts import Artifact, Parent, Recipe, Store, crew
from vitctl.artifacts.ancestry import SOURCE
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.checkpoint import Checkpoint, Imported
from vitctl.artifacts.provenance import now
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.store import slug
from vitctl.checkpoints import arrays
from vitctl.data.classes import read_class_list
from vitctl.data.digest import ConsumedSamples
from vitctl.events import Caution, Emit, Next, Note, Settings, silent
from vitctl.hardware import precision
from vitctl.interop import overrides, reading, weight_files
from vitctl.interop.fitting import fitted
from vitctl.model import accounting
from vitctl.places import place
from vitctl.sharding import layout as layouts
from vitctl.train.config import TrainConfig

_STEP = 0


def run(
    cfg: ImportConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ImportRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Import the weights as the one checkpoint, of step 0, of a run."""
    # The list first: it is small, and weights may take long to be fetched and read
    given = None if inputs.classes is None else read_class_list(place(inputs.classes), emit=emit)

    # What they are: by names and shapes, before any tensor is read
    weights = weight_files.open_weights(inputs.source)
    said = overrides.Said(
        layout=cfg.layout,
        heads=cfg.heads,
        grid=cfg.rows_and_columns,
        pixels=cfg.pixels,
        gelu=cfg.gelu,
        norm_epsilon=cfg.norm_epsilon,
    )
    model = reading.read(weights, said=said)
    emit(Note(f"{weights.name}: {model.title} (--layout {model.layout})"))
    for sentence in model.notes:
        emit(Note(sentence))
    for sentence in model.assumed:
        emit(Caution(sentence))
    config = model_of(model, cfg)
    classes, unsure = classes_of(config, model.described, given=given)
    if unsure is not None:
        emit(Caution(unsure))
    _announce_sizes(model, config, emit=emit)
    name = name_of(config, model.described)
    trained = trained_as(config, model.described, name=name, precision=precision.resolve())

    # Which run that is
    imported = Imported(
        file=weights.name,
        sha256=weights.sha256,
        layout=model.layout,
        matched=model.matched,
        left_out=len(model.left_out),
    )
    recipe = Recipe(
        stage="import",
        version=VERSION,
        kind="run",
        config={**trained.identity(), "imported": imported.as_json(), "classes": list(classes)},
        parents=(
            Parent(
                role="weights",
                kind=SOURCE,
                id=weights.sha256,
                digest=weights.sha256,
                path=weights.name,
            ),
        ),
    )
    folder = runtime.name or slug(f"{name}-{model.layout}", default="imported")
    with crew.of(store).open_run(
        recipe, name=folder, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        checkpoint = draft.result(_STEP, emit=emit)
        if checkpoint is None:
            # Every tensor matched, then saved
            params = fitted(model.load(), grid=model.grid, patch=model.config.patch, config=config)
            checkpoint = _save(draft, params, trained, classes=classes, imported=imported)
    emit(Settings("imported", _readable(checkpoint, config, model)))
    emit(Next((*following(checkpoint).arguments, "--data", "DATASET")))
    return checkpoint


def _announce_sizes(model: reading.Model, config: Any, *, emit: Emit) -> None:
    """Say what is resampled, and what is left out."""
    if config.patch != model.config.patch:
        emit(
            Note(
                f"patches of {config.patch} px: the embedding of {model.config.patch} px is "
                "resized by pseudo-inverse"
            )
        )
    if model.grid != (config.grid, config.grid):
        rows, columns = model.grid
        emit(
            Note(
                f"position embeddings of {rows}x{columns} patches are resampled to "
                f"{config.grid}x{config.grid}, for images of {config.resolution} px"
            )
        )
    if model.left_out:
        shown = ", ".join(model.left_out[:3])
        more = f" and {len(model.left_out) - 3} more" if len(model.left_out) > 3 else ""
        emit(Note(f"left out, no part of the image model: {shown}{more}"))
    if model.described.interpolation == "bicubic":
        emit(
            Note(
                "its images were resized bicubically; here they are by area averaging, or "
                "bilinearly where that enlarges"
            )
        )


def _save(
    draft: RunDraft,
    params: Any,
    trained: TrainConfig,
    *,
    classes: tuple[str, ...],
    imported: Imported,
) -> Artifact:
    """Write the weights as the checkpoint of step 0 and publish it."""
    started = now()
    draft.begin(from_step=_STEP, runtime={})
    layout = layouts.make(devices=1)
    placed = layout.place(params, layout.params(params))
    position = {"step": _STEP, "consumed": ConsumedSamples().to_json(), "passed": []}
    arrays.save(draft.empty_place(_STEP), parts={arrays.PARAMS: placed}, position=position)
    draft.mark_result(_STEP)
    return draft.publish(
        _STEP,
        summary=Checkpoint(
            step=_STEP,
            images=0,
            model=trained.label,
            resolution=trained.model.resolution,
            parameters=accounting.parameters(trained.model).total,
            classes=classes,
            classes_before=(),
            finished_schedule=True,
            loss=None,
            eval=None,
            ema=None,
            eval_ema=None,
            passed=0,
            skipped=None,
            imported=imported,
        ).as_json(),
        started=started,
        volatile=arrays.VOLATILE,
    )


def _readable(checkpoint: Artifact, config: Any, model: reading.Model) -> dict[str, str]:
    counted = accounting.parameters(config)
    head = f"{config.classes:,} classes" if config.classes else "no classifier"
    return {
        "model": f"{CHECKPOINT.summary(checkpoint).model}, {counted.total:,} parameters",
        "images": f"{config.resolution} px, patches of {config.patch} px",
        "head": f"{config.head}, {config.features:,} features, {head}",
        "tensors": f"all {model.matched:,} matched by name and shape"
        + (f", {len(model.left_out):,} left out" if model.left_out else ""),
    }
