"""Scaling laws: the law with intervals, log-log, its forecasts, what it advises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.artifacts.documents import read_part
from vitctl.errors import VitctlError
from vitctl.report.charts import Chart, Trace, draw
from vitctl.report.html import Content, Html, element, facts, name_of, table
from vitctl.report.scales import short
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    bounds,
    count,
    link,
    share,
)
from vitctl.report.subjects import ReportEntry
from vitctl.scaling.laws import PARAMETERS, Law
from vitctl.scaling.summary import Ends, FitReport, FitSummary, RunToLaw
from vitctl.text.quantities import shown_digits

REPORT = "fit.json"
_MODELS = 7
_MEANING = {
    "a": "scale",
    "b": "exponent",
    "c": "error that no compute removes",
    "d": "compute that a run of none seems to have had",
}


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    one = subject.summary
    if not isinstance(one, FitSummary):
        return
    yield Number("exponent b", f"{one.b:.3g}", bounds(one.intervals.get("b")))
    floor = share(one.c) if one.measure == "error" else f"{one.c:.3g}"
    yield Number("floor c", floor, bounds(one.intervals.get("c"), percent=one.measure == "error"))


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    rows = [
        (
            link(subject),
            one.form,
            *(
                Number(name, f"{getattr(one, name):.4g}", bounds(one.intervals.get(name))).as_cell()
                for name in PARAMETERS
            ),
            f"{len(one.frontier)} of {one.points}",
            f"{one.scatter:.2g}",
        )
        for subject in subjects
        if isinstance(one := subject.summary, FitSummary)
    ]
    overview = table(
        "The law is error = a (compute + d)^-b + c; intervals in brackets",
        ("fit", "form", *PARAMETERS, "runs fitted", "scatter"),
        rows,
        numbers=range(2, 8),
    )
    return SectionBody(overview, [(subject, _article(subject, context)) for subject in subjects])


def _article(subject: ReportEntry, context: Context) -> Content:
    artifact = subject.artifact
    if artifact is None or not isinstance(subject.summary, FitSummary):
        return None
    try:
        artifact.require_files(REPORT.__eq__)
        report = read_part(artifact.path / REPORT, FitReport)
    except VitctlError as error:
        return context.problem(subject, f"its details cannot be shown: {error.message}")
    level = f"{100 * report.interval_level:g} %"
    law = (
        f"{report.measure} = {report.a:.4g} (compute + {report.d:.4g})^-{report.b:.4g} + "
        f"{report.c:.4g}"
    )
    cautions = [element("li", context.redaction(sentence)) for sentence in report.cautions]
    return [
        element("p", element("code", law), f" of compute in {report.compute_unit}."),
        facts(
            (
                f"{name}, {_MEANING[name]}",
                Number(
                    name, f"{getattr(report, name):.4g}", bounds(report.intervals.get(name))
                ).as_cell(),
            )
            for name in PARAMETERS
        ),
        element("ul", cautions, class_="cautions") if cautions else None,
        _law_chart(report, level),
        _images_chart(report),
        element("div", _forms(report), _efficiency(report), class_="charts"),
        _forecast_chart(report),
        _noise(report),
        _advice(report, level),
    ]


def _law_chart(report: FitReport, level: str) -> Html | None:
    """All runs, the frontier, the law and its interval; both axes logarithmic."""
    band = report.band
    others = [row for row in report.residuals if not row.on_frontier]
    lines = [
        Trace(
            f"the law and its {level} interval",
            np.array(band.compute),
            np.array(band.error),
            low=np.array(band.low),
            high=np.array(band.high),
            style=1,
        ),
        _runs("other runs", others, style=7),
        _runs("runs on the frontier, which the law is fitted to", report.frontier, style=0),
    ]
    printed = report.largest_run.against
    if printed is not None:
        error = printed.a * (np.array(band.compute) + printed.d) ** -printed.b + printed.c
        lines.insert(
            1, Trace(f"as printed: {printed.title}", np.array(band.compute), error, style=2)
        )
    return _over_compute(report, f"{report.measure.capitalize()} over compute", lines)


def _images_chart(report: FitReport) -> Html | None:
    """Each model's runs over images seen, where the table says."""
    models = list(dict.fromkeys(row.model for row in report.bottlenecks.by_model if row.model))
    if len(models) > _MODELS:
        models = [models[round(i * (len(models) - 1) / (_MODELS - 1))] for i in range(_MODELS)]
    lines = []
    for number, model in enumerate(models):
        rows = [row for row in report.residuals if row.model == model and row.images]
        best: dict[float, float] = {}
        for row in rows:
            assert row.images is not None
            best[row.images] = min(row.error, best.get(row.images, row.error))
        if best:
            images = np.array(sorted(best))
            lines.append(
                Trace(
                    model,
                    images,
                    np.array([best[x] for x in images.tolist()]),
                    style=number,
                    marks=True,
                )
            )
    return _drawn(report, "Best run of each length, by model", lines, x="images seen")


def _over_compute(report: FitReport, title: str, lines: Sequence[Trace]) -> Html | None:
    return _drawn(report, title, lines, x=f"compute ({report.compute_unit})")


def _drawn(report: FitReport, title: str, lines: Sequence[Trace], *, x: str) -> Html | None:
    """Errors over `x`, both axes logarithmic."""
    return draw(
        Chart(
            title,
            x,
            report.measure,
            tuple(lines),
            log_x=True,
            log_y=True,
            share=report.measure == "error",
        )
    )


def _runs(name: str, rows: Sequence[RunToLaw], *, style: int) -> Trace:
    ordered = sorted(rows, key=lambda row: row.compute)
    return Trace(
        name,
        np.array([row.compute for row in ordered]),
        np.array([row.error for row in ordered]),
        style=style,
        marks=True,
        joined=False,
        names=tuple(_run_in_words(row) for row in ordered),
    )


def _run_in_words(row: RunToLaw) -> str:
    data = "" if row.data_size is None else f", {short(row.data_size)} images"
    length = "" if row.images is None else f", {short(row.images)} seen"
    return f"{row.model or f'row {row.row}'}{data}{length}"


def _forms(report: FitReport) -> Content:
    """How well each form foretold runs that were left out, and why this one was fitted."""
    if not report.held_out:
        return None
    aicc = {one.form: one.delta_aicc for one in report.variants}
    rows = [
        (
            f"{one.form} (fitted)" if one.form == report.form else one.form,
            "" if one.rmse is None else report.difference(one.rmse),
            "" if one.wins is None else share(one.wins),
            "" if (delta := aicc.get(one.form)) is None else f"{delta:+.1f}",
        )
        for one in report.held_out
    ]
    choice = report.form_chosen
    return element(
        "div",
        table(
            f"Forms of the law by how well those fitted to cheap runs predict expensive ones, in "
            f"{report.held_out[0].predicted} predictions",
            ("form", "off by (rms)", "best in draws", "AICc"),
            rows,
            numbers=(1, 2, 3),
        ),
        None
        if choice is None
        else element("p", f"The form was chosen by {choice.by} (--form auto).", class_="note"),
    )


def _forecast_chart(report: FitReport) -> Html | None:
    """The forms fitted below the largest budget that has runs above it, over the frontier."""
    test = max(report.drawable_forecasts, key=lambda test: test.below, default=None)
    if test is None:
        return None
    compute = np.array([row.compute for row in report.frontier])
    axis = np.geomspace(compute.min(), compute.max(), 81)
    lines = [
        Trace(
            f"{one.form}, fitted up to {test.below:,.4g}",
            axis,
            Law(one.law.a, one.law.b, one.law.c, one.law.d).error(axis),
            style=number + 1,
        )
        for number, one in enumerate(test.forecasts)
        if one.law is not None
    ]
    cheap = [row for row in report.frontier if row.compute <= test.below]
    later = [row for row in report.frontier if row.compute > test.below]
    lines += [
        _runs("frontier, fitted", cheap, style=7),
        _runs("frontier, held out", later, style=0),
    ]
    title = "Forms of the law fitted to the cheap runs, over the expensive ones"
    return _over_compute(report, title, lines)


def _noise(report: FitReport) -> Content:
    """What repeated seeds and repeated images tell, where the table has them."""
    rows: list[tuple[str, Content]] = []
    seeds = report.seeds
    if seeds is not None and seeds.freedom:
        rows += [
            ("runs averaged to cells", f"{count(seeds.runs)} to {count(seeds.cells)}"),
            ("noise of a run, by repeated seeds", report.difference(seeds.noise)),
            ("noise of a cell", report.difference(seeds.noise_of_cell)),
        ]
    again = report.repeats
    if again is not None:
        worth = (
            f"as much as new ones, as far as {shown_digits(again.most_epochs, least=3)} epochs show"
            if again.worth is None
            else Number("", shown_digits(again.worth, least=3), bounds(again.interval)).as_cell()
        )
        rows.append(("epochs of new images that all repeats are worth", worth))
        if again.gain is not None:
            rows.append(("AICc of a law without that term, to one with it", f"{again.gain:+.1f}"))
    return facts(rows) if rows else None


def _efficiency(report: FitReport) -> Content:
    rows = [
        (
            name_of(one.model),
            name_of(one.reference),
            Number("", shown_digits(one.factor, least=3), bounds(one.interval)).as_cell()
            if one.factor is not None
            else one.reason or "",
        )
        for one in report.sample_efficiency
    ]
    if not rows:
        return None
    return table(
        "Images that a model needs for the same error, as a multiple of another's",
        ("model", "compared with", "times the images"),
        rows,
        numbers=(2,),
    )


def _advice(report: FitReport, level: str) -> Content:
    rows = [
        (
            f"{one.budget:,.6g}",
            _error(report, one.error, one.error_interval),
            "" if one.model is None else name_of(one.model),
            "" if one.images is None else short(one.images),
            one.reason or "",
        )
        for one in report.allocation
    ]
    if not rows:
        return None
    return table(
        f"What to train for a budget in {report.compute_unit}, with {level} intervals",
        ("budget", report.measure, "model", "images", ""),
        rows,
        numbers=(0, 1, 3),
    )


def _error(report: FitReport, value: float, interval: Ends) -> Html:
    percent = report.measure == "error"
    shown = share(value) if percent else f"{value:.3g}"
    return Number("", shown, bounds(interval, percent=percent)).as_cell()


SECTION = Section("Scaling laws", _numbers, _part)
