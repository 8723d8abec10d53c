"""Paths, hosts and users leave sentences; numbers, shares and names of models stay."""

from __future__ import annotations

import pytest

from vitctl.report.privacy import Redaction


@pytest.mark.parametrize(
    "secret",
    [
        "/home/alice/photos",
        "/home/alice/photos/",
        "~/photos/cat.jpg",
        "~alice/photos",
        "gs://alice-bucket/store",
        "s3://key:password@bucket/x",
        "file:///home/alice/x",
        "https://alice.example.org/x?token=1",
        "C:\\Users\\alice\\photos",
        "\\\\server\\alice\\photos",
    ],
)
@pytest.mark.parametrize("sentence", ["{} cannot be read", "'{}' is damaged: ({})", "--labels={}"])
def test_paths(secret, sentence):
    written = Redaction()(sentence.format(secret, secret))
    assert "alice" not in written
    assert "password" not in written
    assert "photos" not in written
    assert "PATH" in written


@pytest.mark.parametrize(
    "sentence",
    [
        "S/16 at 224 px",
        "a ViT-g/14 of 10/20 runs",
        "95.3 % (94.8 to 95.5)",
        "images/second",
        "error = a (compute + d)^-b + c",
        "photos=0.7",
        "step 3 diverged (loss nan, gradient norm inf); going back to step 2",
    ],
)
def test_what_is_no_path_stays(sentence):
    assert Redaction()(sentence) == sentence


def test_hosts_as_whole_words():
    redaction = Redaction(hosts=["node17", "x"])
    assert redaction("made on node17, not node170 or x") == "made on HOST, not node170 or x"


def test_folders_whose_names_have_blanks():
    redaction = Redaction(roots=["/data/my secret photos"])
    assert "secret" not in redaction("'/data/my secret photos/cat/1.jpg' is damaged")
