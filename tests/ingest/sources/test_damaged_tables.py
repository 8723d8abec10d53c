"""Arrow and Parquet that somebody damaged: whatever is in the file, a listing or a sentence."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.sources import test_arrow, test_parquet
from tests.ingest.trees.test_tar import spooled
from vitctl.errors import InputError
from vitctl.ingest.sources.formats import list_images

PIECES = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=4)


@pytest.mark.parametrize(
    ("format_", "write"), [("arrow", test_arrow.stream), ("parquet", test_parquet.write)]
)
@settings(max_examples=40)
@given(pieces=PIECES, cut=st.floats(0, 0.3))
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, format_, write, pieces, cut):
    path = tmp_path_factory.mktemp(format_) / "table"
    write(path, [0, 1, 2, 0, 1])
    data = bytearray(path.read_bytes())
    for share, piece in pieces:
        at = int(share * len(data))
        data[at : at + len(piece)] = piece
    path.write_bytes(data[: len(data) - int(cut * len(data))])
    with contextlib.suppress(InputError):
        spooled(list_images(str(path), format=format_))
