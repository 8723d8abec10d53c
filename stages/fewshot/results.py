"""What is recorded and said of few-shot probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from stages.fewshot.spec import PARAMETERS, FewshotConfig
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.artifacts.kinds.fewshot import Fewshot, Shots
from vitctl.probe import fewshot
from vitctl.summaries import Interval
from vitctl.text.quantities import counted


def readable(summary: Fewshot) -> dict[str, str]:
    """What was probed, and a line for each number of shots."""
    what = {"pixels": " (its raw pixels)", "untrained": " (untrained)"}.get(summary.features, "")
    if summary.weights == "ema" and summary.features == "model":
        what = ", averaged weights"
    at = "" if summary.step is None else f" at step {summary.step}"
    known = {
        "all": ", all seen in training",
        "some": ", some seen in training",
        "none": ", none seen",
        "unknown": "",
    }
    return {
        "model": f"{summary.model}{at}{what}",
        "data": f"{summary.dataset} {summary.split}: "
        f"{counted(summary.examples, 'image')}, {summary.classes} classes"
        f"{_less(summary)}{known[summary.seen]}",
        **_trained_images(summary),
        **({} if summary.probe == "ridge" else {"probe": _with(summary)}),
        **{row.name: _line(row) for row in summary.shots},
    }


def _trained_images(summary: Fewshot) -> dict[str, str]:
    """Which images the model was trained on, or that this is not known."""
    if "trained_images" not in summary.model_fields_set:
        return {}
    trained = summary.trained_images
    if trained is None:
        return {"images": "no record says whether the model was trained on any of them"}
    least = "" if trained.complete else "at least "
    return {
        "images": f"trained on {least}{trained.scored:,} of the {summary.examples:,} scored, "
        f"{least}{trained.learned_from:,} of those learned from"
    }


def in_a_table(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """A line for each result: what was probed -> its accuracies."""
    rows = {}
    for artifact in artifacts:
        summary = FEWSHOT.summary(artifact)
        kind = "" if summary.features in ("model", "given") else f" ({summary.features})"
        at = "" if summary.step is None else f" at step {summary.step}"
        name = f"{summary.model}{at}{kind} on {summary.dataset}"
        if name in rows:
            name = f"{name}, {artifact.path.name}"
        cells = (f"{row.name} {row.accuracy_mean:7.2%}" for row in summary.shots)
        rows[name] = "  ".join(cells)
    return rows


def _with(summary: Fewshot) -> str:
    """The probe, and its parameter if that was given."""
    if summary.probe == "knn":
        count = "" if summary.neighbours is None else f"{summary.neighbours} "
        return f"{count}nearest neighbours by cosine"
    return "logistic regression" + ("" if summary.l2 is None else f", l2 {summary.l2:g}")


def _less(summary: Fewshot) -> str:
    return f" ({summary.left_out} with too few images left out)" if summary.left_out else ""


def _line(row: Shots) -> str:
    chosen = "" if row.chosen is None else f"; chosen {_range(row.chosen)}"
    test = f"test set ± {_half_width(row.test_interval):.2f}"
    if row.interval is None:
        return f"{row.accuracy_mean:.2%} (one draw; {test}{chosen})"
    return (
        f"{row.accuracy_mean:.2%} ± {_half_width(row.interval):.2f} "
        f"(95 % of the mean over {row.draws} draws; {test}{chosen})"
    )


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _half_width(interval: Interval) -> float:
    """In points of a percent."""
    low, high = interval
    return 100 * (high - low) / 2


def parameter(cfg: FewshotConfig) -> dict[str, Any]:
    """What the summary says of the probe."""
    if cfg.probe == "knn":
        count = None if cfg.neighbours == "auto" else cfg.neighbours
        return {"probe": cfg.probe, "l2": None, "neighbours": count}
    named: dict[str, Any] = {} if cfg.probe == "ridge" else {"probe": cfg.probe}
    return {**named, "l2": None if cfg.l2 == "auto" else cfg.l2}


def shots_of(cfg: FewshotConfig, row: fewshot.Accuracy, results: Sequence[fewshot.Draw]) -> Shots:
    fields = asdict(row)
    if cfg.shots == "all":
        fields["shots"] = None
    own = [result for result in results if result.shots == row.shots]
    if any(result.chosen for result in own):
        fields["chosen"] = tuple(float(result.parameter) for result in own)
    return Shots(**fields)


def recorded(cfg: FewshotConfig, row: fewshot.Draw) -> dict[str, Any]:
    """The parameter of a draw, where it is not the same in all of them."""
    key = PARAMETERS[cfg.probe][0]
    if getattr(cfg, key) != "auto":
        return {}
    return {key: row.parameter, "chosen": row.chosen}


def cautions(cfg: FewshotConfig, results: Sequence[fewshot.Draw]) -> Iterator[str]:
    key = PARAMETERS[cfg.probe][0]
    if getattr(cfg, key) == "auto":
        fixed = [row for row in results if not row.chosen]
        if fixed:
            yield (
                f"{fixed[0].shots} shot a class leaves none to hold out: {key} is "
                f"{fixed[0].parameter:g} there"
            )
    ended = sum(not row.converged for row in results)
    if ended:
        yield (
            f"{ended} of {len(results)} logistic regressions ended before they converged; a larger "
            "--l2 makes them converge"
        )
