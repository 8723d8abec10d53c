"""A flag says what it sets: its type comes from the setting, its value goes there."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import ByteSize, Field, PositiveInt

from vitctl.console.flag import Flag, Flags
from vitctl.console.help import Command
from vitctl.errors import UsageError
from vitctl.settings.config import Config
from vitctl.text.quantities import parse_count

Shape = Literal["linear", "cosine"]


class Optim(Config):
    lr: Annotated[float, Field(gt=0)] = 1.0
    clip: float | None = None


class Setup(Config):
    steps: PositiveInt = 1
    shape: Shape | None = None
    size: ByteSize = ByteSize(1)
    cache: Path | None = None
    logged: bool = True
    shots: tuple[int, ...] = (1,)
    optim: Optim = Optim()


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("steps", int),
        ("shape", Shape),
        ("size", str),
        ("cache", Path),
        ("logged", bool),
        ("optim.lr", float),
        ("optim.clip", float),
    ],
)
def test_the_type_is_that_of_the_setting(key, kind):
    annotation = Flag(key, "Help.").annotation(Setup)
    assert typing.get_args(annotation)[0] == kind | None


@pytest.mark.parametrize("key", ["stepz", "optim.rate", "steps.more"])
def test_a_flag_of_no_setting_is_a_mistake_in_the_command(key):
    with pytest.raises(KeyError):
        Flag(key, "Help.").annotation(Setup)


def test_what_was_given_is_a_tree_and_the_rest_is_left():
    flags = Flags(
        Setup,
        (
            Flag("steps", "Help.", reads=parse_count),
            Flag("optim.lr", "Help.", rare=True),
            Flag("optim.clip", "Help.", name="--calm", sets=3.0),
            Flag("shots", "Help.", reads=parse_count, many=True),
            Flag("logged", "Help."),
        ),
    )
    assert list(flags.parameters()) == ["steps", "lr", "calm", "shots", "logged"]
    assert flags.rare == {"lr"}
    given = {"steps": "2k", "lr": None, "calm": True, "shots": ["1", "2"], "logged": False}
    arguments = given | {"source": "RUN"}
    assert flags.taken(arguments) == {
        "steps": 2000,
        "optim": {"clip": 3.0},
        "shots": (1, 2),
        "logged": False,
    }
    assert arguments == {"source": "RUN"}
    nothing = {"steps": None, "lr": None, "calm": False, "shots": [], "logged": None}
    assert flags.taken(nothing) == {}
    with pytest.raises(UsageError, match="--steps 'many' is not a whole number"):
        flags.taken(given | {"steps": "many"})


def test_what_was_unusual_about_a_file_is_shown(tmp_path):
    from stages.evaluate.command import _SETTINGS

    file = tmp_path / "map.tsv"
    file.write_bytes("\ufeffhen\tbee\r\n".encode())
    flag = next(flag for flag in _SETTINGS if flag.key == "class_map")
    notes = []
    assert flag.value(str(file), emit=notes.append) == {"hen": "bee"}
    assert "byte-order mark" in notes[0].text


def test_a_word_with_a_tilde_is_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = []
    program = typer.Typer()

    @program.command(cls=Command)
    def show(source: str, store: str = "") -> None:
        flags.extend([source, store])

    typer.main.get_command(program).main(["~/a", "--store=~/b"], standalone_mode=False)
    assert flags == [f"{tmp_path}/a", f"{tmp_path}/b"]
