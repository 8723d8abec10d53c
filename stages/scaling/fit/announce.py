"""The report of a fit on stderr, from its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vitctl.events import Caution, Emit, Note, Settings
from vitctl.scaling.names import Parameter
from vitctl.scaling.summary import BestRun, EfficiencySummary, FitSummary, RunToLaw
from vitctl.text.quantities import shown_digits

_SHOWN = 12  # lines of one table on the terminal; the files hold all
_FORMS = {
    "saturating": "a (C + d)^-b + c",
    "floor": "a C^-b + c",
    "shift": "a (C + d)^-b",
    "power": "a C^-b",
}


@dataclass(frozen=True)
class Values:
    """How the values of a summary are written: error rates in percent and their differences in
    points, losses as they are."""

    summary: FitSummary

    @property
    def is_loss(self) -> bool:
        return self.summary.measure == "loss"

    @property
    def noun(self) -> str:
        return "loss" if self.is_loss else "error"

    def value(self, value: float | None) -> str:
        if value is None:
            return "?"
        return f"{value:.4g}" if self.is_loss else f"{100 * value:.1f} %"

    def difference(self, value: float | None) -> str:
        if value is None:
            return "?"
        return f"{value:.2g}" if self.is_loss else f"{100 * value:.2g} points"

    def signed(self, value: float | None) -> str:
        if value is None:
            return "?"
        shown = f"{value:+.2g}" if self.is_loss else f"{100 * value:+.1f}"
        shown = "0.0" if shown in ("-0.0", "+0.0", "+0", "-0") else shown
        return shown if self.is_loss else f"{shown} points"

    def interval(self, pair: Sequence[float | None]) -> str:
        numbers = (
            "?" if end is None else f"{end:.4g}" if self.is_loss else f"{100 * end:.1f}"
            for end in pair
        )
        return f"[{', '.join(numbers)}]"


def announce(summary: FitSummary, *, emit: Emit) -> None:
    """Emit the law, what contradicts it, its rivals, and what follows from it."""
    show = Values(summary)
    level = f"{100 * summary.interval_level:g} %"
    on, points = len(summary.frontier), summary.points
    _seeds(summary, show, emit=emit)
    _chosen(summary, show, emit=emit)
    emit(
        Settings(
            f"{show.noun} = {_FORMS[summary.form]}, C in {summary.compute_unit}, "
            f"on {on} of {points} runs",
            {name: _parameter(summary, name, level) for name in summary.interval_methods.profile}
            | {
                "scatter": f"{show.difference(summary.scatter)} about the law",
                "correlation": _correlations(summary.correlation),
            },
        )
    )
    for sentence in _largest(summary, show):
        emit(Note(sentence))
    _residuals(summary, show, emit=emit)
    _rivals(summary, show, emit=emit)
    _repeats(summary, show, emit=emit)
    _bottlenecks(summary, show, emit=emit)
    _efficiency(summary, show, emit=emit)
    _allocation(summary, show, emit=emit)
    for sentence in summary.cautions:
        emit(Caution(sentence))


def _parameter(summary: FitSummary, name: Parameter, level: str) -> str:
    methods = summary.interval_methods
    shown = [
        f"{getattr(summary, name):.4g}",
        f"{level} {_interval(summary.intervals[name])}",
        f"profile {_interval(methods.profile[name])}",
        f"bootstrap {_interval(methods.bootstrap[name])}",
    ]
    return "  ".join(shown)


def _largest(summary: FitSummary, show: Values) -> list[str]:
    run = summary.largest_run
    where = f"{run.model or 'row ' + str(run.row)} at {run.compute:g}"
    sentences = [
        f"the largest run, {where}, has {show.noun} {show.value(run.error)}: "
        f"{show.signed(run.residual)} against this law ({show.value(run.predicted)}"
        + (
            f"; {show.value(run.predicted_without)} by the law fitted without it)"
            if run.predicted_without is not None
            else ")"
        )
    ]
    printed = run.against
    if printed is not None:
        coefficients = ", ".join(f"{name} {getattr(printed, name):g}" for name in "abcd")
        rounded = f"coefficients are rounded to {printed.decimals} decimals"
        explains = abs(printed.predicted - run.predicted) <= printed.rounding
        sentences.append(
            f"and {show.signed(printed.residual)} against the law the paper prints for "
            f"{printed.title} ({show.value(printed.predicted)}; {coefficients}), "
            + (
                f"because its {rounded}, which alone can move it by "
                if explains
                else f"more than rounding explains: its {rounded}, which can move it by "
            )
            + f"{show.difference(printed.rounding)} there"
        )
    return sentences


def _residuals(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    off = sorted(summary.off_law, key=lambda run: -abs(run.off))
    if off:
        values = {
            _run(run): f"{show.value(run.error)}, {show.signed(run.residual)} "
            f"({run.off:+.1f} deviations)"
            for run in off[:_SHOWN]
        }
        emit(Settings("frontier runs off the law by more than two deviations", values))


def _chosen(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    """The form that was chosen, and all forms by the predictions it was chosen by."""
    choice, held_out = summary.form_chosen, summary.held_out
    if choice is not None and choice.by == "AICc":
        emit(Note(f"the form is {choice.form}, which has the lowest AICc of all forms"))
    elif choice is not None:
        emit(
            Note(
                f"the form is {choice.form}: fitted to the cheap runs, it predicts the expensive "
                "ones best"
            )
        )
    values: dict[str, str] = {
        one.form: f"wrong by {show.difference(one.rmse)} rms"
        + ("" if one.wins is None else f", best in {100 * one.wins:.0f} % of drawn tables")
        for one in held_out
    }
    if values:
        title = f"forms of the law by {held_out[0].predicted} predictions, best first"
        emit(Settings(title, values))


def _rivals(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    values: dict[str, str] = {}
    for variant in summary.variants:
        if variant.delta_aicc is None:
            values[variant.form] = (
                "too few points" if variant.a is None else "too few points for an AICc"
            )
            continue
        values[variant.form] = (
            f"AICc +{variant.delta_aicc:.1f}, weight {variant.weight:.2g}, "
            f"scatter {show.difference(variant.scatter)}"
        )
    emit(Settings("forms of the law by AICc, best first", values))
    for test in summary.extrapolation:
        if not test.predicted:
            continue
        values = {
            one.form: "could not be fitted"
            if one.rmse is None
            else f"wrong by {show.difference(one.rmse)} rms, {show.signed(one.bias)} on average"
            for one in test.forecasts
        }
        emit(
            Settings(
                f"fitted to {test.fitted} runs up to {test.below:g}, predicting the "
                f"{test.predicted} above",
                values,
            )
        )


def _seeds(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    seeds = summary.seeds
    if seeds is None:
        return
    if not seeds.freedom:
        emit(Note(f"no cell is repeated with another seed: all {seeds.runs} runs differ"))
        return
    emit(
        Note(
            f"{seeds.runs} runs are averaged to {seeds.cells} cells; one run's noise is "
            f"{show.difference(seeds.noise)}, a cell's "
            f"{show.difference(seeds.noise_of_cell)} ({seeds.freedom} degrees of freedom)"
        )
    )


def _repeats(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    """What seeing images again is worth. Fits of earlier versions lack it."""
    one = summary.repeats
    if one is None:
        return
    if one.worth is None:
        worth = (
            f"as good as new ones, as far as {shown_digits(one.most_epochs, least=3)} epochs show"
        )
    else:
        worth = (
            f"worth {shown_digits(one.worth, least=3)} epochs of new ones at most "
            f"{_interval(one.interval)}"
        )
    values = {"images seen again": worth}
    if one.worth is not None:
        shares = (f"{epochs}: {100 * part:.0f} %" for epochs, part in one.shares.items())
        values["compute that counts, by epochs"] = ", ".join(shares)
        law = one.law
        values["law"] = ", ".join(f"{name} {getattr(law, name):.4g}" for name in "abcd")
    values["scatter"] = (
        f"{show.difference(one.scatter)}; {show.difference(one.without.scatter)} without the term"
    ) + (
        ""
        if one.gain is None
        else f" (AICc {'lower' if one.gain > 0 else 'higher'} by {abs(one.gain):.1f})"
    )
    for test in one.extrapolation:
        if test.rmse is not None:
            values[f"from runs up to {test.below:g}"] = (
                f"the {test.predicted} above: wrong by {show.difference(test.rmse)} rms, "
                f"{show.difference(test.rmse_without)} without the term"
            )
    runs = f"{one.points} runs that no cheaper one on the same data beats"
    emit(Settings(f"repeated data, on the {runs}", values))


def _bottlenecks(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    tables = summary.bottlenecks
    if len(tables.by_model) > 1:
        values = {
            str(best.model): f"{show.value(best.error)}  ({_circumstances(best, 'by_model')})"
            for best in tables.by_model
        }
        emit(Settings(f"best {show.noun} by model", values))
    if len(tables.by_data) > 1:
        values = {
            _count(best.data_size): f"{show.value(best.error)}  ({_circumstances(best, 'by_data')})"
            for best in tables.by_data
        }
        emit(Settings(f"best {show.noun} by data size", values))


def _circumstances(best: BestRun, key: Literal["by_model", "by_data"]) -> str:
    sentences = [f"C {best.compute:g}"]
    if key == "by_data" and best.model:
        sentences.append(best.model)
    if key == "by_model" and best.data_size:
        sentences.append(f"data {_count(best.data_size)}")
    if best.images:
        sentences.append(f"{_count(best.images)} images seen")
    return ", ".join(sentences)


def _efficiency(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    known = [(one.factor, one) for one in summary.sample_efficiency if one.factor is not None]
    known.sort(key=lambda pair: -pair[0])
    values = {
        f"{one.model} : {one.reference}": f"{shown_digits(factor, least=3)} times the images "
        f"{_interval(one.interval)}; {_sides(one, show)}"
        + (f" ({one.reason})" if one.reason else "")
        for factor, one in known[:_SHOWN]
    }
    if values:
        more = f" (the first {_SHOWN} of {len(known)} pairs)" if len(known) > _SHOWN else ""
        emit(Settings(f"sample efficiency: images needed for equal {show.noun}{more}", values))
    if len(summary.sample_efficiency) == 1 and not known:
        only = summary.sample_efficiency[0]
        emit(Note(f"{only.model} : {only.reference} can't be compared: {only.reason}"))


def _sides(one: EfficiencySummary, show: Values) -> str:
    """The factor at either end of the errors that both models reach."""
    low, high = one.errors or (None, None)
    factors = one.factor_at_highest_error, one.factor_at_lowest_error
    return ", ".join(
        f"{'?' if factor is None else shown_digits(factor, least=3)} at {show.value(error)}"
        for factor, error in zip(factors, (high, low), strict=True)
    )


def _allocation(summary: FitSummary, show: Values, *, emit: Emit) -> None:
    for one in summary.allocation:
        values = {show.noun: f"{show.value(one.error)} {show.interval(one.error_interval)}"}
        if one.how is not None:
            size = one.size_factor
            values["model"] = f"{one.model}" + (
                ""
                if size is None or size == 1
                else f", or one that costs {shown_digits(size, least=2)} times as much an image"
            )
            values["duration"] = f"{_count(one.images)} images {_counts(one.images_interval)}"
            values["estimated by"] = one.how
        others = [c for c in one.candidates if c.share >= 0.01]
        if len(others) > 1:
            values["sure to"] = ", ".join(f"{c.model} {100 * c.share:.0f} %" for c in others)
        if one.reason:
            values["but"] = one.reason
        emit(Settings(f"what to train with a budget of {one.budget:g}", values))


def _run(run: RunToLaw) -> str:
    named = [str(run.model)] if run.model else []
    named += [f"data {_count(run.data_size)}"] if run.data_size else []
    return ", ".join([*named, f"C {run.compute:g}", f"row {run.row}"])


def _correlations(matrix: Mapping[Parameter, Mapping[Parameter, float | None]]) -> str:
    names = list(matrix)
    pairs = [(p, q) for i, p in enumerate(names) for q in names[i + 1 :]]
    shown = [f"{p}{q} {value:+.2f}" for p, q in pairs if (value := matrix[p][q]) is not None]
    return "  ".join(shown)


def _interval(pair: Sequence[float | None] | None) -> str:
    low, high = ("?" if value is None else f"{value:.3g}" for value in pair or (None, None))
    return f"[{low}, {high}]"


def _counts(pair: Sequence[float | None]) -> str:
    low, high = ("?" if value is None else _count(value) for value in pair)
    return f"[{low}, {high}]"


def _count(value: float | None) -> str:
    """To three digits: 1.23M."""
    if value is None:
        return "?"
    for suffix, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{suffix}"
    return f"{value:.3g}"
