"""What a store holds: looked at, and removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from stages.api.call import Call, Count, Looking, Reference
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.removal import Descendants

if TYPE_CHECKING:
    from stages.replay.run import Shown
    from stages.rm.spec import Removed


def replay(
    source: Reference | None = None,
    *,
    step: Count | None = None,
    first: int | None = None,
    out: Path | str | None = None,
    force: bool = False,
    **options: Unpack[Looking],
) -> Shown:
    """A run and a step -> the batch that the step trained on: ids, classes and epochs of images;
    with `out` the images themselves in a file, as one picture (.png) or as arrays (.npz). `source`
    left out is the newest checkpoint, `step` its own."""
    from stages.replay.settings import resolve
    from stages.replay.spec import Inputs

    call = Call("replay", options, takes=Looking)
    request = resolve(step=step, first=first, out=out, force=force)
    entry, at = call.entry_and_step(source, kind=CHECKPOINT.name)
    from stages.replay.run import run

    return run(request, Inputs(entry, at), store=call.store, emit=call.emit)


def rm(
    *references: Reference,
    descendants: Descendants = "refuse",
    inputs: bool = False,
    unfinished: bool = False,
    dry_run: bool = False,
    **options: Unpack[Looking],
) -> list[Removed]:
    """Remove artifacts, runs and checkpoints, or with `unfinished` what was never finished and no
    process works on -> what went; with `dry_run` what would go. There is no way back."""
    from stages.rm.run import run
    from stages.rm.spec import Inputs

    call = Call("rm", options, takes=Looking)
    names = tuple(call.named(reference) for reference in references)
    given = Inputs(names, descendants, inputs, unfinished, dry_run)
    return list(run(given, store=call.store, emit=call.emit))
