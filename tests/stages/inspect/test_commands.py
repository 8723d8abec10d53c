"""The four commands as a user runs them; what they find is tested beside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import forking
from tests.artifacts.making import dataset, recipe, trained
from tests.forking import COMMAND, LOOKING
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]


@pytest.fixture
def vitctl(store):
    def run(*arguments):
        command = (*arguments, "--store", store.root)
        done = forking.run(
            COMMAND,
            *command,
            preload=LOOKING,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=PATIENCE_S,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def family(store):
    """A dataset, a trunk of three checkpoints trained on it, a cooled one."""
    photos = dataset(store)
    parents = (photos.as_parent("data"),)
    trunk = trained(
        store, recipe("pretrain", "run", parents=parents), steps=(10, 20, 30), results=(30,)
    )
    return photos, trunk


def test_ls_is_a_table_and_its_names_can_be_given_back(vitctl, family):
    code, out, _ = vitctl("ls")
    assert code == 0
    header, *lines = out.splitlines()
    assert header.split() == ["kind", "name", "id", "step", "made", "summary"]
    starts = {header.index(column) for column in ("name", "id", "step", "made", "summary")}
    for line in lines:
        assert all(line[column - 1] == " " for column in starts)
        name, short = line.split()[1:3]
        code, out, _ = vitctl("show", short, "--json")
        assert json.loads(out)["id"].startswith(short)
        assert f"/{name}-{short}" in json.loads(out)["path"]
    code, out, _ = vitctl("ls", "--kind", "checkpoint")
    assert [line.split()[1] for line in out.splitlines()[1:]] == ["S16@10", "S16@20", "S16@30"]


def test_ls_of_a_kind_there_is_not(vitctl, family):
    code, out, err = vitctl("ls", "--kind", "datset")
    assert (code, out) == (2, "")
    assert "did you mean dataset or dataset-part?" in err


def test_show_tells_everything_and_survives_damage(vitctl, family):
    photos, trunk = family
    (photos.path / "images-val.keys").unlink()
    code, out, _ = vitctl("show", "photos")
    assert code == 0
    assert "damaged  images-val.keys cannot be read" in out
    for section in ("summary", "files", "made with"):
        assert f"\n{section}\n" in out
    code, out, _ = vitctl("show", "S16")
    assert out.startswith(f"run {trunk}\n")
    assert "\ncheckpoints\n" in out
    assert "      30  S/16  (answered)\n" in out
    code, out, _ = vitctl("show", "S16@20")
    assert out.startswith(f"checkpoint {trunk}/checkpoints/20\n")
    code, _, err = vitctl("show", "S16@21")
    assert code == 4
    assert "nearest kept: " in err


def test_lineage_is_a_tree_in_text_and_json(vitctl, family):
    photos, _ = family
    code, out, _ = vitctl("lineage", "S16")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith("checkpoint step 30 ")
    assert second.startswith(f"└─ data dataset {photos.id[:8]}")
    code, out, _ = vitctl("lineage", "S16@10", "--json")
    tree = json.loads(out)
    assert tree["path"].endswith("/checkpoints/10")
    assert [(node["role"], node["id"], node["found"]) for node in tree["inputs"]] == [
        ("data", photos.id, True)
    ]


def test_verify_is_exit_3_when_something_is_wrong_and_lists_all_of_it(vitctl, family, store):
    photos, _ = family
    code, out, _ = vitctl("verify", "--all")
    assert (code, [line.split()[0] for line in out.splitlines()]) == (0, ["whole"] * 2)
    # These checkpoints hold no record of samples to replay; without --deep that isn't asked.
    code, out, _ = vitctl("verify", "--all", "--deep")
    assert code == 3
    assert [line.split()[0] for line in out.splitlines()] == ["damaged"] * 3 + ["whole"]
    (photos.path / "images-val.keys").unlink()
    (photos.path / "images-val.labels").write_bytes(b"")
    code, out, err = vitctl("verify", "photos", "--json")
    verdict = json.loads(out)
    assert code == 3
    assert err.startswith("error: the artifact is damaged")
    assert (verdict["whole"], verdict["path"]) == (False, str(photos.path))
    assert len(verdict["problems"]) >= 2
    code, _, err = vitctl("verify", "--all", "photos")
    assert (code, err.count("hint: keep one of them")) == (2, 1)


def test_looking_never_writes(vitctl, family, store):
    def everything():
        return {path: path.stat().st_mtime_ns for path in store.root.rglob("*") if path.is_file()}

    before = everything()
    for command in (["show", "S16"], ["verify", "photos", "--deep"]):
        assert vitctl(*command)[0] == 0
    assert everything() == before
