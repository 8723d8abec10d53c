"""`vitctl rm` as a user runs it; what goes is tested in tests/artifacts/test_removal.py."""

from __future__ import annotations

import json

import pytest

from tests import forking, schemas
from tests.artifacts.making import dataset, half_made, recipe, trained
from tests.forking import COMMAND, LOOKING
from tests.waiting import PATIENCE_S
from vitctl.artifacts import Run, Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


@pytest.fixture
def rm(store):
    def run(*arguments, stdin=""):
        command = ("rm", *map(str, arguments), "--store", store.root)
        done = forking.run(
            COMMAND, *command, preload=LOOKING, input=stdin, text=True, timeout=PATIENCE_S
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def photos(store):
    return dataset(store)


@pytest.fixture
def trunk(store, photos):
    parents = (photos.as_parent("data"),)
    return trained(store, recipe("pretrain", "run", parents=parents), steps=(10, 20), name="S16")


def test_a_dry_run_says_what_would_go(rm, photos, trunk):
    code, out, err = rm("photos", "--descendants", "remove", "--dry-run")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith("would go")
    assert first.endswith(f"run  {trunk}  (made from what goes)")
    assert second.endswith(f"dataset  {photos.path}")
    assert "would be removed" in err
    assert photos.path.is_dir()
    assert trunk.is_dir()


def test_refused_with_the_flags_that_help(rm, photos, trunk):
    code, out, err = rm("photos")
    assert (code, out) == (5, "")
    assert f"{trunk} was made from {photos.path}" in err
    assert "--descendants keep" in err
    assert photos.path.is_dir()


@pytest.mark.parametrize("way", ["alias/pretrain", "stage"])
def test_what_is_named_by_another_path_to_its_store_is_refused_all_the_same(
    rm, store, trunk, tmp_path, way
):
    child = Run.load(trunk).checkpoint(20).as_parent("from")
    trained(store, recipe("cooldown", "run", parents=(child,)), steps=(25,), name="cooled")
    (tmp_path / "alias").symlink_to(store.root)
    (tmp_path / "stage").symlink_to(trunk.parent)
    for step in ("", "@20"):
        code, out, err = rm(f"{tmp_path / way / trunk.name}{step}")
        assert (code, out) == (5, "")
        assert "was made from" in err
    assert Run.load(trunk).steps() == [10, 20]


def test_descendants_in_another_store_that_is_named_by_its_path_count(rm, tmp_path):
    other = Store(tmp_path / "other")
    data = dataset(other)
    parents = (data.as_parent("data"),)
    run = trained(other, recipe("pretrain", "run", parents=parents), steps=(10,), name="S16")
    code, out, err = rm(data.path)
    assert (code, out) == (5, "")
    assert f"{run} was made from {data.path}" in err
    code, out, err = rm(data.path, "--descendants", "remove")
    assert code == 0, err
    assert len(out.splitlines()) == 2
    assert not run.exists()
    assert not data.path.exists()


def test_a_draft_that_is_called_as_a_run_is_not_taken_for_it(rm, store, trunk):
    half_made(store, x=2)
    (path,) = store.root.glob("*/half-*")
    called_alike = path.rename(path.with_name("S16"))
    code, out, err = rm("S16")
    assert (code, out) == (2, "")
    assert "'S16' fits several" in err
    assert called_alike.is_dir()
    assert trunk.is_dir()
    assert rm(called_alike)[0] == 0
    assert rm("S16")[0] == 0
    assert not trunk.exists()


def test_names_steps_and_json(rm, photos, trunk):
    code, out, err = rm("S16@10", "--json")
    assert code == 0, err
    row = json.loads(out)
    schemas.check(row, "removal")
    assert row["path"] == str(trunk / "checkpoints" / "10")
    assert row["removed"] is True
    assert not (trunk / "checkpoints" / "10").exists()
    code, _, err = rm("S16@10")
    assert code == 4
    assert "nearest kept" in err


def test_lines_of_stdin(rm, photos, trunk):
    objects = "".join(json.dumps({"path": str(path)}) + "\n" for path in (trunk, photos.path))
    code, out, _ = rm("-", stdin=objects)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["removed", "removed"]
    assert not trunk.exists()
    assert not photos.path.exists()


def test_a_pipe_alone_names_nothing(rm, photos):
    """What would be the newest for other commands would be gone here."""
    for command in ((), ("--dry-run",)):
        code, _, err = rm(*command, stdin=f"{photos.path}\n")
        assert code == 2
        assert "nothing is named" in err
    assert photos.path.is_dir()


def test_a_run_and_its_checkpoint_are_one(rm, trunk):
    code, out, _ = rm(trunk, f"{trunk}@20", trunk)
    assert code == 0
    assert len(out.splitlines()) == 1


def test_damaged_and_unfinished_work_goes_by_name(rm, store, photos):
    (photos.path / "artifact.json").write_text("{")
    draft = half_made(store, x=2)
    code, out, err = rm(photos.path.name, draft)
    assert code == 0, err
    assert len(out.splitlines()) == 2
    assert not photos.path.exists()
    assert not draft.exists()


def test_unfinished(rm, store, photos, trunk):
    draft = half_made(store, x=2)
    (trunk / "checkpoints" / "30").mkdir()
    (trunk / "checkpoints" / "30" / "weights.bin").write_bytes(b"w" * 100)
    code, out, err = rm("--unfinished")
    assert code == 0, err
    assert [line.rpartition("  (")[2] for line in out.splitlines()] == [
        "never finished)",
        "leftovers of killed commands)",
    ]
    assert not draft.exists()
    assert sorted(p.name for p in (trunk / "checkpoints").iterdir()) == ["10", "20"]
    assert rm("--unfinished")[:2] == (0, "")


def test_what_is_not_vitctls_is_never_named(rm, store, tmp_path, photos):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.jpg").write_bytes(b"1")
    code, _, err = rm(mine)
    assert code == 4
    assert "no artifact" in err
    assert (mine / "a.jpg").exists()


def test_usage(rm, photos):
    assert rm("photos", "--unfinished")[0] == 2
    assert rm("-", "photos", stdin="x\n")[0] == 2
    # What contradicts itself is refused before another command is awaited, which may take hours.
    code, _, err = rm("-", "--unfinished", stdin=None)
    assert (code, "REF and --unfinished are both given" in err) == (2, True)
    assert rm("nothing")[0] == 4
    for newest in ("latest", "ckpt", "latest@4"):
        code, _, err = rm(newest)
        assert (code, "made last" in err) == (2, True)
    assert photos.path.is_dir()
