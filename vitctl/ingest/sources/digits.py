"""The built-in input: 1,797 real handwritten digits of 8 x 8 pixels, as PNG.

The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998), as
shipped with scikit-learn; nothing is downloaded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vitctl import extras
from vitctl.errors import NotFoundError
from vitctl.ingest.columns import EntriesBuilder, Entry
from vitctl.ingest.listing import Access, Listing


@dataclass(frozen=True)
class InMemory:
    """Images that a listing made, one after another; `Entry.offset` is where each begins."""

    data: bytes
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[InMemory]:
        yield self

    @contextmanager
    def open(self, entry: Entry) -> Iterator[io.BytesIO]:
        yield io.BytesIO(self.data[entry.offset : entry.offset + entry.size])


def list_digits() -> Listing:
    """The digits as a source with the classes "0" to "9" and no split of its own."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotFoundError(
            "the built-in digits come with scikit-learn, which is not installed",
            hint=f"{extras.install('demo')}, or for a folder of that name: vitctl shard ./digits",
        ) from None
    import numpy as np
    from PIL import Image

    digits = load_digits()
    # Sixteen levels of ink, 0 to 16, onto 0 to 255.
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    entries = EntriesBuilder()
    data = bytearray()
    for i, (image, target) in enumerate(zip(pixels, digits.target, strict=True)):
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        entries.add(
            f"{target}/{i:04d}.png".encode(),
            size=len(out.getvalue()),
            mtime_ns=0,
            labels=(int(target),),
            offset=len(data),
        )
        data += out.getvalue()
    return Listing(
        "digits",
        InMemory(bytes(data)),
        entries.build(),
        [str(digit) for digit in range(10)],
        by_contents=True,
        reading="digits are 10 classes, without splits of their own",
    )
