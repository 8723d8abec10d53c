"""The plan of a sweep in words: for stderr before it begins, and as the answer of --dry-run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from stages.sweep.plan import PlannedRun, SweepPlan
from stages.sweep.trunks import in_short
from vitctl.artifacts.kinds.sweep import SweepTable
from vitctl.text import quantities
from vitctl.text.quantities import plural, show_bytes, show_count


def totals(plan: SweepPlan) -> dict[str, str]:
    """What all of it takes."""
    values = {"runs": f"{plural(len(plan.runs), 'row')} of a table, from {_trunks(plan)}"}
    if plan.part is not None:
        values["part"] = f"{plan.part} of the grid"
    for search in plan.searches:
        first = search.candidates[0]
        rates = ", ".join(f"{one.schedule.peak_lr:g}" for one in search.candidates)
        values[f"rate of {search.model} on {show_count(search.size)} images"] = (
            f"best of {rates} in {first.steps:,} steps, on {first.data.held_out:.0%} of them"
        )
    values["compute"] = f"{plan.flops:.3g} FLOPs"
    if plan.flops < plan.flops_apart:
        saved = 1 - plan.flops / plan.flops_apart
        values["compute"] += (
            f"; {plan.flops_apart:.3g} with a run for each row: shared trunks save {saved:.0%}"
        )
    free = plan.costs.free_bytes
    room = "" if free is None else f"; the disk has {show_bytes(free)} free"
    values["on disk"] = f"about {show_bytes(plan.bytes)} of checkpoints{room}"
    values["time"] = _time(plan)
    if plan.in_store.branches:
        values["in the store"] = _in_store(plan)
    return values


def _trunks(plan: SweepPlan) -> str:
    """Where the rows come from: trunks with their cooldowns, runs of their own, or both."""
    shared = [trunk for trunk in plan.trunks if trunk.is_shared]
    if not shared:
        return "a run each: their schedules end by themselves"
    shapes = dict.fromkeys(branch.shape for branch in shared[0].branches)
    of_shapes = f" of each shape ({', '.join(shapes)})" if len(shapes) > 1 else ""
    apart = ", and a run for each duration where a schedule ends by itself"
    return (
        f"{plural(len(shared), 'trunk')} with a cooldown{of_shapes} for each duration"
        f"{apart if len(shared) < len(plan.trunks) else ''}"
    )


def _time(plan: SweepPlan) -> str:
    seconds = plan.seconds
    if seconds is None:
        return "unknown: nothing like these models was trained on this machine yet"
    bases = dict.fromkeys(run.basis for run in plan.runs)
    how = ", ".join(basis for basis in bases if basis is not None)
    return (
        f"about {quantities.duration(seconds)} of training steps on this machine ({how}), without "
        "compiling, scoring and saving"
    )


def _in_store(plan: SweepPlan) -> str:
    trained = sum(run.is_trained for run in plan.runs)
    begun = sum(run.in_store is not None and run.in_store.step is not None for run in plan.runs)
    also = f", {begun} begun" if begun else ""
    probes = [one for run in plan.runs if run.in_store is not None for one in run.in_store.probes]
    if all(run.is_finished for run in plan.runs):
        return f"all rows are trained{' and measured' if probes else ''}"
    count = f", {sum(probes)} of {plural(len(probes), 'probe')} measured" if probes else ""
    left = f"{plan.flops_left:.3g} FLOPs are left"
    seconds = plan.seconds_left
    time = "" if seconds is None else f", about {quantities.duration(seconds)}"
    if trained == len(plan.runs):
        return f"all rows are trained{count}"
    return f"{trained} of {plural(len(plan.runs), 'row')} trained{also}{count}; {left}{time}"


COLUMNS = (
    "model", "images", "steps", "cooldown", "seen", "epochs", "batch", "rate", "FLOPs", "adds",
    "disk", "time", "store",
)  # fmt: skip


def columns(plan: SweepPlan) -> tuple[str, ...]:
    """The heads of the table of runs."""
    axes = _axes(plan)
    return (*COLUMNS[:2], *axes, *COLUMNS[2:])


def rows(plan: SweepPlan) -> Iterator[list[str]]:
    """A row for each run, in the order in which they are trained."""
    axes = _axes(plan)
    for run in plan.runs:
        yield _row(run, axes)


def _axes(plan: SweepPlan) -> list[str]:
    return list(plan.runs[0].axes)


def _row(run: PlannedRun, axes: Sequence[str]) -> list[str]:
    branch, cfg, values = run.branch, run.branch.cfg, run.axes
    rate = "chosen" if run.trunk.search else f"{cfg.schedule.peak_lr:g}"
    return [
        run.trunk.model,
        show_count(run.trunk.size),
        *(in_short(values[name]) for name in axes),
        show_count(branch.steps),
        show_count(branch.cooldown) if branch.cooldown else "none",
        show_count(branch.images),
        quantities.shown_digits(branch.images / run.trunk.size, least=3),
        f"{cfg.data.batch:,}",
        rate,
        f"{branch.flops:.3g}",
        f"{run.flops:.3g}",
        show_bytes(run.bytes),
        "" if run.seconds is None else quantities.duration(run.seconds),
        "" if run.in_store is None else run.in_store.in_words(),
    ]


def outcome(summary: SweepTable) -> dict[str, str]:
    """The table in short: a line for each row, by its first metric."""
    names = Counter(_title(summary, index) for index in range(len(summary.rows)))
    lines: dict[str, str] = {}
    for index, row in enumerate(summary.rows):
        title = _title(summary, index)
        key = title if names[title] == 1 else f"{title} ({index + 1})"
        if row.failure is not None:
            lines[key] = f"failed: {row.failure}"
            continue
        shown = []
        for name in summary.metrics[:3]:
            metric = row.metrics.get(name)
            if metric is not None:
                shown.append(f"{name} {quantities.shown_digits(metric.value, least=4)}")
        lines[key] = ", ".join(shown)
    return lines


def _title(summary: SweepTable, index: int) -> str:
    row = summary.rows[index]
    axes = [f"{name} {in_short(value)}" for name, value in row.axes.items()]
    parts = [row.model, f"{show_count(row.data_size)} images", *axes]
    return f"{', '.join(parts)}, {show_count(row.images_seen)} seen"
