"""Exports of imported models, for their libraries to load: used by the slow test."""

from __future__ import annotations

import shutil
from pathlib import Path

from vitctl.artifacts.kinds.export import Target
from vitctl.data.config import EvalPreprocess
from vitctl.interop import exported, overrides, reading, weight_files, writing

WAYS: tuple[tuple[str, Target], ...] = (
    ("timm-avg", "timm"), ("timm-map", "timm"), ("timm-registers", "timm"),
    ("timm-qk-norm", "timm"), ("hf-dinov2-registers", "timm"), ("hf-siglip", "timm"),
    ("hf-vit", "huggingface"), ("hf-vit-pooler", "huggingface"), ("hf-siglip", "huggingface"),
    ("hf-dinov2-registers", "huggingface"), ("timm-swiglu", "timm"), ("hf-dinov2-giant", "timm"),
    ("hf-dinov2-giant", "huggingface"), ("timm-distilled", "timm"),
    ("timm-distilled", "huggingface"), ("hf-deit-teacher", "huggingface"),
)  # fmt: skip


def export(stored: Path, root: Path) -> None:
    """ROOT/NAME+TARGET/ with the files, images.npy, and outputs that are expected."""
    for name, target in WAYS:
        model = reading.read(weight_files.open_weights(stored / name), said=overrides.Said())
        folder = root / f"{name}+{target}"
        folder.mkdir(parents=True)
        classes = [f"class {i}" for i in range(model.config.classes)]
        written = exported.Exported(model.load(), model.config, classes, EvalPreprocess())
        for file, content in writing.files(written, to=target).items():
            (folder / file).write_bytes(content)
        for file in ("images", "features", "logits"):
            if (stored / name / f"{file}.npy").exists():
                shutil.copy(stored / name / f"{file}.npy", folder / f"{file}.npy")
