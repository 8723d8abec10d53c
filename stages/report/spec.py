"""What `vitctl report` reads, decides and makes: its request, inputs and result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitctl.artifacts import Artifact, Run
from vitctl.errors import UsageError
from vitctl.places import out_file

DEFAULT = Path("report.html")
ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class PageRequest:
    """Where the page goes and what it is called.

    Attributes:
      file: of the page.
      title: its heading; None: the names of what it is of.
      parents: what the artifacts were made from is reported, too.
      force: the file may be replaced.

    Raises UsageError for a file that is no page, OverwriteError for a folder.
    """

    file: Path = DEFAULT
    title: str | None = None
    parents: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        if self.file.suffix.lower() not in ENDINGS:
            raise UsageError(
                f"--out {self.file} names no page", hint=f"end the name in {ENDINGS[0]}"
            )
        out_file.refuse_folder(self.file)
        if self.title is not None and not self.title.strip():
            raise UsageError("--title is empty", hint="leave it out: the page is named by results")


@dataclass(frozen=True)
class Inputs:
    """What the report is of: artifacts, runs, and of RUN@STEP the step; None: the whole store."""

    named: tuple[tuple[Artifact | Run, int | None], ...] | None


@dataclass(frozen=True)
class Written:
    """The page that was written.

    Attributes:
      file: where it is.
      bytes: its size.
      reported: id, kind ("run" for a run) and name of everything in it, inputs first.
      problems: sentences on what could not be reported; they stand on the page as well.
    """

    file: Path
    bytes: int
    reported: tuple[tuple[str, str, str], ...]
    problems: tuple[str, ...]
