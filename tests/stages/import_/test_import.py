"""Importing: a run whose model computes what the file's did, and that every stage accepts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.import_ import run as import_stage
from stages.import_.spec import ImportConfig, ImportRuntime, Inputs
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.runs import run_of
from vitctl.errors import InputError, UsageError
from vitctl.events import Caution, Note, Settings
from vitctl.recipes import branching, measuring
from vitctl.train import trained_model

STORED = Path(__file__).parents[2] / "reference" / "libraries"


def imported(tmp_path, name, *, classes=None, emit=lambda event: None, **config) -> Artifact:
    return import_stage.run(
        ImportConfig(**config),
        Inputs(STORED / name if isinstance(name, str) else name, classes),
        store=Store(tmp_path / "store"),
        runtime=ImportRuntime(),
        emit=emit,
    )


def test_a_run_that_computes_what_its_file_did(tmp_path):
    events = []
    checkpoint = imported(tmp_path, "timm-avg", emit=events.append)
    model = trained_model.load(checkpoint, precision="float32")
    answers = model.apply(np.load(STORED / "timm-avg" / "images.npy") * 2 - 1)
    for name in ("features", "logits"):
        expected = np.load(STORED / "timm-avg" / f"{name}.npy")
        assert np.abs(getattr(answers, name) - expected).max() < 1e-5
    (settings,) = (e for e in events if isinstance(e, Settings))
    assert settings.values["tensors"] == "all 32 matched by name and shape"
    assert any("(--layout timm)" in e.text for e in events if isinstance(e, Note))
    (caution,) = (e.text for e in events if isinstance(e, Caution))
    assert "nothing names the 5 classes" in caution
    assert model.classes[:2] == ("output 0", "output 1")


def test_lineage_is_a_name_and_a_hash_and_no_folder(tmp_path):
    checkpoint = imported(tmp_path, "hf-siglip")
    (parent,) = checkpoint.manifest.parents
    assert (parent.kind, parent.path) == ("source", "model.safetensors")
    assert parent.digest == checkpoint.summary["imported"]["sha256"]
    manifest = checkpoint.manifest.model_copy(update={"provenance": None})
    assert str(STORED) not in str(manifest)


def test_again_and_from_another_folder_it_is_the_same_run(tmp_path):
    first = imported(tmp_path, "hf-siglip")
    shutil.copytree(STORED / "hf-siglip", tmp_path / "elsewhere")
    again = imported(tmp_path, tmp_path / "elsewhere")
    assert (again.path, again.digest) == (first.path, first.digest)
    larger = imported(tmp_path, "hf-siglip", resolution=20)
    assert larger.id != first.id
    assert larger.summary["resolution"] == 20


def test_what_branches_off_an_import(tmp_path):
    checkpoint = imported(tmp_path, "timm-avg")
    store = Store(tmp_path / "store")
    assert not measuring.can_cool(checkpoint)
    assert measuring.uncooled(checkpoint, store=store) is None
    with pytest.raises(UsageError, match="was imported, without the schedule"):
        branching.cooled(checkpoint, steps=10, shape="linear")
    assert branching.trained_with(checkpoint).model.norm_after_pool
    run = run_of(checkpoint)
    assert run is not None
    assert run.info.stage == "import"
    assert run.steps() == [0]


def test_classes_are_named_by_a_file(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("a\nb\nc\nd\ne\n")
    checkpoint = imported(tmp_path, "timm-avg", classes=names)
    assert checkpoint.summary["classes"] == ["a", "b", "c", "d", "e"]
    names.write_text("a\nb\n")
    with pytest.raises(UsageError, match="names 2 classes, and the model has 5"):
        imported(tmp_path, "timm-avg", classes=names)


def test_nothing_is_left_of_an_import_that_fails(tmp_path):
    shutil.copytree(STORED / "timm-avg", tmp_path / "cut")
    file = tmp_path / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(InputError, match="its tensors end at byte"):
        imported(tmp_path, tmp_path / "cut")
    assert not list((tmp_path / "store").glob("import/*"))


@pytest.mark.slow
def test_probed_scored_and_fine_tuned(tmp_path):
    """With the model's own preprocessing; a backbone has no classes to score."""
    from stages import api

    rng = np.random.default_rng(0)
    for label in ("output 0", "output 1"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.png")
    store = tmp_path / "store"
    data = api.shard(tmp_path / "photos", store=store, set={"val_per_class": 4})
    model = imported(tmp_path, "timm-avg")
    few = {"shots": [1, 5], "draws": 2}
    assert api.fewshot(model, data=data, store=store, set=few).summary["seen"] == "all"
    assert api.evaluate(model, data=data, store=store).summary["examples"] == 8
    size = {"data.batch": 8, "model.resolution": 16}
    tuned = api.finetune(model, data=data, store=store, steps=2, set=size)
    assert tuned.config["model"]["norm_after_pool"]
    assert tuned.config["model"]["pixel_mean"] == [0.485, 0.456, 0.406]
    backbone = imported(tmp_path, "hf-dinov2-registers")
    with pytest.raises(InputError, match="no classifier"):
        api.evaluate(backbone, data=data, store=store)
    tuned = api.finetune(backbone, data=data, store=store, steps=1, set=size)
    assert tuned.config["model"]["registers"] == 3
