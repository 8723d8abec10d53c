"""What a step needs by shapes, nothing compiled: the count that `pretrain` refuses by."""

from __future__ import annotations

from dataclasses import replace

from vitctl.plan.program import Plan
from vitctl.train import memory
from vitctl.train import state as states
from vitctl.train.config import TrainConfig


def need(cfg: TrainConfig, plan: Plan) -> memory.Need:
    """Bytes on one device: whole arrays counted, then divided as the mesh divides them.

    Vectors (biases, norms) are on every device whatever the mesh; they are less than 0.1 % of a
    model from S on, so all of a state is taken as divided.
    """
    mesh = plan.mesh
    images = cfg.data.batch // mesh.batch_shards
    whole = memory.need(cfg, state=states.shapes(cfg), images_per_device=images, remat=plan.remat)
    weights = mesh.fsdp * mesh.tensor
    state = weights * mesh.zero
    at_once = images if plan.microbatch is None else plan.microbatch
    return replace(
        whole,
        parameters=whole.parameters // weights,
        optimizer=whole.optimizer // state,
        gradients=whole.gradients // state,
        activations=whole.activations * at_once // (images * mesh.tensor),
    )
