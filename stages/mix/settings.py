"""What a user gives -> the settings and inputs of `vitctl mix`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from stages.mix.spec import Inputs, MixConfig
from stages.mix.weights import positive, split_weight
from vitctl.artifacts import Artifact
from vitctl.errors import UsageError
from vitctl.settings.overrides import Overrides
from vitctl.text.quantities import counted, plural

Weighted = tuple[str, Fraction | None]
"""How a dataset is named, and its weight, if it has one."""


def written(texts: Sequence[str]) -> list[Weighted]:
    """The datasets of `photos=0.7 drawings=0.3`."""
    return [split_weight(text) for text in texts]


def weighted(names: Sequence[str], weights: Sequence[float | str] | None) -> list[Weighted]:
    """Datasets, and their weights as they are written, not as they are stored in binary: 0.7 is
    7/10. UsageError unless each has one, or none."""
    if weights is None:
        return [(name, None) for name in names]
    if len(weights) != len(names):
        raise UsageError(
            f"{counted(len(names), 'dataset has', 'datasets have')} "
            f"{plural(len(weights), 'weight')}"
        )
    fractions = [positive(Fraction(str(weight)), str(weight)) for weight in weights]
    return list(zip(names, fractions, strict=True))


def resolve(
    overrides: Overrides, named: Sequence[Weighted], dataset: Callable[[str], Artifact]
) -> tuple[MixConfig, Inputs]:
    """`dataset` looks a name up, once the settings and weights are known to make sense.

    Raises UsageError where some have a weight and others have none.
    """
    cfg = overrides.build(MixConfig, {})
    weights = tuple(weight for _, weight in named if weight is not None)
    if weights and len(weights) < len(named):
        bare = next(name for name, weight in named if weight is None)
        raise UsageError(
            f"{bare} has no weight, and others have one", hint=f"give it one, too: {bare}=0.5"
        )
    datasets = tuple(dataset(name) for name, _ in named)
    return cfg, Inputs(datasets, weights or None)
