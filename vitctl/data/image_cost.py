"""What an image costs the machine that feeds it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageCost:
    """Seconds of one core for an image of `pixels` pixels, and the share of JPEGs (means over those
    tried)."""

    decode_s: float
    augment_s: float
    pixels: float
    jpegs: float
