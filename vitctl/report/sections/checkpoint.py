"""Runs and checkpoints: curves over images seen, results, where the time went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.artifacts import Run
from vitctl.artifacts.kinds.checkpoint import Checkpoint, Scores
from vitctl.measures import metric_titles
from vitctl.report import training
from vitctl.report.charts import Chart, Trace, draw
from vitctl.report.html import Content, Html, details, element, facts, joined, table
from vitctl.report.sections.section import Context, Number, Section, SectionBody, count, link, share
from vitctl.report.subjects import ReportEntry
from vitctl.report.training import Family
from vitctl.text import quantities
from vitctl.train.telemetry import goodput

_IMAGES = "images seen"
_ACCOUNT_STYLES: dict[str, int] = {
    account: number for number, account in enumerate(goodput.ACCOUNTS)
}


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    summary = subject.summary
    if not isinstance(summary, Checkpoint):
        return
    scores = summary.eval
    if summary.eval_ema is not None:
        scores = summary.eval_ema
    if scores is not None:
        yield Number("held-out top-1", share(scores.top1))
        yield Number("held-out loss", metric_titles.shown("loss", scores.loss))
    if summary.loss is not None:
        yield Number("training loss", quantities.shown_digits(summary.loss, least=4))


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    families = training.families(context.contents)
    styles = {
        row.subject.id: number for family in families for number, row in enumerate(family.runs)
    }
    lines = sum(len(family.runs) for family in families) * (
        len(training.TRAIN) + len(training.EVAL)
    )
    most = training.points_of_a_line(lines)
    for family in families:
        for row in family.runs:
            if row.damaged:
                context.problem(
                    row.subject, f"{row.damaged:,} damaged lines of metrics.jsonl are left out"
                )
    charts = [_family(family, styles, most=most) for family in families]
    overview = [_results(subjects), charts, _time(subjects)]
    return SectionBody(overview, [(subject, _article(subject)) for subject in subjects])


def _results(subjects: Sequence[ReportEntry]) -> Html:
    rows: list[tuple[Content, ...]] = []
    for subject in subjects:
        summary = subject.summary
        if not isinstance(summary, Checkpoint):
            rows.append((link(subject), subject.stage, "no checkpoint that can be read"))
            continue
        best = summary.eval_ema or summary.eval
        rows.append(
            (
                link(subject),
                subject.stage,
                summary.model,
                count(summary.parameters),
                count(summary.step),
                count(summary.images),
                "" if summary.loss is None else quantities.shown_digits(summary.loss, least=4),
                "" if best is None else metric_titles.shown("loss", best.loss),
                "" if best is None else share(best.top1),
                "finished" if summary.finished_schedule else "can go on",
            )
        )
    return table(
        "What each run came to; scores on held-out images were taken while it trained",
        (
            "run",
            "made by",
            "model",
            "parameters",
            "step",
            _IMAGES,
            "training loss",
            "held-out loss",
            "held-out top-1",
            "schedule",
        ),
        rows,
        numbers=range(3, 9),
    )


def _family(family: Family, styles: dict[str, int], *, most: int) -> Html:
    """A trunk and its cooldowns in one picture for each of what was logged."""

    def lines(name: str, of: str = "train") -> tuple[list[Trace], list[str]]:
        drawn, remarks = [], []
        for row in family.runs:
            one = training.series(row, name, most=most, of=of)
            label = row.subject.label
            if one.not_finite and len(one.x) and one.not_finite < one.rows:
                remarks.append(f"{one.not_finite:,} values of {label} are not finite: not drawn")
            elif one.rows and one.not_finite == one.rows and of == "train":
                remarks.append(f"{label}: no value is finite")
            band = one.is_thinned
            if band:
                remarks.append(
                    f"{label}: {one.rows:,} rows as {len(one.x):,} stretches, the line being "
                    "the median of each, the band its smallest to largest value"
                )
            drawn.append(
                Trace(
                    label,
                    one.x,
                    one.y,
                    low=one.low if band else None,
                    high=one.high if band else None,
                    style=styles[row.subject.id],
                    marks=of == "eval" and len(one.x) <= 60,
                )
            )
        return drawn, remarks

    def chart(
        name: str,
        title: str,
        y: str,
        *,
        of: str = "train",
        log_y: bool = False,
        share: bool = False,
    ) -> Html | None:
        drawn, remarks = lines(name, of)
        note = ". ".join(dict.fromkeys(remarks)) or None
        given = Chart(title, _IMAGES, y, tuple(drawn), log_y=log_y, share=share, note=note)
        return draw(given)

    loss = any(_spans(row.train["loss"]) for row in family.runs)
    drawn = [
        chart("loss", "Training loss", "loss", log_y=loss),
        chart("lr", "Learning rate", "learning rate"),
        chart("loss", "Loss on held-out images", "loss", of="eval"),
        chart("top1", "Top-1 on held-out images", "top-1", of="eval", share=True),
        chart("ema_top1", "Top-1 of averaged weights", "top-1", of="eval", share=True),
        chart("images_per_second", "Throughput", "images a second"),
        chart("grad_norm", "Gradient norm", "norm", log_y=True),
    ]
    return joined(
        element("h3", family.title),
        element("div", [one for one in drawn if one], class_="charts"),
    )


def _spans(values: np.ndarray) -> bool:
    """Whether a loss falls by a factor of 8 or more: a linear axis shows a cliff and a floor."""
    finite = values[np.isfinite(values)]
    return len(finite) > 1 and finite.min() > 0 and finite.max() / finite.min() >= 8


# Time


def _time(subjects: Sequence[ReportEntry]) -> Content:
    rows = []
    for subject in subjects:
        if not isinstance(subject.entry, Run):
            continue
        starts = goodput.read(subject.entry.path / goodput.FILE)
        seconds = goodput.total(starts)
        if not sum(seconds.values()):
            continue
        shares = goodput.shares(seconds)
        rows.append(
            (
                link(subject),
                quantities.duration(sum(seconds.values())),
                count(len(starts)),
                share(shares["step"], digits=0),
                _bar(shares),
                ", ".join(
                    f"{goodput.WORDS[account]} {share(part, digits=0)}"
                    for account, part in goodput.largest(shares)
                    if account != "step"
                ),
            )
        )
    if not rows:
        return None
    legend = element(
        "ul",
        [
            element(
                "li",
                element(
                    "svg",
                    element("rect", width="100%", height="100%"),
                    class_=f"swatch s{style}",
                    aria_hidden="true",
                ),
                f" {goodput.WORDS[account]}",
            )
            for account, style in _ACCOUNT_STYLES.items()
        ],
        class_="legend",
    )
    return [
        element("h3", "Where the time went"),
        table(
            "Share of the wall time, over all starts of a run; goodput is the share in which "
            "devices computed steps that the run kept",
            ("run", "in all", "starts", "goodput", "shares", "the rest"),
            rows,
            numbers=(1, 2, 3),
        ),
        legend,
    ]


def _bar(shares: dict[str, float]) -> Html:
    """Shares side by side; the columns next to it say them in words."""
    parts, left = [], 0.0
    for account, part in shares.items():
        if part <= 0:
            continue
        parts.append(
            element(
                "rect",
                element("title", f"{goodput.WORDS[account]} {100 * part:.1f} %"),
                x=f"{100 * left:.2f}%",
                width=f"{100 * part:.2f}%",
                height="100%",
                class_=f"s{_ACCOUNT_STYLES[account]}",
            )
        )
        left += part
    return element("svg", parts, class_="shares", aria_hidden="true")


# One run


def _article(subject: ReportEntry) -> Content:
    summary = subject.summary
    if not isinstance(summary, Checkpoint):
        return None
    described = facts(
        [
            ("model", summary.model),
            ("resolution", f"{summary.resolution} px"),
            ("classes", count(len(summary.classes))),
            ("images seen before", _count_of(summary.images_before)),
            ("FLOPs of its training", None if summary.flops is None else f"{summary.flops:.3g}"),
            ("average of the weights", None if summary.ema is None else f"decay {summary.ema:g}"),
            ("skipped updates", _count_of(summary.skipped)),
            ("skipped batches", _count_of(summary.passed)),
            ("imported from", summary.imported and summary.imported.layout),
        ]
    )
    return [described, _checkpoints(subject), _rollbacks(subject), _sweep(summary), _mean(summary)]


def _count_of(value: int | None) -> str | None:
    """Nothing of none."""
    return count(value) if value else None


def _checkpoints(subject: ReportEntry) -> Content:
    if not isinstance(subject.entry, Run) or len(subject.checkpoints) < 2:
        return None
    rows = []
    steps = sorted(subject.checkpoints)
    for step in training.sampled(steps, 20):
        try:
            one = Checkpoint.model_validate(subject.checkpoints[step].summary)
        except ValueError:
            continue
        marks = [
            "named here" if step in subject.steps else "",
            "best" if step == subject.entry.info.chosen else "",
        ]
        rows.append(
            (
                count(step),
                count(one.images),
                "" if one.loss is None else quantities.shown_digits(one.loss, least=4),
                *_scores(one.eval),
                ", ".join(mark for mark in marks if mark),
            )
        )
    of = f"{len(rows)} of {len(steps):,}" if len(rows) < len(steps) else f"{len(steps):,}"
    return details(
        f"Its checkpoints ({of})",
        table(
            "Its checkpoints",
            ("step", _IMAGES, "training loss", "held-out loss", "held-out top-1", ""),
            rows,
            numbers=range(5),
            hidden_caption=True,
        ),
    )


def _scores(scores: Scores | None) -> tuple[str, str]:
    if scores is None:
        return "", ""
    return metric_titles.shown("loss", scores.loss), share(scores.top1)


def _rollbacks(subject: ReportEntry) -> Content:
    if not isinstance(subject.entry, Run) or not subject.entry.info.rollbacks:
        return None
    return [
        element("h4", "Skipped after a divergence"),
        element("ul", [element("li", b.in_words) for b in subject.entry.info.rollbacks]),
    ]


def _sweep(summary: Checkpoint) -> Content:
    if not summary.sweep:
        return None
    rows = [
        (
            f"{one.lr:g}",
            *(("diverged", "") if one.scores is None else _scores(one.scores)),
        )
        for one in summary.sweep
    ]
    return table(
        "Learning rates that were tried on training images held out for it",
        ("peak learning rate", "loss", "top-1"),
        rows,
        numbers=range(3),
    )


def _mean(summary: Checkpoint) -> Content:
    if summary.averaged is None:
        return None
    rows = [
        (count(one.step), one.id[:8], one.weights, share(one.share))
        for one in summary.averaged.ingredients[:50]
    ]
    return table(
        f"The mean of these checkpoints ({summary.averaged.rule})",
        ("step", "id", "weights", "share"),
        rows,
        numbers=(0, 3),
    )


SECTION = Section("Training", _numbers, _part)
