"""Model sizes by name: `g14`, `g/14`, `ViT-g/14` and timm's `vit_giant_patch14_224` are one.

Sizes: "Scaling Vision Transformers" (https://arxiv.org/abs/2106.04560) Table 2; So400m: "Getting
ViT in Shape" (https://arxiv.org/abs/2305.13035); mu, M, H, g-opt, G-opt, e: the variant table of
google-research/big_vision `models/vit.py`. Two are ours: `test`, small enough for a unit test, and
`mini`, which a processor trains in minutes (docs/guide/little-data.md).

Case carries meaning (s is not S, g is not G), so a name is never corrected silently. This module
needs no array library: the command line validates names with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.model import other_names
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import did_you_mean, either, likeness

USUAL_MLP = "plain"
"""What the blocks of every named size have, see `ModelConfig.mlp`."""


@dataclass(frozen=True)
class Variant:
    """A size without its patch. `patch`, in pixels, is set only where a name may leave it out;
    `resolution`, in pixels, where the size is for images of that side."""

    name: str
    width: int
    depth: int
    mlp_dim: int
    heads: int
    patch: int | None = None
    resolution: int | None = None


@dataclass(frozen=True)
class Named:
    """What a model name says: a size, a patch in pixels, and, in timm's names, a resolution."""

    variant: Variant
    patch: int
    resolution: int | None = None

    @property
    def name(self) -> str:
        """The one canonical spelling, e.g. `g/14`."""
        return f"{self.variant.name}/{self.patch}"


VARIANTS: dict[str, Variant] = {
    v.name: v
    for v in (
        Variant("test", width=32, depth=2, mlp_dim=64, heads=2, patch=8),
        Variant("mu", width=32, depth=1, mlp_dim=128, heads=2),
        Variant("mini", width=64, depth=4, mlp_dim=256, heads=4, resolution=32),
        Variant("s", width=256, depth=6, mlp_dim=1024, heads=8),
        Variant("Ti", width=192, depth=12, mlp_dim=768, heads=3),
        Variant("S", width=384, depth=12, mlp_dim=1536, heads=6),
        Variant("M", width=512, depth=12, mlp_dim=2048, heads=8),
        Variant("B", width=768, depth=12, mlp_dim=3072, heads=12),
        Variant("L", width=1024, depth=24, mlp_dim=4096, heads=16),
        Variant("So400m", width=1152, depth=27, mlp_dim=4304, heads=16),
        Variant("H", width=1280, depth=32, mlp_dim=5120, heads=16),
        Variant("g", width=1408, depth=40, mlp_dim=6144, heads=16),
        Variant("g-opt", width=1536, depth=40, mlp_dim=6144, heads=16),
        Variant("G", width=1664, depth=48, mlp_dim=8192, heads=16),
        Variant("G-opt", width=1536, depth=48, mlp_dim=8192, heads=16),
        Variant("e", width=1792, depth=56, mlp_dim=15360, heads=16),
    )
}

RECOGNIZED: tuple[Variant, ...] = tuple(v for v in VARIANTS.values() if v.resolution is None)
"""Sizes that imported weights are named by. `mini` is younger than such names, which are part of
ids."""

PAPER_NAMES: tuple[str, ...] = (
    "s/28", "s/16", "S/32", "Ti/16", "B/32", "S/16", "B/28", "B/16", "L/16", "g/14", "G/14",
)  # fmt: skip
"""The models of the paper's Table 2, in its order."""

_OTHER_NAMES = (
    "So400m/14",
    "H/14",
    "g-opt/14",
    "G-opt/14",
    "e/14",
    "M/16",
    "mu/16",
    "mini/8",
    "test/8",
)
NAMES = PAPER_NAMES + _OTHER_NAMES
"""A name for each size with a usual patch."""

_ALTERNATIVES = "|".join(sorted(map(re.escape, VARIANTS), key=len, reverse=True))
_OURS = re.compile(rf"(?:[Vv][Ii][Tt][-_]?)?(?P<size>{_ALTERNATIVES})(?:[/_-]?(?P<patch>\d+))?")
_THEIRS = re.compile(
    rf"(?:google/)?vit[-_](?P<size>{'|'.join(other_names.WORDS)})[-_]patch(?P<patch>\d+)(?:[-_](?P<res>\d+))?"
    r"(?P<tag>[-.][\w.-]+)?",
    re.IGNORECASE,
)
"""timm's names, and Hugging Face's, which have dashes. A tag names weights, not a size."""
_DINOS = re.compile(r"vit(?P<size>[a-z]+)(?P<patch>\d+)")
"""Names as DINO has them, in small letters throughout: its vits16 is a ViT-S."""


def parse(name: str) -> Named:
    """The size and patch that `name` stands for.

    >>> parse("ViT-g/14").name
    'g/14'
    >>> parse("vit_gigantic_patch14_224").variant.width
    1664

    Raises:
      UsageError: the name is unknown (the nearest valid ones are the hint), or has no patch.
    """
    name = name.strip()
    if theirs := _THEIRS.fullmatch(name):
        if theirs["tag"]:
            plain = name[: theirs.start("tag")]
            raise UsageError(
                f"model {quoted(name)}: {quoted(theirs['tag'][1:])} names weights, and a model is "
                "only a size.",
                hint=f"for a model of that size, from scratch: {plain}",
            )
        resolution = int(theirs["res"]) if theirs["res"] else None
        return _named(
            other_names.WORDS[theirs["size"].lower()], patch=theirs["patch"], resolution=resolution
        )
    if (dinos := _DINOS.fullmatch(name)) and (twins := _twins(dinos["size"])):
        both = [f"{size}/{dinos['patch']}" for size in twins]
        raise UsageError(
            f"model {quoted(name)} may be {either([*map(_in_numbers, both)])}: sizes differ by "
            "case, and this name has none.",
            hint=f"write {either(both)}",
        )
    if ours := _OURS.fullmatch(name):
        return _named(ours["size"], patch=ours["patch"], resolution=None)
    raise UsageError(f"unknown model {quoted(name)}.", hint=_hint(name))


def _hint(name: str) -> str | None:
    """What an unknown name may mean: a size in another library's words, or one spelled alike."""
    other = other_names.read(name, sizes=VARIANTS)
    if other is None or _but_for_case(name):
        return did_you_mean(nearest(name))
    patched = [
        one
        for size in other.sizes
        for one in ([f"{size}/{other.patch}"] if other.patch else usual_names(size))
    ]
    pixels = "" if other.resolution is None else f" with --res {other.resolution}"
    weights = " vitctl import takes weights" if other.has_a_family else ""
    meant = did_you_mean([f"{either(patched)}{pixels}"])
    return f"{meant}{weights}"


def _named(size: str, *, patch: str | None, resolution: int | None) -> Named:
    variant = VARIANTS[size]
    pixels = int(patch) if patch else variant.patch
    if pixels is None:
        raise UsageError(
            f"model {quoted(size)} names no patch size.",
            hint=f"add it in pixels, e.g. {either(usual_names(size))}",
        )
    if pixels == 0:
        raise UsageError(f"model {size}/{patch}: a patch has at least 1 pixel.")
    return Named(variant=variant, patch=pixels, resolution=resolution)


def usual_names(size: str) -> list[str]:
    """A size with its usual patches."""
    return [name for name in NAMES if name.split("/")[0] == size]


def _twins(letters: str) -> list[str]:
    """Sizes of these letters that differ by case; none where it is one size."""
    same = [size for size in VARIANTS if size.lower() == letters.lower()]
    return same if len(same) > 1 else []


def _in_numbers(name: str) -> str:
    """`g/14 (width 1408, depth 40)`."""
    size = parse(name).variant
    return f"{name} (width {size.width}, depth {size.depth})"


def nearest(name: str, *, count: int = 3) -> list[str]:
    """The `count` known names nearest to an unknown one; those that differ only by case first."""
    if by_case := _but_for_case(name):
        return by_case
    bare, wanted = _bare(name)
    score = {k: likeness(wanted, _squeezed(k)) + 0.01 * likeness(bare, k) for k in NAMES}
    return sorted(NAMES, key=lambda k: -score[k])[:count]


def _but_for_case(name: str) -> list[str]:
    """Names that differ from this one only by case and punctuation."""
    _, wanted = _bare(name)
    if by_case := [k for k in NAMES if _squeezed(k).replace("-", "") == wanted]:
        return by_case
    digits = re.fullmatch(r"([a-z]+)([1-9]\d?)", wanted)
    if digits is None:
        return []
    return [f"{size}/{digits[2]}" for size in VARIANTS if size.lower() == digits[1]]


def _bare(name: str) -> tuple[str, str]:
    """Without "vit", and in small letters without punctuation."""
    bare = re.sub(r"^vit[-_]?", "", name, flags=re.IGNORECASE)
    return bare, re.sub(r"[/_-]", "", bare).lower()


def _squeezed(name: str) -> str:
    return name.replace("/", "").lower()


def spelled(name: str) -> str | None:
    """The canonical spelling of a known model's name; None for any other text.

    >>> spelled("vit_small_patch16_224"), spelled("birds")
    ('S/16', None)
    """
    try:
        return parse(name).name
    except UsageError:
        return None


def label(
    name: str,
    *,
    width: int,
    depth: int,
    mlp_dim: int,
    heads: int,
    patch: int,
    mlp: str = USUAL_MLP,
) -> str:
    """What people are shown for a model of this shape that settings call `name`.

    A name that stands for another size is not shown: `custom (width 96, depth 3, patch 8)` is. A
    name of the user's own is.

    >>> label("S/16", width=96, depth=3, mlp_dim=384, heads=3, patch=8)
    'custom (width 96, depth 3, patch 8)'
    >>> label("S/16", width=384, depth=12, mlp_dim=1024, heads=6, patch=16, mlp="swiglu")
    'custom (S/16, MLP 1024, swiglu)'
    """
    try:
        named = parse(name)
    except UsageError:
        return name
    size = named.variant
    if (width, depth, patch) != (size.width, size.depth, named.patch):
        shown = f"width {width}, depth {depth}, patch {patch}"
        return f"custom ({shown}{'' if mlp == USUAL_MLP else f', {mlp}'})"
    # Of its width and depth, so what differs is worth more than what does not.
    differs = [f"MLP {mlp_dim}"] if mlp_dim != size.mlp_dim else []
    differs += [f"heads {heads}"] if heads != size.heads else []
    differs += [mlp] if mlp != USUAL_MLP else []
    return f"custom ({named.name}, {', '.join(differs)})" if differs else named.name


def case_twin(name: str) -> str | None:
    """A sentence for names that another size shares but for case, with both sizes; else None.

    >>> print(case_twin("g14"))
    g/14 (width 1408, depth 40) is not G/14 (width 1664, depth 48)
    """
    named = parse(name)
    for other in _twins(named.variant.name):
        if other != named.variant.name:
            return f"{_in_numbers(named.name)} is not {_in_numbers(f'{other}/{named.patch}')}"
    return None
