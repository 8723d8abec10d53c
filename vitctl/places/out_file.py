"""The one file that a command writes where its user says, outside of any store: `--out FILE`."""

from __future__ import annotations

from pathlib import Path

from vitctl.errors import OverwriteError, UsageError
from vitctl.places.local import based


def refuse_folder(file: Path) -> None:
    """Raise OverwriteError for a folder."""
    if file.is_dir():
        raise OverwriteError(f"--out {file} is a folder", hint="name a file in it")


def taken(file: Path) -> OverwriteError:
    """The error where another file is there."""
    return OverwriteError(
        f"--out {file} already exists",
        hint="choose another --out, or replace the file with --force",
    )


def unwritable(file: Path, error: OSError) -> UsageError:
    """The error where the disk refuses."""
    return UsageError(f"--out {file} cannot be written: {error.strerror}")


def write(file: Path, content: bytes) -> None:
    """Write it whole or not at all, with the folders on the way to it. UsageError if it can't."""
    try:
        folder = based(file.parent)
        folder.make_folder()
        (folder / file.name).write_atomic(content)
    except OSError as error:
        raise unwritable(file, error) from None
