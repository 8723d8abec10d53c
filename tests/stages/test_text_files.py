"""Text files that flags name: one rule of exit codes for all of them (docs/guide/exit-codes.md)."""

from __future__ import annotations

import inspect
import typing

import pytest

from tests.stages.commands import COMMANDS
from tests.stages.test_parity import CASES, folder, typed  # noqa: F401
from vitctl.errors import InputError, NotFoundError

NO_TEXT = {
    ("shard", "train"): "a tar of images",
    ("shard", "val"): "a tar of images",
    ("shard", "devkit"): "a tar or a folder",
    ("shard", "kaggle"): "a zip, a tar or a folder",
    ("fewshot", "features"): "an array of features",
    ("import", "src"): "weights",
    ("cluster", "features"): "an array of features",
    ("replay", "out"): "the picture that is written",
    ("report", "out"): "the page that is written",
    ("shard", "sheet"): "the picture that is written",
}
OR_NAMES = {
    ("shard", "classes_from"),
    ("shard", "exclude"),
    ("subset", "classes"),
    ("scaling fit", "table"),
    ("scaling plot", "table"),
}
"""What these are given may be a name or an artifact, too: what is not there is no missing file, and
a folder no wrong one."""
WORDS = {
    "shard": "digits --workers 0",
    "subset": "--data photos",
    "evaluate": "--from made@12 --data photos",
    "scaling fit": "",
    "scaling plot": "",
    "import": "one.png",
}


def text_files():
    """Every (command, parameter) that names a file, but those of `NO_TEXT` and folders."""
    for command in COMMANDS:
        for name, parameter in inspect.signature(command.function).parameters.items():
            _, *about = typing.get_args(parameter.annotation) or [None]
            metavar = str(getattr(about[0], "metavar", None) if about else None)
            if "FILE" in metavar or name == "table":
                yield command, name


def test_every_exception_is_a_flag():
    every = {(str(command), name) for command, name in text_files()}
    assert {key for key in NO_TEXT if "FILE" in key} <= every
    assert every >= OR_NAMES


FILES = [(c, name) for c, name in text_files() if (str(c), name) not in NO_TEXT]


def missing(path):
    return path / "none.txt"


def a_folder(path):
    return path


def a_picture(path):
    (path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    return path / "picture.txt"


def cut_off(path):
    (path / "zeros.txt").write_bytes(b"cat\ndog\n\0\0\0")
    return path / "zeros.txt"


@pytest.mark.parametrize("make", [missing, a_folder, a_picture, cut_off])
@pytest.mark.parametrize(("command", "name"), FILES, ids=str)
def test_a_missing_file_and_one_that_is_no_text(
    command,
    name,
    make,
    folder,  # noqa: F811
    tmp_path,
    monkeypatch,
    capfd,
):
    if make in (missing, a_folder) and (str(command), name) in OR_NAMES:
        return
    if make is a_folder and (command.verbs, name) == (("import",), "classes"):
        return  # a dataset, perhaps
    monkeypatch.chdir(folder)
    monkeypatch.setattr("vitctl.console.guarded.silence_stdout", lambda: None)
    monkeypatch.setattr("vitctl.console.session.stdin_is_pipe", lambda: False)
    path = make(tmp_path)
    if name == "table" and path.is_file():
        path = path.rename(path.with_suffix(".csv"))  # other endings name no table
    flag = [] if name == "table" else [f"--{name.replace('_', '-')}"]
    given = CASES[str(command)].line if name == "config" else WORDS[str(command)]
    with pytest.raises(SystemExit) as ended:
        typed(*command.verbs, *given.split(), *flag, str(path))
    said = capfd.readouterr().err
    assert path.name in said
    assert ended.value.code == (NotFoundError if make is missing else InputError).exit_code, said
