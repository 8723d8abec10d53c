"""Images that are left out: how many of them end the work, and the list with the reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from vitctl.errors import InputError
from vitctl.ingest.trees import own_output
from vitctl.ingest.write.shard_writer import REJECTS, ShardReport
from vitctl.places import Place

_BAD_FRACTION, _BAD_IMAGES = 0.01, 3


def allowed_rejects(fraction: float | None, *, total: int) -> float:
    """So many rejects don't end the command. Of a hundred images one in a hundred would be none."""
    if fraction is not None:
        return fraction * total
    return max(_BAD_FRACTION * total, min(_BAD_IMAGES, total // 4))


def check_rejects(
    reports: Iterable[ShardReport], *, total: int, folder: Place, allowed: float
) -> None:
    """Write the list of rejects to a folder; raise `InputError` when they are too many for a source
    of `total` images."""
    reports = list(reports)
    rejects = sorted(
        (
            {"id": reject.id, "reason": reject.reason}
            for report in reports
            for reject in report.rejects
        ),
        key=lambda reject: reject["id"],
    )
    lines = "".join(json.dumps(reject, ensure_ascii=False) + "\n" for reject in rejects)
    (folder / REJECTS).write_atomic(lines.encode())
    bad = [reject for reject in rejects if reject["reason"] != own_output.PICTURE]
    if len(bad) <= allowed:
        return
    examined = sum(report.records + len(report.rejects) for report in reports)
    first = bad[0]
    raise InputError(
        f"{len(bad)} of {examined} images are bad, more than {allowed / total:.1%} of all "
        f"{total}: {first['id']}: {first['reason']}; all are listed in {folder / REJECTS}",
        hint="remove or repair them, or go on without them: "
        f"--max-bad-fraction {math.ceil(100 * len(bad) / examined) / 100:.2f}",
    )
