"""A store in a bucket keeps the promises of one in a folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.artifacts.making import dataset, made, recipe, trained
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts import staging as stages
from vitctl.artifacts.ancestry import ancestors
from vitctl.artifacts.newest import newest_whole
from vitctl.artifacts.references import find, resolve
from vitctl.artifacts.staging import fetched
from vitctl.data.dataset import Dataset
from vitctl.data.local_shards import local_folder
from vitctl.data.verify import check_records
from vitctl.errors import (
    DeniedError,
    DoesNotFitError,
    InputError,
    InterruptedRun,
    NotFoundError,
    OutOfReachError,
    OverwriteError,
)
from vitctl.places import buckets, scratch
from vitctl.places.copies import upload_folder


@pytest.fixture
def store(memory):
    return Store(memory)


@pytest.fixture
def photos(store, tmp_path):
    """A dataset made in a folder and copied into the bucket, file by file."""
    local = dataset(Store(tmp_path / "local"))
    where = store.root / "shard" / local.path.name
    assert isinstance(local.path, Path)
    upload_folder(local.path, where)
    return Artifact.load(where)


# Artifacts


def test_made_once_and_found(store):
    first = made(store, recipe(a=1), name="thing")
    assert str(first.path) == f"{store.root}/shard/thing-{first.id[:8]}"
    again = made(store, recipe(a=1), name="other")
    assert (again.path, again.digest) == (first.path, first.digest)
    assert first.as_json()["path"] == str(first.path)
    assert again.check_contents() == []


def test_the_same_digest_as_in_a_folder(store, tmp_path):
    assert made(store, recipe(a=1)).digest == made(Store(tmp_path), recipe(a=1)).digest


def test_nothing_is_finished_before_its_manifest(store):
    with suppress(RuntimeError), store.open(recipe(a=1), name="thing") as draft:
        (draft.path / "data.bin").write_bytes(b"content")
        raise RuntimeError("killed")
    assert list(store.entries()) == []
    with pytest.raises(NotFoundError, match="not finished"):
        find(str(draft.path), store=store)
    with store.open(recipe(a=1), name="thing") as draft:
        assert (draft.path / "data.bin").read_bytes() == b"content"  # it goes on from there
        assert draft.publish(summary={}).kind == "dataset"


def test_of_two_that_finish_one_publishes(store):
    with store.open(recipe(a=1), name="thing") as draft:
        (draft.path / "data.bin").write_bytes(b"mine")
        (draft.path / "artifact.json").write_bytes(b"another's")
        with pytest.raises(InterruptedRun, match="finished by another"):
            draft.publish(summary={})
    assert (draft.path / "artifact.json").read_bytes() == b"another's"


def test_force_and_strangers(store):
    out = store.root / "out"
    first = made(store, recipe(a=1), out=out)
    with pytest.raises(OverwriteError):
        made(store, recipe(a=2), out=out)
    assert made(store, recipe(a=2), out=out, force=True).id != first.id
    (store.root / "theirs" / "notes.txt").write_bytes(b"a stranger's")
    with pytest.raises(OverwriteError, match="not this command's work"):
        made(store, recipe(a=3), out=store.root / "theirs")


def test_damage_is_found(store):
    artifact = made(store, recipe(a=1), content=b"whole")
    (artifact.path / "data.bin").write_bytes(b"WHOLE")
    assert artifact.check_sizes() == []
    assert artifact.check_contents() == ["data.bin has other bytes than were published"]
    (artifact.path / "data.bin").unlink()
    assert artifact.check_sizes() == ["data.bin cannot be read (No such file or directory)"]
    with pytest.raises(InputError):
        Artifact.load(artifact.path)


def test_names_ids_urls_and_lineage(store):
    images = made(store, recipe(a=1), name="photos")
    path = trained(
        store, recipe("pretrain", "run", parents=(images.as_parent("data"),)), steps=(5, 10)
    )
    run = Run.load(path)
    for reference in (f"{path}@10", "S16@10", str(run.place(10)), str(path), "latest"):
        assert resolve(reference, store=store, kind="checkpoint").step == 10
    assert resolve("photos", store=store, kind="dataset").id == images.id
    assert resolve(images.id[:6], store=store, kind="dataset").path == images.path
    (above,) = ancestors(run.checkpoint(5), store=store)
    assert (above.artifact.path, above.problem) == (images.path, None)
    with pytest.raises(NotFoundError, match="no checkpoint at step 7"):
        resolve(f"{path}@7", store=store, kind="checkpoint")


def test_a_copy_does_without_the_bucket_it_came_from(store, tmp_path, monkeypatch):
    """On a machine that cannot reach it, lineage is found by the ids."""
    local = Store(tmp_path)
    images = made(local, recipe(a=1), name="photos")
    elsewhere = images.as_parent("data").model_copy(update={"path": "gs://gone/photos"})
    assert local.parent(elsewhere).path == images.path
    unknown = elsewhere.model_copy(update={"id": "0" * 64, "path": "newkind://x/photos"})
    assert local.parent(unknown) is None


# Runs


def test_half_a_checkpoint_goes_when_the_run_is_worked_on_again(store):
    """Sent by a process that was killed before it published."""
    wanted = recipe("pretrain", "run")
    path = trained(store, wanted, steps=(5, 10))
    whole = buckets.below(path).keys()
    for name in ("checkpoints/7/params/part", "checkpoints/7/position.json", "batches/3/x.npy"):
        (path / name).write_bytes(b"half")
    (path / "checkpoints" / "tmp" / "x").write_bytes(b"a stranger's")
    assert [p.name for p in Run.load(path).unfinished()] == ["7", "3"]
    with store.open_run(wanted, name="S16"):
        names = {name for name in buckets.below(path) if not name.startswith(".lock/")}
        assert names == {n for n in whole if not n.startswith(".lock/")} | {"checkpoints/tmp/x"}


def test_who_may_not_remove_anything_still_opens_the_run(store, monkeypatch):
    wanted = recipe("pretrain", "run")
    path = trained(store, wanted, steps=(5,))
    (path / "checkpoints" / "7" / "part").write_bytes(b"half")

    def denied(paths, **more):
        for each in paths:
            raise DeniedError(f"access to {each} was denied", exit_code=2)

    monkeypatch.setattr(buckets, "remove", denied)
    with store.open_run(wanted, name="S16") as draft:
        monkeypatch.undo()
        assert draft.steps() == [5]


def test_a_run_grows_and_forgets(store):
    wanted = recipe("pretrain", "run")
    path = trained(store, wanted, steps=(5, 10), results=(10,))
    with store.open_run(wanted, name="S16") as draft:
        place = draft.empty_place(15)
        assert isinstance(place, Path)  # a library can write there
        (place / "params").mkdir()
        (place / "params" / "w").write_bytes(b"15")
        artifact = draft.publish(15, summary={"step": 15}, started="2026-01-01")
        assert artifact.path == path / "checkpoints" / "15"
        draft.drop(5)
    assert not place.exists()
    run = Run.load(path)
    assert (run.steps(), run.info.results) == ([10, 15], (10,))
    assert (run.place(15) / "params" / "w").read_bytes() == b"15"
    assert not run.place(5).is_dir()


def test_a_damaged_checkpoint_is_passed_over(store):
    wanted = recipe("pretrain", "run")
    path = trained(store, wanted, steps=(5, 10))
    (path / "checkpoints" / "10" / "weights.bin").write_bytes(b"WEIGHTS 10")
    with store.open_run(wanted, name="S16") as draft:
        newest, problems = draft.usable(at_most=20)
    assert (newest.step, list(problems)) == (5, [10])


def test_what_was_not_published_leaves_nothing_behind(store):
    wanted = recipe("pretrain", "run")
    with suppress(RuntimeError), store.open_run(wanted, name="S16") as draft:
        place = draft.empty_place(5)
        (place / "weights.bin").write_bytes(b"half")
        raise RuntimeError("diverged")
    assert not place.exists()
    assert Run.load(draft.path).steps() == []


def test_a_store_out_of_reach_is_not_an_empty_or_damaged_one(store, monkeypatch):
    """Taken for damage it would cost an older checkpoint, or a training from scratch."""
    wanted = recipe("pretrain", "run")
    path = trained(store, wanted, steps=(5, 10))
    thing = made(store, recipe(a=1))

    def cut(path, request, **more):
        raise OutOfReachError("cut", exit_code=10)

    monkeypatch.setattr(buckets, "ask", cut)
    for ask in (
        lambda: list(store.entries()),
        lambda: newest_whole(store, "dataset"),
        lambda: store.find("x"),
        lambda: Run.load(path),
        lambda: Artifact.load(thing.path),
        thing.check_contents,
        thing.check_sizes,
        store.open_run(wanted, name="S16").__enter__,
        store.open(recipe(a=1), name="thing").__enter__,
    ):
        with pytest.raises(OutOfReachError):
            ask()


# On this disk


def test_a_dataset_is_copied_once(photos, tmp_path):
    said = []
    cache = tmp_path / "cache"
    folder = local_folder(photos, splits=("train", None), cache=cache, emit=said.append)
    assert folder == cache / f"dataset-{photos.digest[:16]}"
    names = {path.name for path in folder.iterdir()}
    assert "images-train.array_record-00001-of-00002" in names
    assert "images-val.array_record-00000-of-00001" not in names
    assert "dataset.json" in names
    assert list(check_records(Dataset.load(photos.path))) == []
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert local_folder(photos, splits=("train",), cache=cache) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    local_folder(photos, splits=("val",), cache=cache)
    assert (folder / "images-val.array_record-00000-of-00001").exists()


def test_a_local_dataset_is_read_where_it_is_unless_asked(tmp_path):
    local = dataset(Store(tmp_path / "local"))
    assert local_folder(local, splits=("train",)) == local.path
    copied = local_folder(local, splits=("train",), cache=tmp_path / "cache")
    assert copied != local.path
    assert (
        Dataset.load(copied).keys("train").tolist()
        == Dataset.load(local.path).keys("train").tolist()
    )


def test_two_at_once_copy_once(photos, tmp_path, monkeypatch):
    real, copied = stages._copied, []

    def slow(source, target, entry):
        copied.append(entry.path)
        return real(source, target, entry)

    monkeypatch.setattr(stages, "_copied", slow)
    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(local_folder, photos, splits=("train",), cache=tmp_path / "cache")
            for _ in range(4)
        ]
        assert len({job.result() for job in jobs}) == 1
    assert len(copied) == len(set(copied))


def test_damaged_shards_are_not_kept(photos, tmp_path):
    name = "images-train.array_record-00000-of-00002"
    content = (photos.path / name).read_bytes()
    (photos.path / name).write_bytes(content[:-1] + b"!")
    with pytest.raises(InputError, match=f"{name} has other bytes"):
        local_folder(photos, splits=("train",), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob(name))
    (photos.path / name).write_bytes(content)  # repaired: it goes on
    assert (local_folder(photos, splits=("train",), cache=tmp_path / "cache") / name).exists()


def test_room_is_checked_before_anything_is_copied(photos, tmp_path, monkeypatch):
    class Full:
        total, free = 10**12, 10

    monkeypatch.setattr("shutil.disk_usage", lambda path: Full)
    with pytest.raises(DoesNotFitError, match="are needed there"):
        local_folder(photos, splits=("train",), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.array_record*"))


def test_files_for_a_moment(photos):
    with fetched(photos.path, "images-val.") as folder:
        assert sorted(p.name for p in folder.iterdir()) == [
            "images-val.array_record-00000-of-00001",
            "images-val.keys",
            "images-val.labels",
        ]
    assert not folder.exists()


def test_a_killed_process_leaves_no_scratch_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_JUST_MADE_S", 0)
    left = tmp_path / "vitctl-scratch-old"
    left.mkdir()
    (left / ".lock").touch()
    with scratch.scratch() as first:
        assert not left.exists()
        with scratch.scratch():
            assert first.exists()
