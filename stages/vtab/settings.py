"""What a user gives -> the settings of `vitctl vtab`; needs no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.vtab.spec import Commands, Inputs, TaskData, VtabConfig
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.references import plain_name
from vitctl.errors import NotFoundError, UsageError
from vitctl.events import Caution, Emit, Note
from vitctl.measures.vtab import TASKS, Task, task_named, tasks_within
from vitctl.recipes import measuring
from vitctl.recipes.naming import name_of
from vitctl.settings.overrides import Overrides, check_keys
from vitctl.settings.trees import at
from vitctl.text import quantities
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import did_you_mean, nearest
from vitctl.train.config import TrainConfig

if TYPE_CHECKING:
    from vitctl.data.dataset import DatasetInfo

Named = tuple[Task | None, str]
"""The task that a user gives a dataset, and the reference to it."""

_OWN = {
    "data.batch": "batch",
    "data.split": "train_split",
    "data.eval_split": "eval_split",
    "from_weights": "weights",
    "model.resolution": "resolution",
    "schedule.peak_lr": "lr",
    "schedule.total_steps": "steps",
    "schedule.warmup_steps": "warmup",
    "seed": "seed",
}
"""Settings of fine-tuning that are ours: they have one place."""


def read_named(texts: Sequence[str]) -> list[Named]:
    """`["pets=my-cats", "svhn"]` -> the task that is given, and the reference."""
    named: list[Named] = []
    for text in texts:
        before, equals, reference = text.partition("=")
        task = task_named(before) if equals and not Path(text).exists() else None
        named.append((task, reference) if task is not None else (None, text))
    return named


def task_of(name: str) -> Task:
    """The task of VTAB of that name. Raises UsageError."""
    task = task_named(name)
    if task is None:
        raise UsageError(
            f"{quoted(name)} is none of VTAB's tasks",
            hint=did_you_mean(nearest(name, TASKS)) or f"they are {', '.join(TASKS)}",
        )
    return task


def resolve(
    overrides: Overrides,
    checkpoint: Artifact,
    named: Sequence[tuple[Task | None, Artifact]],
    *,
    commands: Commands,
    store: Store,
    emit: Emit,
) -> tuple[VtabConfig, Inputs]:
    """The settings and inputs. Says which task each dataset is, how much is drawn of it, and what
    all of it will take.

    Raises UsageError for settings that make no sense or two datasets of a task, NotFoundError for a
    dataset without the splits.
    """
    from stages.vtab.cost import announced

    chosen = measuring.weights(checkpoint, requested=overrides.tree().get("weights"))
    cfg = overrides.build(VtabConfig, {"weights": chosen.name})
    check_keys(TrainConfig, cfg.finetune)
    for key, own in _OWN.items():
        if at(cfg.finetune, key) is not None:
            raise UsageError(
                f"finetune.{key} is set, which is {own} here", hint=f"--set {own}=... sets it"
            )
    if not named:
        raise UsageError("no dataset is named", hint="as in --data DATASET --data DATASET")
    for note in chosen.notes:
        emit(Note(note))
    if (caution := measuring.uncooled(checkpoint, store=store)) is not None:
        emit(Caution(caution))
    if checkpoint.manifest.stage == "finetune":
        # Also what `latest` is after a table: the last of its own fine-tunings.
        emit(
            Caution(
                f"{name_of(checkpoint)} is fine-tuned already, and VTAB-1k measures weights that "
                "are not; --from names the model that it was made from"
            )
        )
    tasks = tuple(_task_data(cfg, given, dataset, emit=emit) for given, dataset in named)
    counts = Counter(one.task.name for one in tasks)
    for one in tasks:
        if counts[one.task.name] > 1:
            raise UsageError(
                f"{counts[one.task.name]} datasets are the task {one.task.name}",
                hint="measure them one after the other, or give one another name: "
                "vitctl shard --name NAME",
            )
    missing = [name for name in TASKS if name not in counts]
    if missing:
        emit(
            Note(
                f"{len(TASKS) - len(missing)} of VTAB's {len(TASKS)} tasks: their mean is not the "
                f"VTAB score, which has {', '.join(missing[:4])}"
                + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
                + ", too"
            )
        )
    inputs = Inputs(checkpoint, tasks, commands)
    announced(cfg, inputs, emit=emit)
    return cfg, inputs


def _task_data(cfg: VtabConfig, given: Task | None, dataset: Artifact, *, emit: Emit) -> TaskData:
    from vitctl.data.dataset import Dataset, check_classes

    info = Dataset.load(dataset.path).info
    check_classes(len(info.classes), dataset=dataset.path)
    name = plain_name(dataset)
    task = given or task_named(name) or Task(name, "other")
    candidates = tasks_within(name) if task.group == "other" else []
    if candidates:
        listed = " or ".join(candidate.name for candidate in candidates)
        emit(
            Caution(
                f"{name} counts among other datasets: of VTAB it may be {listed}; --data "
                f"{candidates[0].name}={name} says so"
            )
        )
    examples = info.examples(cfg.train_split)
    split = _scored(cfg, info, dataset)
    drawn = (
        f"{cfg.images:,} of {examples:,} images of {cfg.train_split}"
        if examples > cfg.images
        else f"all {examples:,} images of {cfg.train_split}"
    )
    emit(Note(f"{name}: {_in_words(task)}; {drawn}, scored on {info.examples(split):,} of {split}"))
    return TaskData(task, dataset, split)


def _in_words(task: Task) -> str:
    return "none of VTAB's tasks" if task.group == "other" else f"{task.name} ({task.group})"


def _scored(cfg: VtabConfig, info: DatasetInfo, dataset: Artifact) -> str:
    """The split that is scored: a test set before a validation set, which usually chooses."""
    if cfg.eval_split is not None:
        info.split(cfg.eval_split)
        return cfg.eval_split
    for split in ("test", "val"):
        if split in info.splits and split != cfg.train_split:
            return split
    raise NotFoundError(
        f"{dataset.path} has neither a test nor a val split to score on",
        hint="make one: vitctl shard FOLDER --val-fraction 0.1",
    )


def read_rates(text: str, *, name: str) -> list[float]:
    """`0.03,0.01` -> [0.03, 0.01]."""
    rates = [quantities.parse_amount(part, name=name) for part in text.split(",")]
    if len(rates) < 2:
        raise UsageError(
            f"{name} {quoted(text)}: one rate leaves nothing to choose", hint="use --lr, or two"
        )
    return rates
