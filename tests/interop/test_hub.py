"""What is said of weights that lie elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitctl.errors import NotFoundError
from vitctl.interop import hub
from vitctl.interop.weight_files import open_weights

FIRST = "a repository of Hugging Face is downloaded first: hf download "


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("google/vit-base", f"{FIRST}google/vit-base, and give the folder that it prints"),
        ("hf-hub:timm/vit.x", f"{FIRST}timm/vit.x, and give the folder that it prints"),
        (
            "https://huggingface.co/google/vit-base/resolve/main/model.safetensors",
            "hf download google/vit-base, and give the folder that it prints",
        ),
        # pathlib has made one slash of two.
        ("https:/hf.co/a/b/", "hf download a/b, and give the folder that it prints"),
        ("https://x.org/vit.npz", "nothing is downloaded: get the file first, and give its path"),
        (
            "gs://vit_models/B_16.npz",
            "nothing is downloaded: get the file first, and give its path",
        ),
        ("model.safetensors", None),
        ("./a/b", None),
        ("/a/b", None),
        ("a/b/c", None),
    ],
)
def test_how_they_get_here(source, hint):
    assert hub.hint(source) == hint


def test_the_cache_of_hugging_face(home, monkeypatch, tmp_path):
    snapshot = home / "hub" / "models--google--vit-base" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    with pytest.raises(NotFoundError, match="google/vit-base does not exist") as raised:
        open_weights(Path("google/vit-base"))
    assert raised.value.hint == f"the cache of Hugging Face has it: vitctl import {snapshot}"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert hub.hint("google/vit-base").startswith(FIRST)
