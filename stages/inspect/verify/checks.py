"""Whether an artifact, a run or a draft is what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stages.inspect.verify.spec import Depth, Verdict
from vitctl.artifacts import Artifact, Parent, Run, Store
from vitctl.artifacts.ancestry import SOURCE
from vitctl.artifacts.drafts import read_note
from vitctl.artifacts.files import strangers
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.artifacts.manifest import SEALED_SINCE
from vitctl.artifacts.references import id_of
from vitctl.artifacts.runs import CHECKPOINTS
from vitctl.errors import VitctlError
from vitctl.events import Emit, Progress
from vitctl.places import Place
from vitctl.text.quantities import counted
from vitctl.text.quoting import quoted
from vitctl.train.telemetry import goodput, metrics

_LINKED = "is a symbolic link; a command that trains the run refuses to write through it"
_MOST_LINES = 5
_LEFT = "was never finished; the command that trains the run clears it away"


def of_entry(
    entry: Artifact | Run, *, store: Store, depth: Depth, emit: Emit, step: int | None = None
) -> Verdict:
    """Check an artifact, or a run with all its checkpoints (or the one of `step`)."""
    kind = "run" if isinstance(entry, Run) else entry.kind
    verdict = Verdict(entry.path, kind, id_of(entry))
    if isinstance(entry, Artifact):
        _check_artifact(entry, verdict, store=store, depth=depth, emit=emit)
        return verdict
    for number in entry.steps() if step is None else [step]:
        try:
            checkpoint = entry.checkpoint(number, check=False)
        except VitctlError as error:
            verdict.problems.append(f"checkpoint {number}: {error.message}")
            continue
        part = Verdict(checkpoint.path, checkpoint.kind, checkpoint.id)
        _check_artifact(checkpoint, part, store=store, depth=depth, emit=emit)
        if part.problems and number not in entry.steps():
            continue  # the run is being trained, and dropped this checkpoint meanwhile
        verdict.problems += [f"checkpoint {number}: {problem}" for problem in part.problems]
        verdict.remarks += [f"checkpoint {number}: {remark}" for remark in part.remarks]
        verdict.files += part.files
        verdict.bytes += part.bytes
    for place in entry.batches() if step is None else ():
        part = of_entry(Store.load(place, check=False), store=store, depth=depth, emit=emit)
        verdict.problems += [f"batch {place.name}: {problem}" for problem in part.problems]
        verdict.files += part.files
        verdict.bytes += part.bytes
    if step is None:
        verdict.remarks += [f"{name} {_LINKED}" for name in entry.links()]
        verdict.remarks += _unfinished(entry)
        verdict.remarks += _damaged_records(entry, depth=depth)
        if not entry.steps():
            verdict.remarks.append("it has no finished checkpoint yet")
    return verdict


def of_directory(path: Place, error: VitctlError) -> Verdict | None:
    """The verdict on a place of the store that could not be loaded, None if it holds nothing."""
    note = read_note(path) or {}
    verdict = Verdict(path, note.get("kind", "unknown"), note.get("id"))
    if error.exit_code != 4:
        verdict.problems.append(error.message)
    elif note:
        verdict.remarks.append("unfinished: the command that makes it goes on from there")
    else:
        return None
    return verdict


def _check_artifact(
    artifact: Artifact, verdict: Verdict, *, store: Store, depth: Depth, emit: Emit
) -> None:
    manifest = artifact.manifest
    if manifest.format < SEALED_SINCE:
        verdict.remarks.append(
            "its summary has no seal, as it was made before there were any: an edit of the summary "
            "alone would not be noticed"
        )
    verdict.files = len(manifest.files)
    verdict.bytes = sum(entry.size for entry in manifest.files)
    if depth == "sizes":
        verdict.problems += artifact.check_sizes()
    else:
        verdict.problems += _check_contents(artifact, emit=emit)
    listed = {entry.path for entry in manifest.files}
    strange = strangers(artifact.path, own=listed)
    if strange:
        verdict.remarks.append(
            f"{counted(len(strange), 'file is', 'files are')} not its own, such as "
            f"{quoted(strange[0])}"
        )
    for parent in manifest.parents:
        _check_parent(parent, verdict, store=store)
    if (check := _OF_KIND.get(artifact.kind)) is not None:
        check(artifact, verdict, store=store, depth=depth)
    verdict.problems = list(dict.fromkeys(verdict.problems))  # two checks may find the same


def _check_contents(artifact: Artifact, *, emit: Emit) -> Iterator[str]:
    """`Artifact.check_contents`, with progress."""
    files = artifact.manifest.files
    for done, entry in enumerate(files, start=1):
        if (problem := artifact.check_content(entry)) is not None:
            yield problem
        emit(Progress("hashing", done, len(files), "files", {"of": str(artifact.path)}))


def _check_parent(parent: Parent, verdict: Verdict, *, store: Store) -> None:
    if parent.kind == SOURCE:
        return
    try:
        artifact = store.parent(parent)
    except VitctlError as error:
        verdict.problems.append(f"its input {parent.role}: {error.message}")
        return
    if artifact is None:
        verdict.remarks.append(
            f"its input {parent.role}, {parent.kind} {parent.id[:8]}, is not in this store"
        )


def _unfinished(run: Run) -> Iterator[str]:
    folder = run.path / CHECKPOINTS
    every = folder.children() if folder.is_dir() else ()
    finished, begun = {str(step) for step in run.steps()}, run.unfinished()
    status = "is not finished yet" if begun and run.is_working else _LEFT
    for place in begun:
        yield f"{place.parent.name}/{place.name} {status}"
    for child in every:
        if child.name not in finished and child not in begun:
            yield f"{CHECKPOINTS}/{child.name} is no finished checkpoint"


def _damaged_records(run: Run, *, depth: Depth) -> Iterator[str]:
    """What a run recorded of its course, on which nothing that it made depends: no digest covers
    these files, and no damage of them is one of the run."""
    if goodput.is_damaged(run.path / goodput.FILE):
        yield f"{goodput.FILE} is damaged: where the time of the run went is not known any more"
    if depth == "contents":
        damaged = metrics.damaged_lines(run.metrics)
        if damaged:
            listed = ", ".join(map(str, damaged[:_MOST_LINES]))
            more = f" and {len(damaged) - _MOST_LINES:,} more" if len(damaged) > _MOST_LINES else ""
            yield (
                f"{run.metrics.name} has damaged lines ({listed}{more}): they are left out of "
                "curves, and of the file when the run goes on"
            )


def _check_dataset(artifact: Artifact, verdict: Verdict, *, store: Store, depth: Depth) -> None:
    del store
    from stages.inspect.verify import images  # numpy, and array_record where records are read

    if depth == "sizes":
        verdict.problems += images.check_small_files(artifact)
    verdict.problems += images.check_counts(artifact)
    if depth == "contents":
        problems, verdict.records = images.check_records(artifact)
        verdict.problems += problems


def _check_checkpoint(artifact: Artifact, verdict: Verdict, *, store: Store, depth: Depth) -> None:
    if depth == "contents":
        from stages.inspect.verify import images

        problems, remarks = images.check_consumed(artifact, store=store)
        verdict.problems += problems
        verdict.remarks += remarks


_OF_KIND: dict[str, Callable[..., None]] = {
    DATASET.name: _check_dataset,
    CHECKPOINT.name: _check_checkpoint,
}
