"""What a step needs by shapes, nothing compiled: the count that `pretrain` refuses by."""

from __future__ import annotations

from vitctl.plan.program import Plan
from vitctl.train import memory
from vitctl.train.config import TrainConfig


def need(cfg: TrainConfig, plan: Plan) -> memory.Need:
    """Bytes on one device."""
    return memory.need(cfg, spec=plan.mesh, remat=plan.remat, microbatch=plan.microbatch)
