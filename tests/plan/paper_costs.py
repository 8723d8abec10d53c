"""Makes vitctl/plan/paper_costs.json: what the compiler counts for the paper's models on TPU v3.

    python -m tests.plan.paper_costs [MODEL ...]

Two programs a model, 1 to 3 minutes each on two cores; with names only those rows are made again.

The throughputs are the paper's: Figure 2 of https://arxiv.org/abs/2106.04560 (vector graphics)
against Table 4 gives core-days a million steps of 4096 images, the same for all 517 points; images
a second are 4096e6 / (core-days · 86400).

How the paper ran its smaller models is not printed. Assumed: 32 images a core as for g/14 (its
section 3.2), so 128 cores for a batch of 4096; G/14 with 8 (batch 32,768 on 2048 chips); blocks
recomputed where activations would not fit otherwise (g, G); 29,593 classes; bf16.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

from vitctl.model.config import from_name
from vitctl.plan.cost import DEPTHS
from vitctl.plan.program import Program, StepPlan, Target, compile_step
from vitctl.plan.topology import absent_devices, parse, prepare
from vitctl.sharding.spec import MeshSpec
from vitctl.train.config import TrainConfig

FILE = Path(__file__).parents[2] / "vitctl" / "plan" / "paper_costs.json"
STEPS_PER_ROW, BATCH, SECONDS_PER_DAY = 10**6, 4096, 86_400

CORE_DAYS = {
    "s/28": 13.35,
    "S/32": 30.67,
    "s/16": 33.63,
    "Ti/16": 43.11,
    "S/16": 79.26,
    "B/32": 79.55,
    "B/28": 80.45,
    "B/16": 204.58,
    "L/16": 636.09,
    "g/14": 2711.95,
    "G/14": 5501.55,
}
"""TPU v3 core-days for 1M steps of 4096 images."""

SLICES = {"g/14": "v3:16x16", "G/14": "v3:32x32"}
IMAGES = {"G/14": 8}
REMAT = {"g/14": "full", "G/14": "full"}


def images_per_second(model: str) -> float:
    return STEPS_PER_ROW * BATCH / (CORE_DAYS[model] * SECONDS_PER_DAY)


def config(model: str, *, batch: int) -> TrainConfig:
    """The paper's pretraining of a model; lengths do not enter the program."""
    return TrainConfig.model_validate(
        {
            "name": model,
            "recipe": "paper",
            "model": from_name(model, classes=29_593).model_dump(),
            "loss": "sigmoid",
            "data": {"batch": batch},
            "schedule": {
                "peak_lr": 8e-4,
                "warmup_steps": 10_000,
                "timescale_steps": 10_000,
                "total_steps": 1_000_000,
            },
            "precision": "bfloat16",
        }
    )


def step_of(model: str, depth: int) -> Program:
    """The step of the paper's code: weights replicated, so many layers, unrolled."""
    topology = parse(SLICES.get(model, "v3:8x8"))
    target = Target(topology, absent_devices(topology))
    cfg = config(model, batch=IMAGES.get(model, 32) * topology.devices)
    plan = StepPlan(MeshSpec().resolve(devices=topology.devices), REMAT.get(model, "none"))
    return compile_step(cfg, plan, target=target, depth=depth)


def row(model: str) -> dict[str, Any]:
    programs = [step_of(model, depth) for depth in DEPTHS]
    return {
        "model": model,
        "images_per_second": round(images_per_second(model), 2),
        "images_per_device": IMAGES.get(model, 32),
        "topology": SLICES.get(model, "v3:8x8"),
        "remat": REMAT.get(model, "none"),
        "depths": list(DEPTHS),
        "flops": [program.flops for program in programs],
        "bytes": [program.bytes for program in programs],
        "cycles": [program.cycles for program in programs],
        "link_seconds": [program.link_seconds for program in programs],
    }


def main(names: list[str]) -> None:
    prepare()
    models = json.loads(FILE.read_text())["models"] if FILE.exists() else []
    rows = {stored["model"]: stored for stored in models}
    for model in names or CORE_DAYS:
        rows[model] = row(model)
        print(rows[model], flush=True)
    made = {
        "source": "tests/plan/paper_costs.py; throughput: https://arxiv.org/abs/2106.04560 Fig. 2",
        "made": datetime.date.today().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in ("jax", "libtpu")},
        "models": [rows[model] for model in CORE_DAYS if model in rows],
    }
    FILE.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
