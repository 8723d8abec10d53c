"""What C libraries say of images in a worker: counted by image, and not on anyone's stderr."""

from __future__ import annotations

import subprocess
import sys

import pytest
from PIL import ImageCms

from tests.data.encoded_images import encode, rgb

PROGRAM = """
import os, sys
from vitctl.ingest.pixels import decoder_warnings
assert decoder_warnings.drain() == set()
decoder_warnings.catch()
for line in sys.argv[1:]:
    os.write(2, line.encode() + b"\\n")
print(sorted(decoder_warnings.drain()))
print(sorted(decoder_warnings.drain()))
"""


def caught(*lines):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *lines], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert second == "[]"
    return eval(first)


def test_lines_become_kinds():
    assert caught(
        "Corrupt JPEG data: 12 extraneous bytes before marker 0xd9",
        "Corrupt JPEG data: 7 extraneous bytes before marker 0xd9",
        "W0000 00:00:1795860882.184335   28444 png_io.cc:96] PNG warning: iCCP: too short",
        "I0000 00:00:1795860866.244964   28444 cpu_feature_guard.cc:227] This TensorFlow binary",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "",
    ) == [
        "Corrupt JPEG data: N extraneous bytes before marker N",
        "PNG warning: iCCP: too short",
    ]
    assert caught() == []


@pytest.mark.slow
def test_a_worker_counts_what_decoders_say(tmp_path):
    from stages.shard.run import run
    from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
    from vitctl.artifacts import Store

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"GRAY"
    files = {
        "a/1.png": encode(rgb(), "PNG", icc_profile=bytes(profile)),
        "b/1.png": encode(rgb(), "PNG"),
        "b/2.jpg": encode(rgb(), "JPEG"),
        # TensorFlow fails on this one, with words of its own.
        "b/3.png": encode(rgb(), "PNG")[:-12],
    }
    for name, data in files.items():
        place = tmp_path / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    events = []
    artifact = run(
        ShardConfig(val_fraction=0.0),
        Inputs(str(tmp_path / "images")),
        store=Store(tmp_path / "store"),
        runtime=ShardRuntime(workers=1),
        emit=events.append,
    )
    assert artifact.summary["converted"] == {"PNG that TensorFlow can't decode": 1}
    said = [e.text for e in events if "warning of a decoder" in getattr(e, "text", "")]
    assert said == [
        "stored, with a warning of a decoder: 1 (PNG warning: iCCP: profile 'ICC Profile': 'GRAY': "
        "Gray color space not permitted on RGB PNG)"
    ]
