from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.artifacts.making import made, recipe, trained
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.inputs import is_synthetic
from vitctl.artifacts.manifest import FileEntry, Parent, Recipe, digest_of, read_manifest
from vitctl.errors import InputError, NotFoundError
from vitctl.inference.weights_choice import average_decay
from vitctl.places import place


def changed(artifact, **fields):
    """The manifest on disk with some fields replaced (None: removed)."""
    file = artifact.path / "artifact.json"
    content = json.loads(file.read_text()) | fields
    expected = {key: value for key, value in content.items() if value is not None}
    file.write_text(json.dumps(expected))


def test_round_trip(store):
    artifact = made(store, recipe(shards=2), summary={"classes": 3, "rate": 0.5})
    assert Artifact.load(artifact.path) == artifact
    assert artifact.summary == {"classes": 3, "rate": 0.5}
    assert artifact.config == {"shards": 2}
    assert artifact.manifest.provenance.versions["python"]


@pytest.mark.parametrize("optim", ["text", None, [], {"ema": "0.9"}, {}])
def test_recorded_settings_of_other_types_are_as_if_absent(store, optim):
    """Edited by hand, in a store that no digest protects."""
    checkpoint = made(store, recipe(optim=optim, data="x"))
    assert checkpoint.setting("optim.lr.peak") is None
    assert average_decay(checkpoint) is None
    assert not is_synthetic(checkpoint)


def test_the_digest_is_of_the_files(store):
    """Worked out here by hand, from the bytes."""
    artifact = made(store, recipe(), content=b"abc")
    rows = [["data.bin", 3, hashlib.sha256(b"abc").hexdigest()]]
    written = json.dumps(rows, separators=(",", ":")).encode()
    assert artifact.digest == hashlib.sha256(written).hexdigest()


@given(st.permutations(range(4)))
def test_the_digest_ignores_order_and_volatile_files(order):
    files = [FileEntry(path=f"f{i}", size=i, sha256=str(i)) for i in range(4)]
    clock = FileEntry(path="time", size=1, sha256="9", volatile=True)
    assert digest_of([files[i] for i in order] + [clock]) == digest_of(files)


def test_the_id_is_what_was_asked_for():
    source = Parent(role="source", kind="source", id="1", digest="2", path="/here")
    first = Recipe(stage="shard", version=1, kind="dataset", config={"a": 1}, parents=(source,))
    moved = source.model_copy(update={"path": "/there"})
    assert first.model_copy(update={"parents": (moved,)}).id == first.id
    for update in (
        {"stage": "other"},
        {"version": 2},
        {"config": {"a": 2}},
        {"parents": ()},
        {"parents": (source.model_copy(update={"digest": "3"}),)},
        {"parents": (source.model_copy(update={"role": "from"}),)},
    ):
        assert first.model_copy(update=update).id != first.id


def test_newer_formats_are_refused_and_say_so(store):
    artifact = made(store, recipe())
    for newer in (3, 3.0, 99):
        changed(artifact, format=newer, news="unknown to us")
        with pytest.raises(InputError, match=r"artifact format .*; this vitctl reads up to 2") as e:
            Artifact.load(artifact.path)
        assert "install a newer vitctl" in e.value.hint


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"format": 1}', b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"format": "1"}'],
    ids=["empty", "cut", "fields", "list", "number", "bytes", "deep", "format"],
)
def test_damaged_manifests_are_one_sentence(store, content):
    artifact = made(store, recipe())
    (artifact.path / "artifact.json").write_bytes(content)
    with pytest.raises(InputError, match="is damaged") as error:
        read_manifest(artifact.path)
    assert error.value.exit_code == 3
    assert "\n" not in error.value.message


def test_a_manifest_that_is_a_folder_is_not_a_crash(tmp_path):
    (tmp_path / "artifact.json").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        read_manifest(place(tmp_path))


def test_without_a_manifest_nothing_is_finished(tmp_path):
    with pytest.raises(NotFoundError, match="not a finished artifact"):
        read_manifest(place(tmp_path))
    with pytest.raises(NotFoundError):
        read_manifest(place(tmp_path / "nowhere"))


def test_unknown_fields_are_damage_not_ignored(store):
    artifact = made(store, recipe())
    changed(artifact, surprise=1)
    with pytest.raises(InputError, match="surprise"):
        read_manifest(artifact.path)


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "a/../../x", "..", ".", "", "a//b", "./a", "a\\b", "a\0b", "a/"],
)
def test_files_outside_the_folder_are_refused(store, path):
    artifact = made(store, recipe())
    changed(artifact, files=[{"path": path, "size": 1, "sha256": "0" * 64}])
    with pytest.raises(InputError, match="outside its folder"):
        read_manifest(artifact.path)


def test_missing_and_cut_files_are_named_before_anything_is_read(store):
    artifact = made(store, recipe(), content=b"12345")
    (artifact.path / "data.bin").write_bytes(b"123")
    with pytest.raises(InputError, match=r"data.bin has 3 bytes instead of 5") as error:
        Artifact.load(artifact.path)
    assert "vitctl verify" in error.value.hint
    (artifact.path / "data.bin").unlink()
    assert artifact.check_sizes() == ["data.bin cannot be read (No such file or directory)"]


def test_a_flipped_byte_is_found_by_content_only(store):
    artifact = made(store, recipe(), content=b"12345")
    (artifact.path / "data.bin").write_bytes(b"12346")
    assert artifact.check_sizes() == []
    assert artifact.check_contents() == ["data.bin has other bytes than were published"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"config": {"shards": 3}}, "its id is not that"),
        ({"stage": "pretrain"}, "its id is not that"),
        ({"digest": "0" * 64}, "its digest is not that"),
        ({"files": []}, "its digest is not that"),
        ({"summary": {"classes": 4}}, "its seal is not that"),
        ({"kind": "checkpoint"}, "its seal is not that"),
        ({"seal": None}, "its seal is not that"),
    ],
    ids=str,
)
def test_an_edited_manifest_is_refused_wherever_it_is_read(store, change, said):
    artifact = made(store, recipe(shards=2), summary={"classes": 3})
    changed(artifact, **change)
    with pytest.raises(InputError, match=said):
        Artifact.load(artifact.path)


def test_a_manifest_from_before_there_were_seals_is_read(store):
    artifact = made(store, recipe(shards=2), summary={"classes": 3})
    changed(artifact, format=1, seal=None)
    assert Artifact.load(artifact.path).summary == {"classes": 3}


def test_settings_of_a_run_that_were_edited_are_refused(store):
    from vitctl.artifacts import Run

    path = trained(store, recipe("pretrain", "run", lr=1), steps=(1,))
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "config": {"lr": 2}}))
    with pytest.raises(InputError, match="changed after the run began"):
        Run.load(path)


def test_an_input_at_a_path_that_is_not_utf8_is_recorded(store):
    path = os.fsdecode(b"/tables/caf\xe9.csv")
    table = Parent(role="table", kind="source", id="0" * 64, digest="0" * 64, path=path)
    artifact = made(store, recipe(parents=(table,)))
    [recorded] = Artifact.load(artifact.path).manifest.parents
    assert recorded.path == r"/tables/caf\xe9.csv"
