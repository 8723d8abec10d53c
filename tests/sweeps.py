"""Sweeps for tests of what reads them: tables that follow a law, published without training."""

from __future__ import annotations

from typing import Any

from tests.artifacts.making import recipe
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.kinds.sweep import TABLE, SweepTable


def row(model: str, data_size: int, images: int, flops: float, **changes: Any) -> dict[str, Any]:
    """A run whose accuracy follows 1 - (0.6 (C/1e9 + 0.5)^-0.3 + 0.1)."""
    top1 = round(0.9 - 0.6 * (flops / 1e9 + 0.5) ** -0.3, 6)
    return {
        "model": model,
        "data_size": data_size,
        "axes": {},
        "seed": 0,
        "steps": images // 10,
        "trunk_steps": images // 10 - 2,
        "cooldown_steps": 2,
        "images_seen": images,
        "epochs": images / data_size,
        "batch": 10,
        "resolution": 16,
        "lr": 0.01,
        "parameters": 1000,
        "flops": flops,
        "device_seconds": 2.5,
        "core_days": 1e-9,
        "core_days_basis": "estimated",
        "metrics": {
            "top1": {"value": top1, "interval": [top1 - 0.02, top1 + 0.02]},
            "loss": {"value": 2 - top1, "interval": None},
        },
        "dataset": "1" * 64,
        "trunk": "2" * 64,
        "checkpoint": "3" * 64,
        "probes": ["4" * 64],
        "failure": None,
        **changes,
    }


def rows() -> list[dict[str, Any]]:
    """Two models, two sizes, four durations."""
    return [
        row(model, size, images, cost * images)
        for model, cost in (("one", 1e6), ("two", 8e6))
        for size in (100, 1000)
        for images in (400, 1600, 6400, 25600)
    ]


FAILED = {"metrics": {}, "checkpoint": None, "probes": [], "failure": "the loss is NaN"}
"""What a row of a run that diverged has in place of results."""


def summary(table: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "rows": table or rows(),
        "metrics": ["top1", "loss"],
        "accuracy": "top1",
        "rates": [],
        "part": None,
        "flops": 1e12,
        "flops_apart": 2e12,
        **changes,
    }


def sweep(store: Store, recorded: dict[str, Any] | None = None, *, name: str = "grid") -> Artifact:
    """A finished sweep."""
    recorded = recorded or summary()
    with store.open(recipe("sweep", "sweep", rows=recorded), name=name) as draft:
        draft.write(TABLE, json_bytes(SweepTable.model_validate(recorded).table()))
        return draft.publish(summary=recorded)
