"""What a store says of errors and speeds: its finished models that were measured, and its runs.

Measured models count where they were trained from random weights to the end of a schedule, as a
trunk that is not cooled down is worse than what advice is on. Speeds are medians over the logged
rows of a run, so waiting for data is in them, and its pauses for checkpoints and scoring are added.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vitctl.advice import own_settings
from vitctl.advice.evidence import Cell, Evidence, points_of, unknown_metric
from vitctl.advice.own_settings import SIZES, Alike, Measurement, alike
from vitctl.advice.target import Devices
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.kinds import CHECKPOINT, DATASET, EVALUATION, FEWSHOT, SWEEP
from vitctl.artifacts.references import plain_name
from vitctl.errors import VitctlError
from vitctl.model import variants
from vitctl.model.config import ModelConfig
from vitctl.optim import frozen
from vitctl.recipes import branching
from vitctl.recipes.pretraining import ImageFacts
from vitctl.text.quantities import plural
from vitctl.train.carried_over import trained_with
from vitctl.train.config import TrainConfig, from_identity
from vitctl.train.telemetry import goodput, metrics

_BUSY = ("step", "data_wait")
_PAUSES = ("checkpoint", "evaluation")
_LEAST_ROWS = 3


@dataclass(frozen=True)
class OwnResults:
    """What a store has: evidence for each metric, by its name, and how many results do not count,
    by the reason. `source` is whose results they are."""

    by_metric: Mapping[str, Evidence]
    skipped: Mapping[str, int]
    source: str = "the store"

    def chosen(self, metric: str | None) -> Evidence | None:
        """The evidence on a metric, or on the one with the most models that have a law, of equals
        the one with more runs, of these the one of more shots; None if none has any. UsageError
        for an unknown metric."""
        if metric is not None:
            if metric not in self.by_metric:
                raise unknown_metric(metric, list(self.by_metric), of=self.source)
            return self.by_metric[metric]
        return max(
            (one for one in self.by_metric.values() if one.models_with_laws),
            key=lambda one: (len(one.models_with_laws), len(one.points), _shots(one.metric)),
            default=None,
        )


def _shots(metric: str) -> int:
    """Of a metric's name; 0 where it has none."""
    shots = metric.partition("-shot")[0]
    return int(shots) if shots.isdigit() else 0


def results(
    entries: Iterable[Artifact | Run], *, store: Store, sweep: Artifact | None = None
) -> OwnResults:
    """The few-shot probes and evaluations among the entries of a store, by what they measured; only
    those of a sweep, if one is given."""
    of_sweep = None if sweep is None else _probes(sweep)
    title = f"your runs in {store.root}" if sweep is None else f"the sweep {plain_name(sweep)}"
    by_metric: dict[str, list[Measurement]] = {}
    skipped: Counter[str] = Counter()
    for entry in entries:
        if not isinstance(entry, Artifact) or entry.kind not in (FEWSHOT.name, EVALUATION.name):
            continue
        if of_sweep is not None and entry.id not in of_sweep:
            continue
        try:
            rows = list(_read(entry, store=store))
        except _Skip as reason:
            skipped[str(reason)] += 1
            continue
        except VitctlError:
            skipped["are damaged, or what they measured is"] += 1
            continue
        for row in rows:
            by_metric.setdefault(row.metric, []).append(row)
    evidence = {name: _evidence(name, rows, title) for name, rows in by_metric.items()}
    return OwnResults(evidence, skipped, "the store" if sweep is None else "the sweep")


def _probes(sweep: Artifact) -> set[str]:
    return {probe for row in SWEEP.summary(sweep).rows for probe in row.probes}


class _Skip(Exception):
    """Why a result does not count: the rest of a sentence about several."""


def _read(result: Artifact, *, store: Store) -> Iterator[Measurement]:
    parent = result.manifest.parent("from")
    checkpoint = None if parent is None else store.parent(parent)
    if checkpoint is None or checkpoint.kind != CHECKPOINT.name:
        raise _Skip("are of models that are gone, or were no training's")
    summary = CHECKPOINT.summary(checkpoint)
    if summary.imported or summary.averaged or summary.images_before:
        raise _Skip("are of models that did not begin from random weights")
    if checkpoint.manifest.stage == "finetune":
        raise _Skip("are of fine-tuned models")
    if not branching.is_cooled(checkpoint):
        raise _Skip("are of models that are not cooled down")
    source = checkpoint.manifest.parent("data")
    dataset = None if source is None else store.parent(source)
    if dataset is None:
        raise _Skip("are of models whose dataset is gone, or was synthetic")
    cfg = trained_with(checkpoint)
    examples = DATASET.summary(dataset).examples.get(cfg.data.split, 0)
    if examples < 1:
        raise _Skip("are of models whose dataset is gone, or was synthetic")
    images = summary.images
    flops = float(images * frozen.trained_flops(cfg.model, cfg.optim))
    if summary.flops is not None and summary.flops > 1.0001 * flops:
        raise _Skip("are of models that learnt from more than these images")
    images_of = result.manifest.parent("data")
    data = () if images_of is None or not images_of.path else ("--data", images_of.path)
    facts = ImageFacts(examples, cfg.model.classes, eval_split=None)
    own = own_settings.of_its_own(cfg, facts)
    for metric, error, probe in _errors(result):
        cell = Cell(cfg.label, images, examples, error, flops)
        yield Measurement(metric, cell, cfg, own, (*probe, *data))


def _errors(result: Artifact) -> Iterator[tuple[str, float, tuple[str, ...]]]:
    """Names of metrics, errors by them, and the beginning of the command that measures them."""
    if result.kind == EVALUATION.name:
        scored = EVALUATION.summary(result)
        ema = " (ema)" if scored.weights == "ema" else ""
        yield f"top1:{scored.dataset}{ema}", round(1.0 - scored.top1, 12), ("evaluate",)
        return
    probed = FEWSHOT.summary(result)
    if probed.features != "model":
        raise _Skip("are of pixels, untrained models or features of other programs")
    ema = " (ema)" if probed.weights == "ema" else ""
    how = "" if probed.probe == "ridge" else f" by {probed.probe}"
    for row in probed.shots:
        shots = "all" if row.shots is None else row.shots
        name = f"{shots}-shot:{probed.dataset}/{probed.classes}{how}{ema}"
        yield name, round(1.0 - row.accuracy_mean, 12), ("fewshot", "--shots", str(shots))


def _evidence(metric: str, rows: list[Measurement], title: str) -> Evidence:
    """Of one metric. Models of another resolution than most runs have are left out: no law is of
    both. Nor is one of runs with other settings."""
    sides = statistics.multimode([row.cfg.model.resolution for row in rows])
    rows = [row for row in rows if row.cfg.model.resolution == max(sides)]
    models = dict.fromkeys(row.cell.model for row in rows)
    kinds = {name: alike([row for row in rows if row.cell.model == name]) for name in models}
    rows = [row for kind in kinds.values() for row in kind.runs]
    common: dict[str, Any] = {"model.resolution": max(sides)}
    recipes = {row.cfg.recipe for row in rows}
    batches = {row.cfg.data.batch for row in rows}
    if len(recipes) == 1:
        common["recipe"] = recipes.pop()
    if len(batches) == 1:
        common["data.batch"] = batches.pop()
    kind = "error" if metric.startswith("top1") else "few-shot error"
    return Evidence(
        "own runs",
        title,
        f"{metric} {kind}",
        "FLOPs",
        points_of([row.cell for row in rows]),
        rows[-1].probe,
        settings=common,
        sizes={row.cfg.label: _own_size(row.cfg) for row in rows},
        trained={name: kind.trained for name, kind in kinds.items()},
        remarks=tuple(_remark(name, kind) for name, kind in kinds.items() if kind.others),
    )


def _remark(name: str, kind: Alike) -> str:
    settings = (
        " ".join(own_settings.as_flags(kind.trained.settings)) or "the settings of its recipe"
    )
    return (
        f"of {name} the {plural(len(kind.runs), 'result')} with {settings} count, and "
        f"{kind.others} with other settings do not"
    )


def _own_size(cfg: TrainConfig) -> dict[str, int]:
    """The settings of a size that its name does not stand for."""
    own = {name: getattr(cfg.model, name) for name in SIZES}
    try:
        named = variants.parse(cfg.label)
    except VitctlError:
        return own
    size = named.variant
    usual = {name: getattr(size, name) for name in SIZES[:-1]} | {"patch": named.patch}
    return {} if own == usual else own


# ---- Speed


@dataclass(frozen=True)
class OwnSpeed:
    """Images a second on one device, as a run of the user's logged them; `pauses` is the time for
    checkpoints and scoring, over that of steps."""

    run: str
    model: ModelConfig
    precision: str
    images_per_second: float
    pauses: float

    @property
    def rate(self) -> float:
        """With pauses."""
        return self.images_per_second / (1.0 + self.pauses)


def speeds(entries: Iterable[Artifact | Run], devices: Devices) -> list[OwnSpeed]:
    """The speeds on such devices of the runs among a store's entries, in their order."""
    rates = []
    for entry in entries:
        if isinstance(entry, Run):
            try:
                rates += list(_speeds_of(entry, devices))
            except (VitctlError, OSError):  # damaged, or in the middle of being removed
                continue
    return rates


def _speeds_of(run: Run, devices: Devices) -> Iterator[OwnSpeed]:
    segments = [
        segment
        for segment in run.info.segments
        if devices.is_kind(_kind_of(segment.runtime)) and segment.runtime.get("devices")
    ]
    if not segments:
        return
    begins = [segment.from_step for segment in segments]
    counts = {segment.runtime["devices"] for segment in segments}
    if len(counts) != 1 or len(segments) != len(run.info.segments):
        # Rows do not say which start they are of: only those after the last one are sure.
        if run.info.segments[-1] is not segments[-1]:
            return
        begins = begins[-1:]
        counts = {segments[-1].runtime["devices"]}
    (count,) = counts
    logged = [
        row["images_per_second"]
        for row in metrics.read(run.metrics)
        if row["kind"] == "train"
        and row["step"] > min(begins)
        and isinstance(row.get("images_per_second"), int | float)
    ]
    if len(logged) < _LEAST_ROWS or statistics.median(logged) <= 0:
        return
    cfg = from_identity(run.info.config, total_steps=max(run.steps(), default=1))
    if cfg.optim.freeze:  # faster than what is trained whole
        return
    seconds = goodput.total(goodput.read(run.path / goodput.FILE))
    busy = sum(seconds[account] for account in _BUSY)
    pauses = sum(seconds[account] for account in _PAUSES) / busy if busy > 0 else 0.0
    yield OwnSpeed(
        run=run.path.name,
        model=cfg.model,
        precision=cfg.precision,
        images_per_second=statistics.median(logged) / count,
        pauses=pauses,
    )


def _kind_of(runtime: Mapping[str, Any]) -> str:
    """jax's kind of a start's devices. Starts of earlier versions record the platform alone, which
    says it of CPUs."""
    kind = runtime.get("device_kind")
    if isinstance(kind, str):
        return kind
    return "cpu" if runtime.get("platform") == "cpu" else ""
