"""What a training run needs before its first step: devices, memory, programs, intervals."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitctl import losses, processes
from vitctl.artifacts.run_draft import RunDraft
from vitctl.checkpoints import arrays
from vitctl.data.order import Window
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.events import Caution, Emit, Note, Settings
from vitctl.hardware import machine
from vitctl.inference import scoring
from vitctl.model import remat
from vitctl.places import disk
from vitctl.places.local import LocalPath
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding import layout as layouts
from vitctl.sharding import spec
from vitctl.sharding.layout import Layout
from vitctl.text.quantities import show_bytes
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.program import footprint
from vitctl.train.program import state as states
from vitctl.train.program.step import make_step
from vitctl.train.run import least_time
from vitctl.train.run.announcement import announced
from vitctl.train.run.beginning import StartingPoint
from vitctl.train.run.cadence import Cadence
from vitctl.train.run.device_images import DeviceImages
from vitctl.train.run.images import Images
from vitctl.train.run.jitted import Jitted
from vitctl.train.telemetry.tracking import tracker

_SLOW_ON_CPUS = (
    "data.made_on is devices, and here these are CPUs, on which making a picture takes two to six "
    "times as long as in the feed (data.made_on=hosts)"
)


@dataclass(frozen=True)
class Training:
    """What is fixed for a run of the command, however often a divergence makes it start anew.

    Attributes:
      run: the folder it writes to, locked.
      images: training and scoring batches.
      start: where the run begins if it has no checkpoint of its own.
      layout: how arrays lie on the devices.
      memory: the way to run that was chosen for the memory there is.
      device_images: what makes images of batches on devices; None where they are images.
      step: the train step, which is compiled while the first batch is made.
      scorer: scores of held-out images, None where no split is held out.
    """

    run: RunDraft
    cfg: TrainConfig
    runtime: TrainRuntime
    images: Images
    origin: StartingPoint
    layout: Layout
    memory: footprint.MemoryPlan
    cadence: Cadence
    device_images: DeviceImages | None
    step: Jitted[..., Any]
    scorer: Jitted[..., scoring.ScoredBatch] | None
    emit: Emit

    def skipping(self, windows: Sequence[Window]) -> Training:
        """The same without these batches of the data order."""
        return replace(self, images=replace(self.images, passed=tuple(windows)))

    @property
    def recorded(self) -> dict[str, Any]:
        """What run.json records of how this start of the run works."""
        return {
            **self.runtime.model_dump(mode="json", exclude={"name", "out", "force"}),
            "keep": self.cadence.keep,
            "remat": self.memory.remat,
            "microbatch": self.memory.microbatch,
            "mesh": str(self.layout),
            "devices": self.layout.devices,
            "platform": self.layout.platform,
            "device_kind": self.layout.device_kind,
        }


def prepare(
    run: RunDraft,
    cfg: TrainConfig,
    *,
    images: Images,
    origin: StartingPoint,
    runtime: TrainRuntime,
    emit: Emit,
) -> Training:
    """Choose how to run, announce every resolved number, and make the programs; none is
    compiled yet.

    Raises:
      UsageError: devices, mesh or microbatch that don't divide what there is.
      DoesNotFitError: it needs more memory than there is.
    """
    # Numbers
    for name in runtime.track if processes.first() else ():
        tracker(name)  # a package that is missing is reported before anything is compiled
    if not cfg.model.classes:
        raise UsageError("model.classes is 0, and a model without classes has nothing to learn")
    devices = layouts.first(runtime.devices)
    memory = footprint.choose(
        cfg,
        devices=len(devices),
        available=_available_bytes(),
        mesh=spec.parse(runtime.mesh),
        remats=remat.to_try(runtime.remat, before=_before(run, devices[0].platform)),
        microbatch=runtime.microbatch,
    )
    layout = layouts.make(memory.spec, devices=devices)
    if _writes_apart(run):
        _check_own_disk(cfg, layout)
    if memory.reason is not None:
        emit(Note(memory.reason))
    numbers = announced(cfg, layout, memory, examples=images.examples, classes=len(images.classes))
    emit(Settings(f"{run.info.stage} {cfg.label}", numbers))
    begun = max(run.steps(), default=origin.step)
    if (caution := least_time.sentence(cfg, layout, from_step=begun)) is not None:
        emit(Caution(caution))
    if layout.platform == "cpu":
        machine.keep_freed_memory()
        if cfg.data.made_on == "devices":
            emit(Caution(_SLOW_ON_CPUS))

    # Programs
    step = make_step(
        cfg,
        layout=layout,
        remat=memory.remat,
        microbatch=memory.microbatch,
        class_weights=_class_weights(cfg, images),
    )
    scorer = None
    if cfg.data.eval_split is not None:
        scorer = Jitted(
            scoring.make_scorer(cfg.model, loss=cfg.loss, precision=cfg.precision, layout=layout)
        )
    return Training(
        run=run,
        cfg=cfg,
        runtime=runtime,
        images=images,
        origin=origin,
        layout=layout,
        memory=memory,
        cadence=Cadence.of(
            runtime,
            first_step=origin.step,
            total=cfg.steps,
            scored=None if cfg.keep_best is None else cfg.keep_best.every,
        ),
        device_images=None if images.formula is None else DeviceImages(images, layout),
        step=Jitted(in_step(step)),
        scorer=scorer,
        emit=emit,
    )


def _before(run: RunDraft, platform: str) -> remat.Remat | None:
    """What the last start of the run recomputed on such devices; None for a run that begins."""
    if not run.info.segments:
        return None
    last = run.info.segments[-1].runtime
    known = [rung for rung in remat.LADDER if rung == last.get("remat")]
    return known[0] if known and last.get("platform") == platform else None


def check_disk(run: RunDraft, cfg: TrainConfig) -> None:
    """Raise DoesNotFitError if the disk has no room for a checkpoint, which else is found out at
    the first save. A bucket's is on this machine's disk first; what each of several processes
    writes there follows from the layout (`_check_own_disk`)."""
    if _writes_apart(run):
        return
    place = run.path.local
    needed = footprint.checkpoint_bytes(cfg)
    scarce = processes.share("free disk", lambda: _scarce(place, needed))
    if scarce is not None:
        raise _without_room(cfg, needed, *scarce, bucket=place is None)


def _writes_apart(run: RunDraft) -> bool:
    """Whether each of several processes writes its part of a checkpoint to a disk of its own."""
    return run.path.local is None and processes.count() > 1


def _check_own_disk(cfg: TrainConfig, layout: Layout) -> None:
    """As `check_disk`, in several processes with a bucket: the disks of all of them."""
    like = layouts.like(states.shapes(cfg), states.shardings(cfg, layout))
    needed = arrays.bytes_on_disk(like, apart=True)
    everywhere = processes.gather("own free disk", (needed, _scarce(None, needed)))
    for needed, scarce in everywhere:
        if scarce is not None:
            raise _without_room(cfg, needed, *scarce, bucket=True)


def _scarce(place: LocalPath | None, needed_bytes: int) -> tuple[str, int] | None:
    """The folder for a checkpoint (None: for one on its way to a bucket), and what its disk has
    free, where that is less than needed."""
    folder = Path(tempfile.gettempdir()) if place is None else place
    free = disk.free_bytes(folder)
    return None if free is None or needed_bytes <= free else (str(folder), free)


def _without_room(
    cfg: TrainConfig, needed: int, folder: str, free: int, *, bucket: bool
) -> DoesNotFitError:
    other = "TMPDIR" if bucket else "--store or --out"
    part = "what one process writes of a checkpoint" if processes.count() > 1 else "a checkpoint"
    return DoesNotFitError(
        f"{part if bucket else 'a checkpoint'} of {cfg.label} takes about {show_bytes(needed)}, "
        f"and the disk of {folder} has {show_bytes(free)} free",
        hint=f"free some space, or choose another disk with {other}",
    )


def _class_weights(cfg: TrainConfig, images: Images) -> tuple[float, ...] | None:
    if cfg.class_balance is None:
        return None
    return tuple(losses.balanced_weights(images.class_counts, beta=cfg.class_balance).tolist())


def _available_bytes() -> int | None:
    """Memory of the smallest device of all processes: they must all choose alike."""
    sizes = [size for size in processes.gather("memory", machine.device_bytes()) if size]
    return min(sizes) if sizes else None
