"""Summaries, sizes and times as short text, for tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import KINDS
from vitctl.model import variants
from vitctl.text.quantities import show_count

Summary = Mapping[str, Any]

_SHAPE = ("width", "depth", "mlp_dim", "heads", "patch")
_MOST_STEPS = 3
_MOST_FIELDS = 4


def in_words(kind: str, summary: Summary) -> str:
    """The summary of an artifact in one line. One that is not of its kind (made by hand, or by a
    version with other kinds) is shown field by field."""
    known = KINDS.get(kind)
    line = None if known is None else known.in_one_line(summary)
    if line is None:
        fields = [f"{key} {value}" for key, value in summary.items() if _is_scalar(value)]
        return ", ".join(fields[:_MOST_FIELDS])
    return line


def labelled(artifact: Artifact) -> dict[str, Any]:
    """The summary. Of a checkpoint, with its model as it is labelled now: earlier versions recorded
    the name that its settings had, also where it stands for another size."""
    config, summary = artifact.config, artifact.summary
    sizes = config.get("model") if artifact.kind == "checkpoint" else None
    name = config.get("name")
    if not isinstance(sizes, dict) or not isinstance(name, str) or "model" not in summary:
        return summary
    shape = {field: sizes[field] for field in _SHAPE if isinstance(sizes.get(field), int)}
    if len(shape) < len(_SHAPE):
        return summary
    mlp = sizes.get("mlp", variants.USUAL_MLP)
    return {**summary, "model": variants.label(name, **shape, mlp=mlp)}


def steps(all_steps: tuple[int, ...]) -> str:
    """`10k`, `10k 20k`, or the first and last of many."""
    if len(all_steps) <= _MOST_STEPS:
        return " ".join(show_count(step) for step in all_steps)
    return f"{show_count(all_steps[0])}..{show_count(all_steps[-1])} ({len(all_steps)})"


def ago(when: str, *, now: datetime | None = None) -> str:
    """An ISO time as `3 min ago`; older than a month as its date; what is no time as it is."""
    try:
        then = datetime.fromisoformat(when)
        seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    except (ValueError, TypeError):
        return when
    if seconds < 0 or seconds >= 30 * 86400:
        return then.date().isoformat()
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def took(started: str, finished: str) -> str:
    """How long something worked, from two ISO times; empty if they are none."""
    try:
        passed = datetime.fromisoformat(finished) - datetime.fromisoformat(started)
    except (ValueError, TypeError):
        return ""
    seconds = int(passed.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
