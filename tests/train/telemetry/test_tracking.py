"""Rows reach an experiment tracker once, whatever happens between two starts."""

from __future__ import annotations

import json
import threading

import pytest

from vitctl.errors import InterruptedRun, UsageError
from vitctl.events import Caution, Note
from vitctl.places import place
from vitctl.train.telemetry import metrics as telemetry
from vitctl.train.telemetry import tracking
from vitctl.train.telemetry.metrics import Metrics
from vitctl.train.telemetry.scalars import scalars
from vitctl.train.telemetry.tracker import NoAnswerError, Tracked, Tracker

RUN = Tracked("S-16", "pretrain", "ab" * 32, {"seed": 0})


class Server:
    """A tracker in memory: what each of its runs was sent, and how it ended."""

    def __init__(self):
        self.runs = {}
        self.endings = []
        self.refuses_after = None
        self.confirms = True

    def tracker(self, name):
        return _Client(self) if self.confirms else _Queueing(self)


class _Client(Tracker):
    name = "wandb"
    confirms = True

    def __init__(self, server):
        self._server = server
        self._rows = None

    def begin(self, run, *, known):
        name = known if known in self._server.runs else f"run{len(self._server.runs)}"
        self._rows = self._server.runs.setdefault(name, [])
        return name

    @property
    def where(self):
        return "memory"

    def send(self, rows):
        if self._server.refuses_after is not None and len(self._rows) >= self._server.refuses_after:
            raise ConnectionError("gone")
        self._rows += [(row["kind"], row["step"]) for row in rows]

    def finish(self, ending):
        self._server.endings.append(ending)


class _Queueing(_Client):
    """Takes rows, which arrive when it finishes; without a network, never."""

    confirms = False
    away = False

    def __init__(self, server):
        super().__init__(server)
        self._waiting = []
        self.abandoned = False

    def send(self, rows):
        self._waiting += [(row["kind"], row["step"]) for row in rows]

    def finish(self, ending):
        if self.away:
            raise ConnectionError("gone")
        self._rows += self._waiting
        super().finish(ending)


@pytest.fixture
def server(monkeypatch):
    server = Server()
    monkeypatch.setattr(telemetry, "tracker", server.tracker)
    return server


def metrics(folder, *, keep_to, emit=lambda event: None, track=("wandb",)):
    path = place(folder) / "metrics.jsonl"
    return Metrics(path, keep_to=keep_to, run=RUN, track=track, emit=emit)


def train(folder, steps, *, keep_to=0, **more):
    with metrics(folder, keep_to=keep_to, **more) as rows:
        for step in steps:
            rows.row("train", step, loss=1.0)


def trained(steps):
    return [("train", step) for step in steps]


def test_the_rows_of_every_start_are_one_run(tmp_path, server):
    train(tmp_path, range(1, 5))
    train(tmp_path, range(5, 9), keep_to=4)
    assert server.runs == {"run0": trained(range(1, 9))}
    assert server.endings == ["finished", "finished"]


def test_steps_past_the_checkpoint_are_sent_again(tmp_path, server):
    """A kill leaves rows behind that are trained anew from the checkpoint."""
    train(tmp_path, range(1, 7))
    train(tmp_path, range(5, 8), keep_to=4)
    assert server.runs == {"run0": trained([1, 2, 3, 4, 5, 6, 5, 6, 7])}


def test_a_tracker_that_is_named_late_has_the_earlier_rows(tmp_path, server):
    train(tmp_path, range(1, 5), track=())
    assert not (tmp_path / "tracking.json").exists()
    train(tmp_path, range(5, 7), keep_to=4)
    assert server.runs == {"run0": trained(range(1, 7))}


def test_a_tracker_that_was_left_out_for_a_start_misses_nothing(tmp_path, server):
    train(tmp_path, range(1, 3))
    train(tmp_path, range(3, 5), keep_to=2, track=())
    train(tmp_path, range(5, 7), keep_to=4)
    assert server.runs == {"run0": trained(range(1, 7))}


def test_a_run_that_is_gone_there_begins_anew_with_all_rows(tmp_path, server):
    train(tmp_path, range(1, 3))
    server.runs.clear()
    server.runs["other"] = []
    train(tmp_path, range(3, 5), keep_to=2)
    assert server.runs == {"other": [], "run1": trained(range(1, 5))}


def test_a_failure_is_one_caution_and_the_next_start_sends_the_rest(tmp_path, server):
    server.refuses_after = 2
    events = []
    with metrics(tmp_path, keep_to=0, emit=events.append) as rows:
        for step in range(1, 6):
            rows.row("train", step, loss=1.0)
            _until_taken(rows)
    (caution,) = [event for event in events if isinstance(event, Caution)]
    assert "wandb takes no more rows" in caution.text
    sent = server.runs["run0"][:]
    assert sent == trained(range(1, len(sent) + 1))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 5
    server.refuses_after = None
    train(tmp_path, [6], keep_to=5)
    assert server.runs == {"run0": trained(range(1, 7))}


def _until_taken(rows):
    """Wait until the tracker's thread has worked on every row, or ended."""
    for one in rows._trackings._trackings:
        thread = one._thread
        while thread is not None and thread.is_alive() and one._queue:
            thread.join(0.001)


def test_a_tracker_without_an_answer_is_a_caution_at_the_start(tmp_path, server, monkeypatch):
    def begin(client, run, *, known):
        raise NoAnswerError("wandb can't be used now")

    events = []
    monkeypatch.setattr(_Client, "begin", begin)
    train(tmp_path, range(1, 3), emit=events.append)
    monkeypatch.undo()
    assert [type(event) for event in events] == [Caution]
    monkeypatch.setattr(telemetry, "tracker", server.tracker)
    train(tmp_path, [3], keep_to=2)
    assert server.runs == {"run0": trained(range(1, 4))}


def test_rows_that_a_tracker_only_queued_are_sent_again(tmp_path, server, monkeypatch):
    """As those that were never uploaded: nothing is recorded as sent before its run is closed."""
    server.confirms = False
    monkeypatch.setattr(_Queueing, "away", True)
    events = []
    with metrics(tmp_path, keep_to=0, emit=events.append) as rows:
        rows.row("train", 1, loss=1.0)
        rows.sync()
        assert json.loads((tmp_path / "tracking.json").read_bytes())["wandb"]["sent"] == {}
    assert [type(event) for event in events] == [Note, Caution]
    monkeypatch.setattr(_Queueing, "away", False)
    train(tmp_path, [2], keep_to=1)
    assert server.runs == {"run0": trained([1, 2])}
    train(tmp_path, [3], keep_to=2)
    assert server.runs == {"run0": trained([1, 2, 3])}


def test_a_tracker_that_never_finishes_is_left(tmp_path, server, monkeypatch):
    """At a signal soon, all trackers together; and the process does not wait for it either."""
    released, left = threading.Event(), []
    monkeypatch.setattr(_Client, "finish", lambda client, ending: released.wait())
    monkeypatch.setattr(_Client, "abandon", lambda client: left.append(client))
    monkeypatch.setattr(tracking, "_STOPPED_PATIENCE_S", 0.0)
    events = []
    with pytest.raises(InterruptedRun):
        _fail(metrics(tmp_path, keep_to=0, emit=events.append), InterruptedRun("SIGTERM"))
    released.set()
    assert len(left) == 1
    assert "wandb has not taken every row in time" in events[-1].text


def test_how_a_run_ended_is_sent(tmp_path, server):
    for keep_to, error in enumerate([InterruptedRun("SIGTERM"), ValueError("a bug")]):
        with pytest.raises(type(error)):
            _fail(metrics(tmp_path, keep_to=keep_to), error)
    assert server.endings == ["stopped", "failed"]


def _fail(rows, error):
    with rows:
        raise error


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"wandb": {"run": 3}}', b"\xff", b'{"wandb": 1}']
)
def test_a_record_that_says_nothing_costs_a_new_run(tmp_path, server, content):
    (tmp_path / "tracking.json").write_bytes(content)
    train(tmp_path, [1])
    assert server.runs == {"run0": trained([1])}
    assert json.loads((tmp_path / "tracking.json").read_bytes()) == {
        "wandb": {"run": "run0", "sent": {"train": 1}}
    }


def test_the_record_of_another_tracker_stays(tmp_path, server):
    other = {"run": "x", "sent": {"train": 7}}
    (tmp_path / "tracking.json").write_text(json.dumps({"mlflow": other}))
    train(tmp_path, [1])
    assert json.loads((tmp_path / "tracking.json").read_bytes())["mlflow"] == other


def test_a_person_is_told_where_the_run_is(tmp_path, server):
    events = []
    train(tmp_path, [1], emit=events.append)
    assert events == [Note("wandb: memory")]


def test_curves_are_the_numbers_of_a_row():
    row = {"kind": "eval", "step": 3, "loss": 0.5, "split": "val", "ema_loss": None, "best": True}
    assert scalars(row) == {"eval/loss": 0.5}


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_package_that_is_missing_is_a_sentence(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, name, None)
    from vitctl.train.telemetry.tracking import tracker

    with pytest.raises(UsageError, match=f"--track {name} needs a package") as caught:
        tracker(name)
    assert f"pip install 'vitctl[{name}]'" in caught.value.hint
