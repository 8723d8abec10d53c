"""The paper's points, from the example that users get."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vitctl.scaling.points import Points

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "scaling"


@pytest.fixture(scope="session")
def paper() -> Callable[..., Points]:
    """(metric, file) -> all runs; errors as fractions, as exact as the decimals of the table."""

    def read(metric: str = "inet10", file: str = "paper_fewshot.csv") -> Points:
        rows = list(csv.DictReader((FOLDER / file).read_text().splitlines()))
        values = np.array([float(row[metric]) for row in rows])
        error = values / 100 if "error" in metric else 1 - values / 100
        return Points(
            compute=np.array([float(row["tpuv3_core_days"]) for row in rows]),
            error=np.round(error, 12),
            row=np.arange(1, len(rows) + 1),
            model=np.array([row["model"] for row in rows]),
            data_size=np.array([float(row["data_size"]) for row in rows]),
            images=np.array([float(row["images_seen"]) for row in rows]),
        )

    return read
