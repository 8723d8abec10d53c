"""A store with a study in it: models of two sizes, cooled down at several lengths and probed. Only
what is recorded of them, nothing trained."""

from __future__ import annotations

import json
from typing import Any

from tests import made
from tests.artifacts.making import checkpoint_summary, dataset_summary
from tests.artifacts.making import recipe as recipe_of
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.provenance import now
from vitctl.train.config import TrainConfig

BATCH = 64
LENGTHS = (100, 200, 400, 800, 1600, 3200)
WIDTHS = {"tiny": 16, "wide": 32}
EXAMPLES = 20_000


def law(name: str, images: float) -> float:
    """The true errors: the wide model is better from about 20k images on."""
    a, b, c = {"tiny": (4.0, 0.3, 0.3), "wide": (40.0, 0.5, 0.2)}[name]
    return a * images**-b + c


def config(name: str, **changes: Any) -> TrainConfig:
    model = {"width": WIDTHS[name], "mlp_dim": 2 * WIDTHS[name]}
    data = {"batch": BATCH, "mock": None, "eval_split": "val"}
    return made.config(name=name, model=model, data=data, **changes)


def photos(store: Store, *, examples: int = EXAMPLES) -> Artifact:
    """A dataset of which only the summary is read."""
    with store.open(recipe_of(examples=examples), name="photos") as draft:
        if draft.finished is not None:
            return draft.finished
        (draft.path / "name.txt").write_text("photos")
        return draft.publish(summary=dataset_summary({"train": examples, "val": 100}))


def trained(
    store: Store,
    name: str,
    steps: int,
    *,
    data: Artifact,
    cooled: bool = True,
    summary: dict[str, Any] | None = None,
    rate: float | None = None,
    **changes: Any,
) -> Artifact:
    """A run of its own for every length; `rate` are images/s that it logged on one CPU device, and
    `changes` are settings."""
    cfg = config(name, **changes)
    identity = cfg.identity() | {"note": steps}
    recipe = Recipe(
        stage="cooldown",
        version=1,
        kind="run",
        config=identity,
        parents=(data.as_parent("data"),),
    )
    with store.open_run(recipe, name=name) as run:
        runtime = {"devices": 1, "platform": "cpu", "device_kind": "cpu"}
        run.begin(from_step=0, runtime=runtime)
        if rate is not None:
            rows = [
                {"kind": "train", "step": step, "loss": 1.0, "images_per_second": rate * factor}
                for step, factor in ((1, 0.1), (2, 1.0), (3, 1.0), (4, 1.0))
            ]
            run.metrics.write_atomic("".join(json.dumps(row) + "\n" for row in rows).encode())
        place = run.empty_place(steps)
        (place / "position.json").write_text("{}")
        recorded = checkpoint_summary(
            steps, images=steps * BATCH, model=name, finished_schedule=cooled, **(summary or {})
        )
        return run.publish(steps, summary=recorded, started=now())


def probed(store: Store, checkpoint: Artifact, error: float, *, data: Artifact) -> Artifact:
    """A probe of 5 and 10 shots, the former ten points worse."""
    parents = (checkpoint.as_parent("from"), data.as_parent("data"))
    shots = [
        {
            "shots": count,
            "accuracy_mean": 1.0 - error - worse,
            "accuracy_std": None,
            "interval": None,
            "test_interval": [0.0, 1.0],
            "draws": 1,
        }
        for count, worse in ((5, 0.1), (10, 0.0))
    ]
    with store.open(recipe_of("fewshot", "fewshot", parents=parents), name="probe") as draft:
        (draft.path / "results.json").write_text("{}")
        return draft.publish(
            summary={
                "model": "tiny",
                "step": 1,
                "cooled": True,
                "features": "model",
                "dataset": "photos",
                "split": "val",
                "classes": 2,
                "seen": "all",
                "examples": 100,
                "l2": 1.0,
                "shots": shots,
            }
        )


def study(store: Store, *, lengths: tuple[int, ...] = LENGTHS, rate: float | None = None) -> None:
    """Both models at every length; `rate` of the tiny one alone."""
    data = photos(store)
    for name in WIDTHS:
        for steps in lengths:
            logged = rate if name == "tiny" else None
            checkpoint = trained(store, name, steps, data=data, rate=logged)
            probed(store, checkpoint, law(name, steps * BATCH), data=data)
