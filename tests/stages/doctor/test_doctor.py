"""`vitctl doctor` as a user meets it."""

from __future__ import annotations

import json

import pytest

from stages.doctor import command
from stages.doctor import run as stage
from tests import schemas
from vitctl.console.session import Options, Session
from vitctl.doctor.finding import Finding
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.events import silent
from vitctl.places import place


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """doctor(findings, **options): the lines it prints, and what it raises."""
    said = []
    monkeypatch.setattr(Session, "answer_text", lambda self, text: said.append(text))
    monkeypatch.setattr(Session, "answer_json", lambda self, value: said.append(json.dumps(value)))

    def run(*checks, **options):
        given = list(checks)

        def findings(*_, **__):  # all with the first question, none with the second
            yield from given
            given.clear()

        monkeypatch.setattr(stage.supervise, "findings", findings)
        session = Session(Options(store=place(tmp_path), **options), silent)
        command.check_machine(session, data=None, timeout_s=None)
        return said

    run.said = said
    return run


OK = Finding("clock", "ok", "now")
WARN = Finding("disk", "warn", "slow", "a faster one", {"read_bytes_per_s": 1})


def test_a_line_each_and_the_hint_below(doctor):
    assert doctor(OK, WARN) == [
        "ok    clock        now",
        "warn  disk         slow\n                   hint: a faster one",
    ]


def test_json_follows_its_schema(doctor, tmp_path):
    (line,) = doctor(OK, WARN, json=True)
    value = json.loads(line)
    schemas.check(value, "doctor")
    assert (value["verdict"], value["store"], value["dataset"]) == ("warn", str(tmp_path), None)


def test_the_first_failure_decides_how_it_ends(doctor):
    room = Finding("memory", "fail", "1 GiB", "end something", exit_code=6)
    with pytest.raises(DoesNotFitError, match="2 of 3 checks failed: memory, lock") as caught:
        doctor(OK, room, Finding("lock", "fail", "none"))
    assert caught.value.hint == "end something"
    assert len(doctor.said) == 3
    with pytest.raises(UsageError):
        doctor(Finding("lock", "fail", "none"), room)
