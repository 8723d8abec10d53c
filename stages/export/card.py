"""The model card: what was trained on what and how, and what it scored. No host, no folder, no
command line: a card goes where the files go."""

from __future__ import annotations

from collections.abc import Iterator

from stages.export.spec import ExportConfig
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.ancestry import Ancestor, ancestors
from vitctl.artifacts.kinds import CHECKPOINT, DATASET, EVALUATION, FEWSHOT
from vitctl.artifacts.kinds.export import Target
from vitctl.model import accounting
from vitctl.model.config import ModelConfig
from vitctl.train.config import TrainConfig

CARD = "README.md"

_LOAD: dict[Target, str] = {
    "safetensors": "from safetensors.numpy import load_file\n"
    'weights = load_file("model.safetensors")',
    "timm": 'import timm\nmodel = timm.create_model("local-dir:FOLDER", pretrained=True)',
    "huggingface": "from transformers import AutoModel\n"
    'model = AutoModel.from_pretrained("FOLDER")',
    "big_vision": 'import numpy as np\nweights = dict(np.load("model.npz"))',
    "stablehlo": "from jax import export\nfrom safetensors.numpy import load_file\n"
    'program = export.deserialize(bytearray(open("model.stablehlo", "rb").read()))\n'
    'outputs = program.call(load_file("weights.safetensors"), images)  # [n, side, side, 3]',
    "onnx": "import onnxruntime\n"
    'session = onnxruntime.InferenceSession("model.onnx")\n'
    'outputs = session.run(None, {"images": images})  # fp32 [n, 3, side, side]',
}


def text(
    checkpoint: Artifact,
    trained: TrainConfig,
    config: ModelConfig,
    *,
    cfg: ExportConfig,
    error: float,
    store: Store,
) -> str:
    """The card as Markdown."""
    return "\n".join(_lines(checkpoint, trained, config, cfg=cfg, error=error, store=store)) + "\n"


def _lines(
    checkpoint: Artifact,
    trained: TrainConfig,
    config: ModelConfig,
    *,
    cfg: ExportConfig,
    error: float,
    store: Store,
) -> Iterator[str]:
    counted = accounting.parameters(config)
    mean, std = list(config.pixel_mean), list(config.pixel_std)
    own = cfg.to in ("safetensors", "stablehlo", "onnx", "big_vision")
    pixels = "from -1 to 1" if own else f"(pixel - {mean}) / {std} of pixels from 0 to 1"
    if cfg.license is not None:  # as model hubs read it
        yield from ("---", f"license: {cfg.license}", "---", "")
    yield from (f"# {trained.label}", "", "A vision transformer, exported by vitctl.", "")
    yield from ("```python", _LOAD[cfg.to], "```", "")
    yield from ("## Model", "")
    yield f"- {counted.total:,} parameters, {config.classes:,} classes, pooling: {config.head}"
    yield f"- images of {config.resolution} x {config.resolution} RGB, {pixels}"
    yield f"- weights: {'averaged' if cfg.weights == 'ema' else 'of the last step'}"
    yield f"- largest difference of any output after reading it back: {error:.2g}"
    if cfg.license is not None:
        yield f"- licence of the weights: {cfg.license}"
    yield from ("", "## Training", "")
    imported = CHECKPOINT.summary(checkpoint).imported
    if imported is not None:
        yield f"- imported from {imported.file} (layout {imported.layout})"
        yield f"- sha256 {imported.sha256}"
    elif (averaged := CHECKPOINT.summary(checkpoint).averaged) is not None:
        used = [part for part in averaged.ingredients if part.share]
        yield f"- mean of the weights of {len(used)} checkpoints (rule {averaged.rule})"
        yield from (f"- {part.share:.1%} of step {part.step:,}, {part.id[:16]}" for part in used)
    else:
        schedule, data = trained.schedule, trained.data
        yield f"- {checkpoint.step:,} steps of {data.batch:,} images, loss: {trained.loss}"
        yield (
            f"- {trained.optim.name}, peak learning rate {schedule.peak_lr:g}, schedule "
            f"{schedule.kind}, warmup {schedule.warmup_steps:,} steps"
        )
        yield f"- recipe {trained.recipe}, seed {trained.seed}, precision {trained.precision}"
        if data.mock is not None:
            yield "- trained on synthetic images"
    yield from ("", "## Lineage", "")
    yield f"- checkpoint {checkpoint.id[:16]}, digest {checkpoint.digest[:16]}"
    yield from _lineage(ancestors(checkpoint, store=store), depth=1)
    yield from ("", "## Numbers", "")
    numbers = list(_numbers(checkpoint, store=store))
    yield from numbers or ["- none were measured"]


def _lineage(tree: tuple[Ancestor, ...], *, depth: int) -> Iterator[str]:
    for branch in tree:
        above, artifact = branch.parent, branch.artifact
        about = ""
        if isinstance(artifact, Artifact) and artifact.kind == DATASET.name:
            summary = DATASET.summary(artifact)
            examples = ", ".join(f"{n:,} {split}" for split, n in summary.examples.items())
            about = f": {summary.classes:,} classes, images: {examples}"
        yield f"{'  ' * depth}- {above.role}: {above.kind} {above.id[:16]}{about}"
        yield from _lineage(branch.ancestors, depth=depth + 1)


def _numbers(checkpoint: Artifact, *, store: Store) -> Iterator[str]:
    held_out = CHECKPOINT.summary(checkpoint).eval
    if held_out is not None:
        yield f"- held out while training: top-1 {held_out.top1:.2%}"
    for artifact in store.finished():
        parent = artifact.manifest.parent("from")
        if parent is None or parent.id != checkpoint.id:
            continue
        yield from _scores(artifact)


def _scores(artifact: Artifact) -> Iterator[str]:
    if artifact.kind == EVALUATION.name:
        scored = EVALUATION.summary(artifact)
        low, high = scored.top1_interval
        yield (
            f"- {scored.examples:,} images, split {scored.split}: top-1 "
            f"{scored.top1:.2%} (95 %: {low:.2%} to {high:.2%})"
        )
    if artifact.kind == FEWSHOT.name:
        probed = FEWSHOT.summary(artifact)
        for row in probed.shots if probed.features == "model" else ():
            yield (
                f"- {row.name}, {probed.classes:,} classes: "
                f"{row.accuracy_mean:.2%} over {row.draws} draws"
            )
