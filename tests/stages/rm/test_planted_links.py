"""A symbolic link in any place of a store: `vitctl rm` removes what lies in the store, never what
the link points to, be that somebody's files or the same artifacts in another store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts.making import dataset, half_made, recipe, trained
from tests.forking import LOOKING
from tests.places.test_nofollow import Outside
from tests.stages.warm import Done, Warm
from vitctl.artifacts import Store

NAMED = {
    "dataset": ("photos", "--descendants", "keep"),
    "run": ("S16",),
    "step": ("S16@20",),
    "path": ("RUN/checkpoints/10",),
    "all": ("photos", "--descendants", "remove"),
    "inputs": ("S16", "--inputs"),
    "unfinished": ("--unfinished",),
}
"""How things are named, in a store of a dataset, a run with steps 10 and 20, and a draft."""
SENTENCES = {2, 3, 4, 5, 6}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    store = Store(tmp_path_factory.mktemp("whole") / "artifacts")
    photos = dataset(store)
    run = trained(
        store,
        recipe("pretrain", "run", parents=(photos.as_parent("data"),)),
        steps=(10, 20),
        name="S16",
    )
    half_made(store, x=2)
    begun = run / "checkpoints" / "30"  # and what killed commands leave
    begun.mkdir()
    (begun / "weights.bin").write_bytes(b"begun")
    (photos.path / ".tmp-left").write_bytes(b"left")
    return Path(store.root)


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> Iterator[Warm]:
    environment = {**os.environ}
    environment.pop("VITCTL_STORE", None)
    folder = tmp_path_factory.mktemp("warm")
    with Warm(folder, environment=environment, preload=LOOKING) as process:
        yield process


def each_place(store: Path) -> list[Path]:
    """All files and folders, and some that are not there."""
    some = sorted(path.relative_to(store) for path in store.rglob("*"))
    run = next(path.relative_to(store) for path in store.glob("pretrain/*"))
    return [*some, *(run / name for name in ("checkpoints/40", "held", "metrics.jsonl"))]


class Planted:
    """A store with one link, whose target lies outside."""

    def __init__(self, whole: Path, warm: Warm, folder: Path) -> None:
        self._whole, self._warm = whole, warm
        self.store = folder / "artifacts"
        self.outside = Outside.make(folder / "outside")
        self.twin = Path(shutil.copytree(whole, self.outside.root / "twin"))
        self._before = self.outside.state()

    def plant(self, place: Path, target: Path) -> None:
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self._whole, self.store)
        link = self.store / place
        if link.is_dir():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def rm(self, *arguments: str) -> Done:
        """Whatever it does, outside nothing changes."""
        done = self._warm.run("rm", *arguments, "--store", str(self.store))
        assert self.outside.state() == self._before, (arguments, done)
        assert done.code in {0, *SENTENCES}, (arguments, done)
        assert "Traceback" not in done.err, (arguments, done)
        return done


@pytest.fixture
def planted(whole, warm, tmp_path) -> Planted:
    return Planted(whole, warm, tmp_path)


def test_what_a_link_points_to_stays(whole, planted):
    """Folders are links to the same folders elsewhere, and everything is removed in all ways; of
    files and other targets each place in one of them, in turn."""
    [run] = [path.relative_to(whole) for path in whole.glob("pretrain/*")]
    codes = set()
    for number, place in enumerate(each_place(whole)):
        twins = NAMED if (whole / place).is_dir() else [list(NAMED)[number % len(NAMED)]]
        other = planted.outside.root / ("folder", "file", "nothing")[number % 3]
        cases = [(name, planted.twin / place) for name in twins]
        for naming, target in (*cases, (list(NAMED)[number % len(NAMED)], other)):
            planted.plant(place, target)
            command = [word.replace("RUN", f"{planted.store / run}") for word in NAMED[naming]]
            codes.add(planted.rm(*command).code)
    assert {0, 3, 4} <= codes


@pytest.mark.parametrize("level", ["", "checkpoints/10"])
def test_what_is_named_by_a_link_stays(whole, planted, tmp_path, level):
    """Somebody's shortcut to a run is no run; what it leads to may be meant, or not."""
    planted.plant(Path("other"), planted.outside.root / "nothing")
    [run] = planted.twin.glob("pretrain/*")
    (tmp_path / "shortcut").symlink_to(run)
    done = planted.rm(str(tmp_path / "shortcut" / level))
    assert done.code == 3
    assert f"{tmp_path / 'shortcut'} is a symbolic link" in done.err


def test_unfinished_work_behind_a_link_is_left_and_said(planted):
    planted.plant(Path("pretrain"), planted.twin / "pretrain")
    done = planted.rm("--unfinished")
    assert done.code == 0
    assert "behind symbolic links, and left as it is" in done.err
    assert not list(planted.store.glob("shard/*/.tmp-left"))
