"""Images that are left out: how many of them end the work, the list with the reasons, and which of
them may be usable by now, since it was not their bytes that were bad."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import get_args

from vitctl.artifacts import Artifact
from vitctl.errors import InputError
from vitctl.events import Caution, Emit
from vitctl.ingest.columns import Entry
from vitctl.ingest.listing import Source, read
from vitctl.ingest.trees import own_output
from vitctl.ingest.write.shard_plan import Unit
from vitctl.ingest.write.shard_writer import REJECTS, RejectedImage, ShardReport
from vitctl.pixels.file_kinds import Package
from vitctl.pixels.header import BadImageError, is_installed
from vitctl.places import Place
from vitctl.text import strict_json
from vitctl.text.quantities import counted

_PACKAGES: tuple[Package, ...] = get_args(Package)
_BAD_FRACTION, _BAD_IMAGES = 0.01, 3


def allowed_rejects(fraction: float | None, *, total: int) -> float:
    """So many rejects don't end the command. Of a hundred images one in a hundred would be none."""
    if fraction is not None:
        return fraction * total
    return max(_BAD_FRACTION * total, min(_BAD_IMAGES, total // 4))


def usable_now(report: ShardReport, unit: Unit, source: Source) -> bool:
    """Whether an image of a unit was left out for a cause that is gone: a package that has been
    installed since, or a file that could not be opened."""
    for reject in report.rejects:
        if reject.cause == "access":
            if source.access == "random" and _opens(source, unit.entries[reject.position]):
                return True
        elif reject.cause != "bytes" and is_installed(reject.cause):
            return True
    return False


def _opens(source: Source, entry: Entry) -> bool:
    try:
        with source.reader() as reader:
            read(reader, entry)
    except (OSError, BadImageError):
        return False
    return True


def warn_of_usable(artifact: Artifact, *, emit: Emit) -> None:
    """Say of a dataset that is finished which images it lacks only since the package that reads
    them was not installed when it was made."""
    try:
        lines = (artifact.path / REJECTS).read_bytes().splitlines()
        causes = Counter(
            RejectedImage.model_validate(strict_json.loads(line)).cause for line in lines
        )
    except (OSError, ValueError):  # `verify` says so
        return
    usable = sum(causes[package] for package in _PACKAGES if is_installed(package))
    if usable:
        images = counted(usable, "image that was", "images that were")
        emit(
            Caution(f"{images} left out of {artifact.path} can be read now; --force makes it anew")
        )


def check_rejects(
    reports: Iterable[ShardReport], *, total: int, folder: Place, allowed: float
) -> None:
    """Write the list of rejects to a folder; raise `InputError` when they are too many for a source
    of `total` images."""
    reports = list(reports)
    rejects = sorted(
        (
            reject.model_dump(exclude={"position"}, exclude_defaults=True)
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
