"""How `vitctl scaling fit` works: table -> points -> study -> artifact."""

from __future__ import annotations

from stages.scaling.analysis import name_of, parent_of, resolve_config, say_guesses, study_table
from stages.scaling.fit.announce import announce
from stages.scaling.fit.spec import REPORT, RESIDUALS, VERSION, Inputs
from vitctl.artifacts import Artifact, Recipe, Store, crew
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import SCALING_FIT
from vitctl.artifacts.store import slug
from vitctl.events import Emit, silent
from vitctl.scaling.config import ScalingConfig
from vitctl.stage import Runtime
from vitctl.text.delimited import csv_text
from vitctl.text.tables import read_table


def run(
    cfg: ScalingConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: Runtime,
    emit: Emit = silent,
) -> Artifact:
    """Study the table and return the fit: the finished one of this recipe, or a new one."""
    # ---- Table and recipe
    table = read_table(inputs.table)
    given, cfg = cfg, resolve_config(cfg, table)
    say_guesses(given, cfg, table, emit=emit)
    recipe = Recipe(
        stage="scaling-fit",
        version=VERSION,
        kind=SCALING_FIT.name,
        config=cfg.model_dump(mode="json"),
        parents=(parent_of(table, inputs.sweep),),
    )
    stem = name_of(table, inputs.sweep)
    name = runtime.name or slug(f"{stem}-{cfg.columns.metric}", default="table")
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        if draft.finished is None:
            # ---- Study it
            report = study_table(cfg, table, emit=emit)
            whole = report.as_json()
            summary = {key: value for key, value in whole.items() if key != "band"}

            # ---- Publish it
            (draft.path / REPORT).write_atomic(json_bytes(whole))
            (draft.path / RESIDUALS).write_atomic(csv_text(summary["residuals"]).encode())
            artifact = draft.publish(summary=summary)
        else:
            artifact = draft.finished
    announce(SCALING_FIT.summary(artifact), emit=emit)
    emit(following(artifact))
    return artifact
