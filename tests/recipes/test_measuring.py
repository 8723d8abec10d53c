"""What is said of a checkpoint before it is measured or gone on from."""

from __future__ import annotations

import shutil

import pytest

from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.recipes import measuring


@pytest.mark.parametrize("chooses", [True, False])
def test_a_copied_checkpoint_that_may_be_the_best_is_not_called_unfinished(tmp_path, chooses):
    """Copied out of its run, which recorded what was chosen; inside it the run tells."""
    store = Store(tmp_path / "store")
    keep_best = {"keep_best": {"metric": "top1", "every": 2}} if chooses else {}
    checkpoint = made.checkpoint(
        store,
        saved=False,
        cooled=False,
        schedule={"kind": "cosine", "total_steps": 12},
        **keep_best,
    )
    sentence = measuring.uncooled(checkpoint, store=store)
    assert "in the middle of a cosine schedule" in sentence
    copy = Artifact.load(shutil.copytree(checkpoint.path, tmp_path / "copy"))
    copied = measuring.uncooled(copy, store=store)
    assert (copied is None) == chooses
