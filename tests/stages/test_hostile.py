"""Whatever a store holds, with all hashes made to match, the answer is an answer or a sentence."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compiling import QUICK
from tests.fixtures.old_store import make
from tests.stages import hostile
from tests.stages.inspect.test_hostile import look_at
from tests.stages.warm import Warm
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.inputs import is_synthetic
from vitctl.checkpoints import position
from vitctl.data.dataset import Dataset
from vitctl.errors import VitctlError
from vitctl.inference.weights_choice import average_decay
from vitctl.recipes.branching import trained_with

FIXTURE = Path(make.__file__).parent
MADE = hostile.MADE
COMMANDS = {
    "verify": ("verify", "--all", "--deep"),
    "lineage": ("lineage", MADE["probe"]["path"]),
    "pretrain": make.INTERRUPTED,
    "cooldown": ("cooldown", "--from", "adam@6", "--steps", "1", "--no-tensorboard"),
    "finetune": ("finetune", "--from", "cooled", "--steps", "1", "--batch", "8", "--lr", "0.01"),
    "fewshot": ("fewshot", "--from", "adam@6", "--shots", "1", "--draws", "1"),
    "evaluate": ("evaluate", "--from", "cooled", "--force"),
    "replay": ("replay", "--from", "adam", "--step", "3"),
}
SENTENCES = {2, 3, 4, 5, 6}
"""Exit codes of refusals: usage, input, not found, conflict (a run whose settings were edited is
another one, in the folder of the first), does not fit."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with tarfile.open(FIXTURE / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def read_all(store: Store) -> None:
    """What stages read of a store before they import anything heavy; each refusal is a sentence."""

    refusals: list[VitctlError] = []

    def attempt(read: Callable[[], object]) -> None:
        try:
            read()
        except VitctlError as error:
            refusals.append(error)

    look_at(store)
    for entry in store.entries(check=False):
        readable = [entry] if isinstance(entry, Artifact) else []
        if isinstance(entry, Run):
            for step in entry.steps():
                attempt(partial(lambda e, s, of: of.append(e.checkpoint(s)), entry, step, readable))
        for artifact in readable:
            if artifact.kind == "checkpoint":
                attempt(partial(trained_with, artifact))
                attempt(partial(average_decay, artifact))
                attempt(partial(is_synthetic, artifact))
                attempt(partial(position.read, artifact.path))
            if artifact.kind == "dataset":
                attempt(
                    lambda a=artifact: [Dataset.load(a.path).labels(s) for s in ("train", "val")]
                )
                for split in ("train", "val"):
                    attempt(partial(_side_files, artifact, split))
    for refusal in refusals:
        assert refusal.exit_code in SENTENCES
        assert "\n" not in refusal.message


def _side_files(artifact: Artifact, split: str) -> None:
    dataset = Dataset.load(artifact.path)
    dataset.labels(split)
    dataset.keys(split)


def test_hashes_that_are_made_to_match_change_nothing_of_a_whole_store(whole, tmp_path):
    store = hostile.copied(whole, tmp_path / "case") / "artifacts"
    before = {p: p.read_bytes() for p in store.rglob("*.json")}
    hostile.reseal(store)
    assert {p: p.read_bytes() for p in store.rglob("*.json")} == before


@pytest.mark.parametrize("seed", range(6))
def test_what_every_stage_reads_first(whole, tmp_path, seed):
    store = hostile.copied(whole, tmp_path / "case") / "artifacts"
    hostile.forge(store, random.Random(seed).choice)
    hostile.reseal(store)
    read_all(Store(store))


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> Iterator[Warm]:
    environment = {**os.environ, **make.ENVIRONMENT, "XLA_FLAGS": QUICK}
    environment["PYTHONPATH"] = str(FIXTURE.parents[2])
    environment.pop("VITCTL_STORE", None)
    with Warm(tmp_path_factory.mktemp("warm"), environment=environment) as process:
        yield process


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(data=st.data())
def test_every_stage_answers_or_refuses(whole, warm, tmp_path_factory, data):
    folder = hostile.copied(whole, tmp_path_factory.mktemp("hostile") / "case")
    try:
        what = hostile.forge(folder / "artifacts", lambda of: data.draw(st.sampled_from(of)))
        hostile.reseal(folder / "artifacts")
        command = COMMANDS[data.draw(st.sampled_from(sorted(COMMANDS)), label="command")]
        command = tuple(w.replace("artifacts/", f"{folder}/artifacts/") for w in command)
        done = warm.run(*command, "--store", str(folder / "artifacts"))
        assert done.code in {0, *SENTENCES}, (what, done.err)
        assert "Traceback" not in done.err, (what, done.err)
    finally:
        shutil.rmtree(folder)
