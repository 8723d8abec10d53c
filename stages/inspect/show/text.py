"""An artifact or run in lines: a section for each thing that is recorded."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from stages.inspect import text
from stages.inspect.show import laws, mistakes, sweeps
from stages.inspect.show.run import checkpoints, last_rows
from vitctl.artifacts import Artifact, Parent, Run
from vitctl.artifacts.kinds import SCALING_FIT, SWEEP
from vitctl.artifacts.kinds.kind import Kind
from vitctl.artifacts.manifest import Provenance
from vitctl.console.text import safe
from vitctl.console.tree import bold, dim, fields, warned
from vitctl.errors import InputError
from vitctl.summaries import Summary
from vitctl.text import quantities
from vitctl.text.quantities import show_bytes, show_count
from vitctl.train.telemetry import goodput

S = TypeVar("S", bound=Summary)

_MOST_FILES = 8


def lines(entry: Artifact | Run) -> Iterator[str]:
    """All sections."""
    return of_run(entry) if isinstance(entry, Run) else of_artifact(entry)


def of_artifact(artifact: Artifact) -> Iterator[str]:
    manifest = artifact.manifest
    yield f"{bold(safe(artifact.kind))} {safe(artifact.path)}"
    for problem in artifact.check_sizes():
        yield f"  {warned('damaged')}  {safe(problem)}"
    made = manifest.provenance
    yield from fields(
        {
            "id": artifact.id,
            "digest": artifact.digest,
            "made": f"{text.ago(made.finished)}, took {text.took(made.started, made.finished)}",
            "by": f"{manifest.stage} (version {manifest.version})",
        }
    )
    summary = _of_interest(text.labelled(artifact))
    law, sweep = _typed(SCALING_FIT, artifact), _typed(SWEEP, artifact)
    if law is not None:
        summary = laws.of_interest(summary)
    if sweep is not None:
        summary = sweeps.of_interest(summary)
    yield from _section("summary", summary)
    if sweep is not None:
        yield from ("", bold("runs"), *(f"  {line}" for line in sweeps.lines(sweep)))
        yield f"  {dim('with intervals, costs and ids: table.csv, or --json')}"
    if law is not None:
        yield from ("", bold("law"), *(f"  {line}" for line in laws.lines(law)))
        yield f"  {dim('all of it: --json, or fit.json')}"
    if wrong := [f"  {line}" for line in mistakes.lines(artifact)]:
        yield from ("", bold("mistakes"), *wrong)
    yield from _section("settings", artifact.config, exact=True)
    yield from _inputs(manifest.parents)
    yield from _files(artifact)
    yield from _provenance(made)


def _typed(kind: Kind[S], artifact: Artifact) -> S | None:
    """The summary of an artifact; None of another kind, or where it is not such a summary."""
    if artifact.kind != kind.name:
        return None
    try:
        return kind.summary(artifact)
    except InputError:
        return None


def of_run(run: Run) -> Iterator[str]:
    info = run.info
    yield f"{bold('run')} {safe(run.path)}"
    newest = max(run.steps(), default=None)
    state = "training now" if run.is_working else "no process works on it"
    yield from fields(
        {
            "id": info.id,
            "by": f"{info.stage} (version {info.version})",
            "state": state + (f", at step {show_count(newest)}" if newest is not None else ""),
        }
    )
    yield from ("", bold("checkpoints"))
    for step, checkpoint in checkpoints(run):
        summary = (
            text.in_words("checkpoint", text.labelled(checkpoint)) if checkpoint else "damaged"
        )
        printed = "  (answered)" if step in info.results else ""
        if step == info.chosen:
            printed = "  (best, what the run's name stands for)"
        yield f"  {show_count(step):>8}  {safe(summary)}{dim(printed)}"
    if newest is None:
        yield "  none yet"
    if info.rollbacks:
        yield from ("", bold("skipped after a divergence"))
        for back in info.rollbacks:
            yield f"  {safe(back.at)}  {safe(back.in_words)}"
            yield f"    {dim(safe(run.path / back.kept))}"
    yield from _section("newest metrics", last_rows(run))
    yield from _section("time", time_by_account(run))
    yield from _section("settings", info.config, exact=True)
    yield from _inputs(info.parents)
    yield from ("", bold("worked on"))
    for segment in info.segments:
        runtime = {key: value for key, value in segment.runtime.items() if value is not None}
        yield f"  {segment.started}  from step {show_count(segment.from_step)}"
        yield from fields(runtime, indent=4)
    if info.segments:
        yield from _section("versions", info.segments[-1].versions)


def _section(title: str, values: dict[str, Any], *, exact: bool = False) -> Iterator[str]:
    if values:
        yield from ("", bold(title), *fields(values, exact=exact))


_OF_FILES = ("shards", "bytes", "rejected")


def _of_interest(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary for people: without tables of nothing, and of images that lie elsewhere (a
    subset) without the counts of its own files."""
    shown = {name: value for name, value in summary.items() if value != {}}
    if shown.get("selected_from") and shown.get("bytes") == 0:
        shown = {name: value for name, value in shown.items() if name not in _OF_FILES}
    return _with_metrics_in_lines(shown)


def _with_metrics_in_lines(summary: dict[str, Any]) -> dict[str, Any]:
    """The summary of an evaluation with `value (low to high)` for each metric; others, and what is
    no metric, as they are."""
    metrics = summary.get("metrics")
    if not isinstance(metrics, dict):
        return summary

    def line(metric: Any) -> Any:
        match metric:
            case {
                "value": int() | float() as value,
                "interval": [int() | float(), int() | float()],
            }:
                low, high = metric["interval"]
                return quantities.with_interval(
                    quantities.shown_digits(value, least=4),
                    quantities.shown_digits(low, least=4),
                    quantities.shown_digits(high, least=4),
                )
            case {"value": int() | float() as value}:
                return quantities.shown_digits(value, least=4)
            case _:
                return metric

    return {**summary, "metrics": {name: line(metric) for name, metric in metrics.items()}}


def _inputs(parents: Iterable[Parent]) -> Iterator[str]:
    values = {p.role: f"{p.kind} {p.id[:8]}  {p.path or 'of unknown place'}" for p in parents}
    yield from _section("inputs", values)


def _files(artifact: Artifact) -> Iterator[str]:
    files = artifact.manifest.files
    yield from ("", bold("files"))
    yield f"  {len(files)} files, {show_bytes(sum(entry.size for entry in files))}"
    largest = sorted(files, key=lambda entry: (-entry.size, entry.path))[:_MOST_FILES]
    for entry in largest:
        yield f"  {show_bytes(entry.size):>8}  {safe(entry.path)}"
    if len(largest) < len(files):
        yield f"  {'...':>8}  {len(files) - len(largest):,} smaller ones"


def _provenance(made: Provenance) -> Iterator[str]:
    program, *arguments = made.command or ("",)
    program = "vitctl" if os.path.basename(program) == "app.py" else os.path.basename(program)
    yield from _section(
        "made with",
        {
            "command": shlex.join([program, *arguments]),
            "time": f"{made.started} to {made.finished}",
            "host": made.host,
            "commit": made.git_commit or "of an installed package",
            "versions": ", ".join(f"{name} {value}" for name, value in made.versions.items()),
        },
    )


def time_by_account(run: Run) -> dict[str, str]:
    """Where the run's time went; nothing of a run that was made without counting it."""
    rows = goodput.read(run.path / goodput.FILE)
    seconds = goodput.total(rows)
    if not sum(seconds.values()):
        return {}
    starts = quantities.plural(len(rows), "start")
    accounts = {"in all": f"{quantities.duration(sum(seconds.values()))} in {starts}"}
    for account, share in goodput.shares(seconds).items():
        accounts[goodput.WORDS[account]] = f"{share:6.1%}  {quantities.duration(seconds[account])}"
    return accounts
