"""`v3:32x32` -> a slice of chips, and its devices as jax objects; `h100:8` -> GPUs."""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from vitctl.errors import UsageError
from vitctl.hardware import accelerators, machine
from vitctl.hardware.gpus import GBIT, GPUS, USABLE, gpu_named, gpu_of
from vitctl.hardware.tpus import TPUS, Hardware, by_kind
from vitctl.text.quantities import plural
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest

LOCAL = "local"

_HOST = (2, 2, 1)
"""Chips of a host along each axis, by which libtpu divides a slice."""


@dataclass(frozen=True)
class Topology:
    """Chips in a torus, or GPUs, or the devices of this machine (`shape` is then empty).

    Attributes:
      hardware: None if the table has no row for it.
      devices: so many, as jax counts them.
    """

    name: str
    shape: tuple[int, ...]
    devices: int
    hardware: Hardware | None

    @property
    def is_gpus(self) -> bool:
        """Whether these are GPUs of a kind that is known."""
        return self.hardware is not None and self.hardware.node is not None

    @property
    def nodes(self) -> int:
        """Machines that GPUs stand in: 1 where that makes no difference."""
        node = None if self.hardware is None else self.hardware.node
        return 1 if node is None else -(-self.devices // node)

    @property
    def memory(self) -> int | None:
        """Bytes of a device that a program may use; None if unknown."""
        if self.hardware is None or self.hardware.memory is None:
            return None
        return int(self.hardware.memory * USABLE) if self.is_gpus else self.hardware.memory


def parse(text: str) -> Topology:
    """`CHIP:AxB` or `CHIP:AxBxC`, in chips, or a name that a cloud has for a slice, as `v4-32`; or
    GPUs, as `h100:8`, `8xA100` or the name of a machine. Needs no libtpu.

    >>> parse("v3:32x32").devices
    2048
    >>> parse("v4-32").name
    'v4:2x2x4'
    >>> parse("a3-highgpu-8g").name
    '8 x H100'

    Raises:
      UsageError: no such chip (with the nearest names), or no such shape of it.
    """
    if (named := accelerators.tpu_slice(text)) is not None:
        return _slice(text, *named)
    if accelerators.gpus(text) is not None:
        return gpus(text)
    # Ray and GKE put a dash before a shape, too.
    dashed = re.sub(r"-(?=\d+x\d)", ":", text.strip().lower())
    name, colon, sizes = dashed.partition(":")
    name = accelerators.ALIASES.get(name, name)
    if name not in TPUS:
        raise _unknown(text, name)
    chip = TPUS[name]
    example = "x".join(["4"] * chip.axes)
    if not colon or not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})*", sizes):
        raise UsageError(
            f"topology {quoted(text)} has no shape",
            hint=f"give it in chips, as in {name}:{example}",
        )
    shape = tuple(int(size) for size in sizes.split("x"))
    if len(shape) == 2 and chip.axes == 3:
        shape = (*shape, 1)
    if len(shape) != chip.axes:
        raise UsageError(
            f"topology {quoted(text)}: the chips of a {name} lie in {chip.axes} dimensions",
            hint=f"as in {name}:{example}",
        )
    hosts = _HOST[: chip.axes]
    single = math.prod(shape) == 1
    if not single and any(size % host for size, host in zip(shape, hosts, strict=True)):
        rounded = "x".join(
            str(-(-size // host) * host) for size, host in zip(shape, hosts, strict=True)
        )
        raise UsageError(
            f"topology {quoted(text)} does not divide into hosts of {'x'.join(map(str, hosts))} "
            "chips",
            hint=f"take {name}:{rounded}",
        )
    chips = math.prod(shape)
    if chips > chip.largest:
        raise UsageError(
            f"topology {quoted(text)} has {chips:,} chips, and the largest slice of {name} has "
            f"{chip.largest:,}",
            hint="plan one slice with its part of the batch: several exchange gradients over the "
            "network between them, which is not in this count",
        )
    return _of_shape(chip, shape)


def gpus(text: str, *, option: str = "--topology") -> Topology:
    """The GPUs of `h100:8`, `8xA100` or the name of a machine. UsageError for unknown ones."""
    named = accelerators.gpus(text)
    if named is not None and named.count < 1:
        raise UsageError(
            f"{option} {quoted(text[:40])} is no GPU at all",
            hint=f"one or more, as in {named.kind}:8",
        )
    if (counted := _machines(text, option=option)) is not None:
        raise counted
    known = f"known are {', '.join(GPUS)}"
    if named is None:
        bare = text.strip().upper().split(":")[0]
        otherwise = f"write h100:8, 8xA100 or a3-highgpu-8g; {known}"
        if (unclear := accelerators.unclear(text)) is not None:
            raise UsageError(f"{option} {quoted(text[:40])} {unclear.reason}", hint=unclear.hint)
        raise UsageError(
            f"{option} {quoted(text[:40])} names no GPUs",
            hint=suggest(bare, GPUS, otherwise=otherwise),
        )
    row = gpu_named(named.kind)
    if row is None:
        raise _without_peak(text, named.kind, option=option)
    return Topology(f"{named.count} x {row.kind}", (), named.count, row)


def in_machines(
    target: Topology, *, gpus_per_node: int | None = None, network: float | None = None
) -> Topology:
    """GPUs as they stand in machines: so many in each, with so many Gbit/s of each between them;
    None: as NVIDIA builds them.

    Raises UsageError for what are no GPUs of another machine, for machines that are not full, and
    where several machines have a network that nobody stated.
    """
    given = {"--gpus-per-node": gpus_per_node, "--network": network}
    options = [option for option, value in given.items() if value is not None]
    row = target.hardware
    if row is None or not target.is_gpus:
        if options:
            verb, those = ("describes", "it") if len(options) == 1 else ("describe", "them")
            raise UsageError(
                f"{' and '.join(options)} {verb} machines of GPUs, and {target.name} has none",
                hint=f"leave {those} out, or name GPUs, as in --topology h100:32",
            )
        return target
    row = replace(
        row,
        node=gpus_per_node or row.node,
        network=row.network if network is None else network * GBIT,
    )
    described = replace(target, hardware=row)
    assert row.node is not None  # of GPUs
    if described.nodes > 1 and target.devices % row.node:
        fits = max(n for n in range(1, row.node + 1) if target.devices % n == 0)
        raise UsageError(
            f"{target.name} do not fill machines of {row.node}",
            hint=f"take {target.devices // row.node * row.node} of them, or --gpus-per-node {fits}",
        )
    if described.nodes > 1 and row.network is None:
        raise UsageError(
            f"{target.name} stand in {described.nodes} machines of {row.node}, and no network "
            "between machines is known of them",
            hint="--network 100 says 100 Gbit/s a GPU; or name GPUs of one machine",
        )
    return described


def _of_shape(chip: Hardware, shape: tuple[int, ...]) -> Topology:
    devices = math.prod(shape) * chip.devices_per_chip
    return Topology(f"{chip.name}:{'x'.join(map(str, shape))}", shape, devices, chip)


def _slice(text: str, chip: Hardware, chips: float) -> Topology:
    """The slice of so many chips that the vendor sells; UsageError, with the nearest, if none."""
    shape = accelerators.box(chip, chips)
    if shape is not None:
        return _of_shape(chip, shape)
    sold = accelerators.sizes(chip)
    near = [size for size in sold if size < chips][-1:] + [size for size in sold if size > chips][
        :1
    ]
    named = [
        f"{chip.name}-{accelerators.number_of(chip, size)} "
        f"({_of_shape(chip, accelerators.box(chip, size) or ()).name})"
        for size in near
    ]
    raise UsageError(
        f"there is no slice {quoted(text)}: none of {chip.name} has {chips:,g} chips",
        hint=f"take {' or '.join(named)}, or give the shape in chips",
    )


_OLD = "v2"


def _unknown(text: str, name: str) -> UsageError:
    """Why `name` is no chip to plan for, and what to do."""
    if name.split("-")[0].split(":")[0] == _OLD:
        return UsageError(
            f"--topology {quoted(text)}: libtpu compiles no program for a TPU {_OLD} any more",
            hint="the nearest that can be planned for is v3, as in v3-8 (v3:2x2)",
        )
    if (counted := _machines(text, option="topology")) is not None:
        return counted
    if (unclear := accelerators.unclear(text)) is not None:
        return UsageError(f"topology {quoted(text[:40])} {unclear.reason}", hint=unclear.hint)
    chip = re.split(r"[-:]", name)[0]
    gpu = accelerators.gpus(chip)
    if gpu is not None and gpu_named(gpu.kind) is not None:
        return UsageError(
            f"topology {quoted(text[:40])} has no number of GPUs that there could be",
            hint=f"write it after the colon, as in {chip}:8",
        )
    return UsageError(
        f"there is no topology {quoted(text)}: unknown chip {quoted(chip)}",
        hint=suggest(
            chip,
            [*TPUS, *accelerators.ALIASES, *map(str.lower, GPUS), LOCAL],
            otherwise=f"chips are {', '.join(TPUS)}, as in v3:32x32 or v4-32; GPUs are written "
            "h100:8; or take local",
            cutoff=0.5,
        ),
    )


def _machines(text: str, *, option: str) -> UsageError | None:
    """Of machines times the GPUs of each; None for what is no such name."""
    if (total := accelerators.of_all_machines(text)) is not None:
        return UsageError(
            f"{option} {quoted(text[:40])} has two numbers",
            hint=f"give that of all GPUs: {_written(total.kind, total.count or 8)}",
        )
    if (counted := accelerators.machines(text)) is None:
        return None
    each = counted.each
    if gpu_named(each.kind) is None:
        return _without_peak(text, each.kind, option=option)
    several = max(counted.count, 2)
    return UsageError(
        f"{option} {quoted(text[:40])} is a machine of {plural(each.count, 'GPU')} and a number",
        hint=f"one is {_written(each.kind, each.count)}, {several} are "
        f"{_written(each.kind, several * each.count)}",
    )


def _without_peak(text: str, kind: str, *, option: str) -> UsageError:
    return UsageError(
        f"{option} {quoted(text[:40])}: no peak, bandwidth and memory are known of {kind}",
        hint=f"known are {', '.join(GPUS)}; on the machine that has them: --topology local",
    )


def _written(kind: str, count: int) -> str:
    return f"{kind.lower().replace(' ', '-')}:{count}"


def has_libtpu() -> bool:
    """Whether programs for TPUs can be compiled here."""
    import importlib.util

    return importlib.util.find_spec("libtpu") is not None


def absent_devices(topology: Topology) -> Sequence[Any]:
    """The devices of a slice that is not there, in libtpu's order, for compiling. Needs libtpu."""
    prepare()
    from jax.experimental import topologies

    chip = topology.hardware
    assert chip is not None  # a slice has hardware
    options: dict[str, Any] = {"chip_config_name": chip.chip_config} if chip.chip_config else {}
    if math.prod(topology.shape) == 1:
        options["chips_per_host_bounds"] = [1, 1, 1]
    try:
        devices = topologies.get_topology_desc(
            platform="tpu", topology_name=topology.name, **options
        ).devices
    except Exception as error:  # jaxlib raises its own kinds, by version
        first = str(error).strip().splitlines()[0]
        raise UsageError(
            f"libtpu does not know the topology {topology.name}: {first}",
            hint="take a shape the vendor sells, as in v3:32x32 or v5e:16x16",
        ) from None
    assert len(devices) == topology.devices, (len(devices), topology)
    _take_back_sigterm()
    return devices


def _take_back_sigterm() -> None:
    """Let SIGTERM end this process as ever: libtpu prints a page of its stacks first, unless Python
    has a handler (libtpu 0.0.52)."""
    with suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def local() -> tuple[Topology, Sequence[Any]]:
    """The devices of this machine. Imports jax."""
    devices = machine.devices()
    kind = devices[0].device_kind
    hardware = by_kind(kind) or gpu_of(kind)
    return Topology(f"local ({len(devices)} x {kind})", (), len(devices), hardware), devices


def prepare() -> None:
    """Set the environment for compiling for absent TPUs; what the user has set there wins. Must run
    before jax is first used.

    Off a TPU libtpu would ask a metadata server what it runs on, and wait; it holds a lock against
    a second process, which matters only to one that uses a chip; and it complains about the names
    and kinds of hosts that are not there. Programs are only compiled, so jax itself runs on CPU.
    """
    for name, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("ALLOW_MULTIPLE_LIBTPU_LOAD", "1"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
        ("TPU_ACCELERATOR_TYPE", "v3-8"),
        ("JAX_PLATFORMS", "cpu"),
        # jax would keep these programs (35 MB each), and fail to read them back with a warning.
        ("JAX_ENABLE_COMPILATION_CACHE", "0"),
    ):
        os.environ.setdefault(name, value)
