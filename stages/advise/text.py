"""The advice as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from vitctl.advice.answer import Advice, AdvisedRun
from vitctl.console.table import table
from vitctl.console.tree import bold, fields
from vitctl.text.quantities import duration, percent, rate, show_count, shown_digits
from vitctl.train.program.footprint import gib

_BASES = {
    "own runs": "as your run {source} logged",
    "paper": "as the paper measured",
    "scaled": "scaled to your runs ({source})",
    "estimated": "estimated",
}


def as_text(advice: Advice) -> str:
    """The whole advice as text."""
    return "\n".join(_lines(advice))


def _lines(advice: Advice) -> Iterator[str]:
    run, runs = advice.run, advice.evidence
    on = "" if advice.devices is None else f" on {advice.devices}"
    yield bold(f"what to train with {advice.goal}{on}: {run.model}")
    yield from fields(
        {
            "that is": advice.meaning,
            "images": f"{advice.data}: {advice.examples:,} in {advice.classes:,} classes",
            "rests on": f"{runs.title}, {runs.runs} runs of {runs.models} models, of "
            f"{_sizes(runs.data_sizes)} images",
        }
    )
    yield from ("", bold("run"), *fields(_run(advice)))
    yield from ("", bold("commands"), f"  {run.command}")
    yield from ("", bold(f"candidates, by {runs.metric}"))
    yield table(_COLUMNS, [_row(row) for row in advice.candidates])
    yield "  * on the Pareto frontier: no other is both as good and as cheap to use"
    if advice.budgets:
        yield from ("", bold("with other budgets"), *_budgets(advice))
    if advice.left_out:
        yield from ("", bold("no candidates"))
        yield from fields({one.model: one.reason for one in advice.left_out})
    if advice.cautions:
        yield from ("", bold("read with care"))
        yield from (f"  {sentence}" for sentence in advice.cautions)


def _budgets(advice: Advice) -> Iterator[str]:
    rows = list(advice.budgets)
    while len(rows) > 1 and (rows[-1].model, rows[-1].images) == (rows[-2].model, rows[-2].images):
        rows.pop()
    yield table(
        ("budget", "model", "images", "error", "reading"),
        [
            [_scale(row.scale), row.model, _count(row.images), _percent(row.error), row.reading]
            for row in rows
        ],
    )
    if len(rows) < len(advice.budgets):
        yield "  a larger one would not be used: these images have no more to teach"


def _parts(run: AdvisedRun) -> str:
    if not run.cooldown_steps:
        return "on a schedule that ends by itself"
    return f"({show_count(run.trunk_steps)} and a cooldown of {show_count(run.cooldown_steps)})"


def _run(advice: Advice) -> dict[str, str]:
    run, runs = advice.run, advice.evidence
    values = {
        "length": f"{show_count(run.steps)} steps of {run.batch:,} {_parts(run)}: "
        f"{_count(run.images)} images, {_count(run.epochs)} epochs",
        "error": f"{_percent(run.error)}{_interval(run)} {runs.metric}, {run.reading}",
    }
    if run.best is not None and len(advice.candidates) > 1:
        values["sure to"] = f"{100 * run.best:.0f} % that it is the best of the candidates"
    if advice.frontier_error is not None:
        values["frontier"] = (
            f"{_percent(advice.frontier_error)} by the law of all measured runs at this compute, "
            "on as many images as it takes"
        )
    if runs.foretold is not None:
        values["tested"] = (
            "laws of the shorter runs are off by "
            f"{100 * runs.foretold:.2g} points on the longer ones (root mean square)"
        )
    values |= _cost(run, advice)
    if advice.unused > 0.01:
        values["left over"] = (
            f"{100 * advice.unused:.0f} % of the budget: it would gain less than "
            f"{100 * advice.tolerance:.2g} points, or the model would overfit"
        )
    for index, note in enumerate(run.notes):
        values["note" if index == 0 else f"note {index + 1}"] = note
    return values


def _cost(run: AdvisedRun, advice: Advice) -> dict[str, str]:
    values = {"compute": f"{run.flops:.3g} FLOPs"}
    if run.core_days is not None:
        values["compute"] += f", {shown_digits(run.core_days, least=3)} TPUv3 core-days"
    if run.device_hours is not None and run.hours is not None:
        money = "" if run.money is None else f", {shown_digits(run.money, least=4)} in money"
        values["cost"] = (
            f"{shown_digits(run.device_hours, least=4)} device-hours, {_long(run.hours)}{money}"
        )
    if run.images_per_second_per_device is not None and run.rate_basis is not None:
        how = _BASES[run.rate_basis].format(source=run.rate_source)
        values["speed"] = (
            f"{rate(run.images_per_second_per_device)} images/s a device, {how}{_range(run)}"
        )
    if run.peak_bytes is not None:
        of = advice.memory_available
        values["memory"] = gib(run.peak_bytes) + (
            f" of {gib(of)} a device" if of is not None else " a device, of an unknown number"
        )
        values["memory"] += f", by the count from shapes; {run.layout}"
    return values


def _range(run: AdvisedRun) -> str:
    low, high = run.images_per_second_low, run.images_per_second_high
    return "" if low is None or high is None else f" ({rate(low)} to {rate(high)})"


def _long(hours: float) -> str:
    return duration(3600 * hours)


def _interval(run: AdvisedRun) -> str:
    low, high = run.interval
    return "" if low is None or high is None else f" ({_percent(low)} to {_percent(high)})"


def _percent(share: float) -> str:
    return percent(share, digits=1)


def _count(value: float) -> str:
    """To three digits: 1.23M."""
    for suffix, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale * 0.9995:
            return f"{value / scale:.3g}{suffix}"
    return f"{value:.3g}"


def _sizes(sizes: tuple[int, int]) -> str:
    low, high = sizes
    return _count(low) if low == high else f"{_count(low)} to {_count(high)}"


def _scale(scale: float) -> str:
    named = {0.5: "half", 1.0: "this one", 2.0: "twice"}
    return named.get(scale) or (f"{scale:g} times" if scale > 1 else f"1/{1 / scale:g}")


_COLUMNS = ("model", "steps", "batch", "images", "epochs", "error", "interval", "best", "time",
            "speed", "memory", "reading")  # fmt: skip


def _row(run: AdvisedRun) -> list[str]:
    return [
        run.model + ("*" if run.pareto else ""),
        _count(run.steps),
        f"{run.batch:,}",
        _count(run.images),
        _count(run.epochs),
        _percent(run.error),
        _interval(run).strip(" ()"),
        "" if run.best is None else f"{100 * run.best:.0f} %",
        "" if run.hours is None else _long(run.hours),
        "" if run.rate_basis is None else run.rate_basis,
        "" if run.peak_bytes is None else gib(run.peak_bytes),
        "; ".join((run.reading, *run.extrapolated)),
    ]
