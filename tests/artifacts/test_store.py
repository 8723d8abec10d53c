from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress

import pytest

from tests.artifacts.making import dataset_summary, made, recipe, trained
from vitctl.artifacts import Artifact, Run, Store, inputs
from vitctl.artifacts.newest import newest_whole
from vitctl.artifacts.store import checked_name, slug
from vitctl.errors import InputError, UsageError
from vitctl.events import Note


def finished_at(artifact, when):
    """Rewrite when an artifact says it was finished."""
    file = artifact.path / "artifact.json"
    content = json.loads(file.read_text())
    content["provenance"]["finished"] = when
    file.write_text(json.dumps(content))


def test_places_are_readable_and_unique(store):
    artifact = made(store, recipe(a=1), name="photos")
    assert artifact.path == store.root / "shard" / f"photos-{artifact.id[:8]}"


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "-x", "a b", "ü", "x" * 101, "a\n"])
def test_names_that_are_no_folder_names_are_refused(store, name):
    with pytest.raises(UsageError, match="not usable as a folder name"):
        made(store, recipe(), name=name)


def test_slugs_are_always_names():
    for text in ("S/16", "My photos (2024)", "../..", "", "--", "日本", "a" * 500, "\x1b[31m"):
        assert checked_name(slug(text, default="thing"))


def test_finding_by_id_looks_into_runs(store):
    photos = made(store, recipe(a=1))
    run = Run.load(trained(store, recipe("pretrain", "run"), steps=(1, 2)))
    assert store.find(photos.id) == photos
    assert store.find(run.checkpoint(2).id).step == 2
    assert store.find("0" * 64) is None
    assert Store(store.root / "nowhere").find(photos.id) is None


def test_newest_goes_by_what_the_manifests_say(store):
    """File times are lost when a store is copied."""
    old, new = made(store, recipe(a=1)), made(store, recipe(a=2))
    finished_at(old, "2026-01-01T00:00:00+00:00")
    finished_at(new, "2026-02-01T00:00:00+00:00")
    os.utime(old.path / "artifact.json", (4e9, 4e9))
    assert newest_whole(store, "dataset").id == new.id
    assert [entry.id for entry in store.entries()] == [old.id, new.id]
    assert newest_whole(store, "checkpoint") is None


def test_newest_passes_over_what_is_damaged(store):
    first, second, third = (made(store, recipe(a=i)) for i in range(3))
    for day, artifact in enumerate((first, second, third), start=1):
        finished_at(artifact, f"2026-01-0{day}T00:00:00+00:00")
    (third.path / "artifact.json").write_text("{")
    (second.path / "data.bin").unlink()
    assert newest_whole(store, "dataset").id == first.id


def test_the_newest_checkpoint_is_the_highest_step_of_the_newest_run(store):
    trained(store, recipe("pretrain", "run", a=1), steps=(1, 900))
    newer = trained(store, recipe("pretrain", "run", a=2), steps=(5, 50))
    run = Run.load(newer)
    for step in run.steps():
        finished_at(run.checkpoint(step), "2099-01-01T00:00:00+00:00")
    assert newest_whole(store, "checkpoint").path == run.place(50)


def test_entries_leave_out_what_cannot_be_read(store):
    whole, cut, torn = (made(store, recipe(a=i)) for i in range(3))
    (cut.path / "data.bin").write_bytes(b"")
    (torn.path / "artifact.json").write_text("{")
    (store.root / "shard" / ".hidden").mkdir()
    (store.root / "shard" / "empty").mkdir()
    (store.root / "file").touch()
    assert [entry.id for entry in store.entries()] == [whole.id]
    assert {entry.id for entry in store.entries(check=False)} == {whole.id, cut.id}


def test_an_input_is_found_where_it_was_or_anywhere_in_the_store(store, tmp_path):
    photos = made(store, recipe())
    recorded = photos.as_parent("data")
    assert store.parent(recorded) == photos
    moved = tmp_path / "elsewhere"
    shutil.move(store.root, moved)
    assert store.parent(recorded) is None
    assert Store(moved).parent(recorded).digest == photos.digest
    nowhere = recorded.model_copy(update={"path": None})
    assert Store(moved).parent(nowhere).digest == photos.digest


def test_an_input_that_changed_is_refused(store):
    photos = made(store, recipe(), content=b"old")
    recorded = photos.as_parent("data")
    made(store, recipe(), content=b"new", force=True)
    with pytest.raises(InputError, match="is not what it was") as error:
        store.parent(recorded)
    assert error.value.exit_code == 3
    assert photos.digest[:8] in error.value.message


def test_a_whole_copy_beats_a_changed_original(store, tmp_path):
    photos = made(store, recipe(), content=b"old")
    recorded = photos.as_parent("data")
    copy = store.root / "shard" / "a-copy"
    shutil.copytree(photos.path, copy)
    made(store, recipe(), content=b"new", force=True)
    assert store.parent(recorded).path == copy
    (photos.path / "artifact.json").write_text("{")
    assert store.parent(recorded).path == copy


def test_a_place_of_other_bytes_than_utf8_is_found_by_its_id(tmp_path):
    r"""JSON holds no such path: its bytes are recorded as `\xNN`, for people."""
    root = tmp_path / os.fsdecode(b"caf\xe9")
    photos = made(Store(root), recipe())
    recorded = photos.as_parent("data")
    assert recorded.path == str(photos.path.resolve()).replace("\udce9", r"\xe9")
    assert Store(root).parent(recorded) == photos
    child = made(Store(root), recipe("pretrain", "checkpoint", parents=(recorded,)))
    assert Artifact.load(child.path).manifest.parent("data") == recorded


def test_a_dataset_that_is_not_named_is_the_newest_with_labels(store):
    labelled = made(store, recipe(), name="labelled", summary=dataset_summary({"train": 6}))
    made(store, recipe(larger=True), name="plain", summary=dataset_summary({"train": 6}, classes=0))
    notes = []
    assert inputs.newest("dataset", option="--data", store=store, emit=notes.append) == labelled
    assert "plain-" in notes[0].text
    assert "is newer and has no labels" in notes[0].text
    shutil.rmtree(labelled.path)
    with pytest.raises(UsageError, match="with labels \\(there are 1 without\\)"):
        inputs.newest("dataset", option="--data", store=store, emit=notes.append)


def test_where_no_labels_are_needed_the_newest_may_have_none(store):
    plain = made(store, recipe(), name="plain", summary=dataset_summary({"train": 6}, classes=0))
    notes = []

    def newest():
        return inputs.newest(
            "dataset", option="--data", store=store, emit=notes.append, needs_labels=False
        )

    assert newest() == plain
    assert [note.text for note in notes] == [
        f"--data {plain.path} (the newest dataset in {store.root})"
    ]
    labelled = made(
        store, recipe(larger=True), name="labelled", summary=dataset_summary({"train": 6})
    )
    assert newest() == labelled
    with pytest.raises(UsageError, match="there is no finished checkpoint"):
        inputs.newest(
            "checkpoint", option="--from", store=store, emit=notes.append, needs_labels=False
        )


def test_what_has_a_name_keeps_it_and_that_is_said(store):
    artifact = made(store, recipe(a=1), name="first")
    run = trained(store, recipe("pretrain", "run", a=1), steps=(1,), results=(1,), name="first")

    def notes_of(make):
        events = []
        place = make(events.append)
        return place, [event.text for event in events if isinstance(event, Note)]

    def opened(wanted, name, **how):
        def make(emit):
            with store.open(wanted, name=name, emit=emit, **how) as draft:
                return draft.path

        return notes_of(make)

    assert opened(recipe(a=1), "first") == (artifact.path, [])
    path, (said,) = opened(recipe(a=1), "second")
    assert path == artifact.path
    assert said.startswith(f"in this store it is called {path.name}, not second")
    assert opened(recipe(a=2), "second")[1] == []
    assert opened(recipe(a=1), "second", out=store.root / "elsewhere")[1] == []

    def earlier(emit):
        return store.earlier_result(
            recipe("pretrain", "run", a=1), 1, name="second", emit=emit
        ).path.parent.parent

    path, (said,) = notes_of(earlier)
    assert path == run
    assert said.startswith(f"in this store it is called {run.name}, not second")
    with store.open_run(recipe("pretrain", "run", a=1), name="first") as draft:
        assert draft.path == run


def test_what_is_refused_removes_the_folders_that_it_or_another_refused_one_made(store, tmp_path):
    """But neither --out that was there before, nor what another command has begun."""
    mine = tmp_path / "mine"
    mine.mkdir()

    def refused(**where):
        with suppress(ZeroDivisionError), store.open(recipe(a=1), name="x", **where) as draft:
            raise ZeroDivisionError
        return draft.path

    shutil.rmtree(store.root, ignore_errors=True)
    path = refused()
    assert not store.root.exists()
    path.make_folder()  # by another that was refused, and could not remove it
    assert refused() == path
    assert not path.parent.exists()
    neighbour = made(store, recipe(a=2), name="neighbour")
    refused()
    assert path.parent.children() == [neighbour.path]
    refused(out=mine)
    refused(out=mine / "new" / "deep")
    assert mine.is_dir()
    assert not list(mine.iterdir())
