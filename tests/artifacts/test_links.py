"""Symbolic links that somebody has put into a store: what they point to never changes."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.artifacts.making import made, recipe, trained
from vitctl.artifacts import Store
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.drafts import read_note
from vitctl.artifacts.files import HELD
from vitctl.artifacts.runs import BATCHES, Run
from vitctl.artifacts.staging import staged
from vitctl.errors import InputError, VitctlError
from vitctl.events import silent
from vitctl.locks.heartbeat import exclusive as beating
from vitctl.places import place
from vitctl.places.nofollow import LinkError
from vitctl.train.telemetry.goodput import Ledger, Meter
from vitctl.train.telemetry.metrics import Metrics


class Outside:
    """A folder that looks like anything of a store, and must stay as it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("artifact.json", "run.json", "7/artifact.json", "13/weights.bin", "data.bin"):
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{}")
        for path in (root, *root.rglob("*")):
            os.utime(path, ns=(10**18, 10**18))
        self.before = self.state()

    def state(self) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for path in (self.root, *sorted(self.root.rglob("*"))):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            rows.append((str(path), status.st_mode, status.st_ino, status.st_mtime_ns, content))
        return rows

    @property
    def untouched(self) -> bool:
        return self.state() == self.before


@pytest.fixture
def outside(tmp_path):
    return Outside(tmp_path / "outside")


RUN = recipe("pretrain", "run", a=1)
TO = ["", "artifact.json", "not-there"]


def train(store: Store, *, step: int, trunk: Artifact | None = None, **places) -> None:
    """All that a training command does to files, without arrays."""
    with store.open_run(RUN, name="S16", **places) as draft:
        draft.begin(from_step=0, runtime={})
        if trunk is not None:
            draft.begin_from(trunk)
        ledger = Ledger(draft.path / "goodput.json", meter=Meter(), step=0)
        with ledger, Metrics(draft.metrics, keep_to=0, tensorboard=True) as metrics:
            metrics.row("train", step, loss=1.0)
        folder = draft.empty_place(step)
        place(folder / "weights.bin").write_atomic(b"weights")
        draft.publish(step, summary={"step": step}, started="2026-01-01")
        for old in draft.steps():
            if old != step:
                draft.drop(old)


IN_A_RUN = [
    "run.json",
    "metrics.jsonl",
    "goodput.json",
    "checkpoints",
    "checkpoints/13",
    "checkpoints/5",
    "checkpoints/7",
    "batches",
    "batches/7",
    "pins",
    ".lock",
    ".lock.held",
    "draft.json",
    "stacks",
    "events.out.tfevents.1.2.vitctl.0",
]


@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize("name", IN_A_RUN)
def test_a_run_with_a_link_in_it_is_not_trained_on(store, outside, name, to):
    run = trained(store, RUN, steps=(5,))
    link = run / name
    if link.is_dir():
        link.rename(run / f"{link.name}-before")
    link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(outside.root / to)
    with pytest.raises(VitctlError, match="is a symbolic link") as error:
        train(store, step=13)
    assert str(link) in error.value.message
    assert error.value.hint
    assert error.value.exit_code == 3
    assert link.is_symlink()
    assert outside.untouched


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("level", ["stage", "run"])
def test_links_on_the_way_to_a_run_inside_a_store_are_refused(store, tmp_path, level, force):
    run = trained(store, RUN, steps=(5,))
    moved = {"stage": run.parent, "run": run}[level]
    moved.rename(tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    before = sorted(str(p) for p in (tmp_path / "elsewhere").rglob("*"))
    with pytest.raises(LinkError) as error:
        train(store, step=13, force=force)
    assert str(moved) in error.value.message
    assert sorted(str(p) for p in (tmp_path / "elsewhere").rglob("*")) == before
    # It is read all the same, and may be named as what it is.
    assert [entry.path.name for entry in store.entries()] == [run.name]
    real = tmp_path / "elsewhere" / run.name if level == "stage" else tmp_path / "elsewhere"
    train(store, step=13, out=real)
    assert Run.load(real).steps() == [13]


def test_a_store_that_is_itself_a_link_works(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = Store(tmp_path / "store")
    train(store, step=5)
    train(store, step=13)
    made(store, recipe(a=1))
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "disk")
    made(store, recipe(a=2), out=out / "named")
    assert len(list(store.entries())) == 2


@pytest.mark.parametrize("to", TO)
@pytest.mark.parametrize("name", ["reports", "data.bin", "checkpoints", "any"])
def test_a_draft_with_a_link_in_it_is_refused(store, outside, name, to):
    with store.open(recipe(a=1), name="thing") as draft:  # one that ends without publishing
        draft.write("begun", b"")
    (draft.path / name).symlink_to(outside.root / to)
    with pytest.raises(LinkError, match=name):
        made(store, recipe(a=1))
    assert (read_note(draft.path) or {})["id"] == recipe(a=1).id
    assert outside.untouched


def test_forced_the_links_go_and_nothing_else(store, outside):
    path = Path(made(store, recipe(a=1)).path)
    (path / "reports").symlink_to(outside.root)
    (path / "deep").mkdir()
    (path / "deep" / "link").symlink_to(outside.root / "7")
    again = made(store, recipe(a=1), force=True)
    assert sorted(p.name for p in Path(again.path).iterdir()) == ["artifact.json", "data.bin"]
    assert outside.untouched


def test_what_is_published_has_no_links(store, outside):
    with store.open(recipe(a=1), name="thing") as draft:
        Path(draft.path / "data.bin").symlink_to(outside.root / "data.bin")
        with pytest.raises(LinkError, match=r"data\.bin"):
            draft.publish(summary={})
    assert outside.untouched


def test_a_published_artifact_whose_file_became_a_link_is_damaged(store, outside):
    artifact = made(store, recipe(a=1), content=b"{}")
    file = Path(artifact.path / "data.bin")
    file.unlink()
    file.symlink_to(outside.root / "data.bin")  # of the same content
    with pytest.raises(InputError, match=r"data\.bin is a symbolic link"):
        Artifact.load(artifact.path)
    assert artifact.check_contents() == ["data.bin is a symbolic link, not what was published"]


def test_a_folder_of_an_artifact_that_became_a_link_is_named(store, tmp_path):
    with store.open(recipe(a=1), name="thing") as draft:
        (Path(draft.path) / "params").mkdir()
        (Path(draft.path) / "params" / "weights").write_bytes(b"w")
        artifact = draft.publish(summary={})
    params = Path(artifact.path / "params")
    params.rename(tmp_path / "params")
    params.symlink_to(tmp_path / "params")
    with pytest.raises(InputError, match="damaged: params is a symbolic link"):
        Artifact.load(artifact.path)


def test_an_artifact_may_be_reached_through_a_link(store, tmp_path):
    artifact = made(store, recipe(a=1))
    Path(artifact.path).rename(tmp_path / "elsewhere")
    Path(artifact.path).symlink_to(tmp_path / "elsewhere")
    assert not Artifact.load(artifact.path).check_contents()
    assert made(store, recipe(a=1)).digest == artifact.digest


@pytest.mark.parametrize("to", TO)
def test_pins_of_a_trunk_that_are_a_link_are_refused(store, outside, to):
    trunk = Run.load(trained(store, recipe("pretrain", "run", b=1), steps=(5,)))
    Path(trunk.path / "pins").symlink_to(outside.root / to)
    with pytest.raises(LinkError, match="pins"):
        trunk.pins.pin(5, by=store.root / "x", id="0" * 64)
    with pytest.raises(LinkError, match="pins"):
        train(store, step=13, trunk=trunk.checkpoint(5))
    assert outside.untouched


@pytest.mark.parametrize("to", TO)
def test_the_file_that_stands_for_a_lock_is_no_link(tmp_path, outside, to):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / HELD).symlink_to(outside.root / to)
    with (
        pytest.raises(VitctlError, match="is a symbolic link"),
        beating(place(tmp_path / "run") / HELD, emit=silent, waiting=""),
    ):
        pass
    assert outside.untouched


@pytest.mark.parametrize("to", TO)
def test_a_cache_that_is_a_link_is_filled_but_not_through_links_in_it(store, tmp_path, outside, to):
    artifact = made(store, recipe(a=1))
    (tmp_path / "disk").mkdir()
    cache = tmp_path / "cache"
    cache.symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / f"dataset-{artifact.digest[:16]}").symlink_to(outside.root / to)
    with pytest.raises(LinkError):
        staged(artifact, wanted=lambda name: True, cache=cache)
    assert outside.untouched
    (tmp_path / "disk" / f"dataset-{artifact.digest[:16]}").unlink()
    folder = staged(artifact, wanted=lambda name: True, cache=cache)
    assert (folder / "data.bin").read_bytes() == b"content"
    (folder / "data.bin").unlink()
    (folder / "data.bin").symlink_to(outside.root / to)
    with pytest.raises(LinkError):
        staged(artifact, wanted=lambda name: True, cache=cache)
    assert outside.untouched


def test_names_of_a_run_that_are_not_ours_may_be_links(store, outside):
    run = trained(store, RUN, steps=(5,))
    (run / "latest").symlink_to("checkpoints/5")
    (run / BATCHES).mkdir()
    (run / BATCHES / "notes").symlink_to(outside.root)
    train(store, step=13)
    assert outside.untouched


def test_training_on_in_a_copy_by_hard_links_leaves_the_original_as_it_was(store, tmp_path):
    train(store, step=5)
    [original] = [entry.path for entry in store.entries()]
    names = {path.name.split(".")[0] for path in original.iterdir()}
    assert names >= {"metrics", "events", "goodput", "run"}

    def state():
        files = sorted(path for path in original.rglob("*") if path.is_file())
        return [(str(path), path.stat().st_mtime_ns, path.read_bytes()) for path in files]

    before = state()
    shutil.copytree(store.root, tmp_path / "copy", copy_function=os.link)
    train(Store(tmp_path / "copy"), step=13)
    assert state() == before
