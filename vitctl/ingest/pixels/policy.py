"""What a user may have done to images before they are stored; by default nothing.

Without a policy a file is stored byte for byte, or as PNG where its bytes would be decoded wrongly
(`convert.py`). A policy changes pixels on purpose, so it is part of the id of a dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from vitctl.settings.config import Config
from vitctl.text.quoting import quoted

EncodedFormat = Literal["jpeg", "png", "webp"]
Treatment = Literal["composed", "to sRGB", "turned", "shrunk", "encoded", "profile ignored"]
"""What was done to one image, in this order; the last one is what could not be done."""

TREATMENTS: dict[Treatment, str] = {
    "composed": "composed on the background",
    "to sRGB": "converted to sRGB",
    "turned": "turned upright",
    "shrunk": "shrunk",
    "encoded": "encoded again",
    "profile ignored": "stored without their colour profile being applied, which cannot be used",
}

DEFAULT_QUALITY = 95
"""Of JPEG and WebP: img2dataset's default. The loss is measured in docs/log/2026-11.md."""


class PixelPolicy(Config):
    """What is done to images before they are stored.

    max_side        the longer side has at most so many pixels
    max_short_side  the shorter side has at most so many pixels
    encode          the format in which every image is stored
    quality         of JPEG and WebP, 1 to 100; alone it means JPEG
    srgb            convert the colours of images with a colour profile (ICC) to sRGB
    background      the colour that transparent images are laid on, `#rrggbb`; None drops the
                    transparency and keeps the colours behind it
    """

    max_side: int | None = Field(None, ge=1)
    max_short_side: int | None = Field(None, ge=1)
    encode: EncodedFormat | None = None
    quality: int | None = Field(None, ge=1, le=100)
    srgb: bool = False
    background: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _quality_alone_is_of_jpeg(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and tree.get("quality") is not None and not tree.get("encode"):
            return {**tree, "encode": "jpeg"}
        return tree

    @field_validator("background")
    @classmethod
    def _one_way_to_write_a_colour(cls, colour: str | None) -> str | None:
        """So that `white` and `#fff` make one dataset."""
        if colour is None:
            return None
        from PIL import ImageColor

        try:
            channels = ImageColor.getrgb(colour.strip())
        except ValueError:
            raise ValueError(
                f"{quoted(colour)} is no colour; write white, #ffffff or gray"
            ) from None
        if len(channels) != 3:
            raise ValueError(
                f"{quoted(colour)} is transparent itself; write a colour such as white"
            )
        return "#{:02x}{:02x}{:02x}".format(*channels)

    @model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        if self.max_side is not None and self.max_short_side is not None:
            raise ValueError("max_side and max_short_side are two ways to shrink images")
        if self.encode == "png" and self.quality is not None:
            raise ValueError("quality is of JPEG and WebP; PNG loses nothing")
        return self

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of what is stored of an image: at most its own, in its proportions."""
        side = max(width, height) if self.max_short_side is None else min(width, height)
        limit = self.max_side or self.max_short_side
        if limit is None or side <= limit:
            return width, height
        return _scaled(width, limit, side), _scaled(height, limit, side)

    def phrases(self) -> Iterator[str]:
        """What it does, in words."""
        if self.max_side is not None:
            yield f"longer side at most {self.max_side:,}"
        if self.max_short_side is not None:
            yield f"shorter side at most {self.max_short_side:,}"
        if self.encode is not None:
            lossy = self.encode != "png"
            yield self.encode + (f" of quality {self.quality or DEFAULT_QUALITY}" if lossy else "")
        if self.srgb:
            yield "colours in sRGB"
        if self.background is not None:
            yield f"laid on {self.background}"


AS_IT_IS = PixelPolicy()


def _scaled(length: int, limit: int, side: int) -> int:
    """round(length * limit / side), halves up, in whole numbers; a pixel at least."""
    return max(1, (2 * length * limit + side) // (2 * side))
