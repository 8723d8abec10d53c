"""The demo's final table, read from the artifacts whose paths the two files list."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vitctl.artifacts import Artifact

ROWS = {"model": "ViT, pretrained", "pixels": "raw pixels", "untrained": "ViT, untrained"}


def read(listing: str) -> list[Artifact]:
    return [Artifact.load(line) for line in Path(listing).read_text().splitlines()]


def cell(row: dict[str, Any]) -> str:
    mean = f"{row['accuracy_mean']:.1%}"
    low, high = row["interval"]
    return f"{mean} ± {(high - low) / 2:.1%}"


def rows(probes: list[Artifact]) -> Iterator[tuple[str, ...]]:
    """A row a probe, by classes and features. The baselines don't know of cooldowns: the probes of
    several models hold them several times, with the same numbers."""
    for seen, classes in (("all", "0-5 (seen)"), ("none", "6-9 (held out)")):
        for features, name in ROWS.items():
            found = [
                probe.summary
                for probe in probes
                if (probe.summary["seen"], probe.summary["features"]) == (seen, features)
            ]
            for summary in found if features == "model" else found[:1]:
                cooled = f"to step {summary['step']}" if features == "model" else ""
                yield classes, name, cooled, *(cell(row) for row in summary["shots"])


def main(probes: str, evaluation: str) -> None:
    table = Table(
        title="Accuracy on held-out images of scikit-learn's digits", title_justify="left"
    )
    for heading in ("classes", "features", "cooldown", "1 shot", "5 shots", "10 shots"):
        table.add_column(heading, justify="right" if "shot" in heading else "left")
    for row in rows(read(probes)):
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(table)
    (scored,) = read(evaluation)
    low, high = scored.summary["top1_interval"]
    console.print(
        f"Fine-tuned on all ten digits: {scored.summary['top1']:.1%} of "
        f"{scored.summary['examples']} held-out images right "
        f"(95 % interval {low:.1%} to {high:.1%})."
    )
    console.print("± is the 95 % interval of the mean over 10 draws of the shots.")


if __name__ == "__main__":
    main(*sys.argv[1:])
