"""Programs, memory and rates -> the answer, whose JSON is docs/schemas/plan.schema.json."""

from __future__ import annotations

from collections.abc import Sequence

from stages.plan.spec import PlanRuntime
from vitctl.model import accounting
from vitctl.plan.answer import Answer, Basis, Candidate, Memory, Rate, Search
from vitctl.plan.bill import bill
from vitctl.plan.candidates import Option
from vitctl.plan.search import Searched, Tried
from vitctl.plan.topology import Topology


def answer(
    option: Option,
    *,
    target_topology: Topology,
    held: Memory,
    fits: bool | None,
    rate: Rate,
    basis: Basis,
    runtime: PlanRuntime,
    advice: Sequence[str],
    searched: Search | None,
    candidates: Sequence[Candidate],
) -> Answer:
    cfg = option.cfg
    images = cfg.steps * cfg.data.batch
    return Answer(
        model=cfg.label,
        resolution=cfg.model.resolution,
        classes=cfg.model.classes,
        topology=target_topology.name,
        devices=target_topology.devices,
        precision=cfg.precision,
        batch=cfg.data.batch,
        batch_per_device=cfg.data.batch // option.plan.mesh.batch_shards,
        steps=cfg.steps,
        images=images,
        parameters=accounting.parameters(cfg.model),
        gflops_per_image=accounting.matmul_flops(cfg.model) / 1e9,
        mesh=str(option.plan.mesh),
        remat=option.plan.remat,
        microbatch=option.plan.microbatch,
        basis=basis,
        memory=held,
        fits=fits,
        advice=tuple(advice),
        rate=rate,
        bill=None
        if rate.predicted is None
        else bill(
            images=images,
            images_per_second_per_device=rate.predicted,
            devices=target_topology.devices,
            price=runtime.price,
            watts=runtime.watts,
        ),
        search=searched,
        candidates=tuple(candidates),
    )


def search(searched: Searched, *, counted: int, worth: int) -> Search:
    return Search(
        counted=counted,
        compiled=len(searched.tried),
        too_large=counted - worth + searched.refused,
        slower=searched.slower,
        untried=searched.untried,
    )


def compiled_candidate(tried: Tried) -> Candidate:
    option = tried.option
    return Candidate(
        mesh=str(option.plan.mesh),
        remat=option.plan.remat,
        microbatch=option.plan.microbatch,
        batch=option.cfg.data.batch,
        peak_bytes=tried.program.peak or tried.program.temporaries,
        fits=tried.program.fits,
        images_per_second_per_device=tried.rate,
        basis="compiled",
    )


def counted_candidate(option: Option, *, available: int | None) -> Candidate:
    """Not compiled; its rate is on another scale than a calibrated one, so it has none."""
    return Candidate(
        mesh=str(option.plan.mesh),
        remat=option.plan.remat,
        microbatch=option.plan.microbatch,
        batch=option.cfg.data.batch,
        peak_bytes=option.needed,
        fits=available is None or option.needed <= available,
        images_per_second_per_device=None,
        basis="estimated",
    )
