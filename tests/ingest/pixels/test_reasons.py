"""What is no image, or a damaged one, is refused with its reason, in one line."""

from __future__ import annotations

import pytest

from tests.ingest.pixels.test_convert import BAD, MAX_PIXELS
from tests.ingest.pixels.test_second_decoder import DAMAGED, OTHERS
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels.header import BadImageError
from vitctl.pixels.training_pixels import pixels

FILES = {
    f"{table}, {name}": file
    for table, files in (("bad", BAD), ("damaged", DAMAGED), ("other", OTHERS))
    for name, file in files.items()
}


def sharded(data, *, max_pixels):
    return prepare(data, storage=ImageStorage(max_pixels))


@pytest.mark.parametrize("read", [sharded, pixels], ids=["shard", "predict"])
@pytest.mark.parametrize("name", FILES)
def test_the_reason_says_what_the_bytes_are(name, read):
    """`predict`, which decodes without TensorFlow, gives the reason that `shard` gives."""
    data, reason = FILES[name]
    with pytest.raises(BadImageError, match=reason) as error:
        read(data, max_pixels=MAX_PIXELS)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
