"""The command that adds an extra names the distribution that is installed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from vitctl import extras

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("distributions", "command"),
    [
        (("vitctl",), "pip install 'vitctl[heic]'"),
        (("vitctl-light",), "pip install 'vitctl-light[heic]'"),
        # A checkout on the path, and the two of which doctor warns.
        ((), "pip install 'vitctl[heic]'"),
        (("vitctl", "vitctl-light"), "pip install 'vitctl[heic]'"),
    ],
    ids=str,
)
def test_the_command_is_of_what_is_installed(distributions, command, monkeypatch):
    def version(name):
        if name not in distributions:
            raise metadata.PackageNotFoundError(name)
        return "0.1.0"

    monkeypatch.setattr(metadata, "version", version)
    assert extras.install("heic") == command
    assert set(extras.installed()) == set(distributions)


def test_no_other_text_names_an_extra_of_one_distribution():
    """But docstrings, which are for who reads the code."""
    for package in ("vitctl", "stages"):
        for path in (ROOT / package).rglob("*.py"):
            for line in path.read_text().splitlines():
                assert "vitctl[" not in line.replace("`pip install 'vitctl[", "`"), path
