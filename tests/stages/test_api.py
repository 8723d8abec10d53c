"""The Python API by itself: what it refuses, and what it hands back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stages import api
from tests import made
from tests.artifacts.making import dataset
from vitctl.artifacts import Store
from vitctl.errors import InputError, NotFoundError, UsageError


def test_what_is_no_argument_is_a_type_error_that_helps():
    with pytest.raises(TypeError, match=r"no argument 'stor'; did you mean store="):
        api.pretrain(stor="x")
    with pytest.raises(TypeError, match=r"no argument 'recipy'; did you mean recipe="):
        api.plan(recipy="small")
    with pytest.raises(TypeError, match=r"a setting goes into set=\{'batch': \.\.\.\}"):
        api.pretrain(batch=3)


def test_errors_name_the_setting(tmp_path):
    with pytest.raises(UsageError, match=r"no setting 'optim\.wd_haed'") as raised:
        api.pretrain(mock=True, set={"optim.wd_haed": 1}, store=tmp_path)
    assert "optim.wd_head" in raised.value.hint
    with pytest.raises(UsageError, match="both give the length"):
        api.pretrain(mock=True, steps=3, epochs=1, store=tmp_path)
    with pytest.raises(UsageError, match="no finished checkpoint"):
        api.cooldown(store=tmp_path)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


def test_looking_at_a_store(store):
    photos, drawings = dataset(store), dataset(store, name="drawings", other=True)
    assert {row.name for row in api.ls(store=store)} == {"photos", "drawings"}
    listed = api.ls(kind="dataset", store=store)
    assert {row.id for row in listed} == {photos.id, drawings.id}
    assert api.ls(kind="checkpoint", store=store) == []
    with pytest.raises(UsageError, match="no kind 'datset'") as raised:
        api.ls(kind="datset", store=store)
    assert raised.value.hint == "did you mean dataset or dataset-part?"
    assert api.show(photos, store=store)["id"] == photos.id
    assert api.show(store=store)["id"] in {photos.id, drawings.id}  # made in the same second
    assert api.lineage("photos", store=store).inputs == ()
    (photos.path / "dataset.json").write_text("{")
    verdicts = {verdict.id: verdict.whole for verdict in api.verify(every=True, store=store)}
    assert verdicts == {photos.id: False, drawings.id: True}
    with pytest.raises(UsageError, match="both given"):
        api.verify(photos, every=True, store=store)


def test_removing(store):
    photos, drawings = dataset(store), dataset(store, name="drawings", other=True)
    events = []
    (would,) = api.rm("photos", dry_run=True, store=store, emit=events.append)
    assert (would.id, would.removed, photos.path.exists()) == (photos.id, False, True)
    assert "would be removed" in events[-1].text
    with pytest.raises(InputError, match="is a dataset; only a run takes @7"):
        api.rm("photos@7", store=store)
    (gone,) = api.rm(photos, store=store)
    assert (gone.removed, gone.bytes) == (True, would.bytes)
    assert not photos.path.exists()
    assert drawings.path.exists()
    with pytest.raises(NotFoundError):
        api.rm("photos", store=store)
    with pytest.raises(UsageError, match="nothing is named"):
        api.rm(store=store)
    with pytest.raises(TypeError, match=r"no argument 'set'; it takes descendants, .*, emit"):
        api.rm("drawings", set={"a": 1}, store=store)


def test_what_is_compared(store):
    photos = dataset(store)
    with pytest.raises(UsageError, match="of kind dataset"):
        api.compare(photos, photos, store=store)
    made.checkpoint(store, saved=False)
    with pytest.raises(UsageError, match="is a run, and results are compared"):
        api.compare("made", "made", store=store)


def test_a_plan_reads_its_settings_as_the_shell_does(store):
    for options, message in (
        ({"topology": "v9:4x4"}, "unknown chip"),
        ({"examples": 0}, "leaves nothing"),
        ({"examples": 5, "data": "photos"}, "both give"),
        ({"steps": 3, "epochs": 1}, "both give the length"),
    ):
        with pytest.raises(UsageError, match=message):
            api.plan(model="S/16", store=store, **options)


@pytest.mark.smoke
def test_importing_it_loads_nothing_heavy():
    heavy = ("jax", "numpy", "tensorflow", "rich", "typer")
    code = f"import sys, stages.api; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
