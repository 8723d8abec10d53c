"""What works where TensorFlow is not installed, with the same bits; what says that it needs it."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.compiling import QUICK
from tests.fixtures.old_store import make
from tests.forking import DECODING, TRAINING
from tests.stages.warm import Done, Warm
from vitctl.data.tensorflow import install_command

STORE = Path(make.__file__).with_name("store.tar.xz")
NOT_INSTALLED = "import sys; sys.modules['tensorflow'] = None"
IMPORTED = "import sys; assert sys.modules['tensorflow']"
FORMATS = ("jpg", "png", "webp", "bmp", "gif")
MODEL = ("--from", "cooled")
SHARD = ("shard", "pictures", "--name", "pictures", "--val-fraction", "0.5", "--keep-bytes")


class Sides(NamedTuple):
    """The same store twice: with TensorFlow imported, and where there is none."""

    having: Warm
    lacking: Warm
    folders: tuple[Path, Path]

    def both(self, *arguments: str) -> tuple[str, str]:
        """What a command answers."""
        answers = [side.run(*arguments) for side in (self.having, self.lacking)]
        assert [done.code for done in answers] == [0, 0], "\n".join(done.err for done in answers)
        return answers[0].out, answers[1].out


def pictures(folder: Path) -> None:
    """Images of every format that datasets hold as they are, in the classes of the store."""
    random = np.random.default_rng(5)
    for number in range(8 * len(make.CLASSES)):
        of_class = folder / make.CLASSES[number % len(make.CLASSES)]
        of_class.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (9 + number, 31 - number, 3)).astype(np.uint8)
        path = of_class / f"{number}.{FORMATS[number % len(FORMATS)]}"
        Image.fromarray(pixels).save(path)
        os.utime(path, (make.IMAGE_TIME_S, make.IMAGE_TIME_S))  # the id of a dataset has it


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    having, lacking = (tmp_path_factory.mktemp(name) for name in ("having", "lacking"))
    for folder in (having, lacking):
        with tarfile.open(STORE) as archive:
            archive.extractall(folder, filter="data")
        pictures(folder / "pictures")
    environment = {**os.environ, **make.ENVIRONMENT, "XLA_FLAGS": QUICK}
    environment["PYTHONPATH"] = str(STORE.parents[3])
    environment.pop("VITCTL_STORE", None)
    with (
        Warm(having, environment=environment, preload=DECODING, prelude=IMPORTED) as with_it,
        Warm(lacking, environment=environment, preload=TRAINING, prelude=NOT_INSTALLED) as without,
    ):
        done = with_it.run(*SHARD, "--workers", "0")
        assert done.code == 0, done.err
        made = Path(done.out.strip())
        shutil.copytree(having / made, lacking / made)
        yield Sides(with_it, without, (having, lacking))


@pytest.mark.parametrize(
    "command",
    [
        ("embed", "--data", "pictures"),
        ("evaluate", "--data", "pictures"),
        ("fewshot", "--data", "pictures", "--shots", "1,2"),
        ("fewshot", "--data", "pictures", "--shots", "1", "--features", "pixels"),
    ],
    ids=lambda command: "-".join(command),
)
def test_results_are_the_same_bytes(sides, command):
    """The digest of an artifact is that of all its files."""
    with_it, without = sides.both(command[0], *MODEL, *command[1:], "--json")
    ours, theirs = json.loads(without), json.loads(with_it)
    assert (ours["id"], ours["digest"]) == (theirs["id"], theirs["digest"])
    assert ours["summary"] == theirs["summary"]


def test_predictions_are_the_same_numbers(sides):
    with_it, without = sides.both("predict", *MODEL, "pictures", "--json")
    assert without == with_it
    assert len(without.splitlines()) == 8 * len(make.CLASSES)


@pytest.mark.parametrize(
    "command",
    [
        ("ls",),
        ("show", "pictures"),
        ("lineage", "cooled"),
        ("verify", "pictures", "--deep"),
        ("export", *MODEL, "--to", "safetensors", "--out", "exported"),
        ("plan", "--from", "adam", "--data", "pictures", "--steps", "9"),
        ("subset", "--data", "pictures", "--fraction", "0.5"),
        ("dedup", "--data", "pictures"),
        ("rm", "pictures", "--descendants", "keep", "--dry-run"),
    ],
    ids=lambda command: command[0],
)
def test_commands_that_decode_nothing_for_training_need_none(sides, command):
    done = sides.lacking.run(*command)
    assert done.code == 0, done.err


_TINY = ("--model", "test", "--res", "8", "--batch", "8", "--steps", "2")


@pytest.mark.parametrize(
    "command",
    [
        ("shard", "pictures", "--name", "other", "--val-fraction", "0.25"),
        ("shard", "pictures", "--dry-run"),
        ("pretrain", "--data", "pictures", *_TINY),
        ("finetune", *MODEL, "--data", "pictures", "--steps", "2"),
        ("cooldown", "--from", "adam@2", "--steps", "1"),
        ("replay", "--from", "adam", "--step", "1"),
        ("bench", "feed", "--data", "pictures"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_what_needs_it_says_so_and_how_to_install_it_and_leaves_nothing(sides, command):
    store = sides.folders[1] / "artifacts"
    before = sorted(store.rglob("*"))
    done = sides.lacking.run(*command)
    assert refusal(done) == ["is not installed"], done.err
    assert sorted(store.rglob("*")) == before


def refusal(done: Done) -> list[str]:
    """How the error ends, which is one sentence and a hint."""
    lines = done.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert done.code == 2, done.err
    assert f"hint: install TensorFlow: {install_command()}" in lines
    assert "Traceback" not in done.err
    return [" ".join(line.split()[-3:]) for line in errors]


def test_a_finished_dataset_is_returned(sides):
    """Although it could not be made."""
    made, again = sides.both(*SHARD, "--workers", "0")
    assert again == made
