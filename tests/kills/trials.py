"""One command: an uninterrupted run as the measure, then kills."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kills.commands import Command
from tests.waiting import PATIENCE_S
from vitctl.artifacts import Artifact
from vitctl.artifacts.runs import run_of

_MEETING_S = 60
"""For processes whose modules are loaded already, of which one is killed: those who lost it before
they met wait for all of it."""
_OFTEN = 200
"""Attempts for one hit: a moment can fall after the end of a quick command."""


@dataclass(frozen=True)
class Case:
    """A command, without its --store, in so many processes."""

    name: str
    arguments: tuple[object, ...]
    processes: int = 1


@dataclass
class Result:
    """What became of so many kills of one command.

    hit      what the kill left behind -> how often
    unequal  a sentence for each end that was not the uninterrupted one
    """

    case: str
    sent: str
    hits: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    unequal: list[str] = field(default_factory=list)
    missed: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Whole:
    """The uninterrupted run: what it made, how long it took, how often it touched files."""

    made: dict[str, Any]
    seconds: float
    files: int


class Bench:
    """Runs a case again and again, each trial in a store of its own."""

    def __init__(self, case: Case, *, folder: Path, seed: int) -> None:
        self.case, self.folder = case, folder
        self.random = random.Random(f"{case.name} {seed}")
        self._trials = 0
        # Twice: the first compiles what all others find compiled.
        self._measure()
        self.whole = self._measure()

    def kills(self, count: int) -> Result:
        """SIGKILL at `count` moments: half of them in time, half just before a change of a file.
        Every other command that was killed is killed again before it may finish."""
        result = Result(self.case.name, "SIGKILL")
        began = time.monotonic()
        while result.hits < count:
            store = self._store()
            while result.hits < count:
                command = self._killed(store)
                if command.code not in (0, -signal.SIGKILL):
                    result.unequal.append(
                        f"by itself: exit code {command.code}: {command.last_words}"
                    )
                if command.code != -signal.SIGKILL:
                    result.missed += 1
                    assert result.missed < _OFTEN + count, "kills come too late, again and again"
                    break
                result.hits += 1
                result.hit[left_behind(store)] += 1
                if self.random.random() < 0.5:
                    break
            self._finish(store, result)
        result.seconds = time.monotonic() - began
        return result

    def kills_of_one(self, count: int) -> Result:
        """SIGKILL to one of several processes: the others must end by themselves, with exit code
        10, or 0 if they were done already, or 4 if it died before it met them."""
        result = Result(self.case.name, "SIGKILL to one")
        began = time.monotonic()
        while result.hits < count:
            store = self._store()
            group = self._start_all(store, meeting_s=_MEETING_S)
            victim = self.random.randrange(len(group))
            moment = self.random.uniform(0, self.whole.seconds)
            group[victim].wait(until=group[victim].began + moment)
            group[victim].send(signal.SIGKILL)
            codes = [command.wait() for command in group]
            if codes[victim] != -signal.SIGKILL:
                result.missed += 1
                assert result.missed < _OFTEN + count, "kills come too late, again and again"
            else:
                result.hits += 1
                result.hit[f"process {victim}: {left_behind(store)}"] += 1
                for number, code in enumerate(codes):
                    in_vain = code == 4 and "did not connect" in group[number].err
                    if number != victim and code not in (0, 10) and not in_vain:
                        sentence = f"process {number} of them ended with {code}"
                        result.unequal.append(f"{sentence}: {group[number].last_words}")
            self._finish(store, result)
        result.seconds = time.monotonic() - began
        return result

    def terminations(self, count: int) -> Result:
        """SIGTERM at `count` moments from the start: exit code 10, with what was done saved."""
        result = Result(self.case.name, "SIGTERM")
        began = time.monotonic()
        while result.hits < count:
            store = self._store()
            command = self._begin(store)
            command.wait_for_main()
            command.wait(until=time.monotonic() + self.random.uniform(0, self.whole.seconds))
            command.send(signal.SIGTERM)
            code = command.wait()
            if code == 0:
                result.missed += 1
                assert result.missed < _OFTEN + count, "signals come too late, again and again"
            else:
                result.hits += 1
                result.hit[left_behind(store)] += 1
                if code != 10 or "stopped:" not in command.err or command.out:
                    result.unequal.append(f"exit code {code}: {command.last_words}")
                elif not saved(command, store):
                    result.unequal.append(f"it was not saved: {command.last_words}")
            self._finish(store, result)
        result.seconds = time.monotonic() - began
        return result

    # Steps of a trial

    def _measure(self) -> Whole:
        store = self._store()
        command, *others = self._start_all(store)
        codes = [each.wait() for each in (command, *others)]
        assert not any(codes), command.err
        whole = Whole(
            made=made(command),
            seconds=time.monotonic() - command.began,
            files=command.files_touched,
        )
        shutil.rmtree(store)
        return whole

    def _store(self) -> Path:
        self._trials += 1
        store = self.folder / f"trial{self._trials}" / "store"
        store.parent.mkdir(parents=True)
        return store

    def _start_all(self, store: Path, *, meeting_s: int = PATIENCE_S) -> list[Command]:
        """The command in all its processes; the first one answers."""
        if self.case.processes == 1:
            return [self._begin(store)]
        with socket.socket() as listening:
            listening.bind(("localhost", 0))
            place = f"localhost:{listening.getsockname()[1]}"
        several = ("--processes", self.case.processes, "--coordinator", place)
        several += ("--start-timeout", meeting_s)
        return [
            Command(
                (*self.case.arguments, "--store", store, *several, "--process-id", index),
                folder=store.parent / f"process{index}",
                store=store,
            )
            for index in range(self.case.processes)
        ]

    def _begin(self, store: Path, *, dies_at: int | None = None) -> Command:
        command = (*self.case.arguments, "--store", store)
        return Command(command, folder=store.parent, store=store, dies_at=dies_at)

    def _killed(self, store: Path) -> Command:
        if self.random.random() < 0.5:
            command = self._begin(store, dies_at=self.random.randint(1, self.whole.files))
            command.wait()
            return command
        moment = self.random.uniform(0, self.whole.seconds)
        command = self._begin(store)
        command.wait(until=command.began + moment)
        command.send(signal.SIGKILL)
        command.wait()
        return command

    def _finish(self, store: Path, result: Result) -> None:
        """The same command to its end, and the comparison."""
        group = self._start_all(store)
        codes = [each.wait() for each in group]
        command = group[0]
        if any(codes):
            result.unequal.append(f"again: exit codes {codes}: {command.last_words}")
            return
        contents = made(command)
        for name, value in self.whole.made.items():
            if contents[name] != value:
                result.unequal.append(f"{name} differs ({store})")
                return
        shutil.rmtree(store.parent)


def made(command: Command) -> dict[str, Any]:
    """All that must be equal: digest and id of the answer; of a run, its kept checkpoints and the
    rows of its metrics."""
    artifact = Artifact.load(Path(command.out.strip()))
    assert artifact.check_contents() == []
    contents: dict[str, Any] = {"digest": artifact.digest, "id": artifact.id}
    run = run_of(artifact)
    if run is not None:
        contents["checkpoints"] = {step: run.checkpoint(step).digest for step in run.steps()}
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        columns = ("step", "loss", "grad_norm", "lr")
        contents["losses"] = [[row[k] for k in columns] for row in rows if row["kind"] == "train"]
    return contents


def left_behind(store: Path) -> str:
    """What a command had done when it ended."""
    runs = list(store.glob("*/*/run.json"))
    if not runs:
        drafts = list(store.glob("*/*/draft.json"))
        if not drafts:
            return "nothing yet"
        shards = list(drafts[0].parent.glob("*.array_record-*"))
        half = list(drafts[0].parent.glob(".tmp-*"))
        return "half a shard" if half else f"{'some' if shards else 'no'} shards"
    folder = runs[0].parent / "checkpoints"
    steps = list(folder.iterdir()) if folder.is_dir() else []
    if any(not (child / "artifact.json").exists() for child in steps):
        return "half a checkpoint"
    return "between checkpoints" if steps else "no checkpoint yet"


def saved(command: Command, store: Path) -> bool:
    """Whether what a stopped command says it saved is there, whole."""
    if any(
        sentence in command.err
        for sentence in ("before work began\n", "between two steps of its work;")
    ):
        return True
    if not list(store.glob("*/*/run.json")):
        return "shards are done" in command.err
    newest = max(store.glob("*/*/checkpoints/*/artifact.json"), key=lambda p: int(p.parent.name))
    return f"after step {newest.parent.name};" in command.err and (
        Artifact.load(newest.parent).check_contents() == []
    )


def table(results: Sequence[Result]) -> str:
    """A row a command and signal, in Markdown."""
    rows = ["| command | signal | times | ended otherwise | it left behind | came too late |"]
    rows.append("|---|---|---|---|---|---|")
    for result in results:
        hit = ", ".join(f"{what} {times}" for what, times in result.hit.most_common())
        rows.append(
            f"| {result.case} | {result.sent} | {result.hits} | {len(result.unequal)} | {hit} "
            f"| {result.missed} |"
        )
    return "\n".join(rows)
