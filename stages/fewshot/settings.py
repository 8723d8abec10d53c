"""What a user gives -> the settings of `vitctl fewshot`; needs no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from stages.fewshot.spec import FewshotConfig
from vitctl.artifacts import Artifact, Store
from vitctl.data.config import FEWSHOT_PREPROCESS
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit, Note
from vitctl.quantities import parse_count
from vitctl.recipes import measuring
from vitctl.settings.overrides import Overrides
from vitctl.summaries import Features


def resolve(
    overrides: Overrides,
    checkpoint: Artifact,
    dataset: Artifact | None,
    *,
    features: Sequence[Features] = (),
    store: Store,
    emit: Emit,
) -> Iterator[FewshotConfig]:
    """For each kind of features the settings that probe a checkpoint on a dataset, or on the
    synthetic images that it was trained on. Without `features` the overrides decide."""
    tree = overrides.tree()
    chosen = measuring.weights(checkpoint, requested=tree.get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    base = {
        "weights": chosen.name,
        # A tree, so that --set of one field leaves the others as the protocol has them.
        "preprocess": FEWSHOT_PREPROCESS.model_dump(mode="json"),
        **measuring.settings(checkpoint, dataset, overrides=tree),
    }
    caution = measuring.uncooled(checkpoint, store=store)
    for kind in features or (None,):
        cfg = overrides.with_flags({"features": kind}).build(FewshotConfig, base)
        if caution and cfg.features == "model":
            emit(Caution(caution))
        yield cfg


def read_features(text: str) -> list[Features]:
    """`model,pixels` -> ["model", "pixels"]. UsageError for another word."""
    known = {name: name for name in get_args(Features)}
    kinds = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [kind for kind in kinds if kind not in known]:
        raise UsageError(
            f"--features {unknown[0]!r} is not one of {', '.join(known)}",
            hint="one or several, as in --features model,pixels",
        )
    return [known[kind] for kind in kinds]


def read_shots(text: str, *, name: str) -> list[int]:
    """`10,1,5` -> [1, 5, 10]."""
    return sorted({parse_count(part, name=name) for part in text.split(",")})
