"""What a user gives -> the settings and inputs of `vitctl average`; needs no terminal."""

from __future__ import annotations

from collections.abc import Sequence

from stages.average.spec import AverageConfig, Inputs
from vitctl.artifacts import Artifact
from vitctl.artifacts.inputs import is_synthetic
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.artifacts.runs import run_of
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Caution, Emit, Note
from vitctl.quoting import quoted
from vitctl.recipes import branching
from vitctl.settings.overrides import Overrides

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
    if dataset is not None and cfg.split is not None:
        splits = DATASET.summary(dataset).examples
        if cfg.split not in splits:
            raise NotFoundError(
                f"{dataset.path} has no split {quoted(cfg.split)} to choose by",
                hint=f"it has {', '.join(splits)}: --split NAME",
            )
        if cfg.split == "test":
            emit(Caution("chosen by the test split, the soup's accuracy there is no held-out one"))
    if cfg.split is not None:
        images = "synthetic images" if dataset is None else str(dataset.path)
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


def _announce_kin(checkpoints: Sequence[Artifact], *, emit: Emit) -> None:
    """A caution if the weights may have begun apart: the mean of such is no better than random."""
    runs = [run_of(checkpoint) for checkpoint in checkpoints]
    origins = [
        {
            *((run.info.id,) if run is not None else ()),
            *(p.id for p in checkpoint.manifest.parents if p.kind == CHECKPOINT.name),
            *(p.id for p in checkpoint.manifest.parents if p.role == "weights"),
        }
        for run, checkpoint in zip(runs, checkpoints, strict=True)
    ]
    if not set.intersection(*origins):
        emit(
            Caution(
                "these checkpoints are of different runs that record no common beginning: the "
                "mean of weights that were trained apart from different random ones is no model"
            )
        )
