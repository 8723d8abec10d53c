"""Exports: read back by their own layout, with a card that names no folder; what a library lacks
is named."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from stages.export import run as export_stage
from stages.export.spec import ExportConfig, ExportRuntime
from stages.export.spec import Inputs as ExportInputs
from stages.import_ import run as import_stage
from stages.import_.spec import ImportConfig, ImportRuntime, Inputs
from vitctl.artifacts import Artifact, Store
from vitctl.errors import UsageError

STORED = Path(__file__).parents[2] / "reference" / "libraries"


def imported(tmp_path, source: Path) -> Artifact:
    return import_stage.run(
        ImportConfig(),
        Inputs(source),
        store=Store(tmp_path / "store"),
        runtime=ImportRuntime(),
    )


def exported(tmp_path, checkpoint: Artifact, **config) -> Artifact:
    return export_stage.run(
        ExportConfig.model_validate(config),
        ExportInputs(checkpoint),
        store=Store(tmp_path / "store"),
        runtime=ExportRuntime(),
    )


@pytest.mark.parametrize(
    ("name", "to", "file"),
    [
        ("timm-registers", "timm", "config.json"),
        ("hf-siglip", "huggingface", "preprocessor_config.json"),
        ("timm-qk-norm", "safetensors", "model.safetensors"),
        ("hf-siglip", "stablehlo", "model.stablehlo"),
        ("hf-siglip", "onnx", "model.onnx.data"),
    ],
)
def test_an_export_computes_what_its_checkpoint_does(tmp_path, name, to, file):
    checkpoint = imported(tmp_path, STORED / name)
    artifact = exported(tmp_path, checkpoint, to=to)
    # The same program on the same weights, for stablehlo and onnx another program: a few ulp of 2.
    assert artifact.summary["error"] < 2e-6
    assert (artifact.path / file).is_file()
    card = (artifact.path / "README.md").read_text()
    assert checkpoint.summary["imported"]["sha256"] in card
    assert str(tmp_path) not in card
    assert str(STORED) not in card


def test_an_export_is_imported_again_as_it_was(tmp_path):
    checkpoint = imported(tmp_path, STORED / "timm-qk-norm")
    released = exported(tmp_path, checkpoint, to="safetensors", license="Apache-2.0").path
    # As it is given away: the weights and their card, nothing of this machine.
    (tmp_path / "release").mkdir()
    for name in ("model.safetensors", "README.md"):
        shutil.copy(released / name, tmp_path / "release")
    again = imported(tmp_path, tmp_path / "release")
    assert again.config["model"] == checkpoint.config["model"]
    card = (released / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n---\n\n# ")
    assert "- licence of the weights: apache-2.0" in card


@pytest.mark.parametrize("text", ["", "Apache 2.0", "mit\nbase_model: x", "-x", "a: b"])
def test_a_licence_is_one_word(text):
    with pytest.raises(ValueError, match="no identifier of a licence"):
        ExportConfig(to="timm", license=text)


def test_an_export_without_a_licence_has_the_id_it_had():
    assert ExportConfig(to="timm").model_dump(mode="json") == {
        "to": "timm",
        "weights": "raw",
        "features": False,
    }
    assert ExportConfig(to="timm", license="MIT").model_dump(mode="json")["license"] == "mit"


def test_what_a_library_lacks_is_named(tmp_path):
    checkpoint = imported(tmp_path, STORED / "timm-qk-norm")
    with pytest.raises(UsageError, match="ViTForImageClassification of transformers has no qk_nor"):
        exported(tmp_path, checkpoint, to="huggingface")
    with pytest.raises(UsageError, match="big_vision has no gelu, no qkv_bias, no qk_norm"):
        exported(tmp_path, checkpoint, to="big_vision")
    assert not list((tmp_path / "store").glob("export/*/*"))


def test_without_the_packages_of_onnx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    checkpoint = imported(tmp_path, STORED / "hf-siglip")
    with pytest.raises(UsageError, match="onnx and onnxruntime") as refusal:
        exported(tmp_path, checkpoint, to="onnx")
    assert "vitctl[onnx]" in refusal.value.hint
