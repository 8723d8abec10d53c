"""Names that children inherit."""

from __future__ import annotations

import shutil

import pytest

from tests import made
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.provenance import now
from vitctl.recipes.naming import cooled_name, name_of


def checkpoint(store: Store, *, name: str, stage: str = "pretrain", **changes) -> Artifact:
    """A checkpoint without arrays of a run of this name."""
    config = made.config(**changes).identity()
    recipe = Recipe(stage=stage, version=1, kind="run", config=config)
    with store.open_run(recipe, name=name) as run:
        run.empty_place(8)
        return run.publish(8, summary={"step": 8}, started=now())


@pytest.mark.parametrize("name", ["birds", "S-16", "S-16-8"])
def test_a_child_inherits_the_name_of_its_run(tmp_path, name):
    assert name_of(checkpoint(Store(tmp_path), name=name)) == name


def test_of_a_cooldown_without_its_length(tmp_path):
    """What a cooldown is called, its own children are called without: `birds`, not `birds-8`."""
    schedule = {"cooldown_steps": 2}
    for name in (cooled_name("birds", steps=8), "birds"):
        store = Store(tmp_path / name)
        assert name_of(checkpoint(store, name=name, stage="cooldown", schedule=schedule)) == "birds"


def test_a_checkpoint_that_lies_in_no_run_has_its_model_s(tmp_path):
    inside = checkpoint(Store(tmp_path / "store"), name="birds")
    copied = tmp_path / "copied"
    shutil.copytree(inside.path, copied)
    assert name_of(Artifact.load(copied)) == "tiny"
