"""The help page of every command, as people review it: 80 columns, tests/golden/help/."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from stages.app import VERBS, app

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "help"
COMMANDS = ["", *VERBS, "scaling fit", "scaling plot"]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words or "vitctl")
def test_help_is_as_reviewed(words, golden, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith("VITCTL_")]:
        monkeypatch.delenv(name)
    command = typer.main.get_command(app)
    command.main([*words.split(), "--help"], prog_name="vitctl", standalone_mode=False)
    golden(f"help/{words.replace(' ', '_') or 'vitctl'}.txt", capsys.readouterr().out)


def test_no_page_is_left_of_a_command_that_is_gone():
    pages = {words.replace(" ", "_") or "vitctl" for words in COMMANDS}
    assert {path.stem for path in FOLDER.iterdir()} == pages
