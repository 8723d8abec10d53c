"""What `--compare A B` names -> two few-shot results -> how they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stages.fewshot.comparison import Difference, compare, is_assumed
from stages.fewshot.settings import resolve
from stages.fewshot.spec import FewshotConfig
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.events import Caution, Emit
from vitctl.recipes.measuring import Measured
from vitctl.settings.overrides import Overrides
from vitctl.summaries import Features


def compared(
    first: Artifact,
    second: Artifact,
    *,
    overrides: Overrides,
    features: Sequence[Features] = (),
    dataset: Callable[[Artifact], Artifact | None],
    probe: Callable[[FewshotConfig, Measured], Artifact | None],
    store: Store,
    emit: Emit,
) -> tuple[Artifact, Artifact, list[Difference]] | None:
    """Two results, or checkpoints that are probed first, and their differences.

    Args:
      features: at most one kind, of which both are.
      dataset: the one that was named, else what a checkpoint was trained on.
      probe: does the work; None where only the settings are asked for, which is the answer then.

    Raises UsageError and InputError as `comparison.compare`.
    """
    results: list[Artifact] = []
    for one in (first, second):
        if one.kind == FEWSHOT.name:
            results.append(one)
            continue
        images = dataset(one)
        for cfg in resolve(overrides, one, images, features=features, store=store, emit=emit):
            made = probe(cfg, Measured(one, images))
            results += [] if made is None else [made]
    if len(results) < 2:
        return None
    differences = compare(*results)
    if is_assumed(*results):
        emit(Caution("no record says that both are of the same images in the same order: assumed"))
    return results[0], results[1], differences
