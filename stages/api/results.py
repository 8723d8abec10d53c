"""The artifacts of a store: listed, shown, checked and removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from stages.api.call import Call, Count, Looking, Reference
from stages.api.translation import in_python
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.removal import Descendants

if TYPE_CHECKING:
    from stages.inspect.lineage.spec import Lineage
    from stages.inspect.ls.spec import ListedRow
    from stages.inspect.verify.spec import Verdict
    from stages.replay.spec import Shown
    from stages.report.spec import Written
    from stages.rm.spec import Removed


@in_python
def ls(*, kind: str | None = None, **options: Unpack[Looking]) -> list[ListedRow]:
    """The artifacts and runs of the store, the newest last; with `kind` those of it, "checkpoint"
    listing those of all runs."""
    from stages.inspect.ls.run import run
    from stages.inspect.ls.spec import Inputs

    call = Call(ls, options, takes=Looking)
    return run(Inputs(kind), store=call.store)


@in_python
def show(reference: Reference | None = None, **options: Unpack[Looking]) -> dict[str, Any]:
    """All that is recorded of an artifact or run, as `vitctl show --json` prints it. `reference`
    left out is the newest."""
    from stages.inspect.show.run import run
    from stages.inspect.show.spec import Inputs

    call = Call(show, options, takes=Looking)
    return run(Inputs(*call.entry_and_step(reference)))


@in_python
def lineage(reference: Reference | None = None, **options: Unpack[Looking]) -> Lineage:
    """An artifact, and the tree of its inputs; of a run its newest checkpoint's."""
    from stages.inspect.lineage.run import run
    from stages.inspect.lineage.spec import Inputs

    call = Call(lineage, options, takes=Looking)
    return run(Inputs(*call.entry_and_step(reference)), store=call.store)


@in_python
def verify(
    *references: Reference, every: bool = False, deep: bool = False, **options: Unpack[Looking]
) -> list[Verdict]:
    """Whether these, left out the newest, or with `every` all in the store, are as they were
    published -> a verdict on each. `deep` reads every byte."""
    from stages.inspect.verify.run import run
    from stages.inspect.verify.spec import Inputs

    call = Call(verify, options, takes=Looking)
    named = call.entries(references, every=every)
    inputs = Inputs(named, "contents" if deep else "sizes")
    return list(run(inputs, store=call.store, emit=call.emit))


@in_python
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

    call = Call(replay, options, takes=Looking)
    request = resolve(step=step, first=first, out=out, force=force)
    entry, at = call.entry_and_step(source, kind=CHECKPOINT.name)
    from stages.replay.run import run

    return run(request, Inputs(entry, at), store=call.store, emit=call.emit)


@in_python
def report(
    *references: Reference,
    every: bool = False,
    parents: bool = True,
    out: Path | str | None = None,
    title: str | None = None,
    force: bool = False,
    **options: Unpack[Looking],
) -> Written:
    """Artifacts and runs, left out the newest, or with `every` the whole store -> one page of HTML
    in the file `out`, report.html if that is left out; with `parents` what they were made from is
    in it, too."""
    from stages.report.settings import resolve
    from stages.report.spec import Inputs

    call = Call(report, options, takes=Looking)
    request = resolve(out=out, title=title, parents=parents, force=force)
    named = call.entries(references, every=every)
    from stages.report.run import run

    return run(request, Inputs(named), store=call.store, emit=call.emit)


@in_python
def rm(
    *references: Reference,
    descendants: Descendants = "refuse",
    inputs: bool = False,
    unfinished: bool = False,
    dry_run: bool = False,
    **options: Unpack[Looking],
) -> list[Removed]:
    """Remove artifacts, runs and checkpoints, or with `unfinished` what was never finished and no
    process works on -> what went; with `dry_run` what would go. This cannot be undone."""
    from stages.rm.run import run
    from stages.rm.spec import Inputs

    call = Call(rm, options, takes=Looking)
    names = tuple(call.named(reference) for reference in references)
    given = Inputs(names, descendants, inputs, unfinished, dry_run)
    return list(run(given, store=call.store, emit=call.emit))
