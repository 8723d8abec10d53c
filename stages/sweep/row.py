"""A branch -> its row of the table: what it cost, and what the probes measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.sweep.cells import BranchResult
from stages.sweep.cost import core_days
from stages.sweep.spec import ProbeConfig
from stages.sweep.trunks import SEED
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import EVALUATION, FEWSHOT
from vitctl.artifacts.kinds.evaluation import Metric
from vitctl.artifacts.kinds.sweep import SweepRow
from vitctl.artifacts.runs import run_of
from vitctl.errors import VitctlError
from vitctl.model import accounting
from vitctl.train.telemetry import goodput

_USEFUL = ("step", "data_wait")


def row_of(result: BranchResult, probes: Sequence[ProbeConfig]) -> SweepRow:
    """The row of a branch, whatever came of it."""
    trunk, branch = result.trunk, result.branch
    cfg = trunk.with_rate(branch, result.rate)
    days = core_days(cfg, images=branch.images)
    metrics: dict[str, Metric] = {}
    for probe, artifact in zip(probes, result.probes, strict=False):
        metrics |= dict(metrics_of(probe, artifact))
    return SweepRow(
        model=trunk.model,
        data_size=trunk.size,
        axes={name: value for name, value in trunk.columns_of(branch).items() if name != SEED},
        seed=cfg.seed,
        steps=branch.steps,
        trunk_steps=branch.trunk_steps,
        cooldown_steps=branch.cooldown,
        images_seen=branch.images,
        epochs=branch.images / trunk.size,
        batch=cfg.data.batch,
        resolution=cfg.model.resolution,
        lr=None if trunk.search and result.rate is None else cfg.schedule.peak_lr,
        parameters=accounting.parameters(cfg.model).total,
        flops=branch.flops,
        device_seconds=_device_seconds(result),
        core_days=None if days is None else days[0],
        core_days_basis=None if days is None else days[1],
        metrics={} if result.failure else metrics,
        dataset=_id(result.dataset),
        trunk=_id(result.trunk_checkpoint),
        checkpoint=_id(result.checkpoint),
        probes=tuple(artifact.id for artifact in result.probes),
        failure=None if result.failure is None else result.failure.message,
        exit_code=None if result.failure is None else result.failure.exit_code,
    )


def _id(artifact: Artifact | None) -> str | None:
    return None if artifact is None else artifact.id


# ---- Metrics


def metrics_of(probe: ProbeConfig, artifact: Artifact) -> Iterator[tuple[str, Metric]]:
    """Column -> what a probe measured, the accuracy of the most shots first."""
    begin = f"{probe.name}_" if probe.name else ""
    if artifact.kind == FEWSHOT.name:
        for shots in reversed(FEWSHOT.summary(artifact).shots):
            many = "all" if shots.shots is None else shots.shots
            interval = shots.interval or shots.test_interval
            yield f"{begin}{many}shot", Metric(value=shots.accuracy_mean, interval=interval)
        return
    scores = EVALUATION.summary(artifact)
    yield f"{begin}top1", Metric(value=scores.top1, interval=scores.top1_interval)
    yield f"{begin}top5", Metric(value=scores.top5, interval=None)
    if scores.loss is not None:
        yield f"{begin}loss", Metric(value=scores.loss, interval=None)
    for name, metric in scores.metrics.items():
        if name not in ("top1", "top5", "loss"):
            yield f"{begin}{name}", metric


def is_accuracy(column: str) -> bool:
    """Whether a column of `metrics_of` is one that a law of errors can be fitted to."""
    return column.endswith(("shot", "top1"))


# ---- Time


def _device_seconds(result: BranchResult) -> float | None:
    """Of this run alone: its share of the trunk, and its cooldown."""
    if result.checkpoint is None:
        return None
    parts = [device_seconds(result.checkpoint)]
    if result.trunk_checkpoint is not None:
        parts.append(device_seconds(result.trunk_checkpoint))
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def device_seconds(checkpoint: Artifact) -> float | None:
    """Seconds of steps and of waiting for data that led to a checkpoint in its run, times the
    devices; a start that went on past it counts in proportion. None where they are not recorded,
    or its starts had different numbers of devices."""
    try:
        run = run_of(checkpoint)
    except VitctlError:
        return None
    step = checkpoint.step
    if run is None or step is None:
        return None
    counts = {segment.runtime.get("devices") for segment in run.info.segments}
    devices = counts.pop() if len(counts) == 1 else None
    rows = goodput.read(run.path / goodput.FILE)
    if not isinstance(devices, int) or not rows:
        return None
    seconds = 0.0
    for row in rows:
        useful = sum(row.seconds.get(account, 0.0) for account in _USEFUL)
        length = row.step - row.from_step
        if length > 0:
            share = min(max(step - row.from_step, 0), length) / length
            seconds += useful * share
    return seconds * devices if seconds > 0 else None
