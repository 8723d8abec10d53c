"""Summaries, sizes and times as short text, for tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from vitctl.quantities import show_count

Summary = Mapping[str, Any]

_MOST_STEPS = 3
_MOST_FIELDS = 4


def in_words(kind: str, summary: Summary) -> str:
    """The summary of an artifact in one line. A summary of another shape than expected (a kind
    or version this vitctl doesn't know) is shown field by field."""
    try:
        parts = [str(part) for part in _TOLD[kind](summary)]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        flat = [f"{key} {value}" for key, value in summary.items() if _is_scalar(value)]
        parts = flat[:_MOST_FIELDS]
    return ", ".join(part for part in parts if part)


def size(count: int) -> str:
    """Bytes, in units of 1024."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.3g} {units[0]}"


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


def percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def _dataset(summary: Summary) -> Iterable[str]:
    yield f"{summary['classes']:,} classes" if summary["classes"] else "no labels"
    for split, examples in summary["examples"].items():
        yield f"{examples:,} {split}"
    if summary.get("rejected"):
        yield f"{summary['rejected']:,} rejected"


def _checkpoint(summary: Summary) -> Iterable[str]:
    yield str(summary["model"])
    if "imported" in summary:
        yield f"imported from {summary['imported']['layout']}"
    else:
        yield "cooled" if summary["finished_schedule"] else ""
    yield f"loss {summary['loss']:.3g}" if summary.get("loss") is not None else ""
    if (scores := summary.get("eval")) is not None:
        yield f"top-1 {percent(scores['top1'])}"


def _batch(summary: Summary) -> Iterable[str]:
    yield f"step {summary['step']} diverged on it"
    yield f"loss {summary['loss']}"
    yield f"gradient norm {summary['grad_norm']}"
    yield f"{summary['images']:,} images"


def _fewshot(summary: Summary) -> Iterable[str]:
    baseline = summary.get("features", "model")
    yield str(summary["model"]) + ("" if baseline == "model" else f" ({baseline})")
    yield f"on {summary['dataset']}" if "dataset" in summary else ""
    for row in summary["shots"]:
        yield f"{row['shots']}-shot {percent(row['accuracy_mean'])}"


def _evaluation(summary: Summary) -> Iterable[str]:
    yield str(summary["model"])
    yield f"on {summary['dataset']}" if "dataset" in summary else ""
    yield f"top-1 {percent(summary['top1'])}"
    yield f"top-5 {percent(summary['top5'])}" if summary.get("top5") is not None else ""
    yield "loss not finite" if summary["loss"] is None else f"loss {summary['loss']:.3g}"


def _export(summary: Summary) -> Iterable[str]:
    yield f"{summary['model']} for {summary['to']}"
    yield f"differs by {summary['error']:.2g}"


def _scaling_fit(summary: Summary) -> Iterable[str]:
    for name in ("a", "b", "c", "d"):
        yield f"{name} {summary[name]:.3g}" if summary.get(name) is not None else ""


def _scaling_plot(summary: Summary) -> Iterable[str]:
    yield from dict.fromkeys(drawn["figure"] for drawn in summary["figures"])


_TOLD: dict[str, Callable[[Summary], Iterable[str]]] = {
    "dataset": _dataset,
    "checkpoint": _checkpoint,
    "batch": _batch,
    "fewshot": _fewshot,
    "evaluation": _evaluation,
    "export": _export,
    "scaling-fit": _scaling_fit,
    "scaling-plot": _scaling_plot,
}


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
