"""Pictures of a page: pixels, without what else their files hold."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from vitctl.report import pictures
from vitctl.report.pictures import Album

ALICE = b"alice's camera"


def image_file(format: str, side: int) -> bytes:
    """An image whose file names a person wherever its format lets it."""
    exif = Image.Exif()
    exif[0x013B] = ALICE.decode()
    also: dict[str, Any] = {
        "JPEG": {"comment": ALICE, "exif": exif, "icc_profile": ALICE},
        "GIF": {"comment": ALICE},
        "PNG": {"exif": exif, "icc_profile": ALICE},
        "WEBP": {"exif": exif, "icc_profile": ALICE, "xmp": ALICE},
    }
    out = io.BytesIO()
    Image.new("RGB", (side, side), "orange").save(out, format, **also[format])
    return out.getvalue()


@pytest.mark.parametrize("side", [16, 200])
@pytest.mark.parametrize("format", ["JPEG", "GIF", "PNG", "WEBP"])
def test_comments_and_profiles_are_left_behind(format, side):
    data = image_file(format, side)
    with Image.open(io.BytesIO(data)) as original:
        assert {"comment", "icc_profile"} & set(original.info)
    uri = pictures._tile(data, (), Album()).uri
    assert uri is not None
    copy = base64.b64decode(uri.partition(",")[2])
    assert ALICE not in copy
    with Image.open(io.BytesIO(copy)) as shown:
        names = {"comment", "icc_profile", "exif", "xmp"} & set(shown.info)
    assert not names
