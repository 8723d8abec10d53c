"""Every format of sources with many more damages than its own tests try: any outcome is a listing
whose images can be read, or one sentence; and memory stays bounded. Damages that once crashed:

    an Arrow message whose kind is none (pyarrow 26 dies of it), column names that are no text
    a hash of an ArrayRecord that differs, said again when the file is closed
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.labels.test_annotations import coco, voc
from tests.ingest.sources.test_arrow import saved, stream
from tests.ingest.sources.test_parquet import write as write_parquet
from tests.ingest.sources.test_tfds_folder import (
    CLASS,
    IMAGE,
    a_dict,
    array_record,
    images,
    prepared,
)
from tests.ingest.sources.test_tfrecord import TWO
from tests.ingest.trees.test_folder import make
from vitctl.errors import VitctlError
from vitctl.events import silent
from vitctl.ingest.listing import read
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.sources.formats import list_images
from vitctl.pixels.header import BadImageError

pytestmark = pytest.mark.slow

_EXAMPLES = 400
_MOST_MIB = 512


def packed(path, kind):
    content = io.BytesIO()
    names = ["a/1.jpg", "a/2.jpg", "b/1.jpg", "labels.csv"]
    if kind == "zip":
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, b"id,label\n1,2\n" * 20)
    else:
        with tarfile.open(fileobj=content, mode=kind) as archive:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = 260
                archive.addfile(info, io.BytesIO(b"id,label\n1,2\n" * 20))
    return with_bytes(path, content.getvalue())


def beside(root, name, content):
    make(root, "images/1.jpg", "images/2.jpg")
    (root / name).write_text(content)
    return root / name


def with_bytes(path, data):
    path.write_bytes(data)
    return path


def idx(path):
    return with_bytes(path, b"\0\0\x08\x03\0\0\0\x03\0\0\0\x02\0\0\0\x02" + bytes(12))


def npz(path):
    np.savez(path, x_train=np.zeros((3, 4, 4), np.uint8), y_train=np.arange(3))
    return path


# kind -> (makes a source and names the file to damage, what is listed: itself or a folder above)
SOURCES = {
    "tar": (lambda root: packed(root / "x.tar", "w"), 0),
    "tar.gz": (lambda root: packed(root / "x.tar.gz", "w:gz"), 0),
    "zip": (lambda root: packed(root / "x.zip", "zip"), 0),
    "arrow": (lambda root: root / stream(root / "x.arrow", [0, 1, 2, 0, 1]), 0),
    "saved state": (lambda root: saved(root / "d", [0, 1], [2]) / "state.json", 1),
    "saved info": (
        lambda root: saved(root / "d", [0, 1], metadata=False) / "dataset_info.json",
        1,
    ),
    "parquet": (lambda root: root / write_parquet(root / "x.parquet", [0, 1, 2]), 0),
    "array_record": (lambda root: root / array_record(root / "x.array_record", images(4)), 0),
    "tfrecord": (lambda root: with_bytes(root / "x.tfrecord", TWO), 0),
    "tfds info": (
        lambda root: prepared(root / "d", {"train": [images(2)]}, a_dict(image=IMAGE, label=CLASS))
        / "dataset_info.json",
        1,
    ),
    "tfds features": (
        lambda root: prepared(root / "d", {"train": [images(2)]}, a_dict(image=IMAGE, label=CLASS))
        / "features.json",
        1,
    ),
    "idx": (lambda root: idx(root / "x-images-idx3-ubyte"), 0),
    "npz": (lambda root: npz(root / "x.npz"), 0),
    "csv": (lambda root: beside(root, "l.csv", 'id,label,split\n1,"a b",train\n2,c,val\n'), 1),
    "jsonl": (
        lambda root: beside(
            root, "m.jsonl", json.dumps({"file_name": "images/1.jpg", "labels": ["a", "b"]})
        ),
        1,
    ),
    "coco": (
        lambda root: coco(beside(root, "c.json", ""), {"1.jpg": [1, 18], "2.jpg": []}),
        1,
    ),
    "voc": (lambda root: beside(root, "images/1.xml", voc(("dog", 0), ("cat", 1))), 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
@settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["bytes", "bit", "twice", "gone"]),
            st.floats(0, 0.9999),
            st.sampled_from([1, 1, 4]),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=4,
    ),
    st.one_of(st.just(0.0), st.floats(0, 1)),
)
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, kind, damages, cut):
    make_source, above = SOURCES[kind]
    file = make_source(tmp_path_factory.mktemp("f"))
    data = bytearray(file.read_bytes())
    for how, share, power, piece in damages:
        at = int(share**power * len(data))  # headers lie in front
        if how == "bytes":
            data[at : at + len(piece)] = piece
        elif how == "bit":
            data[at] ^= 1 << (piece[0] % 8)
        elif how == "twice":
            data[at:at] = data[at : at + len(piece) * 9]
        else:
            del data[at : at + len(piece)]
    file.write_bytes(data[: len(data) - int(cut * len(data))])
    source = file if not above else file.parents[above - 1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        listing = list_images(str(source), unlabelled=False)
        with (
            at_random(listing.source, [listing.entries], largest=2**20, emit=silent) as readable,
            readable.reader() as reader,
        ):
            for entry in listing.entries:
                with contextlib.suppress(BadImageError):
                    read(reader, entry)
    except VitctlError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1, lines
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < _MOST_MIB
