"""A written page as a program reads of it."""

from __future__ import annotations

from typing import Any

from stages.report.spec import Written


def as_json(written: Written) -> dict[str, Any]:
    """What `vitctl report --json` prints; docs/schemas/report.schema.json."""
    return {
        "file": str(written.file),
        "bytes": written.bytes,
        "reported": [
            {"id": identity, "kind": kind, "name": name}
            for identity, kind, name in written.reported
        ],
        "problems": list(written.problems),
    }
