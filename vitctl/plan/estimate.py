"""Costs of a step in closed form: for pruning a search, and where nothing can be compiled.

Counted by hand for a block of our transformer: matrix products exactly, memory traffic as reads and
writes of the arrays that a fused program cannot avoid. Against programs that were compiled (v3,
the paper's models) FLOPs come out within 5 %, bytes within a factor of two: an estimate.
"""

from __future__ import annotations

from typing import assert_never

from vitctl.hardware.tpus import Hardware
from vitctl.model import accounting
from vitctl.model.config import ModelConfig
from vitctl.model.remat import Remat
from vitctl.optim import frozen
from vitctl.optim.config import OptimConfig
from vitctl.plan.cost import Cost
from vitctl.plan.program import StepPlan
from vitctl.sharding.spec import MeshSpec
from vitctl.train.config import TrainConfig
from vitctl.train.program import footprint

_FLOAT, _HALF = 4, 2


def step_flops(model: ModelConfig, optim: OptimConfig, *, remat: Remat) -> float:
    """FLOPs of an image's forward and backward pass: matrix products only, heads included.

    Backward is two products a product; below the lowest parameter that is trained there is none.
    """
    trained = frozen.trained_layers(model, optim)
    whole = accounting.backward_flops(model, tokens=model.sequence)
    backward = accounting.backward_flops(model, tokens=model.sequence, trained=trained)
    passed = model.depth
    if trained is not None:
        passed = accounting.passed_blocks(trained, depth=model.depth)
    recomputed = passed * recomputed_flops(model, remat=remat)
    return 3 * accounting.forward_flops(model) - whole + backward + recomputed


def recomputed_flops(model: ModelConfig, *, remat: Remat) -> float:
    """FLOPs that the backward pass repeats of a block: of "full" all products but the last one,
    which no gradient needs; of "mlp" those of attention; of "dots" queries times keys."""
    d, f, n = model.width, model.mlp_dim, model.sequence
    scores, projections = 2 * n * n * d, 8 * n * d * d
    up = (model.mlp_kernels - 1) * 2 * n * d * f
    match remat:
        case "none":
            return 0
        case "dots":
            return scores
        case "mlp":
            return 2 * scores + projections
        case "full":
            return 2 * scores + projections + up
        case _:
            assert_never(remat)


def step_bytes(
    model: ModelConfig, *, dtype_bytes: int, remat: Remat, fused_attention: bool = False
) -> float:
    """Bytes an image's passes read and write: every array of a block once written and once read
    forward, and twice as many backward; what is kept for the backward pass once more, as the scan
    over layers stacks it. Fused attention, which this project's step has not, writes no weights."""
    d, f, n, kernels = model.width, model.mlp_dim, model.sequence, model.mlp_kernels
    block = 8 * n * d * d + 4 * n * n * d + 2 * kernels * n * d * f
    again = recomputed_flops(model, remat=remat) / block
    stream = n * (9 * d + kernels * f) * dtype_bytes
    attention = 0 if fused_attention else model.heads * n * n * (_FLOAT + dtype_bytes)
    saved_bytes = footprint.kept_bytes(model, dtype_bytes=dtype_bytes, remat=remat)
    return model.depth * 2 * ((3 + again) * (stream + attention) + saved_bytes)


def update_bytes(cfg: TrainConfig, *, spec: MeshSpec) -> float:
    """Bytes that the update reads and writes on one device: weights, gradients, and what the
    optimizer keeps, as its state's shapes and types tell."""
    needed = footprint.need(cfg, spec=spec, remat="none")
    # Of the part that this device updates, in fp32.
    weights = footprint.updated_bytes(cfg, spec=spec)
    return 2 * (weights + needed.gradients + needed.optimizer)


def update_flops(optim: OptimConfig) -> float:
    """FLOPs of an update's matrix products: none, where an optimizer works element by element."""
    match optim.name:
        case "adafactor" | "adam" | "sgd":
            return 0.0
        case _:
            assert_never(optim.name)


def link_bytes(model: ModelConfig, plan: StepPlan, *, images: float, dtype_bytes: int) -> float:
    """Bytes a device sends: gradients summed over the data axis in fp32, weights gathered where
    they are divided, and, with a tensor axis, two sums of activations a block and pass."""
    parameters = accounting.parameters(model).total
    spec = plan.mesh
    assert spec.data is not None  # resolved
    shards = spec.data * spec.fsdp
    own = parameters / spec.tensor
    sums = 2 * (shards - 1) / shards * own * _FLOAT
    gathers = 2 * (spec.fsdp - 1) / spec.fsdp * own * dtype_bytes
    passes = images * model.depth * model.sequence * model.width * dtype_bytes * 2 * 2
    activations = 2 * (spec.tensor - 1) / spec.tensor * passes
    return sums + gathers + activations


def network_bytes(model: ModelConfig, plan: StepPlan, *, dtype_bytes: int, node: int) -> float:
    """Bytes a GPU sends to other machines of `node` GPUs, each of which passes its part on: of the
    sums of gradients, and of gathered weights and sums of activations that reach beyond a machine.

    A collective over machines costs a machine what one over so many devices would; its GPUs share
    that, as rings and trees of NCCL through every adapter do.
    """
    parameters = accounting.parameters(model).total
    spec = plan.mesh
    inside = min(node, spec.devices)
    machines = spec.devices / inside
    sums = 2 * (1 - 1 / machines) * parameters * _FLOAT
    divided = max(1.0, spec.fsdp * spec.tensor / inside)
    gathers = 2 * (1 - 1 / divided) * parameters * dtype_bytes
    return (sums + gathers) / inside


def estimate(
    cfg: TrainConfig,
    plan: StepPlan,
    *,
    hardware: Hardware,
    devices: int,
    fused_attention: bool = False,
) -> Cost:
    """The cost of a step, nothing compiled."""
    model, spec = cfg.model, plan.mesh
    images = cfg.data.batch / spec.batch_shards
    dtype_bytes = _HALF if cfg.precision == "bfloat16" else _FLOAT
    flops = images * step_flops(model, cfg.optim, remat=plan.remat) / spec.tensor
    flops += update_flops(cfg.optim)
    accessed = images * step_bytes(
        model, dtype_bytes=dtype_bytes, remat=plan.remat, fused_attention=fused_attention
    )
    accessed = accessed / spec.tensor + update_bytes(cfg, spec=spec)
    links = 0.0
    if devices > 1 and hardware.link_bandwidth is not None:
        sent = link_bytes(model, plan, images=images, dtype_bytes=dtype_bytes)
        links = sent / (hardware.links * hardware.link_bandwidth)
        if hardware.node is not None and hardware.network is not None:
            # A ring is as fast as its slowest link: both are busy at the same time.
            crossing = network_bytes(model, plan, dtype_bytes=dtype_bytes, node=hardware.node)
            links = max(links, crossing / hardware.network)
    return Cost(
        flops=flops,
        bytes=accessed,
        cycle_seconds=None,
        compute_seconds=flops / hardware.flops,
        memory_seconds=accessed / hardware.bandwidth,
        link_seconds=links,
    )
