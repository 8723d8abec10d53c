"""TensorFlow's decoders by its C interface say what its package says, and JPEGs at an eighth of
their size fail where they fail in full."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.data.damaged_jpegs import damaged_jpegs
from tests.data.encoded_images import encode, rgb
from tests.ingest.pixels.test_convert import TABLE
from vitctl.data import kernels
from vitctl.data.kernels import NotDecodedError, decoded_size, jpeg_size_by_an_eighth
from vitctl.ingest.pixels import decoder_warnings, prepare
from vitctl.pixels.header import read_header


def outcome(decoder, data):
    """The size, or what is said of bytes without one."""
    try:
        return decoder(data)
    except NotDecodedError as error:
        return str(error)


@pytest.mark.parametrize("name", TABLE)
def test_the_package_and_the_library_say_the_same(name):
    rng = np.random.default_rng(0)
    whole = TABLE[name][0]()
    flipped = bytearray(whole)
    flipped[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
    for data in (whole, whole[: int(rng.integers(len(whole)))], bytes(flipped)):
        assert outcome(decoded_size, data) == outcome(kernels._by_the_package, data)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_they_say_the_same_of_what_is_no_image(data):
    said = outcome(decoded_size, data)
    assert isinstance(said, str)
    assert said == outcome(kernels._by_the_package, data)


def test_without_the_library_the_package_is_asked(monkeypatch):
    monkeypatch.setattr(kernels, "_library", lambda: None)
    data = encode(rgb(), "JPEG")
    assert decoded_size(data) == rgb().size[::-1]
    assert jpeg_size_by_an_eighth(data) is None


def compare(count, seed):
    """How many damaged JPEGs were decoded without a word, with warnings, and not; run in a process
    of its own, where what the decoder writes to stderr is caught."""
    decoder_warnings.catch()
    counts = [0, 0, 0]
    for data in damaged_jpegs(count, seed=seed):
        outcomes = []
        for decoder in (decoded_size, jpeg_size_by_an_eighth):
            decoder_warnings.drain()
            size = outcome(decoder, data)
            outcomes.append((size, decoder_warnings.drain()))
        (size, warnings), by_an_eighth = outcomes
        if isinstance(size, str):
            counts[2] += 1
            assert by_an_eighth[0] == size, data.hex()
        else:
            counts[bool(warnings)] += 1
            assert by_an_eighth == (size, warnings), data.hex()
    return counts


@pytest.mark.parametrize(
    "count",
    [500, pytest.param(50_000, marks=pytest.mark.slow)],  # slow: half a minute
)
def test_an_eighth_fails_and_warns_where_all_does(count):
    program = (
        "import sys\n"
        "from tests.data.test_kernels import compare\n"
        "try:\n"
        f"    print(*compare({count}, seed=0))\n"
        "except AssertionError as error:\n"
        "    print(error)\n"
        "print('tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    counts, package = done.stdout.splitlines()
    assert min(map(int, counts.split())) > count // 40  # each of the three is put to the test
    assert package == "False"


def test_what_a_decoder_warns_of_is_decoded_in_full(monkeypatch):
    data = encode(rgb(), "JPEG")
    header = read_header(data, max_pixels=10**6)
    assert prepare._size_by_an_eighth(data, header) == (header.height, header.width)
    monkeypatch.setattr(decoder_warnings, "drain", lambda: {"Corrupt JPEG data"})
    assert prepare._size_by_an_eighth(data, header) is None
    assert prepare._size_by_an_eighth(data[: len(data) // 2], header) is None


def test_what_the_kernel_refuses_for_its_size_is_not_decoded_small():
    data = bytearray(encode(rgb(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = (16_384).to_bytes(2, "big") + (24_576).to_bytes(2, "big")
    header = read_header(bytes(data), max_pixels=10**9)
    assert header.width * header.height * 3 >= 2**29
    assert prepare._size_by_an_eighth(bytes(data), header) is None
