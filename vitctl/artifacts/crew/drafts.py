"""The draft and the run of several processes: all write, process 0 decides and publishes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.crew.agreement import load, published
from vitctl.artifacts.drafts import Draft
from vitctl.artifacts.files import LOCK
from vitctl.artifacts.manifest import FileEntry
from vitctl.artifacts.run_draft import RunDraft, check_arrived
from vitctl.locks import leases
from vitctl.places import ObjectPath


class CrewDraft(Draft):
    """The draft of several processes: each records and writes its part, process 0 publishes."""

    def write(self, name: str, content: bytes) -> None:
        if processes.first():
            super().write(name, content)

    def publish(self, *, summary: dict[str, Any], volatile: Iterable[str] = ()) -> Artifact:
        publish = super().publish
        self.finished = published(self.path, lambda: publish(summary=summary, volatile=volatile))
        return self.finished


class CrewRun(RunDraft):
    """The run of several processes: process 0 decides, writes and removes, all the same way on."""

    several = True

    def _write_info(self) -> None:
        if processes.first():
            super()._write_info()

    def steps(self) -> list[int]:
        return processes.share("steps", super().steps)

    def usable(self, *, at_most: int) -> tuple[Artifact | None, dict[int, str]]:
        usable = super().usable

        def look() -> tuple[int | None, str, list[tuple[int, str]]]:
            artifact, problems = usable(at_most=at_most)
            step, digest = (artifact.step, artifact.digest) if artifact else (None, "")
            return step, digest, list(problems.items())

        step, digest, problems = processes.share("usable", look)
        artifact = None if step is None else load(self.place(step), digest=digest)
        return artifact, dict(problems)

    def _empty(self, step: int) -> None:
        empty = super()._empty

        def of_all() -> None:
            empty(step)
            self._hold_on(True)

        processes.share(f"emptied {step}", of_all)

    def publish(
        self,
        step: int,
        *,
        summary: dict[str, Any],
        started: str,
        volatile: Iterable[str] = (),
        passed: Sequence[Sequence[int]] = (),
    ) -> Artifact:
        bucket = self.place(step).remote
        known = {} if bucket is None else self._send(step, bucket)
        return published(
            self.place(step),
            lambda: self._publish(
                step,
                summary=summary,
                started=started,
                volatile=volatile,
                passed=passed,
                known=known,
            ),
        )

    def _send(self, step: int, bucket: ObjectPath) -> dict[str, FileEntry]:
        """In process 0, what was hashed on the way, of all processes."""

        def own(written: list[str]) -> list[str]:
            # Each has the names of arrays and its own part of their content.
            first = processes.share(f"sends {step}", lambda: written)
            return written if processes.first() else sorted({*written} - {*first})

        sent = self._upload(step, bucket, names=own)
        rows = {name: (of.size, of.sha256) for name, of in sent.items()}
        parts = processes.collect(f"sent {step}", rows)
        if parts is None:
            return {}
        self._hold_on(False)
        arrived = {
            name: FileEntry(path=name, size=size, sha256=sha256)
            for part in parts
            for name, (size, sha256) in part.items()
        }
        check_arrived(bucket, arrived)
        return arrived

    def _hold_on(self, on: bool) -> None:
        """Whether others may still write under the lease of process 0, should it end."""
        if self.path.remote is not None:
            leases.hold_on(self.path.remote / LOCK, on=on)

    def damage(self, step: int) -> str | None:
        damage = super().damage
        return processes.share(f"damage {step}", lambda: damage(step))

    def add_to_summary(self, step: int, **fields: Any) -> None:
        if processes.first():
            super().add_to_summary(step, **fields)

    def abandon(self, step: int) -> None:
        if processes.first():
            super().abandon(step)

    def drop(self, step: int) -> None:
        if processes.first():
            super().drop(step)

    def begin_from(self, checkpoint: Artifact) -> None:
        if processes.first():
            super().begin_from(checkpoint)

    def finish_from(self, checkpoint: Artifact) -> None:
        if processes.first():
            super().finish_from(checkpoint)
