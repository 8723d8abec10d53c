"""What a user gives -> the settings and inputs of `vitctl average`; needs no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from stages.average.spec import AverageConfig, Inputs
from vitctl.artifacts import Artifact
from vitctl.artifacts.artifact import load_if_readable
from vitctl.artifacts.inputs import is_synthetic
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.artifacts.runs import run_of
from vitctl.data.config import MOCK_SPLITS
from vitctl.errors import InputError, NotFoundError, OutOfReachError, UsageError, VitctlError
from vitctl.events import Caution, Emit, Note
from vitctl.inference import weights_choice
from vitctl.places import place
from vitctl.recipes import branching
from vitctl.settings.overrides import Overrides
from vitctl.summaries import WeightsName
from vitctl.text.quoting import quoted

_SPLIT = "val"
_LEAST_SHARE = 1e-6


def newest_of(named: Sequence[Artifact], *, count: int) -> list[Artifact]:
    """The newest checkpoints of the run that the one named lies in, up to that one.

    Raises UsageError if several are named, there are not so many, or it lies in no run.
    """
    if len(named) > 1:
        raise UsageError("--last takes the checkpoints of one run", hint="name one run")
    (checkpoint,) = named
    run = run_of(checkpoint)
    if run is None:
        raise UsageError(f"{checkpoint.path} lies in no run, so --last has nothing to take from")
    steps = [step for step in run.steps() if step <= (checkpoint.step or 0)]
    if len(steps) < count:
        raise UsageError(
            f"--last {count}: {run.path} has {len(steps)} checkpoints",
            hint="a run keeps more with --checkpoint-every and --keep-every",
        )
    return [run.checkpoint(step) for step in steps[-count:]]


def resolve(
    overrides: Overrides,
    checkpoints: Sequence[Artifact],
    dataset: Artifact | None,
    *,
    emit: Emit,
) -> tuple[AverageConfig, Inputs]:
    """The settings and inputs of an average of checkpoints, in any order.

    Raises UsageError for fewer than two of them, or images that no rule asks for; InputError for
    checkpoints of different models or classes.
    """
    base = {}
    if overrides.tree().get("rule") == "greedy":
        if dataset is None and not (checkpoints and is_synthetic(checkpoints[0])):
            raise UsageError(
                "--rule greedy chooses by held-out images", hint="name a dataset: --data"
            )
        base["split"] = _SPLIT
    elif dataset is not None:
        raise UsageError("--data is read by --rule greedy alone", hint="leave it out")
    cfg = overrides.build(AverageConfig, base)
    unique = {checkpoint.id: checkpoint for checkpoint in checkpoints}
    if len(unique) < 2:
        raise UsageError(
            f"an average takes two checkpoints or more, not {len(unique)}",
            hint="name several: vitctl average RUN@10k RUN@20k; or of one run: --last 5",
        )
    ordered = sorted(unique.values(), key=lambda c: (c.step or 0, c.id), reverse=True)
    if cfg.decay is not None and cfg.decay ** (len(ordered) - 1) < _LEAST_SHARE:
        raise UsageError(
            f"decay {cfg.decay:g} leaves nothing of the oldest of {len(ordered)} checkpoints",
            hint="name fewer of them, or a larger --decay",
        )
    for other in ordered[1:]:
        _check_alike(ordered[0], other)
    _announce_kin(ordered, emit=emit)
    _announce_mixed(ordered, requested=cfg.weights, emit=emit)
    if cfg.split is not None:
        splits = MOCK_SPLITS if dataset is None else tuple(DATASET.summary(dataset).examples)
        images = "synthetic images" if dataset is None else str(dataset.path)
        if cfg.split not in splits:
            raise NotFoundError(
                f"there is no split {quoted(cfg.split)} of {images} to choose by",
                hint=f"give one of {', '.join(splits)}: --split NAME",
            )
        if cfg.split == "test":
            emit(Caution("chosen by the test split, the soup's accuracy there is no held-out one"))
        emit(Note(f"chosen by top-1 on {images}, split {cfg.split}"))
    return cfg, Inputs(tuple(ordered), dataset)


def _check_alike(first: Artifact, other: Artifact) -> None:
    """Raise InputError unless two checkpoints have the same weights to average."""
    models = [branching.trained_with(c).model for c in (first, other)]
    # The bias is where training began.
    fields = [model.model_dump() | {"head_bias": 0.0} for model in models]
    differing = [name for name in fields[0] if fields[0][name] != fields[1][name]]
    if differing:
        name = differing[0]
        raise InputError(
            f"{first.path} and {other.path} are different models: {name} is {fields[0][name]} "
            f"and {fields[1][name]}",
            hint="only weights of the same shapes and meaning can be averaged",
        )
    classes = [CHECKPOINT.summary(c).classes for c in (first, other)]
    if classes[0] != classes[1]:
        raise InputError(
            f"{first.path} and {other.path} have other classes, or in another order",
            hint="average checkpoints whose classifiers mean the same",
        )


def _announce_mixed(
    checkpoints: Sequence[Artifact], *, requested: WeightsName | None, emit: Emit
) -> None:
    """A caution where some of the weights are averages of a run already, and others are not."""
    names = [weights_choice.chosen(c, requested=requested) for c in checkpoints]
    if len(set(names)) > 1:
        raw = checkpoints[names.index("raw")]
        emit(
            Caution(
                f"{names.count('ema')} of {len(names)} checkpoints give the average that their run "
                f"kept (ema), the others weights as they are (raw; {raw.path}, for one); --weights "
                "raw takes all as they are"
            )
        )


def _announce_kin(checkpoints: Sequence[Artifact], *, emit: Emit) -> None:
    """A caution if the weights may have begun apart: the mean of such is no better than random."""
    origins = [_origins(checkpoint) for checkpoint in checkpoints]
    if not set.intersection(*origins):
        emit(
            Caution(
                "these checkpoints are of different runs that record no common beginning: the "
                "mean of weights that were trained apart from different random ones is no model"
            )
        )


def _origins(checkpoint: Artifact) -> set[str]:
    """Ids of what its weights began as: itself, its run, what that began from, and the run of
    that."""
    ids = {checkpoint.id}
    if (run := run_of(checkpoint)) is not None:
        ids.add(run.info.id)
    for parent in checkpoint.manifest.parents:
        if parent.kind != CHECKPOINT.name and parent.role != "weights":
            continue
        ids.add(parent.id)
        with suppress(VitctlError, OSError, OutOfReachError):  # it may be gone
            before = load_if_readable(place(parent.path)) if parent.path else None
            if before is not None and (run := run_of(before)) is not None:
                ids.add(run.info.id)
    return ids
