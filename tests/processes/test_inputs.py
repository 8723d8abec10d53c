"""Which artifact a process takes when process 0 has told of one; without any process."""

from __future__ import annotations

import shutil

import pytest

from vitctl.artifacts import Artifact, Recipe, Store, crew
from vitctl.console.multiprocess import _described, _same_artifact
from vitctl.errors import InputError


def published(store, content) -> Artifact:
    recipe = Recipe(stage="shard", version=1, kind="dataset", config={"name": "a"})
    with crew.of(store).open(recipe, name="a") as draft:
        (draft.path / "data").write_text(content)
        return draft.publish(summary={})


@pytest.fixture
def dataset(tmp_path) -> Artifact:
    return published(Store(tmp_path / "store"), "images")


def same_artifact(description, *, store, named=None, instead=lambda: None) -> Artifact:
    return _same_artifact(description, named=named, instead=instead, store=store)


def test_the_same_path_or_the_same_place_in_a_store_mounted_elsewhere(dataset, tmp_path):
    here = Store(tmp_path / "store")
    description = _described(dataset, store=here)
    assert same_artifact(description, store=Store(tmp_path / "own")).path == dataset.path
    shutil.move(tmp_path / "store", tmp_path / "mounted")
    artifact = same_artifact(description, store=Store(tmp_path / "mounted"))
    assert artifact.path.is_relative_to(tmp_path / "mounted")


def test_a_copy_named_here_is_taken(dataset, tmp_path):
    description = _described(dataset, store=Store(tmp_path / "store"))
    shutil.copytree(dataset.path, tmp_path / "copy")
    copy = Artifact.load(tmp_path / "copy")
    assert same_artifact(description, store=Store(tmp_path / "own"), named=copy).path == copy.path


def test_a_copy_that_differs_is_refused_although_the_right_one_is_there(dataset, tmp_path):
    description = _described(dataset, store=Store(tmp_path / "store"))
    other = published(Store(tmp_path / "copy"), "other images")
    assert other.id == dataset.id
    with pytest.raises(InputError, match="does not see the dataset that process 0 works on"):
        same_artifact(description, store=Store(tmp_path / "own"), named=other)


def test_what_is_nowhere_is_said(dataset, tmp_path):
    description = _described(dataset, store=Store(tmp_path / "store"))
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(InputError, match="does not see the dataset"):
        same_artifact(description, store=Store(tmp_path / "own"))
