"""What a command takes where no input is named, in a store of which a part is damaged."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import pytest

from tests.artifacts.making import made, recipe, trained
from vitctl.artifacts import Run, inputs
from vitctl.artifacts.newest import newest, newest_whole
from vitctl.artifacts.references import resolve
from vitctl.errors import InputError, UsageError
from vitctl.events import silent


def emptied(path):
    (path / "weights.bin").write_bytes(b"")
    return "is damaged: weights.bin has 0 bytes instead of"


def torn(path):
    (path / "artifact.json").write_text("{")
    return "is damaged"


def edited(path):
    manifest = json.loads((path / "artifact.json").read_bytes())
    manifest["summary"]["step"] = 7
    (path / "artifact.json").write_text(json.dumps(manifest))
    return "was changed after it was published"


def of_a_later_version(path):
    manifest = json.loads((path / "artifact.json").read_bytes())
    (path / "artifact.json").write_text(json.dumps({**manifest, "format": 99}))
    return "this vitctl reads up to"


DAMAGES = [emptied, torn, edited, of_a_later_version]


@pytest.fixture
def runs(store):
    """An older run, and a newer one of two checkpoints."""
    older = Run.load(trained(store, recipe("pretrain", "run", a=1), steps=(4,), name="older"))
    newer = Run.load(trained(store, recipe("pretrain", "run", a=2), steps=(5, 50), name="newer"))
    at(older.place(4), 1_700_000_000)
    at(newer.place(5), 1_800_000_000)
    at(newer.place(50), 1_900_000_000)
    return older, newer


def at(path, seconds):
    """Finished at a time: so the manifest says, and the file's own time."""
    manifest = json.loads((path / "artifact.json").read_bytes())
    manifest["provenance"]["finished"] = datetime.fromtimestamp(seconds, UTC).isoformat()
    (path / "artifact.json").write_text(json.dumps(manifest))
    os.utime(path / "artifact.json", (seconds, seconds))


def keep_time(damage, path):
    """Damage it as a disk does, which changes no times."""
    seconds = (path / "artifact.json").stat().st_mtime
    said = damage(path)
    os.utime(path / "artifact.json", (seconds, seconds))
    return said


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_older_is_taken_for_a_damaged_newest(store, runs, damage):
    older, newer = runs
    said = keep_time(damage, newer.place(50))
    for look in (
        lambda: newest(store, "checkpoint"),
        lambda: resolve("latest", store=store, kind="checkpoint"),
        lambda: inputs.newest("checkpoint", option="--from", store=store, emit=silent),
    ):
        with pytest.raises(InputError, match=said) as error:
            look()
        assert error.value.message.startswith(
            f"the newest checkpoint cannot be used: {newer.place(50)}"
        )
        assert error.value.hint == f"name another one: {newer.path}@5 or {older.path}@4"
    assert newest_whole(store, "checkpoint").path == older.place(4)


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_older_damage_bothers_nobody(store, runs, damage):
    older, newer = runs
    keep_time(damage, older.place(4))
    keep_time(damage, newer.place(5))
    assert newest(store, "checkpoint").path == newer.place(50)


@pytest.mark.parametrize("content", ["{", '{"format": 99}'])
def test_a_run_that_cannot_be_read_is_no_reason_to_take_another(store, runs, content):
    older, newer = runs
    (newer.path / "run.json").write_text(content)
    with pytest.raises(InputError, match="the newest checkpoint cannot be used") as error:
        newest(store, "checkpoint")
    assert str(newer.path) in error.value.message
    assert error.value.hint == f"name another one: {older.path}@4"


def test_settings_that_were_edited_are_named(store, runs):
    _, newer = runs
    info = json.loads((newer.path / "run.json").read_bytes())
    (newer.path / "run.json").write_text(json.dumps({**info, "config": {"a": 3}}))
    with pytest.raises(InputError, match="was changed after the run began"):
        newest(store, "checkpoint")


def test_where_there_is_no_other_it_is_said_how_to_look(store):
    run = Run.load(trained(store, recipe("pretrain", "run"), steps=(5,)))
    emptied(run.place(5))
    with pytest.raises(InputError) as error:
        newest(store, "checkpoint")
    assert error.value.hint == f"see what is wrong: vitctl verify --deep {run.path}@5"


def test_damage_of_another_kind_bothers_nobody(store, runs):
    _, newer = runs
    torn(made(store, recipe()).path)
    torn(made(store, recipe("evaluate", "evaluation")).path)
    assert newest(store, "checkpoint").path == newer.place(50)
    with pytest.raises(InputError, match="the newest dataset cannot be used"):
        newest(store, "dataset")


def test_drafts_and_runs_without_a_checkpoint_are_none(store):
    trained(store, recipe("pretrain", "run"), steps=())
    assert newest(store, "checkpoint") is None
    with pytest.raises(UsageError, match="there is no finished checkpoint"):
        inputs.newest("checkpoint", option="--from", store=store, emit=silent)
