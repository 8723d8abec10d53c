"""Which platform commands leave to jax."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitctl import machine


@pytest.mark.parametrize("there", ["dev/accel0", "dev/vfio/0", "dev/nvidia0", "dev/kfd"])
def test_a_device_file_may_be_an_accelerator(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(parents=True)
    (tmp_path / there).touch()
    assert machine.accelerator_may_be_there(tmp_path)


@pytest.mark.parametrize(("vendor", "may_be"), [("0x1ae0", True), ("0x1af4", False)])
def test_a_pci_device_of_a_maker_of_accelerators(tmp_path: Path, vendor: str, may_be: bool) -> None:
    device = tmp_path / "sys/bus/pci/devices/0000:00:04.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    assert machine.accelerator_may_be_there(tmp_path) is may_be


def test_libtpu_without_any_accelerator_means_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    monkeypatch.setattr(machine, "accelerator_may_be_there", lambda: False)
    monkeypatch.delenv("JAX_PLATFORMS")
    machine.settle_platform()
    assert os.environ["JAX_PLATFORMS"] == "cpu"


@pytest.mark.parametrize(
    ("asked", "installed", "there"), [("cuda", True, False), ("", False, False), ("", True, True)]
)
def test_otherwise_the_choice_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, asked: str, installed: bool, there: bool
) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(machine, "accelerator_may_be_there", lambda: there)
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    machine.settle_platform()
    assert os.environ["JAX_PLATFORMS"] == asked
