"""Names that clouds and people have for hardware -> chips of a slice. Imports no array library.

What the number in an accelerator's name counts depends on the generation: `v4-32` has 32
TensorCores, so 16 chips; `v5litepod-16` and `v6e-16` have 16 chips.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vitctl.hardware.gpus import gpu_named
from vitctl.hardware.tpus import TPUS, Hardware

ALIASES = {
    "v5litepod": "v5e",
    "v5lite": "v5e",
    "v5": "v5p",
    "trillium": "v6e",
    "ironwood": "tpu7x",
    "v7x": "tpu7x",
    "tpu-v4-podslice": "v4",
    "tpu-v5-lite-podslice": "v5e",
    "tpu-v5-lite-device": "v5e",
    "tpu-v5p-slice": "v5p",
    "tpu-v6e-slice": "v6e",
}
"""The last ones are what GKE calls an accelerator in a node selector."""

_NUMBER_COUNTS = {"v3": 2, "v4": 2, "v5p": 2, "tpu7x": 2, "v5e": 1, "v6e": 1}
"""By how much the number in a name exceeds the chips: TensorCores of a chip, or 1.

v2, v3, v4: "version followed by the number of TensorCores",
https://cloud.google.com/tpu/docs/types-topologies; v5p: the column of cores in
https://docs.cloud.google.com/tpu/docs/v5p; v5e and v6e: "v$VERSION_NUMBER-$CHIP_COUNT",
https://cloud.google.com/tpu/docs/supported-versions; tpu7x: xpk calls 4x4x4 `tpu7x-128`,
https://github.com/AI-Hypercomputer/xpk."""

_SINGLE = ("v5e", "v6e")
"""Sold by the chip; of the others the smallest slice has the 4 chips of a host."""

_MACHINES = {"ct4p": "v4", "ct5lp": "v5e", "ct5p": "v5p", "ct6e": "v6e", "tpu7x": "tpu7x"}
"""GKE's machine types, e.g. `ct5lp-hightpu-8t`, whose number counts the chips of one machine:
https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus"""

_CUBE = 64
"""Chips of a cube of 4x4x4. From here on every axis of a slice in three dimensions is a multiple of
4 (https://docs.cloud.google.com/tpu/docs/v4, /v5p)."""

_GOOGLE = {
    "a2-highgpu": "A100 40GB",
    "a2-megagpu": "A100 40GB",
    "a2-ultragpu": "A100 80GB",
    "a3-highgpu": "H100",
    "a3-megagpu": "H100",
    "a3-edgegpu": "H100",
    "a3-ultragpu": "H200",
    "a4-highgpu": "B200",
    "a4x-highgpu": "GB200",
}
"""Machines whose names end with the number of their GPUs, 8 without one (`a3-highgpu-8g`):
https://cloud.google.com/compute/docs/accelerator-optimized-machines"""

_L4_BY_CORES = {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}
"""GPUs of `g2-standard-N`, by its cores; the same page."""

_AMAZON = {
    "p3": ("V100", {2: 1, 8: 4, 16: 8}),
    "p3dn": ("V100", {24: 8}),
    "p4d": ("A100 40GB", {24: 8}),
    "p4de": ("A100 80GB", {24: 8}),
    "p5": ("H100", {4: 1, 48: 8}),
    "p5e": ("H200", {48: 8}),
    "p5en": ("H200", {48: 8}),
    "p6-b200": ("B200", {48: 8}),
    "p6-b300": ("B300", {48: 8}),
    "g4dn": ("T4", {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1}),
    "g5": ("A10G", {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1, 24: 4, 48: 8}),
    "g6": ("L4", {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1, 24: 4, 48: 8}),
    "g6e": ("L40S", {1: 1, 2: 1, 4: 1, 8: 1, 12: 4, 16: 1, 24: 4, 48: 8}),
}
"""By the family of an instance: its GPU, and how many one of a size has (`g6.12xlarge`; `xlarge` is
1): https://aws.amazon.com/ec2/instance-types/accelerated-computing/"""

_MACHINES_OF_8 = {
    "nd40rs_v2": "V100",
    "nd96asr_v4": "A100 40GB",
    "nd96amsr_a100_v4": "A100 80GB",
    "nd96isr_h100_v5": "H100",
    "nd96isr_h200_v5": "H200",
    "nd96isr_mi300x_v5": "MI300X",
    "bm.gpu4.8": "A100 40GB",
    "bm.gpu.a100-v2.8": "A100 80GB",
    "dgx-a100-320gb": "A100 40GB",
    "dgx-a100-640gb": "A100 80GB",
    "dgx-h100": "H100",
    "dgx-h200": "H200",
    "dgx-b200": "B200",
    "dgx-b300": "B300",
}
"""https://learn.microsoft.com/azure/virtual-machines/sizes/overview,
https://docs.oracle.com/iaas/Content/Compute/References/computeshapes.htm,
https://docs.nvidia.com/dgx-systems/"""

_SMALLER_MACHINES = {
    "nc24ads_a100_v4": ("A100 80GB", 1),
    "nc48ads_a100_v4": ("A100 80GB", 2),
    "nc96ads_a100_v4": ("A100 80GB", 4),
    "nc40ads_h100_v5": ("H100 NVL", 1),
    "nc80adis_h100_v5": ("H100 NVL", 2),
    "nv36ads_a10_v5": ("A10", 1),
    "nv72ads_a10_v5": ("A10", 2),
}
"""Of Azure, from the same page."""

_DGX = re.compile(r"^(?:nvidia[-_ ])?dgx[-_ ]?(?=[abh]\d)")

_SEVERAL = {
    "dgx-a100": "a DGX A100 has 8 GPUs of 40 or of 80 GB: a100-40gb:8 or a100-80gb:8",
    **{
        family: f"instances of {family} have different numbers of GPUs: name one, as "
        f"{family}.{max(sizes, key=lambda size: (sizes[size], -size))}xlarge"
        for family, (kind, sizes) in _AMAZON.items()
        if len({*sizes.values()}) > 1 and family != "p5" and gpu_named(kind) is not None
    },
    "g2-standard": "the number of cores says how many GPUs: g2-standard-96 has 8 x L4",
}
"""Names of which there are several machines, and how to tell which. Not of those whose GPUs have no
row: whichever it is, it cannot be planned for."""

_GPU_WORD = re.compile(
    r"(?:(?:nvidia|geforce|quadro|tesla|amd|instinct)[-_ ])*"
    r"((?:gb200|gb300|gh200|b300|b200|h200|h100|h800|h20|a100|a800|l40s|l40|l20|l4|l2|a10g?|a16|a30|"
    r"a40|a6000|v100|p100|t4|rtx[-_ ]?(?:pro[-_ ]?|a)?\d{4}(?:[-_ ]?(?:ti|super|ada|d|laptop))*|"
    r"mi\d{3}[ax]?)"
    r"(?:[-_ ]?(?:\d+gb|sxm\d?|pcie|nvl|mega|hbm\de?))*)"
)
"""Its group is the model without the vendor. GPUs of which no peak is known are there, too: else
their names would be answered with the names near to them in spelling."""


@dataclass(frozen=True)
class Gpus:
    """GPUs that a name stands for."""

    kind: str
    count: int


def tpu_slice(text: str) -> tuple[Hardware, float] | None:
    """The chip and the number of chips of a name such as `v4-32`; None for what is no such name.

    >>> chip, chips = tpu_slice("v4-32")
    >>> chip.name, chips
    ('v4', 16.0)

    The number of chips may be one that no slice has (also half a chip); `box` checks it.
    """
    text = text.strip().lower()
    if machine := re.fullmatch(r"(\w+)-(?:hightpu|standard)-(\d{1,2})t", text):
        name = _MACHINES.get(machine[1])
        return None if name is None else (TPUS[name], int(machine[2]))
    named = re.fullmatch(r"(?:tpu[-_ ])?(\w+?)-(\d{1,6})", text)
    if named is None:
        return None
    name = ALIASES.get(named[1], named[1])
    if name not in _NUMBER_COUNTS:
        return None
    return TPUS[name], int(named[2]) / _NUMBER_COUNTS[name]


def number_of(chip: Hardware, chips: int) -> int:
    """The number that the name of a slice of so many chips has."""
    assert chip.name is not None  # a TPU
    return chips * _NUMBER_COUNTS[chip.name]


def box(chip: Hardware, chips: float) -> tuple[int, ...] | None:
    """The shape of a slice of so many chips, as the vendor's tables have it: the one nearest to a
    square or a cube, its axes ascending. None if there is no such slice.

    In two dimensions the axes are powers of two; in three they are 2x2x1 times powers of two up to
    a cube of 64 chips, and multiples of 4 from there on.
    """
    if chips == 1 and chip.name in _SINGLE:
        return (1,) * chip.axes
    if chips < 4 or chips > chip.largest or chips != int(chips):
        return None
    shapes = _flat(int(chips)) if chip.axes == 2 else _solid(int(chips))
    return min(shapes, key=lambda shape: max(shape) / min(shape), default=None)


def sizes(chip: Hardware) -> list[int]:
    """Numbers of chips that slices have, ascending."""
    return [chips for chips in range(1, chip.largest + 1) if box(chip, chips) is not None]


def gpus(text: str) -> Gpus | None:
    """The GPUs of `8xH100`, `h100:8`, `a3-highgpu-8g` and the like; None for what names none.

    >>> gpus("a2-ultragpu-4g")
    Gpus(kind='A100 80GB', count=4)
    >>> gpus("g6.12xlarge")
    Gpus(kind='L4', count=4)
    """
    text = _plain(text).removeprefix("standard_")
    if (machine := _machine(text)) is not None:
        return machine
    # SLURM's --gres, Lambda's and Oracle's machines.
    text = re.sub(r"^(?:gres/)?gpus?:(?=[a-z])|^gpu_(?=\d)", "", text)
    text = re.sub(r"^(?:bm|vm)\.gpu\.(.+)\.(\d)$", r"\1:\2", text)
    if (one := _GPU_WORD.fullmatch(text)) is not None:
        return Gpus(one[1].upper(), 1)
    if leading := re.fullmatch(r"(\d{1,5})(?: ?[x*] ?_?| |-)(.+)", text):
        count, bare = leading.groups()
    elif trailing := re.fullmatch(r"(.+?) ?[x:*] ?(\d{1,5})", text):
        bare, count = trailing.groups()
    else:
        return None
    # `8 H100s` is a plural, and the s of an L40S is its own.
    several = _GPU_WORD.fullmatch(bare) or _GPU_WORD.fullmatch(bare.removesuffix("s"))
    return None if several is None else Gpus(several[1].upper(), int(count))


def _plain(text: str) -> str:
    """In small letters, and with x for the sign of a product, which web pages write."""
    return text.strip().lower().replace("\N{MULTIPLICATION SIGN}", "x")


def _machine(text: str) -> Gpus | None:
    """The GPUs of a machine that a cloud or a vendor has this name for."""
    text = _DGX.sub("dgx-", text)
    if text in _MACHINES_OF_8:
        return Gpus(_MACHINES_OF_8[text], 8)
    if text in _SMALLER_MACHINES:
        return Gpus(*_SMALLER_MACHINES[text])
    if (google := re.fullmatch(r"(a\d\w*-\w+?)(?:-(\d{1,2})g)?", text)) and google[1] in _GOOGLE:
        return Gpus(_GOOGLE[google[1]], int(google[2] or 8))
    if g2 := re.fullmatch(r"g2-standard-(\d{1,2})", text):
        count = _L4_BY_CORES.get(int(g2[1]))
        return None if count is None else Gpus("L4", count)
    amazon = re.fullmatch(
        r"(?:ml\.)?(p\w+(?:-b\d+)?|g\w+)(?:\.(?:(\d*)(?:xlarge|xl)|metal))?", text
    )
    if amazon is None or amazon[1] not in _AMAZON:
        return None
    kind, sizes = _AMAZON[amazon[1]]
    if gpu_named(kind) is None:
        return Gpus(kind, max(sizes.values()))
    if amazon[2] is None:  # the family alone, or its .metal
        is_one = amazon[1] not in _SEVERAL and not text.endswith(".metal")
        return Gpus(kind, sizes[max(sizes)]) if is_one else None
    size = int(amazon[2] or 1)
    return Gpus(kind, sizes[size]) if size in sizes else None


def of_all_machines(text: str) -> Gpus | None:
    """The GPUs of `2x8xH100`, which counts machines, too; None for what is no such name.

    >>> of_all_machines("2x8xH100")
    Gpus(kind='H100', count=16)
    """
    machines = re.fullmatch(r"(\d{1,4}) ?[x*] ?(\d{1,4} ?[x*] ?.+)", _plain(text))
    each = None if machines is None else gpus(machines[2])
    if machines is None or each is None:
        return None
    return Gpus(each.kind, int(machines[1]) * each.count)


@dataclass(frozen=True)
class Machines:
    """So many machines, each with these GPUs."""

    count: int
    each: Gpus


def machines(text: str) -> Machines | None:
    """What `p5.48xlarge:2` or `2 x dgx-h100` counts; None for what is no such name.

    >>> machines("2 x dgx-h100")
    Machines(count=2, each=Gpus(kind='H100', count=8))
    """
    name, count = _name_and_count(text)
    each = _machine(name.removeprefix("standard_"))
    return None if count is None or each is None else Machines(count, each)


def _name_and_count(text: str) -> tuple[str, int | None]:
    plain = _plain(text)
    if leading := re.fullmatch(r"(\d{1,4}) ?[x*] ?(.+)", plain):
        return leading[2], int(leading[1])
    if trailing := re.fullmatch(r"(.+?) ?[:*] ?(\d{1,4})", plain):
        return trailing[1], int(trailing[2])
    return plain, None


@dataclass(frozen=True)
class Unclear:
    """Why a name is that of no one machine, as the end of a sentence, and what to write."""

    reason: str
    hint: str


def unclear(text: str) -> Unclear | None:
    """Of the name of several machines, or of a size that is not known; None for other words."""
    name = _DGX.sub("dgx-", _name_and_count(text)[0]).removeprefix("ml.")
    family, _, size = name.partition(".")
    cores = re.fullmatch(r"(g2-standard)-\d+", family)
    hint = _SEVERAL.get(cores[1] if cores else family)
    if size and family in _AMAZON:
        known = [f"{family}.{n if n > 1 else ''}xlarge" for n in sorted(_AMAZON[family][1])]
        return Unclear("is of a size that is not known", f"known are {', '.join(known)}")
    if hint is None:
        return None
    return Unclear(
        "is of a size that is not known" if cores else "does not say which machine it is", hint
    )


def _flat(chips: int) -> list[tuple[int, ...]]:
    if chips & (chips - 1):
        return []
    short = 1 << ((chips.bit_length() - 1) // 2)
    return [(short, chips // short)]


def _solid(chips: int) -> list[tuple[int, ...]]:
    if chips < _CUBE:
        # 2x2x1, 2x2x2, 2x2x4, 2x4x4
        known = {4: (2, 2, 1), 8: (2, 2, 2), 16: (2, 2, 4), 32: (2, 4, 4)}
        return [known[chips]] if chips in known else []
    if chips % _CUBE:
        return []
    cubes = chips // _CUBE
    return [
        (4 * a, 4 * b, 4 * (cubes // (a * b)))
        for a in range(1, math.isqrt(cubes) + 1)
        for b in range(a, math.isqrt(cubes // a) + 1)
        if cubes % (a * b) == 0
    ]
