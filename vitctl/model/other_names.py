"""Names of models in other libraries, read for a hint: the sizes that they may stand for.

Words as in timm and Hugging Face (`deit_small_patch16_224`, `facebook/dinov2-base`), letters as in
open_clip (`ViT-L-14-336`), torchvision (`vit_b_16`) and DINO (`dinov2_vits14`). Such a name stands
for weights, or for a model with other parts, so it is offered as a size and never taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

WORDS = {
    "tiny": "Ti", "small": "S", "base": "B", "large": "L", "huge": "H",
    "giant": "g", "gigantic": "G", "so400m": "So400m",
}  # fmt: skip
"""timm's words for sizes."""

_TOKEN = re.compile(r"[A-Za-z0-9]+")
_JOINED = re.compile(r"vit(?P<size>[a-z]+?)(?P<patch>\d+)?", re.IGNORECASE)
_PATCH = re.compile(r"(?:patch|p)?(?P<patch>\d{1,2})", re.IGNORECASE)
_RESOLUTION = re.compile(r"[1-9]\d{2,3}")


@dataclass(frozen=True)
class OtherName:
    """Sizes that a name may stand for, the likeliest first; patch and resolution in pixels.

    has_a_family   names an architecture or weights, too, as `dinov2` and `augreg` do
    """

    sizes: tuple[str, ...]
    patch: int | None
    resolution: int | None
    has_a_family: bool


def read(name: str, *, sizes: Collection[str]) -> OtherName | None:
    """What another library's name says; None where no known size is in it.

    >>> read("ViT-L-14-336", sizes=["L"])
    OtherName(sizes=('L',), patch=14, resolution=336, has_a_family=False)
    """
    tokens = _TOKEN.findall(name)
    for place, token in enumerate(tokens):
        before, rest = tokens[:place], tokens[place + 1 :]
        if word := WORDS.get(token.lower()):
            return _with_numbers((word,), before, rest)
        if token.lower() == "vit" and rest and (letters := _by_letters(rest[0], sizes)):
            return _with_numbers(letters, before, rest[1:])
        joined = _JOINED.fullmatch(token)
        if joined and (letters := _by_letters(joined["size"], sizes)):
            patch = [joined["patch"]] if joined["patch"] else []
            return _with_numbers(letters, before, [*patch, *rest])
    return None


def _by_letters(letters: str, sizes: Collection[str]) -> tuple[str, ...]:
    """Whatever their case: libraries that write small letters have no sizes that differ by it."""
    same = [size for size in sizes if size.lower() == letters.lower()]
    return tuple(sorted(same, key=lambda size: size == size.lower()))


def _with_numbers(sizes: tuple[str, ...], before: list[str], after: list[str]) -> OtherName:
    patches = [match for match in map(_PATCH.fullmatch, after) if match]
    resolutions = [token for token in after if _RESOLUTION.fullmatch(token)]
    known = {"vit", *(match[0] for match in patches), *resolutions}
    return OtherName(
        sizes,
        patch=next((int(match["patch"]) for match in patches if int(match["patch"])), None),
        resolution=next(map(int, resolutions), None),
        has_a_family=any(token.lower() not in known for token in (*before, *after)),
    )
