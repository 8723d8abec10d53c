from __future__ import annotations

import errno
import os
from contextlib import suppress

import pytest

from stages import api
from stages.inspect.ls.run import rows
from stages.inspect.ls.text import cells
from tests import schemas
from tests.artifacts.making import dataset, made, recipe, trained
from vitctl.artifacts import Recipe, Run
from vitctl.artifacts.newest import newest_whole
from vitctl.artifacts.provenance import now
from vitctl.artifacts.references import find, resolve

TRUNK = recipe("pretrain", "run", lr=1)


def states(store, **kind):
    return {(row.kind, row.name): row.state for row in rows(store, **kind)}


def test_a_row_an_artifact(store):
    photos = dataset(store)
    (row,) = rows(store)
    assert (row.kind, row.name, row.stage, row.state) == ("dataset", "photos", "shard", "finished")
    assert (row.id, row.digest, row.summary) == (photos.id, photos.digest, photos.summary)
    assert photos.as_json().items() <= row.as_json().items()


def test_a_run_is_one_row_or_one_a_checkpoint(store):
    path = trained(store, TRUNK, steps=(10, 20), results=(20,))
    (row,) = rows(store)
    assert (row.kind, row.steps, row.state) == ("run", (10, 20), "finished")
    assert row.summary["step"] == 20
    each = rows(store, kind="checkpoint")
    assert [(row.name, row.steps) for row in each] == [("S16@10", (10,)), ("S16@20", (20,))]
    assert each[0].id == Run.load(path).checkpoint(10).id


def test_work_in_progress_is_marked(store):
    trained(store, TRUNK, steps=(10, 20), results=(10,), name="stopped")
    trained(store, recipe("pretrain", "run", lr=2), steps=(), name="empty")
    with (
        store.open_run(recipe("pretrain", "run", lr=3), name="training"),
        store.open(recipe(b=1), name="sharding") as draft,
    ):
        assert states(store) == {
            ("run", "stopped"): "unfinished",
            ("run", "empty"): "failed",
            ("run", "training"): "working",
            ("dataset", draft.path.name): "working",
        }
    assert states(store, kind="dataset") == {("dataset", draft.path.name): "unfinished"}


def test_a_run_that_never_saved_says_why(store):
    """It is not continued, but made anew; what was written of a checkpoint is gone."""
    wanted = recipe("pretrain", "run", lr=4)

    def fail(error):
        with suppress(type(error)), store.open_run(wanted, name="failing") as run:
            run.begin(from_step=0, runtime={})
            (run.empty_place(5) / "weights.bin").write_bytes(b"half")
            raise error

    fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    (row,) = rows(store)
    assert (row.state, row.problem) == ("failed", "cannot write: the disk is full")
    assert "".join(map(str, cells(row))).endswith("failed: cannot write: the disk is full")
    schemas.check(row.as_json(), "listing")
    assert not (row.path / "checkpoints" / "5").exists()
    fail(KeyboardInterrupt())
    (row,) = rows(store)
    assert (row.state, row.problem) == ("failed", "it ended before its first checkpoint")
    fail(ZeroDivisionError("a bug"))
    assert rows(store)[0].problem == "a bug"
    (removed,) = api.rm(unfinished=True, dry_run=True, store=store)
    assert removed.path == row.path
    path = trained(store, wanted, steps=(5,), results=(5,), name="failing")
    (row,) = rows(store)
    assert (row.path, row.state, row.problem) == (path, "finished", None)
    assert "failed" not in (path / "run.json").read_text()


def test_a_run_with_a_checkpoint_did_not_fail(store):
    wanted = recipe("pretrain", "run", lr=5)
    trained(store, wanted, steps=(5,))
    with suppress(ZeroDivisionError), store.open_run(wanted, name="S16") as run:
        run.begin(from_step=5, runtime={})
        raise ZeroDivisionError
    (row,) = rows(store)
    assert (row.state, row.problem) == ("unfinished", None)


def test_damage_is_a_row_with_a_word_not_a_crash(store):
    cut, torn = made(store, recipe(a=1), name="cut"), made(store, recipe(a=2), name="torn")
    (cut.path / "data.bin").unlink()
    (torn.path / "artifact.json").write_text("{")
    run = trained(store, TRUNK, steps=(1, 2), name="run")
    (run / "checkpoints/2/artifact.json").write_text("[]")
    broken = trained(store, recipe("pretrain", "run", lr=2), steps=(1,), name="broken")
    (broken / "run.json").write_text("{")
    values = {row.path.name.rsplit("-", 1)[0]: row for row in rows(store)}
    assert {row.state for row in values.values()} == {"damaged"}
    assert "data.bin cannot be read" in values["cut"].problem
    assert "not JSON" in values["torn"].problem
    assert "checkpoint 2" in values["run"].problem
    assert "run.json is damaged" in values["broken"].problem
    each = {row.path.name: row.state for row in rows(store, kind="checkpoint")}
    assert each == {"1": "finished", "2": "damaged"}


def test_the_newest_is_last(store):
    names = ["c", "a", "b"]
    for number, name in enumerate(names):
        artifact = made(store, recipe(a=number), name=name)
        file = artifact.path / "artifact.json"
        text = file.read_text()
        finished = artifact.manifest.provenance.finished
        file.write_text(text.replace(finished, f"2026-0{number + 1}"))
    assert [row.name for row in rows(store)] == names


@pytest.mark.parametrize("apart_ns", [-5, 0, 5])
def test_of_one_second_all_name_the_same_newest(store, apart_ns):
    """`ls`, `latest` with and without a kind, and a name that two have."""
    one, two = (made(store, recipe(a=number), name="same") for number in (1, 2))
    for artifact, nanoseconds in ((one, 10**18), (two, 10**18 + apart_ns)):
        file = artifact.path / "artifact.json"
        finished = artifact.manifest.provenance.finished
        file.write_text(file.read_text().replace(finished, "2026-01-01T00:00:00+00:00"))
        os.utime(file, ns=(nanoseconds, nanoseconds))
    last = rows(store)[-1].path
    if apart_ns:
        assert last == (two if apart_ns > 0 else one).path
    assert find("latest", store=store)[0].path == last
    assert find("same", store=store, kind="dataset")[0].path == last
    assert resolve("latest", store=store, kind="dataset").path == last
    assert newest_whole(store, "dataset").path == last


@pytest.mark.parametrize("kind", [None, "dataset"])
def test_an_empty_store_has_no_rows(store, kind):
    assert rows(store, kind=kind) == []


@pytest.mark.parametrize(
    ("width", "shown"), [(384, "S/16"), (96, "custom (width 96, depth 12, patch 16)")]
)
def test_a_store_of_an_earlier_version_shows_custom_sizes_too(store, width, shown):
    """Its checkpoints recorded the name that settings have, whatever the size is."""
    sizes = {"width": width, "depth": 12, "mlp_dim": 1536, "heads": 6, "patch": 16}
    named = Recipe(stage="pretrain", version=1, kind="run", config={"name": "S/16", "model": sizes})
    with store.open_run(named, name="S-16") as run:
        run.empty_place(1)
        run.publish(1, summary={"step": 1, "model": "S/16"}, started=now())
    (row,) = rows(store)
    assert row.summary == {"step": 1, "model": shown}
