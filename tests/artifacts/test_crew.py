"""What several processes share, played by threads: what each writes, and who decides."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.making import made, recipe
from tests.waiting import PATIENCE_S
from vitctl import processes
from vitctl.artifacts import Artifact, Store, crew
from vitctl.artifacts.runs import Run
from vitctl.errors import InputError

RUN = recipe("pretrain", "run", a=1)
COUNT = 2


class Together:
    """Threads that exchange values as processes do: as JSON, by name and use."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, int, int], str] = {}
        self._changed = threading.Condition()
        self._own = threading.local()

    def run(self, work: Callable[[int], Any]) -> list[Any]:
        def one(index: int) -> Any:
            self._own.index, self._own.uses = index, Counter()
            return work(index)

        self._values.clear()
        with ThreadPoolExecutor(COUNT) as threads:
            return [
                future.result(PATIENCE_S)
                for future in [threads.submit(one, i) for i in range(COUNT)]
            ]

    @property
    def index(self) -> int:
        return self._own.index

    def share(self, name: str, make: Callable[[], Any], *, patient: bool = False) -> Any:
        self._own.uses[name] += 1
        if self.index == 0:
            self._put(name, make())
        return self._get(name, 0)

    def gather(self, name: str, value: Any) -> list[Any]:
        self._own.uses[name] += 1
        self._put(name, value)
        return [self._get(name, index) for index in range(COUNT)]

    def collect(self, name: str, value: Any) -> list[Any] | None:
        values = self.gather(name, value)
        return values if self.index == 0 else None

    def _put(self, name: str, value: Any) -> None:
        with self._changed:
            self._values[name, self._own.uses[name], self.index] = json.dumps(value)
            self._changed.notify_all()

    def _get(self, name: str, index: int) -> Any:
        key = name, self._own.uses[name], index
        with self._changed:
            assert self._changed.wait_for(lambda: key in self._values, PATIENCE_S), key
            return json.loads(self._values[key])


@pytest.fixture
def team(monkeypatch) -> Together:
    crew = Together()
    monkeypatch.setattr(processes, "count", lambda: COUNT)
    monkeypatch.setattr(processes, "index", lambda: crew.index)
    monkeypatch.setattr(processes, "first", lambda: crew.index == 0)
    monkeypatch.setattr(processes, "agree", lambda name, value, **more: None)
    monkeypatch.setattr(processes, "mark", lambda *texts: None)
    for name in ("share", "gather", "collect"):
        monkeypatch.setattr(processes, name, getattr(crew, name))
    return crew


@pytest.fixture(params=["folder", "bucket"])
def shared(request, tmp_path) -> Store:
    return Store(tmp_path if request.param == "folder" else f"memory://{tmp_path.name}/store")


def save(run: Run, step: int, index: int) -> Artifact:
    folder = run.empty_place(step)
    (folder / f"part-{index}").write_text(f"of {index} at {step}")
    if index == 0 or run.path.remote is not None:
        (folder / "described").write_text("by all alike")
    return run.publish(step, summary={"step": step}, started="2026-01-01")


def test_a_process_alone_is_no_crew(store):
    assert crew.of(store) is store


def test_each_writes_its_part_and_the_first_decides(shared, team):
    def work(index: int) -> tuple[str, ...]:
        with crew.of(shared).open_run(RUN, name="S16") as run:
            run.begin(from_step=0, runtime={})
            first, second = save(run, 5, index), save(run, 10, index)
            assert run.steps() == [5, 10]
            run.drop(5)
            assert run.steps() == [10]
            usable, problems = run.usable(at_most=10)
            assert problems == {}
            run.mark_result(10)
            return first.digest, second.digest, usable.digest

    (digests, others) = team.run(work)
    assert digests == others
    assert digests[1] == digests[2] != digests[0]
    [run] = shared.entries()
    assert run.info.results == (10,)
    assert len(run.info.segments) == 1
    names = [entry.path for entry in run.newest().manifest.files]
    assert names == ["described", "part-0", "part-1"]
    assert run.newest().check_contents() == []
    assert not run.is_working


def test_what_is_finished_is_found_by_all(shared, team):
    def work(index: int) -> tuple[bool, str]:
        with crew.of(shared).open(recipe(b=1), name="thing") as draft:
            result = draft.finished is not None
            if not result:
                draft.write("data.bin", b"known to all")
                draft.publish(summary={})
            return result, draft.finished.digest

    before, after = team.run(work), team.run(work)
    assert [outcome for outcome, _ in before] == [False, False]
    assert [outcome for outcome, _ in after] == [True, True]
    assert len({digest for _, digest in before + after}) == 1


def test_damage_that_the_first_reads_is_told_to_all(store, team):
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr(processes, "count", lambda: 1)
        artifact = made(store, recipe(c=1))
    [name] = [entry.path for entry in artifact.manifest.files][:1]
    Path(artifact.path / name).write_bytes(b"another")

    def work(index: int) -> str:
        with pytest.raises(InputError) as error:
            crew.require_whole(artifact)
        return error.value.message

    first, second = team.run(work)
    assert first == second
    assert name in first
