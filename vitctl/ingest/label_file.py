"""Labels from a file, for images that have several or none, or that lie in no class folders."""

from __future__ import annotations

from pathlib import Path

from vitctl import strict_json
from vitctl.data.classes import read_lines
from vitctl.data.names import text_of
from vitctl.errors import InputError
from vitctl.events import Emit, silent


def read_labels(path: Path, *, emit: Emit = silent) -> dict[str, tuple[str, ...]]:
    """id -> class names, from lines of JSON like {"id": "val/1.jpg", "labels": ["cat", "sofa"]}.

    An id is the path below the source, as reject lists write it; no labels at all are allowed.
    """
    labels: dict[str, tuple[str, ...]] = {}
    for number, line in read_lines(path, option="--labels", emit=emit).numbered():
        row = _label_row(line)
        if row is None:
            raise InputError(
                f"line {number} of --labels {path} is not what it should be",
                hint='each line is like {"id": "val/1.jpg", "labels": ["cat", "sofa"]}',
            )
        sample_id, names = row
        if sample_id in labels:
            raise InputError(f"line {number} of --labels {path} names {sample_id} again")
        labels[sample_id] = tuple(dict.fromkeys(names))
    return labels


def _label_row(line: str) -> tuple[str, list[str]] | None:
    try:
        row = strict_json.loads(line, allow_surrogates=True)  # names of files may hold them
    except strict_json.StrictJSONError:
        return None
    if not isinstance(row, dict) or set(row) != {"id", "labels"}:
        return None
    sample_id, names = row["id"], row["labels"]
    if not isinstance(sample_id, str) or not isinstance(names, list):
        return None
    if not all(isinstance(name, str) for name in names):
        return None
    # As folder names are: one clean line each.
    return sample_id, [text_of(name.encode("utf-8", "surrogatepass")) for name in names]
