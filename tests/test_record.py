from __future__ import annotations

from datetime import UTC, datetime

from tests import record

RESULTS = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests">
<testsuite name="pytest" errors="1" failures="2" skipped="3" tests="1358" time="527.46"/>
</testsuites>
"""


def test_a_run_is_one_line_more(tmp_path):
    results, log = tmp_path / "results.xml", tmp_path / "log.md"
    results.write_text(RESULTS)
    for runs in (1, 2):
        record.record(results, log=log)
        lines = [text for text in log.read_text().splitlines() if text.startswith("- ")]
        assert len(lines) == runs
    assert log.read_text().startswith("# Runs of every test\n")


def test_what_the_line_says(tmp_path):
    (tmp_path / "results.xml").write_text(RESULTS)
    now = datetime(2026, 11, 25, 8, 5, tzinfo=UTC)
    line = record.line(tmp_path / "results.xml", now=now)
    assert line.startswith("- 2026-11-25 08:05 UTC, ")
    assert ": 1,352 passed, 2 failures, 1 errors, 3 skipped in 8:47 (" in line
    assert "jax " in line
    assert "tensorflow " in line
