"""The configuration of a study -> the settings its mathematics takes."""

from __future__ import annotations

from vitctl.errors import UsageError
from vitctl.scaling.config import BoundsConfig, ScalingConfig
from vitctl.scaling.fit import Bounds
from vitctl.scaling.laws import CEILING
from vitctl.scaling.points import Points
from vitctl.scaling.published import by_columns
from vitctl.scaling.seeds import Seeds
from vitctl.scaling.solver import Objective
from vitctl.scaling.study import StudySettings
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest


def settings(cfg: ScalingConfig, points: Points, *, seeds: Seeds | None = None) -> StudySettings:
    """Raises UsageError for a pair of models that the points don't have. `seeds` give the noise
    where the configuration does not."""
    noise = cfg.noise if cfg.noise is not None or seeds is None else seeds.known
    law, ceiling = cfg.law, CEILING[points.measure]
    if ceiling is not None:
        _at_most(ceiling, noise=cfg.noise, c_min=law.bounds.c_min, c_max=law.bounds.c_max)
    return StudySettings(
        form=law.form,
        rule=law.frontier,
        objective=Objective(space=law.space, huber=law.huber),
        bounds=_bounds(law.bounds, ceiling=ceiling),
        level=cfg.level,
        draws=cfg.draws,
        seed=cfg.seed,
        resampling=cfg.resampling,
        noise=noise,
        budgets=cfg.budgets,
        below=cfg.below,
        pairs=None if cfg.compare is None else tuple(_pair(text, points) for text in cfg.compare),
        metric="error" if cfg.columns.accuracy is None else "accuracy",
    )


def resolve_against(cfg: ScalingConfig) -> str:
    """The name of the published law to compare with, or `none`."""
    if cfg.columns.unit == "none":
        if cfg.against not in ("auto", "none"):
            raise UsageError(
                f"{cfg.against} is a law of an error rate, and --unit none makes the column a loss",
                hint="leave out --against",
            )
        return "none"
    if cfg.against != "auto":
        return cfg.against
    columns = cfg.columns
    return by_columns(compute=columns.compute or "", metric=columns.metric or "") or "none"


def loss_bounds(config: BoundsConfig) -> BoundsConfig:
    """Bounds of a loss: without a ceiling of c, unless the settings have one."""
    if "c_max" in config.model_fields_set:
        return config
    return config.model_copy(update={"c_max": None})


def _at_most(ceiling: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and value > ceiling:
            raise UsageError(
                f"{name} is {value:g}, and errors are fractions of at most {ceiling:g}",
                hint="give it as a fraction: 0.5 % is 0.005; for a loss say --unit none",
            )


def _bounds(config: BoundsConfig, *, ceiling: float | None) -> Bounds:
    return Bounds(
        a=(config.a_min, config.a_max),
        b=(config.b_min, config.b_max),
        c=(config.c_min, ceiling if config.c_max is None else config.c_max),
        d=(config.d_min, config.d_max),
    )


def _pair(text: str, points: Points) -> tuple[str, str]:
    one, colon, other = text.partition(":")
    if not colon or not one or not other:
        raise UsageError(
            f"--compare {quoted(text)} is not a pair of models", hint="as in --compare Ti/16:L/16"
        )
    if points.model is None:
        raise UsageError(
            "--compare needs model names, and the table has no column for them",
            hint="name it: --set columns.model=COLUMN",
        )
    for name in (one, other):
        if name not in points.models:
            raise UsageError(
                f"--compare {quoted(text)}: the table has no model {quoted(name)}",
                hint=suggest(
                    name,
                    points.models,
                    otherwise=f"it has {', '.join(points.models)}",
                    count=3,
                    cutoff=0.3,
                ),
            )
    return one, other
