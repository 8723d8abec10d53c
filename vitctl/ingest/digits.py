"""The built-in input: 1,797 real handwritten digits of 8 x 8 pixels, as PNG.

The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998), as
shipped with scikit-learn; nothing is downloaded.
"""

from __future__ import annotations

import io

from vitctl.errors import NotFoundError
from vitctl.ingest.sources import Entry, Listing


def list_digits() -> Listing:
    """The digits as a source with the classes "0" to "9" and no split of its own."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotFoundError(
            "the built-in digits come with scikit-learn, which is not installed",
            hint="pip install 'vitctl[demo]', or for a folder of that name: vitctl shard ./digits",
        ) from None
    import numpy as np
    from PIL import Image

    digits = load_digits()
    # Sixteen levels of ink, 0 to 16, onto 0 to 255.
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    entries = []
    for i, (image, target) in enumerate(zip(pixels, digits.target, strict=True)):
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        data = out.getvalue()
        entries.append(
            Entry(
                id=f"{target}/{i:04d}.png",
                class_names=(str(target),),
                split=None,
                path=None,
                size=len(data),
                mtime_ns=0,
                data=data,
            )
        )
    entries.sort(key=lambda entry: entry.id)
    reading = "digits are 10 classes, without splits of their own"
    return Listing("digits", entries, by_contents=True, reading=reading)
