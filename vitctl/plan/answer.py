"""What `vitctl plan` finds, as one value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from vitctl.model.accounting import Parameters
from vitctl.plan.bill import Bill
from vitctl.plan.calibration import MeasuredOn

Basis = Literal["compiled", "estimated"]


@dataclass(frozen=True)
class Memory:
    """Bytes on one device at the worst moment.

    parameters, optimizer, batch   counted from shapes and how they are divided: exact
    gradients, activations         counted likewise, as far as the program has room for them
    temporaries                    whatever else the program holds: buffers of the compiler, padding
    available                      what a program may use; None if unknown
    """

    parameters: int
    optimizer: int
    batch: int
    gradients: int
    activations: int
    temporaries: int
    available: int | None

    @property
    def peak(self) -> int:
        return (
            self.parameters
            + self.optimizer
            + self.batch
            + self.gradients
            + self.activations
            + self.temporaries
        )


@dataclass(frozen=True)
class Rate:
    """Images a second on one device.

    predicted    what to expect; None if unknown
    low, high    the range that it lies in, where the efficiency is an assumption or an estimate
    roofline     an upper bound: peak FLOPs, memory and links, whichever is slowest
    efficiency   predicted over what the cost alone would give
    assumed      the efficiency was measured on other hardware, or with other programs
    measured     the paper measured this model
    left_out     error of its rate as the paper's other models predict it, a share; of a model that
                 was not measured the largest of those; None for an estimate
    mfu          FLOPs of the model (three forward passes) over peak
    calibration  what the efficiency was measured on; None if there is none
    """

    predicted: float | None
    low: float | None
    high: float | None
    roofline: float | None
    efficiency: float | None
    assumed: bool
    measured: bool
    left_out: float | None
    mfu: float | None
    calibration: MeasuredOn | None = None


@dataclass(frozen=True)
class Candidate:
    """One layout that a search considered."""

    mesh: str
    remat: str
    microbatch: int | None
    batch: int
    peak_bytes: int
    fits: bool
    images_per_second_per_device: float | None
    basis: Basis


@dataclass(frozen=True)
class Search:
    """What a search did with the ways to run that it counted; numbers of them.

    counted     all that divide
    compiled    each a program
    too_large   not compiled: over the memory by the count, or need no less than one refused
    slower      not compiled: slower by the estimate than one that fits, by more than it errs
    untried     would have been compiled, had there been more compiles
    """

    counted: int
    compiled: int
    too_large: int
    slower: int
    untried: int


@dataclass(frozen=True)
class Answer:
    """The answer of `vitctl plan`."""

    model: str
    resolution: int
    classes: int
    topology: str
    devices: int
    precision: str
    batch: int
    batch_per_device: int
    steps: int
    images: int
    parameters: Parameters
    gflops_per_image: float
    mesh: str
    remat: str
    microbatch: int | None
    basis: Basis
    memory: Memory
    fits: bool | None
    advice: tuple[str, ...]
    rate: Rate
    bill: Bill | None
    search: Search | None = None
    candidates: tuple[Candidate, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl plan --json`; docs/schemas/plan.schema.json."""
        return {
            "kind": "plan",
            "summary": {
                "parameters": self.parameters.total,
                "fits": self.fits,
                "peak_bytes_per_device": self.memory.peak,
                "images_per_second_per_device": self.rate.predicted,
                "roofline_images_per_second_per_device": self.rate.roofline,
                "mfu": self.rate.mfu,
                "device_hours": None if self.bill is None else self.bill.device_hours,
                "mesh": self.mesh,
                "remat": self.remat,
            },
            "model": {
                "name": self.model,
                "resolution": self.resolution,
                "classes": self.classes,
                "parameters_backbone": self.parameters.backbone,
                "parameters_with_pooling": self.parameters.features,
                "gflops_per_image": self.gflops_per_image,
            },
            "hardware": {
                "topology": self.topology,
                "devices": self.devices,
                "precision": self.precision,
            },
            "schedule": {
                "steps": self.steps,
                "images": self.images,
                "batch": self.batch,
                "batch_per_device": self.batch_per_device,
                "microbatch": self.microbatch,
            },
            "memory": asdict(self.memory),
            "rate": asdict(self.rate),
            "bill": None if self.bill is None else asdict(self.bill),
            "basis": self.basis,
            "advice": list(self.advice),
            "search": None if self.search is None else asdict(self.search),
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }
