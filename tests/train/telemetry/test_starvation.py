from __future__ import annotations

import pytest

from tests import made
from vitctl import processes
from vitctl.train.run.images import open_images
from vitctl.train.telemetry.starvation import Input, Others, Watch, advice, elsewhere, sentence


def told_by(watch, *windows):
    return [watch.add(idle_s=idle, passed_s=passed, steps=steps) for idle, passed, steps in windows]


def test_it_says_so_once():
    watch = Watch()
    result = told_by(watch, (2, 10, 10), (4, 10, 10), (4, 10, 10), (9, 10, 100), (30, 30, 100))
    assert result == [None, None, pytest.approx(1 / 3), None, None]


@pytest.mark.parametrize(
    "window", [(2.9, 30, 100), (29, 29, 100), (30, 30, 19)], ids=["little", "short", "few steps"]
)
def test_it_is_not_hasty(window):
    assert told_by(Watch(), window) == [None]


def test_old_windows_do_not_hide_a_new_one():
    watch = Watch()
    assert told_by(watch, *[(0, 30, 100)] * 50, (15, 30, 100))[-1] == 0.5


def test_the_process_that_waits_longest_is_named(monkeypatch):
    heard = {"process 1": 5.0, "process 2": 1.0}
    monkeypatch.setattr(processes, "starved_others", lambda: dict(heard))
    others = Others()  # what was before does not count
    assert others.worst()[0] == 0
    heard |= {"process 1": 6.0, "process 2": 9.0}
    assert others.worst() == (8.0, "process 2")
    assert others.worst()[0] == 0
    message = sentence(0.4, elsewhere(), of="process 2")
    assert message.startswith("the input of process 2 starves the devices: 40 % of the time")


def test_alone_nobody_else_waits():
    assert Others().worst() == (0.0, None)


BASE = Input(
    images_per_s=400,
    reading=0.2,
    decode_s=0.005,
    augment_s=0.0,
    pixels=250_000,
    jpegs_in_full=False,
    resolution=224,
    workers=8,
    cores=8,
    shared=False,
)


def with_(**changes):
    return advice(Input(**{**BASE.__dict__, **changes}))


def test_idle_cores_are_named():
    assert with_(workers=2) == ["--workers 8 (2 now)"]


def test_a_slow_disk_is_told_and_nothing_else():
    (sentence,) = with_(reading=0.95, workers=2)
    assert "reading takes 95 %" in sentence
    assert "400 images/s" in sentence  # two cores at 5 ms an image


def test_large_images():
    (sentence,) = with_(pixels=12e6)
    assert "3464 x 3464" in sentence
    hints = with_(pixels=12e6, jpegs_in_full=True)
    assert hints[0] == sentence
    assert "--set data.augment.jpeg_oversampling=1 makes another run" in hints[1]
    assert with_(jpegs_in_full=True) == with_(), "of small ones nothing is won"


def test_dear_augmentation():
    (sentence,) = with_(augment_s=0.004)
    assert "randaugment=none" in sentence
    assert "4.0 of 9.0 ms" in sentence


def test_cores_that_do_both():
    sentence = with_(shared=True, workers=2)
    assert not any("--workers" in line for line in sentence)
    assert "share 8 cores" in sentence[-1]


def test_where_nothing_is_wrong_it_takes_more():
    (sentence,) = with_()
    assert "at most 1,600 images/s" in sentence


def test_one_sentence():
    assert sentence(0.34, ["a", "b"]) == (
        "the input starves the devices: 34 % of the time they had no batch; what would help: a; b"
    )


def test_what_helps_where_images_are_made_up():
    cfg = made.config()
    images = open_images(cfg, None, workers=None)
    (sentence,) = images.what_helps(images_per_s=1, reading=0, shared=False)
    assert sentence.startswith("images of a dataset, ")
