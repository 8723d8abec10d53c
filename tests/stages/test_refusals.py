"""What is refused when the work has begun, in every stage, leaves nothing: no draft that `vitctl
ls` lists as unfinished, no lock, no pin that holds a checkpoint of another run."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stages import api
from stages.inspect.ls.run import rows
from tests.stages.commands import COMMANDS
from tests.stages.test_parity import CASES, folder  # noqa: F401
from vitctl.artifacts import Store
from vitctl.artifacts.files import LOCK
from vitctl.errors import DoesNotFitError, InputError, VitctlError

LIBRARIES = Path(__file__).parents[1] / "reference" / "libraries"


@dataclass(frozen=True)
class Late:
    """A call that is refused after its draft was opened: for an input as it is, or because
    functions that read one refuse it. The checkpoints of the store have no weights."""

    call: Callable[[], Any]
    refusing: str = ""
    draft: str | None = None
    """The stage whose draft it is, if that is another one's."""


def late(command: str, refusing: str = "", draft: str | None = None) -> Late:
    return Late(CASES[command].call, refusing, draft)


REFUSED = {
    "shard": Late(lambda: api.shard("pictures"), "stages.shard.run.make_shards"),
    "merge": Late(
        lambda: api.merge(api.shard("pictures", set={"part": "1/1"}, runtime={"workers": 0})),
        "stages.merge.run.check_rejects",
        draft="shard",
    ),
    "subset": late("subset"),  # more images than there are
    "dedup": late("dedup"),  # no image is left
    "cluster": late("cluster", draft="embed"),
    "mix": late("mix", "stages.mix.run.shared_images"),
    "pretrain": late("pretrain", "vitctl.train.run.trainer.open_images"),
    "cooldown": late("cooldown"),
    "finetune": late("finetune"),
    "average": late("average"),
    "fewshot": Late(lambda: api.fewshot("made@8", shots=[1])),
    "evaluate": late("evaluate"),  # names that no class has
    "vtab": late("vtab"),
    "sweep": Late(
        lambda: api.sweep("grid.toml", data="photos", runtime={"devices": 1}),
        "vitctl.train.run.trainer.open_images stages.sweep.run.csv_text",  # of its runs, of itself
    ),
    "scaling fit": late("scaling fit", "stages.scaling.fit.run.study_table"),
    "scaling plot": late("scaling plot", "stages.scaling.plot.run._makers"),
    "embed": late("embed"),
    "import": Late(lambda: api.import_(LIBRARIES / "timm-avg"), "stages.import_.run.fitted"),
    "export": late("export"),
}
MAKING = [command for command in COMMANDS if command.makes_an_artifact]


@pytest.fixture
def store(folder, monkeypatch) -> Store:  # noqa: F811
    monkeypatch.chdir(folder)
    for name in ("ant", "bee"):
        (folder / "pictures" / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            shutil.copy(folder / "one.png", folder / "pictures" / name / f"{number}.png")
    return Store("artifacts")


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The stages whose drafts were opened and not there before."""
    stages: list[str] = []

    def noting(open_it: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def open_and_note(self: Store, recipe: Any, **how: Any) -> Iterator[Any]:
            with open_it(self, recipe, **how) as draft:
                stages.append(recipe.stage)
                yield draft

        return open_and_note

    for name in ("open", "open_run"):
        monkeypatch.setattr(Store, name, noting(getattr(Store, name)))
    return stages


def files(store: Store) -> set[str]:
    """All files and folders of the store but finished artifacts and the folders that these are in:
    work that a refused command finished on its way stays."""
    finished = {row.path.local for row in rows(store) if row.state == "finished"}
    own = tuple(f"{path}/" for path in finished)
    every = {str(path) for path in Path(store.root.local).rglob("*")}
    every -= {str(inner) for path in finished for inner in (path, *path.parents)}
    return {name for name in every if not name.startswith(own) or "/pins" in name}


def full(*positional: Any, **named: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("command", MAKING, ids=str)
def test_nothing_is_left(command, store, opened, monkeypatch):
    row = REFUSED[str(command)]
    before, listed = files(store), {str(r.path) for r in rows(store)}

    def refuse(*positional: Any, **named: Any) -> None:
        raise InputError("this input is no good")

    for function in row.refusing.split():
        monkeypatch.setattr(function, refuse)
    with pytest.raises(VitctlError) as refusal:
        row.call()
    assert refusal.value.exit_code in (2, 3), refusal.value
    draft = row.draft or "-".join(command.verbs)
    assert draft in opened, "refused before its draft was opened"
    assert files(store) == before
    assert [
        r.path for r in rows(store) if str(r.path) not in listed and r.state != "finished"
    ] == []
    assert not [name for name in store.root.files_below() if name.endswith(f"/{LOCK}")]


@pytest.mark.parametrize("command", MAKING, ids=str)
def test_nor_by_a_disk_that_is_full_before_anything_is_written(command, store, opened, monkeypatch):
    """Whatever fails first: the note of a draft, `run.json`."""
    before = files(store)
    monkeypatch.setattr("vitctl.places.local.LocalPath.write_atomic", full)
    row = REFUSED[str(command)]
    with pytest.raises(DoesNotFitError, match="the disk is full"):
        row.call()
    assert files(store) == before


@pytest.mark.parametrize("where", [{"store": "new/deep/store"}, {"out": "new/deep/run"}], ids=str)
def test_nor_a_store_or_folders_of_out_that_were_not_there(where, store, monkeypatch):
    (photos,) = Path("artifacts/shard").glob("photos-*")
    monkeypatch.setattr("vitctl.train.run.trainer.open_images", full)
    with pytest.raises(DoesNotFitError, match="the disk is full"):
        api.pretrain(model="test", data=photos, runtime={"devices": 1}, **where)
    assert not Path("new").exists()


@pytest.mark.parametrize("command", ["fewshot", "mix", "scaling fit"])
def test_nor_by_one_that_is_full_at_the_end(command, store, monkeypatch):
    """What the same command would make anew all the same is not kept for it."""
    before = files(store)
    monkeypatch.setattr("vitctl.artifacts.drafts.publish_manifest", full)
    with pytest.raises(DoesNotFitError, match="the disk is full"):
        CASES[command].call()
    assert files(store) == before
