"""What devices send each other, read off a compiled program, and how long links take for it.

Read off the text of the optimized HLO: XLA's cost analysis counts the bytes that a collective
reads and writes in memory, not those on the links.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vitctl.hardware.tpus import Hardware
from vitctl.plan import hlo
from vitctl.text.quoting import quoted

Kind = Literal["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"]

_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4,
          "u32": 4, "f64": 8, "s64": 8, "u64": 8}  # fmt: skip
_OPERATION = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|ragged-all-to-all|"
    r"collective-permute)(-start)?\("
)
_SHAPE = re.compile(r"\b([a-z]+\d+|pred)\[([\d,]*)\]")
_TUPLE_INDEX = re.compile(r"/\*.*?\*/")
_MESH_GROUPS = re.compile(r"replica_groups=mesh\[(.*?)\](?:, device_ids=\((.*?)\))? \{(.*?)\}")
_IOTA_GROUPS = re.compile(r"replica_groups=(\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?)")
_IOTA = re.compile(r"\[([\d,]+)\](?:<=\[([\d,]+)\])?(?:T\(([\d,]+)\))?")
_CHAIN = re.compile(r'\bchannel_id=(\d+).*\bchain_id="(\d+)"')
_LISTED_GROUPS = re.compile(r"replica_groups=\{\{([\d,]+)\}")


@dataclass(frozen=True)
class Collective:
    """One operation of a program.

    Attributes:
      payload: bytes of the whole array: what each device has after an all-gather or all-reduce,
        and before a reduce-scatter.
      group: devices that take part with the first one, by their place in the mesh; empty if all.
      times: how often a step does it.
    """

    kind: Kind
    payload: int
    group: tuple[int, ...]
    times: int = 1


def read(module: str) -> list[Collective]:
    """The collectives of an optimized HLO module. A `-done` belongs to its `-start`.

    Raises:
      ValueError: an operation is not understood; better than a count that lacks it.
    """
    return list(_read(module))


def _read(module: str) -> Iterator[Collective]:
    chains = set()
    for line in hlo.lines(module):
        match = _OPERATION.search(line.text)
        if match is None:
            continue
        # One that goes on beside other work is written in each fusion that it goes on beside, from
        # its start to its end: links of one chain.
        if (chain := _CHAIN.search(line.text)) is not None:
            if (chain[1], chain[2], line.times) in chains:
                continue
            chains.add((chain[1], chain[2], line.times))
        kind, started = match[2], match[3] is not None
        group = _group(line.text) if kind != "collective-permute" else ()
        payload = _payload(kind, match[1], started=started, line=line.text, group=group)
        # libtpu has no reduce-scatter of its own on some chips: it fuses an all-reduce with the
        # slice that each device keeps.
        if kind == "all-reduce" and "all-reduce-scatter" in line.computation:
            kind = "reduce-scatter"
        yield Collective(kind, payload, group, line.times)  # type: ignore[arg-type]


def _payload(kind: str, result: str, *, started: bool, line: str, group: tuple[int, ...]) -> int:
    sizes = [
        math.prod(int(n) for n in dims.split(",") if n) * _BYTES[dtype]
        for dtype, dims in _SHAPE.findall(_TUPLE_INDEX.sub("", result))
        if dtype in _BYTES
    ]
    if not sizes:
        raise ValueError(f"no array in the result of {line.strip()[:200]}")
    if kind == "reduce-scatter":
        return sum(sizes) * max(1, len(group))
    if started and kind == "collective-permute":
        return sizes[0]  # (operand, result, two counters)
    if started and kind == "all-gather":
        return sum(sizes) * len(group) // (len(group) + 1)  # operands beside the results
    return sum(sizes)


def _group(line: str) -> tuple[int, ...]:
    """The first group of devices; () for all of them."""
    if (mesh := _MESH_GROUPS.search(line)) is not None:
        axes = dict(re.findall(r"'([^']+)'=(\d+)", mesh[1]))
        sizes = [int(size) for size in axes.values()]
        ids = _iota(mesh[2]) if mesh[2] else np.arange(math.prod(sizes))
        grid = ids.reshape(sizes)
        chosen = re.findall(r"'([^']+)'", mesh[3])
        index = tuple(slice(None) if name in chosen else 0 for name in axes)
        return tuple(int(i) for i in grid[index].ravel())
    if (iota := _IOTA_GROUPS.search(line)) is not None:
        return tuple(int(i) for i in _iota(iota[1])[0].ravel())
    if (listed := _LISTED_GROUPS.search(line)) is not None:
        return tuple(int(i) for i in listed[1].split(","))
    if "replica_groups={}" in line or "replica_groups" not in line:
        return ()
    raise ValueError(f"groups are not understood: {line.strip()[:300]}")


def _iota(text: str) -> np.ndarray:
    """`[2,4]<=[8]`, `[2,4]<=[4,2]T(1,0)`: numbers in order, reshaped, transposed, reshaped."""
    match = _IOTA.search(text)
    if match is None:
        raise ValueError(f"device ids are not understood: {quoted(text)}")
    shape = [int(n) for n in match[1].split(",")]
    source = [int(n) for n in (match[2] or match[1]).split(",")]
    ids = np.arange(math.prod(source)).reshape(source)
    if match[3]:
        ids = ids.transpose([int(n) for n in match[3].split(",")])
    return ids.reshape(shape)


def wire_bytes(collective: Collective, *, members: int) -> float:
    """Bytes that each of `members` sends in a ring.

    2 (n-1)/n of the array for an all-reduce, half of it for an all-gather or a reduce-scatter.
    """
    share = (members - 1) / members
    match collective.kind:
        case "all-reduce":
            return 2 * share * collective.payload
        case "collective-permute":
            return float(collective.payload)
        case _:
            return share * collective.payload


def seconds(
    collectives: Sequence[Collective],
    *,
    hardware: Hardware,
    coordinates: Sequence[tuple[int, ...]],
    shape: tuple[int, ...],
) -> float:
    """Time on the links, none of it hidden behind computing.

    A group's ring goes both ways along every axis of the torus that it spans; an axis that does not
    close to a ring counts half. Devices of one chip share its links: one ring if all of them are in
    the group, else a ring each.

    Args:
      coordinates: of each device of the mesh, its chip's place in the torus.
      shape: of the torus.
    """
    if hardware.link_bandwidth is None:
        raise ValueError(f"no link bandwidth is known for {hardware.kind}")
    total = 0.0
    for collective in collectives:
        members = collective.group or tuple(range(len(coordinates)))
        chips = {tuple(coordinates[i]) for i in members}
        if len(chips) < 2:
            continue
        rings = hardware.devices_per_chip * len(chips) / len(members)
        lanes = 0
        for axis, size in enumerate(shape):
            extent = len({chip[axis] for chip in chips})
            if extent > 1:
                closed = extent == size and size % hardware.wraps_at == 0
                lanes += 2 if closed else 1
        sent = wire_bytes(collective, members=len(chips)) * rings
        total += collective.times * sent / (lanes * hardware.link_bandwidth)
    return total
