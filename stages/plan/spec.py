"""What `vitctl plan` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import PositiveFloat, PositiveInt

from vitctl.plan.topology import Topology
from vitctl.settings.config import Config


class PlanRuntime(Config):
    """How a run is meant to work, and what it costs.

    Attributes:
      mesh: as pretrain takes it; None lets plan choose.
      remat: what the backward pass recomputes; None lets plan choose.
      microbatch: images a device at a time; None all at once.
      search: look for the fastest mesh, recomputation and, up to `largest_batch`, batch.
      largest_batch: that a search may take; None: the batch is fixed.
      max_compiles: at most so many programs are compiled.
      price: of a device for an hour.
      watts: that a device draws.
      gpus_per_node: GPUs of a machine; None as NVIDIA builds them.
      network: Gbit/s of each GPU between machines; None as NVIDIA builds them.
    """

    mesh: str | None = None
    remat: str | None = None
    microbatch: PositiveInt | None = None
    search: bool = False
    largest_batch: PositiveInt | None = None
    max_compiles: PositiveInt = 6
    price: PositiveFloat | None = None
    watts: PositiveFloat | None = None
    gpus_per_node: PositiveInt | None = None
    network: PositiveFloat | None = None


@dataclass(frozen=True)
class Inputs:
    """What it runs on, None being the devices of this machine; and the step that it goes on from,
    before which nothing is to be done."""

    topology: Topology | None
    from_step: int = 0
