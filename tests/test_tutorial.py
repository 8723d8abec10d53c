"""docs/guide/tutorial.md: its files, commands and Python run as a reader would paste them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w-]+\.(?:py|toml)): ")


def commands(language: str, text: str) -> str:
    """The shell commands of a block; in a console the lines behind prompts, with continuations."""
    if language == "sh":
        return text
    joined = text.replace("\\\n", " ")
    return "\n".join(line[2:] for line in joined.splitlines() if line.startswith("$ "))


@pytest.mark.slow
def test_the_page_runs(tmp_path):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name in ("VITCTL_STORE", "XLA_FLAGS"):  # of the tests: eight CPU devices
        environment.pop(name, None)

    def run(*arguments: str) -> str:
        done = subprocess.run(
            arguments,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{arguments[-1]}\n{done.stderr}"
        return done.stdout

    printed = ""
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        file = FILE.match(text)
        if file is not None:
            (tmp_path / file[1]).write_text(text, encoding="utf-8")
        elif language == "python":
            printed = run(sys.executable, "-c", text)
        elif language in ("sh", "console"):
            run("bash", "-ec", commands(language, text))
    # The sentences of the page: far above chance of 1/6 and 1/3; a class for each photo.
    scores = {
        row["summary"]["dataset"].partition("-")[0]: row["summary"]["top1"]
        for row in map(json.loads, run("vitctl", "ls", "--json").splitlines())
        if row["kind"] == "evaluation"
    }
    assert scores["shapes"] > 0.6
    assert scores["mine"] > 0.6
    assert printed.count("%") == 2
    assert (tmp_path / "batch.png").exists()


def test_its_blocks_are_files_or_commands():
    """Cheap: the page has both files, and each console shows a command and its output."""
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    files = [file[1] for _, text in blocks if (file := FILE.match(text))]
    assert files == ["draw.py", "shapes.toml"]
    for language, text in blocks:
        if language == "console":
            assert 0 < text.count("$ ") < len(text.splitlines()), text
        if language == "python":
            compile(text, str(PAGE), "exec")
