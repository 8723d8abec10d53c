"""How opaque each pixel of an image is, however its format says it, and images laid on a colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vitctl.pixels.header import Header

_BANDS = ("RGBA", "LA", "PA", "RGBa", "La")


def may_be_transparent(header: Header) -> bool:
    return header.transparency or header.mode in _BANDS


def opacity(image: Image.Image, header: Header) -> Image.Image | None:
    """A decoded image's alpha, of mode "L": 255 is opaque. None where all of it is."""
    if image.mode in _BANDS:
        alpha = image.getchannel(image.mode[-1])
    else:
        transparent = image.info.get("transparency")
        if transparent is None:
            return None
        if image.mode == "P" or isinstance(transparent, bytes):
            alpha = image.convert("RGBA").getchannel("A")
        else:
            alpha = _where(image, transparent, header.bits)
    return None if alpha.getextrema() == (255, 255) else alpha


def _where(image: Image.Image, transparent: int | tuple[int, ...], bits: int) -> Image.Image:
    """Opaque but for pixels of one value, which a PNG gives in its own number of bits (PNG, section
    11.3.2.1). Pillow spreads or cuts samples to 8 bits, and leaves this value as it is."""
    values = np.asarray(image)  # as it is: eight bytes a sample would be 2.4 GB of a large image
    key = np.asarray(transparent, np.int64)
    if image.mode == "1":
        key = np.minimum(key, 1)
    elif bits < 8:
        key = key * 255 // (2**bits - 1)
    elif bits == 16 and not image.mode.startswith("I"):
        key = key >> 8
    same = values == key
    if same.ndim == 3:
        same = same.all(axis=-1)
    return Image.fromarray(np.where(same, 0, 255).astype(np.uint8))


def laid_on(image: Image.Image, alpha: Image.Image, colour: str) -> Image.Image:
    """An image of mode "L" or "RGB" on a background, of mode "RGB": alpha * image +
    (255 - alpha) * background, over 255, rounded."""
    page = Image.new("RGB", image.size, colour)
    page.paste(image.convert("RGB"), mask=alpha)
    return page
