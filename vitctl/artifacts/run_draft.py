"""A run that is being worked on: what is written down, published and removed under its lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.drafts import clear, publish, read_note, sweep
from vitctl.artifacts.files import DRAFT, publish_manifest
from vitctl.artifacts.manifest import MANIFEST, FileEntry, Recipe, manifest_bytes, seal_of
from vitctl.artifacts.provenance import now, versions
from vitctl.artifacts.run_info import Rollback, RunInfo, Segment, write_info
from vitctl.artifacts.runs import Run, run_of
from vitctl.errors import DeniedError, NewerFormatError, OutOfReachError, VitctlError
from vitctl.events import Caution, Emit, silent
from vitctl.places import ObjectPath, Place, buckets, guards
from vitctl.places.copies import files_below, upload_folder
from vitctl.places.local import LocalPath
from vitctl.places.scratch import scratch
from vitctl.system_errors import as_expected
from vitctl.text.quoting import one_line


class RunDraft(Run):
    """A run that this process holds the lock of. (Of several processes the first does, which
    decides and writes for all; see `crew`.)"""

    several = False
    """Whether processes beside this one write below the same lock."""

    def __init__(self, path: Place, info: RunInfo, recipe: Recipe) -> None:
        super().__init__(path, info)
        self.recipe = recipe
        # Checkpoints of a run in a bucket that are being written on this disk.
        self._unsent: dict[int, tuple[ExitStack, LocalPath]] = {}
        self._begun_from: Artifact | None = None

    def sweep(self) -> None:
        """Remove what killed commands left half made. Only under the lock, and before others that
        work on this run with us begin."""
        with suppress(DeniedError):  # who may not remove anything may still train
            sweep(self.path)
            if read_note(self.path) is not None:
                (self.path / DRAFT).remove(missing_ok=True)
            self.pins.remove_dead()
            for place in self.unfinished():
                place.remove_tree(ignore_errors=True)

    def begin(self, *, from_step: int, runtime: dict[str, Any]) -> None:
        """Write down that a segment starts."""
        segment = Segment(started=now(), from_step=from_step, runtime=runtime, versions=versions())
        self._update(segments=(*self.info.segments, segment), failed=None)

    def mark_failed(self, error: BaseException) -> None:
        """Write down why a start ended, of a run that has no checkpoint."""
        expected = as_expected(error)
        self._update(failed=one_line(error) if expected is None else expected.message)

    def mark_result(self, step: int) -> None:
        """Write down that `step` is what a command answered with."""
        if step not in self.info.results:
            results = tuple(sorted((*self.info.results, step)))
            self._update(results=results)

    def mark_score(self, step: int, value: float | None) -> None:
        """Write down a score that counts for which checkpoint is best; those of later steps, which
        an earlier start wrote, go.

        All of run.json is written again: of a thousand scores 20 kB, where a score takes seconds.
        A document that is replaced whole is never half written, also in a bucket, where nothing
        can be appended to."""
        before = tuple(score for score in self.info.scored if score[0] < step)
        self._update(scored=(*before, (step, value)))

    def mark_chosen(self, step: int) -> None:
        """Write down that the run has come to its end, and `step` is its answer."""
        results = tuple(sorted({*self.info.results, step}))
        self._update(results=results, chosen=step)

    def _update(self, **changes: Any) -> None:
        self.info = self.info.model_copy(update=changes)
        self._write_info()

    def _write_info(self) -> None:
        write_info(self.path, self.info)

    def mark_rollback(self, rollback: Rollback) -> None:
        """Write down that training goes back."""
        self._update(rollbacks=(*self.info.rollbacks, rollback))

    def recipe_at(self, step: int, *, passed: Sequence[Sequence[int]] = ()) -> Recipe:
        """The recipe of one checkpoint: the run's, the step, and the windows of batches that were
        passed over on the way, [[step, batches], ...]: they decide its weights like any setting."""
        config = {**self.recipe.config, "step": step}
        if passed:
            config["passed"] = [list(window) for window in passed]
        return self.recipe.model_copy(update={"kind": "checkpoint", "config": config})

    def usable(self, *, at_most: int) -> tuple[Artifact | None, dict[int, str]]:
        """The newest undamaged checkpoint up to a step, and step -> sentence for damaged ones."""
        problems: dict[int, str] = {}
        for step in reversed([s for s in Run.steps(self) if s <= at_most]):
            problem = RunDraft.damage(self, step)
            if problem is None:
                return Artifact.load(self.place(step)), problems
            problems[step] = problem
        return None, problems

    def damage(self, step: int) -> str | None:
        """Why the checkpoint of a step cannot be used, as a sentence: every byte is read. None if
        it can. Raises NewerFormatError."""
        try:
            artifact = Artifact.load(self.place(step))
        except NewerFormatError:
            raise
        except VitctlError as error:
            return error.message
        problems = artifact.check_contents()
        return f"{artifact.path} is damaged: {problems[0]}" if problems else None

    def result(self, step: int, *, emit: Emit = silent) -> Artifact | None:
        """The checkpoint of `step` if it is there and undamaged: an answer, kept for good."""
        if step not in self.steps():
            return None
        newest, problems = self.usable(at_most=step)
        if newest is None or newest.step != step:
            emit(Caution(f"{problems[step]}; making it again"))
            return None
        with suppress(OSError, DeniedError):  # a store that only may be read still answers
            self.mark_result(step)
        return newest

    def empty_place(self, step: int) -> LocalPath:
        """The folder to write a checkpoint to, emptied of what a crash left there. For a run in a
        bucket it is one on this disk, of each process its own, which `publish` sends."""
        self._empty(step)
        place = self.place(step)
        if place.local is not None:
            return place.local
        self.discard()
        with ExitStack() as stack:
            local = stack.enter_context(scratch())
            self._unsent[step] = stack.pop_all(), local
        return local

    def _empty(self, step: int) -> None:
        self.place(step).make_folder()
        clear(self.place(step))

    def discard(self) -> None:
        """Forget what was written for a bucket and not published."""
        while self._unsent:
            self._unsent.popitem()[1][0].close()

    def publish(
        self,
        step: int,
        *,
        summary: dict[str, Any],
        started: str,
        volatile: Iterable[str] = (),
        passed: Sequence[Sequence[int]] = (),
    ) -> Artifact:
        """Make what was written to `empty_place` an artifact."""
        place = self.place(step)
        known = {} if place.remote is None else self._send(step, place.remote)
        return self._publish(
            step, summary=summary, started=started, volatile=volatile, passed=passed, known=known
        )

    def _publish(
        self,
        step: int,
        *,
        summary: dict[str, Any],
        started: str,
        volatile: Iterable[str],
        passed: Sequence[Sequence[int]],
        known: dict[str, FileEntry],
    ) -> Artifact:
        return publish(
            self.place(step),
            recipe=self.recipe_at(step, passed=passed),
            summary=summary,
            started=started,
            volatile=volatile,
            known=known,
        )

    def _send(self, step: int, bucket: ObjectPath) -> dict[str, FileEntry]:
        """Send a checkpoint to its bucket; what was hashed on the way."""
        sent = self._upload(step, bucket)
        check_arrived(bucket, sent)
        return sent

    def _upload(
        self,
        step: int,
        bucket: ObjectPath,
        *,
        names: Callable[[list[str]], list[str]] = lambda written: written,
    ) -> dict[str, FileEntry]:
        """Send those `names` of what was written for a step."""
        stack, local = self._unsent.pop(step)
        with stack:
            sent = upload_folder(local, bucket, names=names(files_below(local)))
        return {n: FileEntry(path=n, size=of.size, sha256=of.sha256) for n, of in sent.items()}

    def add_to_summary(self, step: int, **fields: Any) -> None:
        """Record what was computed of a checkpoint after it was published, as scores that a signal
        broke off. Its files, id and digest stay what they are; its manifest is replaced as one."""
        artifact = Artifact.load(self.place(step), check=False)
        summary = {**artifact.summary, **fields}
        manifest = artifact.manifest.model_copy(
            update={"summary": summary, "seal": seal_of(artifact.kind, summary)}
        )
        publish_manifest(artifact.path / MANIFEST, manifest_bytes(manifest))

    def abandon(self, step: int) -> None:
        """Remove a checkpoint that is no part of this run any more, whoever begins from it."""
        guards.check(self.place(step))
        (self.place(step) / MANIFEST).remove(missing_ok=True)
        self.place(step).remove_tree(ignore_errors=True)

    def drop(self, step: int) -> None:
        """Remove a checkpoint, its manifest first; not one that unfinished work begins from."""
        if step in self.pins.steps():
            return
        manifest = self.place(step) / MANIFEST
        guards.check(manifest)
        with suppress(FileNotFoundError):
            content = manifest.read_bytes()
            manifest.remove()
            # Who pins looks for the manifest after that: whoever comes second sees the other.
            if step in self.pins.steps():
                manifest.write_atomic(content)
                return
        self.place(step).remove_tree(ignore_errors=True)

    def begin_from(self, checkpoint: Artifact) -> None:
        """Hold a checkpoint of another run, which this one begins from, until `finish_from`.

        Raises NotFoundError or InputError if it was thinned out in this very moment.
        """
        trunk = run_of(checkpoint)
        if trunk is None or checkpoint.step is None:
            return
        trunk.pins.pin(checkpoint.step, by=self.path, id=self.info.id)
        self._begun_from = checkpoint
        Artifact.load(checkpoint.path)

    def let_go(self) -> None:
        """This run is given up: nothing is held for it any more."""
        if self._begun_from is not None:
            self.finish_from(self._begun_from)

    def finish_from(self, checkpoint: Artifact) -> None:
        """This run is finished: the trunk may let go of where it began."""
        trunk = run_of(checkpoint)
        if trunk is not None and checkpoint.step is not None:
            trunk.pins.unpin(checkpoint.step, id=self.info.id)


def check_arrived(place: ObjectPath, sent: dict[str, FileEntry]) -> None:
    """Remove what is not of this checkpoint: a process that was given up may have written there
    until a moment ago. OutOfReachError if something of it is missing."""
    stored = buckets.below(place)
    buckets.remove(place / name for name in stored.keys() - sent.keys())
    for name, entry in sent.items():
        if name not in stored or stored[name].size != entry.size:
            raise OutOfReachError(
                f"{place / name} is not what was written there",
                exit_code=10,
                hint="run the same command again (in all processes): it saves that step again",
            )
