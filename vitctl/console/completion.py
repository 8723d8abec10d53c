"""What a shell offers for a half-written value: models, kinds, topologies, settings, artifacts.

Nothing here opens more than folders: no manifest is read, so damaged artifacts are offered like
whole ones, and a store in a bucket, which would need the network, offers nothing. Each function
takes the unfinished word and gives (word, explanation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import typer

from vitctl.artifacts.files import RUN
from vitctl.artifacts.kinds import (
    CHECKPOINT,
    DATASET,
    DATASET_PART,
    FEATURE_SET,
    KINDS,
    SCALING_FIT,
    SWEEP,
    Kind,
)
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.pasteable import usual_store
from vitctl.artifacts.references import LATEST
from vitctl.artifacts.runs import CHECKPOINTS
from vitctl.hardware.gpus import GPUS
from vitctl.hardware.tpus import TPUS
from vitctl.model import variants
from vitctl.settings.config import Config
from vitctl.settings.overrides import choices_of, keys_of
from vitctl.text.quantities import show_count
from vitctl.train.config import TrackerName

Words = list[tuple[str, str]]


def models(incomplete: str) -> Words:
    """Names of models, `g/14`, or as `g14` for a word that goes on so."""
    pairs = []
    for name in variants.NAMES:
        size = variants.VARIANTS[name.partition("/")[0]]
        spelled = name if name.startswith(incomplete) else name.replace("/", "")
        pairs.append((spelled, f"width {size.width}, depth {size.depth}"))
    return _beginning(pairs, incomplete)


def topologies(incomplete: str) -> Words:
    """`local`, a slice of each TPU to go on from, and a machine of each GPU."""
    pairs = [("local", "the devices of this machine")]
    for chip in TPUS.values():
        shape = "x".join(["2"] * chip.axes)
        pairs.append((f"{chip.name}:{shape}", f"{2**chip.axes} chips of {chip.kind}"))
    for gpu in GPUS:
        pairs.append((f"{gpu.lower().replace(' ', '-')}:8", f"8 GPUs of kind {gpu}"))
    return _beginning(pairs, incomplete)


def trackers(incomplete: str) -> Words:
    """Experiment trackers."""
    return _beginning([(name, "") for name in get_args(TrackerName)], incomplete)


def kinds(incomplete: str) -> Words:
    """Kinds of artifacts, and runs."""
    pairs = [(kind.name, kind.example or "of a run that diverged") for kind in KINDS.values()]
    return _beginning([*pairs, ("run", "vitctl pretrain --model S16")], incomplete)


def settings_of(model: type[Config]) -> Callable[[str], Words]:
    """Completes `--set KEY=VALUE` by the keys of `model`, and behind a key by its choices."""

    def complete(incomplete: str) -> Words:
        key, equals, _ = incomplete.partition("=")
        if not equals:
            return _beginning([(f"{name}=", "") for name in keys_of(model)], incomplete)
        return _beginning([(f"{key}={c}", "") for c in choices_of(model, key)], incomplete)

    return complete


def artifacts(ctx: typer.Context, incomplete: str) -> Words:
    """Artifacts and runs of any kind."""
    return _named(ctx, incomplete, kind=None)


def datasets(ctx: typer.Context, incomplete: str) -> Words:
    """Datasets."""
    return _named(ctx, incomplete, kind=DATASET)


def dataset_parts(ctx: typer.Context, incomplete: str) -> Words:
    """Parts of datasets."""
    return _named(ctx, incomplete, kind=DATASET_PART)


def checkpoints(ctx: typer.Context, incomplete: str) -> Words:
    """Runs, and behind `RUN@` the steps that are kept."""
    return _named(ctx, incomplete, kind=CHECKPOINT)


def probed_features(ctx: typer.Context, incomplete: str) -> Words:
    """The words for features, and sets of them that were kept."""
    kinds_of_features = [
        ("model", "the model's"),
        ("pixels", "the raw pixels"),
        ("untrained", "an untrained model's"),
    ]
    return _beginning(kinds_of_features, incomplete) + _named(ctx, incomplete, kind=FEATURE_SET)


def sweeps(ctx: typer.Context, incomplete: str) -> Words:
    """Tables of trained models."""
    return _named(ctx, incomplete, kind=SWEEP)


def fits(ctx: typer.Context, incomplete: str) -> Words:
    """Fits of scaling laws."""
    return _named(ctx, incomplete, kind=SCALING_FIT)


def _named(ctx: typer.Context, incomplete: str, *, kind: Kind[Any] | None) -> Words:
    """Folder names in the store at hand; a folder that is no finished work is left out."""
    root = ctx.params.get("store") or usual_store()
    if "://" in str(root):
        return []
    run, at, _ = incomplete.partition("@")
    if at:
        return _steps(Path(root), run, incomplete)
    pairs = [(LATEST, "the newest")]
    with suppress(OSError):  # a completion never complains
        pairs += [
            (folder.name, folder.parent.name)
            for folder in _folders(Path(root))
            if kind is None or folder.parent.name in kind.stages
        ]
    return _beginning(pairs, incomplete)


def _folders(root: Path) -> Iterator[Path]:
    for stage in sorted(root.iterdir()):
        if stage.is_dir() and not stage.name.startswith("."):
            for folder in sorted(stage.iterdir()):
                if any((folder / name).is_file() for name in (MANIFEST, RUN)):
                    yield folder


def _steps(root: Path, run: str, incomplete: str) -> Words:
    """The kept checkpoints of the run of that name, the newest first."""
    steps: set[int] = set()
    with suppress(OSError):
        for folder in _folders(root):
            if run in (folder.name, folder.name.rpartition("-")[0]):
                checkpoints = (folder / CHECKPOINTS).glob("[0-9]*")
                steps |= {int(p.name) for p in checkpoints if p.name.isdigit() and p.name.isascii()}
    pairs = [(f"{run}@{show_count(step)}", f"step {step}") for step in sorted(steps, reverse=True)]
    return _beginning(pairs, incomplete)


def _beginning(pairs: Any, incomplete: str) -> Words:
    return [(word, text) for word, text in pairs if word.startswith(incomplete)]
