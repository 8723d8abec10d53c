"""Symbolic links in every place that a stage writes below its store: what they point to stays.

Each stage runs once while the paths are recorded that it changes. Then each of them, and each
folder above it, is a link when the stage begins, in a fresh copy of the store: one where the stage
was not run yet, and one that holds its result, which --force makes anew.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.compiling import QUICK
from tests.fixtures.old_store import make
from tests.places.test_nofollow import Outside
from tests.stages import hostile
from tests.stages.warm import Done, Warm

FIXTURE = Path(make.__file__).parent
ONE_STEP = ("--steps", "1")
COMMANDS = {
    "shard": ("shard", "IMAGES", "--name", "again", "--shards", "2", "--workers", "0"),
    "replay": ("replay", "--from", "adam", "--step", "3", "--out", "OUT/batch.npz"),
    "finetune": ("finetune", "--from", "cooled", "--batch", "8", "--lr", "0.01", *ONE_STEP),
    "cooldown": ("cooldown", "--from", "adam@6", *ONE_STEP),
    "average": ("average", "adam@6", "cooled@6"),
}
SENTENCES = {2, 3, 4, 5, 6}
"""Exit codes of refusals: usage, input, not found, would overwrite, does not fit."""
FEW = 12
"""So many places are tried from both starts; of more of them each from one, in turn."""

TOUCHED = """
import functools, os
from vitctl.places import nofollow
def note(path):
    base, parts = nofollow._split(path)
    with open("touched", "a") as file:
        file.write(os.path.join(os.path.abspath(base), *parts) + chr(10))
def noted(function, paths):
    @functools.wraps(function)
    def wrapped(*given, **more):
        for path in given[:paths]:
            note(path)
        return function(*given, **more)
    return wrapped
for name in ("checked", "make_folder", "truncate", "remove", "remove_folder", "remove_tree"):
    setattr(nofollow, name, noted(getattr(nofollow, name), 1))
for name in ("rename", "link"):
    setattr(nofollow, name, noted(getattr(nofollow, name), 2))
descriptor = nofollow.descriptor
def opened(path, flags, *more):
    if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        note(path)
    return descriptor(path, flags, *more)
nofollow.descriptor = opened
"""
"""Runs in the process of the commands: writes down what is written, made, renamed or removed, or
looked at for a library that writes there (tests/stages/test_writes.py: nobody else does)."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    with tarfile.open(FIXTURE / "store.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    hostile.trimmed(folder / "artifacts")
    return folder


class Commands:
    """The commands, each in a copy of the store, with what they touched there."""

    def __init__(self, warm: Warm, working: Path, whole: Path, folder: Path) -> None:
        self._warm, self._notes, self._whole = warm, working / "touched", whole
        self.folder = folder

    def copied(self, *, of: Path | None = None) -> None:
        """Another copy of the store, as it was or as a command left it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        hostile.copied(of or self._whole, self.folder)
        (self.folder / "out").mkdir(exist_ok=True)

    def run(self, stage: str, *more: str) -> tuple[Done, list[str]]:
        self._notes.write_text("")
        named = {"IMAGES": str(self.folder / "images")}
        command = [
            named.get(word, word.replace("OUT/", f"{self.folder}/out/")) for word in COMMANDS[stage]
        ]
        done = self._warm.run(*command, *more, "--store", str(self.folder / "artifacts"))
        paths = {line for line in self._notes.read_text().splitlines() if line}
        return done, sorted(
            str(Path(path).relative_to(self.folder))
            for path in paths
            if Path(path).is_relative_to(self.folder)
        )


@pytest.fixture(scope="module")
def commands(whole, tmp_path_factory) -> Iterator[Commands]:
    environment = {**os.environ, **make.ENVIRONMENT, "XLA_FLAGS": QUICK}
    environment["PYTHONPATH"] = str(FIXTURE.parents[2])
    environment.pop("VITCTL_STORE", None)
    working = tmp_path_factory.mktemp("warm")
    with Warm(working, environment=environment, prelude=TOUCHED) as warm:
        yield Commands(warm, working, whole, tmp_path_factory.mktemp("case") / "case")


def levels(paths: list[str]) -> list[str]:
    """All of the paths and the folders above them, but of the trees of arrays in a checkpoint only
    the weights, and of those one array: they are written and read by the same code. Temporary
    names are left out, as they are drawn anew each time."""
    by_kind: dict[str, str] = {}
    for path in paths:
        parts = Path(path).parts
        for end in range(2, len(parts) + 1):
            level = "/".join(parts[:end])
            if ".tmp-" not in level and not re.search(r"/(opt|ema|norms)/", level):
                by_kind.setdefault(re.sub(r"params/[^/_]+", "params/*", level), level)
    return sorted(by_kind.values())


def plant(link: Path, target: Path) -> None:
    """A link where the path is, or would be."""
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


@pytest.fixture(scope="module")
def finished(commands, tmp_path_factory) -> Callable[[str], tuple[Path, list[str]]]:
    """The store as a stage leaves it, and what it touched; it runs once."""

    @cache
    def done(stage: str) -> tuple[Path, list[str]]:
        commands.copied()
        first, paths = commands.run(stage)
        assert first.code == 0, first.err
        folder = hostile.copied(commands.folder, tmp_path_factory.mktemp("finished") / "store")
        return folder, levels(paths)

    return done


@pytest.mark.slow
@pytest.mark.parametrize("state", ["begun", "finished"])
@pytest.mark.parametrize("stage", COMMANDS)
def test_what_a_planted_link_points_to_stays(commands, finished, tmp_path, stage, state):
    outside = Outside.make(tmp_path / "outside")
    before = outside.state()
    left, paths = finished(stage)
    begin, more = {"begun": (None, ()), "finished": (left, ("--force",))}[state]
    refused = 0
    for number, path in enumerate(paths):
        if len(paths) > FEW and number % 2 != (state == "finished"):
            continue
        commands.copied(of=begin)
        plant(commands.folder / path, outside.root / ("folder", "file", "nothing")[number % 3])
        done, _ = commands.run(stage, *more)
        assert outside.state() == before, (path, done.err)
        assert done.code in {0, *SENTENCES}, (path, done.err)
        assert "Traceback" not in done.err, (path, done.err)
        refused += done.code != 0
    assert refused
