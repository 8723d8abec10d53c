"""The flags of `vitctl replay`, and how they become its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from stages.replay.spec import Asked
from vitctl.console.flags import Source, count
from vitctl.console.session import Session
from vitctl.console.streams import answer
from vitctl.console.verb import verb
from vitctl.errors import UsageError


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
