"""Default names of artifacts that are made from a checkpoint."""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.runs import Run, run_of
from vitctl.artifacts.store import slug
from vitctl.errors import VitctlError
from vitctl.recipes.branching import trained_with
from vitctl.settings.trees import at


def name_of(checkpoint: Artifact) -> str:
    """The name that what is made of a checkpoint inherits: that of its run, given with --name or
    made of its model, without the length that a cooldown adds. Of a checkpoint that lies in no run,
    its model's."""
    cfg = trained_with(checkpoint)
    run = _run_of(checkpoint)
    if run is None:
        return slug(cfg.label, default="run")
    name = run.info.name
    if run.info.stage == "cooldown":
        steps = at(run.info.config, "schedule.total_steps")
        name = name.removesuffix(f"-{steps}")
    return name or slug(cfg.label, default="run")


def cooled_name(name: str, *, steps: int) -> str:
    """What a cooldown that ends at this step is called."""
    return f"{name}-{steps}"


def _run_of(checkpoint: Artifact) -> Run | None:
    """Its run; None also where it cannot be read, as by a process on another machine."""
    try:
        return run_of(checkpoint)
    except VitctlError:
        return None
