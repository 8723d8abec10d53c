"""The flags of `vitctl replay`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from stages.replay.settings import resolve
from stages.replay.spec import Inputs
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.console.flags import Source
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.errors import UsageError


@verb(makes=False, computes=True)
def replay(
    session: Session,
    source: Source = None,
    step: Annotated[
        str | None,
        Option(
            metavar="N",
            help="Step to replay, counted as in the metrics (default: the step of the checkpoint).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Write the images to this file: as one picture (.png) or exact arrays (.npz).",
        ),
    ] = None,
    force: Annotated[bool, Option("--force", help="Overwrite FILE if it exists.")] = False,
    first: Annotated[
        int | None, Option(metavar="N", help="Show only the first N images (default: all).")
    ] = None,
) -> None:
    """Example: vitctl replay --from RUN --step 1200 --out batch.png

    Show the batch that a step trained on: ids, classes and epochs; with --out also the images as
    training saw them, cropped, augmented and mixed. Training records nothing for this: order
    and augmentation are functions of the seed and the step.
    """
    from stages.replay import text
    from stages.replay.run import run

    request = resolve(step=step, first=first, out=out, force=force)
    named = session.named(source, kind=CHECKPOINT.name)
    if out is not None and len(named) > 1:
        raise UsageError(
            f"--out names one file, and this replays {len(named)} batches",
            hint="leave out --out, or name one batch with --from",
        )
    for entry, at in named:
        replayed = run(request, Inputs(entry, at), store=session.store, emit=session.emit)
        if session.options.json:
            session.answer_json(text.as_json(replayed))
        else:
            shown = str(replayed.file) if replayed.file else text.as_text(replayed)
            session.answer_text(shown)
