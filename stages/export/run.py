"""How `vitctl export` works: a checkpoint -> files -> read back and compared -> published."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stages.export import card
from stages.export.spec import VERSION, ExportConfig, ExportRuntime, Inputs
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT, EXPORT
from vitctl.artifacts.kinds.export import Export
from vitctl.artifacts.store import slug
from vitctl.errors import InputError
from vitctl.events import Emit, Settings, silent
from vitctl.inference import weights
from vitctl.interop import exported, overrides, reading, weight_files, writing
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.recipes import branching
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts

_IMAGES = 2
MOST_APART = 1e-4
"""An export that computes anything else by more, relative to its largest output, is a mistake."""


def run(
    cfg: ExportConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ExportRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Export the checkpoint. The model card is README.md."""
    recipe = Recipe(
        stage="export",
        version=VERSION,
        kind=EXPORT.name,
        config=cfg.model_dump(mode="json"),
        parents=(inputs.checkpoint.as_parent("from"),),
    )
    trained = branching.trained_with(inputs.checkpoint)
    name = runtime.name or slug(f"{name_of(inputs.checkpoint)}-{cfg.to}", default="export")
    with store.open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        artifact = draft.finished
        if artifact is None:
            # The model, on one device and in fp32
            layout = layouts.make(devices=1)
            params = weights.restored(
                inputs.checkpoint, model=trained.model, layout=layout, weights=cfg.weights
            )
            params = jax.tree.map(np.asarray, params)
            config, classes = trained.model, CHECKPOINT.summary(inputs.checkpoint).classes
            if cfg.features and config.classes:
                params = {key: value for key, value in params.items() if key != "head"}
                config, classes = config.model_copy(update={"classes": 0}), ()

            # Its files, read back
            model = exported.Exported(params, config, classes, trained.data.evaluation)
            files = writing.files(model, to=cfg.to)
            error, largest = _apart(files, params, config, cfg)
            if not error <= MOST_APART * max(1.0, largest):
                raise InputError(
                    f"the export computes other outputs than the model, by up to {error:.2g}"
                )

            # Publish
            text = card.text(inputs.checkpoint, trained, config, cfg=cfg, error=error, store=store)
            for file, content in {**files, card.CARD: text.encode()}.items():
                draft.write(file, content)
            artifact = draft.publish(
                summary=Export(
                    model=trained.label,
                    step=CHECKPOINT.summary(inputs.checkpoint).step,
                    to=cfg.to,
                    weights=cfg.weights,
                    resolution=config.resolution,
                    classes=config.classes,
                    error=error,
                    outputs_compared=_IMAGES * (config.features + config.classes),
                ).as_json()
            )
    emit(Settings("export", readable(EXPORT.summary(artifact))))
    emit(following(artifact))
    return artifact


def readable(summary: Export) -> dict[str, str]:
    """What was exported, and how it was checked."""
    return {
        "model": f"{summary.model} at step {summary.step}, for {summary.to}",
        "checked": f"read back, {summary.outputs_compared:,} outputs differ by at most "
        f"{summary.error:.2g}",
    }


def _apart(
    files: dict[str, bytes], params: Any, config: ModelConfig, cfg: ExportConfig
) -> tuple[float, float]:
    """The largest difference between the outputs of the files, read back, and of the model; and
    the largest output."""
    side = config.resolution
    images = np.random.default_rng(0).uniform(-1, 1, (_IMAGES, side, side, 3)).astype(np.float32)
    expected = _outputs(params, config, images)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        if cfg.to == "stablehlo":
            from vitctl.interop import stablehlo

            again = stablehlo.run_again(Path(folder), images)
        elif cfg.to == "onnx":
            from vitctl.interop import onnx_files

            again = onnx_files.run_again(Path(folder), images)
        else:
            opened = weight_files.open_weights(Path(folder))
            model = reading.read(opened, said=overrides.Said())
            again = _outputs(model.load(), model.config, images)
    errors = [np.abs(a - b).max(initial=0) for a, b in zip(expected, again, strict=True)]
    return float(max(errors)), float(max(np.abs(a).max(initial=0) for a in expected))


def _outputs(params: Any, config: ModelConfig, images: Any) -> tuple[np.ndarray, np.ndarray]:
    with jax.default_matmul_precision("highest"):
        outputs = jax.jit(lambda p, x: vit.apply(p, x, config=config))(params, images)
    return np.asarray(outputs.logits), np.asarray(outputs.pre_logits)
