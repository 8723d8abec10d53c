"""What `vitctl replay` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitctl.artifacts import Artifact, Run
from vitctl.errors import UsageError
from vitctl.places import Place, out_file

if TYPE_CHECKING:
    from vitctl.train.run.replay import Replayed  # jax

PICTURE, ARRAYS = ".png", ".npz"


@dataclass(frozen=True)
class Request:
    """Which step (None: the one that names the checkpoint), how many images of its batch (None:
    all, in a picture the first few hundred), the file they go to, if any, and whether it may
    replace one."""

    step: int | None
    first: int | None
    file: Path | None
    force: bool = False

    def __post_init__(self) -> None:
        if self.step is not None and self.step < 1:
            raise UsageError(f"--step {self.step}: the first step is 1")
        if self.first is not None and self.first < 1:
            raise UsageError(f"--first {self.first} is less than 1")
        if self.file is not None and self.file.suffix not in (PICTURE, ARRAYS):
            raise UsageError(
                f"--out {self.file} names neither a picture nor arrays",
                hint=f"end the name in {PICTURE} or {ARRAYS}",
            )
        if self.file is not None:
            out_file.refuse_folder(self.file)
            if os.path.lexists(self.file) and not self.force:
                raise out_file.taken(self.file)


@dataclass(frozen=True)
class Inputs:
    """A run, one of its checkpoints, or a batch that was saved because its step diverged; and the
    step of RUN@STEP, if it was named so."""

    entry: Artifact | Run
    step: int | None = None


@dataclass(frozen=True)
class Shown:
    """The batch, what was named, the file that was written, if one was requested, and where the
    batch was kept, if it was not computed again."""

    run: Place
    id: str
    batch: Replayed
    file: Path | None
    saved: Place | None
