"""A run that would take weeks is told before it begins."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from vitctl.optim.config import OptimConfig
from vitctl.train.run import least_time


def layout(platform="cpu", kind="cpu", devices=1):
    device = SimpleNamespace(device_kind=kind)
    mesh = SimpleNamespace(devices=np.array([device] * devices, dtype=object))
    return SimpleNamespace(platform=platform, devices=devices, mesh=mesh)


def of(steps, *, batch=4096):
    from vitctl.model.config import from_name

    return SimpleNamespace(
        model=from_name("S/16", classes=1000),
        optim=OptimConfig(),
        data=SimpleNamespace(batch=batch),
        steps=steps,
    )


FLOPS = 3 * 2 * 4.6e9 * 4096
"""Of a step, within a few percent: 4.6 billion multiplications and additions an image."""


def test_on_a_cpu_the_bound_is_measured(monkeypatch):
    monkeypatch.setattr(least_time, "matmul_rate", lambda: 1e11)
    sentence = least_time.sentence(of(20_000), layout(), from_step=0)
    days = FLOPS * 20_000 / 1e11 / 86400
    assert "20k steps of 4096 images take at least" in sentence
    assert abs(int(sentence.split("at least ")[1].split(" d ")[0]) - days) < 0.1 * days
    assert "100 GFLOP/s, measured" in sentence
    assert least_time.sentence(of(20_000), layout(), from_step=19_900) is None


def test_nothing_is_measured_for_what_is_short_anywhere(monkeypatch):
    monkeypatch.setattr(least_time, "matmul_rate", lambda: 1 / 0)
    assert least_time.sentence(of(100, batch=16), layout(), from_step=0) is None


def test_an_accelerator_has_a_published_peak():
    v3 = layout("tpu", "TPU v3", 8)
    assert least_time.sentence(of(20_000), v3, from_step=0) is None
    assert "the peak of 8 x TPU v3" in least_time.sentence(of(5_000_000), v3, from_step=0)
    assert least_time.sentence(of(10**9), layout("gpu", "unknown"), from_step=0) is None


def test_the_rate_of_this_machine():
    assert 1e8 < least_time.matmul_rate() < 1e14
