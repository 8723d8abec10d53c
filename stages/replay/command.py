"""What `vitctl replay` is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Option

from vitctl.console.flags import Source, count
from vitctl.console.session import Session
from vitctl.console.streams import answer
from vitctl.console.verb import verb
from vitctl.errors import OverwriteError, UsageError

PICTURE, ARRAYS = ".png", ".npz"


@dataclass(frozen=True)
class Asked:
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
            raise UsageError(f"--first {self.first} shows nothing")
        if self.file is not None and self.file.suffix not in (PICTURE, ARRAYS):
            raise UsageError(
                f"--out {self.file} is neither a picture nor arrays",
                hint=f"end it in {PICTURE} or {ARRAYS}",
            )
        if self.file is not None and self.file.is_dir():
            raise OverwriteError(f"--out {self.file} is a folder", hint="name a file in it")
        if self.file is not None and os.path.lexists(self.file) and not self.force:
            raise OverwriteError(
                f"--out {self.file} is there already", hint="another --out, or --force replaces it"
            )


@verb(makes=False)
def replay(
    session: Session,
    source: Source = None,
    step: Annotated[
        str | None, Option(help="Which step, as metrics and messages count; RUN@STEP says it too.")
    ] = None,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="A picture (.png) or exact arrays (.npz).")
    ] = None,
    force: Annotated[bool, Option("--force", help="Replace FILE if it is there.")] = False,
    first: Annotated[int | None, Option(help="Only so many images of the batch.")] = None,
) -> None:
    """Example: vitctl replay --from RUN --step 1200 --out batch.png

    Show the batch that a step trained on: ids, classes and epochs; with --out also the images as
    training saw them, cropped, augmented and mixed. Nothing is recorded for that: the order of
    images and their augmentation are arithmetic.
    """
    from stages.replay import text
    from stages.replay.run import run

    asked = Asked(count(step, "--step"), first, out, force)
    named = session.named(source)
    if out is not None and len(named) > 1:
        raise UsageError(
            f"--out names one file, and this replays {len(named)} batches",
            hint="leave it out, or name one with --from",
        )
    for entry, at in named:
        found = run(asked, entry, at=at, store=session.store, emit=session.emit)
        if session.options.json:
            session.answer_json(text.as_json(found))
        else:
            answer(str(found.file) if found.file else text.as_text(found))
