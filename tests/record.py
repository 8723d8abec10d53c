"""`just test-all` leaves a dated line in docs/log/test-all.md.

python -m tests.record RESULTS.xml     after `pytest --junitxml=RESULTS.xml`
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import xml.etree.ElementTree as xml
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "docs" / "log" / "test-all.md"

_HEADER = """# Runs of every test

A line a run of `just test-all`, written by it.

"""
_PACKAGES = ("jax", "flax", "optax", "tensorflow", "orbax-checkpoint")


def line(results: Path, *, now: datetime) -> str:
    """What a run came to, when, of which commit, where and with what."""
    suites = list(xml.parse(results).getroot().iter("testsuite"))
    total = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in _COUNTS}
    passed = total["tests"] - sum(total[key] for key in _COUNTS if key != "tests")
    counts = [f"{passed:,} passed", *(f"{total[key]:,} {key}" for key in _COUNTS[1:] if total[key])]
    seconds = round(sum(float(suite.get("time", 0)) for suite in suites))
    took = f"{seconds // 60}:{seconds % 60:02}"
    return (
        f"- {now:%Y-%m-%d %H:%M} UTC, {commit()}: {', '.join(counts)} in {took} "
        f"({platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {', '.join(versions())})\n"
    )


_COUNTS = ("tests", "failures", "errors", "skipped")


def commit() -> str:
    """The commit, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


def versions() -> list[str]:
    values = []
    for name in _PACKAGES:
        for package in (name, f"{name}-cpu"):
            try:
                values.append(f"{name} {metadata.version(package)}")
                break
            except metadata.PackageNotFoundError:
                continue
    return values


def record(results: Path, *, log: Path = LOG) -> str:
    """Append the line to the log, which is begun if there is none."""
    text = line(results, now=datetime.now(UTC))
    before = log.read_text() if log.exists() else _HEADER
    log.write_text(before + text)
    return text


if __name__ == "__main__":
    sys.stderr.write(record(Path(sys.argv[1])))
