"""What the checks of a store in a bucket say, and that each can fail."""

from __future__ import annotations

import pytest

from vitctl.doctor import bucket, child
from vitctl.doctor.checks import checks
from vitctl.doctor.finding import CheckRequest
from vitctl.errors import DeniedError, OutOfReachError
from vitctl.locks import leases
from vitctl.places import buckets, place


@pytest.fixture
def checked(tmp_path):
    return CheckRequest(place(f"memory://{tmp_path.name}/store"))


def test_a_store_that_is_fit(checked, monkeypatch):
    monkeypatch.setattr(bucket, "_SLOW", 0)
    for check in (bucket.reach, bucket.objects, bucket.speed):
        assert check(checked).verdict == "ok", check(checked)
    assert bucket.speed(checked).numbers["objects_per_s"] > 0
    assert buckets.below(checked.store) == {}  # nothing is left behind


def test_one_that_answers_with_what_was(checked, monkeypatch):
    monkeypatch.setattr(buckets, "read", lambda path: b"old")
    assert bucket.objects(checked).verdict == "fail"


def test_a_clock_that_is_off(checked, monkeypatch):
    real = buckets.look_up
    monkeypatch.setattr(
        buckets, "look_up", lambda path: real(path)._replace(modified_ns=1_000_000_000)
    )
    finding = bucket.objects(checked)
    assert (finding.verdict, "clock" in finding.message) == ("warn", True)


def test_one_that_creates_twice(checked, monkeypatch):
    real = buckets.put
    monkeypatch.setattr(
        buckets, "put", lambda path, content, *, new=False, **more: real(path, content)
    )
    finding = bucket.lease(checked)
    assert (finding.verdict, finding.numbers["created"]) == ("warn", 8)


def test_leases_that_nobody_sees(checked, monkeypatch):
    monkeypatch.setattr(leases, "is_held", lambda path: False)
    assert bucket.lease(checked).verdict == "fail"


def test_one_that_is_slow_or_damages(checked, monkeypatch):
    monkeypatch.setattr(bucket, "_SLOW", 10**15)
    assert bucket.speed(checked).verdict == "warn"
    monkeypatch.setattr(bucket, "download", lambda *_, **__: False)
    finding = bucket.speed(checked)
    assert (finding.verdict, finding.exit_code) == ("fail", 3)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeniedError("there are no credentials", exit_code=2, hint="log in"), 2),
        (OutOfReachError("there is no bucket", exit_code=4, hint="its name"), 4),
        (OutOfReachError("cannot be reached", exit_code=10), 10),
    ],
)
def test_one_that_cannot_be_reached(checked, monkeypatch, error, code):
    def cut(path, checked, **more):
        raise error

    monkeypatch.setattr(buckets, "ask", cut)
    (reach,) = [check for check in checks(checked.store) if check.name == "reach"]
    finding = child._finding(reach, checked)
    message = error.hint or "docs/guide/doctor.md says what this check does"
    assert (finding.verdict, finding.message, finding.hint) == ("fail", error.message, message)
    assert finding.exit_code == code
