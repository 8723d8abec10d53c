"""What a user gives -> the inputs of `vitctl merge`; needs no terminal."""

from __future__ import annotations

from collections.abc import Sequence

from stages.merge.spec import Inputs
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import DATASET_PART
from vitctl.errors import UsageError


def resolve(parts: Sequence[Artifact]) -> Inputs:
    """Each part once, in the order of their numbers.

    Raises UsageError for a part that is given twice: by one name twice, or made by two machines.
    """
    given: dict[tuple[str, int, int], Artifact] = {}
    for artifact in parts:
        summary = DATASET_PART.summary(artifact)
        key = (summary.dataset, summary.index, summary.count)
        if (other := given.setdefault(key, artifact)) is not artifact:
            twice = str(artifact.path) == str(other.path)
            where = f"as {artifact.path}" if twice else f"as {other.path} and {artifact.path}"
            raise UsageError(
                f"part {summary.index} of {summary.count} of {summary.name} is given twice, "
                f"{where}",
                hint="name each part once",
            )
    return Inputs(tuple(given[key] for key in sorted(given, key=lambda key: key[1:])))
