"""`data=4,fsdp=2`: how many devices each axis of the mesh has. Imports no array library."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

from vitctl.errors import UsageError
from vitctl.model.config import ModelConfig
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest

AUTO = "auto"


@dataclass(frozen=True)
class MeshSpec:
    """Devices along each axis; their product is the number of devices.

    Attributes:
      data: each has other images. None: all devices that the other axes leave.
      zero: optimizer state, gradients and the update are divided over so many of the `data`
        devices (ZeRO-2), the weights are whole on each.
      fsdp: each has other images, and its part of every weight and of all that goes with it.
      tensor: attention heads and hidden features of the MLPs are divided; the same images.
    """

    data: int | None = None
    zero: int = 1
    fsdp: int = 1
    tensor: int = 1

    def __str__(self) -> str:
        sizes = {f.name: getattr(self, f.name) for f in fields(self)}
        shown = [
            f"{name}={size}"
            for name, size in sizes.items()
            if size is not None and (name == "data" or size > 1)
        ]
        return ",".join(shown)

    @property
    def batch_shards(self) -> int:
        """Parts that a batch is divided into. `data` must be known."""
        assert self.data is not None  # resolved
        return self.data * self.fsdp

    @property
    def devices(self) -> int:
        return self.batch_shards * self.tensor

    def resolve(self, *, devices: int) -> Self:
        """With `data` filled in for so many devices. UsageError if the axes do not divide them."""
        rest = self.fsdp * self.tensor
        if self.data is None:
            if devices % rest:
                raise UsageError(
                    f"--mesh {self}: {rest} does not divide the {devices} devices",
                    hint=f"take divisors of {devices}, or leave out --mesh",
                )
            filled = type(self)(devices // rest, self.zero, self.fsdp, self.tensor)
            return filled.resolve(devices=devices)
        if self.devices != devices:
            other = devices // rest if devices % rest == 0 else None
            hint = f"data={other}" if other else f"sizes whose product is {devices}"
            raise UsageError(
                f"--mesh {self} is a mesh of {self.devices} devices, but there are {devices}",
                hint=f"take {hint}, or leave out --mesh",
            )
        if self.data % self.zero:
            raise UsageError(
                f"--mesh {self}: zero={self.zero} does not divide data={self.data}",
                hint=f"take a divisor of {self.data}",
            )
        return self

    def check_model(self, model: ModelConfig) -> None:
        """Raise UsageError unless the axes divide what they are to divide of the model."""
        for axis, size, what, count in (
            ("fsdp", self.fsdp, "width", model.width),
            ("zero times fsdp", self.zero * self.fsdp, "width", model.width),
            ("tensor", self.tensor, "number of attention heads", model.heads),
            ("tensor", self.tensor, "number of hidden features", model.mlp_dim),
        ):
            if count % size:
                fits = next(n for n in range(size - 1, 0, -1) if count % n == 0)
                raise UsageError(
                    f"--mesh {self}: {axis} = {size} does not divide the model's {what}, {count}",
                    hint=f"{fits} is the next smaller size that does",
                )

    def check_batch(self, batch: int) -> None:
        """Raise UsageError unless the devices that get other images divide the batch."""
        shards = self.batch_shards
        if batch % shards:
            near = max(1, round(batch / shards)) * shards
            raise UsageError(
                f"a batch of {batch} does not divide over {shards} devices",
                hint=f"use --batch {near}",
            )


def parse(text: str) -> MeshSpec | None:
    """The mesh that `text` describes; None for "auto".

    >>> str(parse("fsdp=2,data=4"))
    'data=4,fsdp=2'

    Raises UsageError for anything but `axis=devices`, divided by commas.
    """
    if text.strip() == AUTO:
        return None
    axes = [f.name for f in fields(MeshSpec)]
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, equals, size = (word.strip() for word in part.partition("="))
        if name not in axes:
            raise UsageError(
                f"--mesh {quoted(text)}: there is no axis {quoted(name)}",
                hint=suggest(name, axes, otherwise=f"axes are {', '.join(axes)}"),
            )
        if name in sizes:
            raise UsageError(f"--mesh {quoted(text)}: {name} is given twice")
        if not equals or not size.isascii() or not size.isdigit() or int(size) < 1:
            raise UsageError(
                f"--mesh {quoted(text)}: {name} needs a number of devices",
                hint="e.g. data=4,fsdp=2",
            )
        sizes[name] = int(size)
    return MeshSpec(**sizes)
