"""Stores that older code made: read whole, found again, trained on with the same bits.

tests/fixtures/old_store/README.md says how that store was made; nothing here makes it anew.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader

from tests.compiling import QUICK
from tests.fixtures.old_store import make
from tests.stages.warm import Warm
from vitctl.artifacts.provenance import versions

FIXTURE = Path(make.__file__).parent
EXPECTED = json.loads((FIXTURE / "expected.json").read_text())
# What can change the bits of a trained weight, besides the processor and vitctl itself.
BITS = ("jax", "jaxlib", "numpy", "optax", "flax", "tensorflow-cpu")

# Other orders of summation differ by 2e-7 here. That may turn the rounding of a momentum in
# bfloat16, which moves a weight by the rate, 0.01, times 2^-8 a step. What is wrong (another order,
# rate or state of the optimizer) moves it by the rate.
ATOL = 2e-4
# Attention does not change with the bias of its keys: its gradient is rounding alone, and both
# optimizers divide it by itself.
NO_GRADIENT = {"blocks.attention.key.bias", "map_head.attention.key.bias"}


class OldStore:
    """A copy of the store at another path than it was made at, and one process with commands."""

    def __init__(self, folder: Path, warm: Warm, *, digest: str) -> None:
        self.folder, self._warm = folder, warm
        self.digest = digest
        """The name that `expected.json` has for digests of these bits."""

    def run(self, *arguments: str) -> str:
        done = self._warm.run(*arguments)
        assert done.code == 0, done.err
        return done.out

    def artifact(self, *arguments: str) -> dict[str, str]:
        """The artifact a command answers with, as `expected.json` has it."""
        answer = json.loads(self.run(*arguments, "--json"))
        return {key: answer[key] for key in ("path", "kind", "id", "digest")}

    def files(self) -> dict[str, tuple[int, int]]:
        """(size, time of last change) of each file, by path; what the commands print lies above."""
        return {
            str(file): (file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and file.parent != self.folder
        }


@pytest.fixture(scope="module", params=["quick", pytest.param("own", marks=pytest.mark.slow)])
def old_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OldStore]:
    """With the flags of XLA that compile quickly, and with XLA's own, as users have them."""
    folder = tmp_path_factory.mktemp("moved")
    with tarfile.open(FIXTURE / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    environment = {**os.environ, **make.ENVIRONMENT, "PYTHONPATH": str(FIXTURE.parents[2])}
    environment.pop("VITCTL_STORE", None)
    if request.param == "quick":
        environment["XLA_FLAGS"] = QUICK
    with Warm(folder, environment=environment) as warm:
        yield OldStore(folder, warm, digest="digest" if request.param == "own" else "quick_digest")


def test_every_artifact_is_listed_shown_and_whole(old_store):
    listed = [json.loads(line) for line in old_store.run("ls", "--json").splitlines()]
    paths = {row["path"] for row in listed}
    for artifact in EXPECTED["artifacts"].values():
        # Of a run, its row stands for its checkpoints.
        assert artifact["path"].partition("/checkpoints/")[0] in paths
        shown = json.loads(old_store.run("show", artifact["path"], "--json"))
        assert (shown["id"], shown["digest"]) == (artifact["id"], artifact["digest"])
    old_store.run("verify", "--all", "--deep")


@pytest.mark.parametrize("name", make.COMMANDS)
def test_the_same_command_finds_what_was_published(old_store, name):
    before = old_store.files()
    assert old_store.artifact(*make.COMMANDS[name]) == EXPECTED["artifacts"][name]
    assert {path: before.get(path) for path in old_store.files()} == before


def records(dataset: Path) -> list[bytes]:
    """All records of all splits, in an order of their own."""
    readers = map(ArrayRecordReader, map(str, dataset.glob("images-*.array_record-*")))
    return sorted(record for reader in readers for record in reader.read_all())


def test_the_same_images_make_the_same_records(old_store):
    """Bytes of the images and integers: equal on every machine. Which of them are held out, a later
    version of the stage chose in another way, so the digest is another one."""
    made = old_store.artifact(*make.COMMANDS["dataset"], "--store", "anew")
    old = records(old_store.folder / EXPECTED["artifacts"]["dataset"]["path"])
    assert len(old) == len(make.CLASSES) * make.IMAGES_A_CLASS
    assert records(old_store.folder / made["path"]) == old


@pytest.fixture(scope="module")
def continued(old_store) -> dict[str, dict[str, Any]]:
    """The checkpoints that runs of the store come to when they go on, by their name."""
    return {name: old_store.artifact(*arguments) for name, arguments in make.CONTINUED.items()}


@pytest.mark.parametrize("name", make.CONTINUED)
def test_a_run_goes_on_to_the_weights_that_the_old_code_came_to(old_store, continued, name):
    checkpoint = continued[name]
    expected = EXPECTED["continued"][name]
    assert (checkpoint["path"], checkpoint["id"]) == (expected["path"], expected["id"])
    weights = make.weights(old_store.folder / checkpoint["path"])
    wanted = make.continued_weights()[name]
    assert weights.keys() == wanted.keys()
    for key in weights.keys() - NO_GRADIENT:
        np.testing.assert_allclose(weights[key], wanted[key], rtol=0, atol=ATOL, err_msg=key)


@pytest.mark.parametrize("name", make.CONTINUED)
def test_a_run_goes_on_with_the_same_bits(old_store, continued, name):
    """An equal digest is right on any machine; another one is wrong only where the compiler, its
    processor and the libraries are the same."""
    digest = EXPECTED["continued"][name][old_store.digest]
    if continued[name]["digest"] == digest:
        return
    here, old = versions(), EXPECTED["versions"]
    others = [
        f"{package} {here.get(package)}" for package in BITS if here.get(package) != old[package]
    ]
    if make.processor() != EXPECTED["processor"]:
        others.append("another processor")
    if others:
        pytest.skip(f"bits may differ: {', '.join(others)}; weights were compared within rounding")
    assert continued[name]["digest"] == digest
