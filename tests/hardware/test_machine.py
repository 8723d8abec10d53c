"""Which platform commands leave to jax."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitctl.errors import UsageError
from vitctl.hardware import machine


@pytest.mark.parametrize("device_file", ["dev/accel0", "dev/vfio/0", "dev/nvidia0", "dev/kfd"])
def test_a_device_file_may_be_an_accelerator(tmp_path: Path, device_file: str) -> None:
    (tmp_path / device_file).parent.mkdir(parents=True)
    (tmp_path / device_file).touch()
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
    ("platforms", "installed", "may_be_there"),
    [("cuda", True, False), ("", False, False), ("", True, True)],
)
def test_otherwise_the_choice_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, platforms: str, installed: bool, may_be_there: bool
) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(machine, "accelerator_may_be_there", lambda: may_be_there)
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    machine.settle_platform()
    assert os.environ["JAX_PLATFORMS"] == platforms


_UNKNOWN = "Backend '{}' is not in the list of known backends: ['cpu', 'tpu']."
_CUDA, _TPU, _CPU = "vitctl[cuda]", "vitctl[tpu]", "export JAX_PLATFORMS=cpu"


@pytest.mark.parametrize(
    ("platforms", "said", "ending", "hints"),
    [
        ("cuda", AssertionError(), "cannot start cuda: it sees no NVIDIA GPU", {_CUDA, _CPU}),
        (
            "gpu",
            RuntimeError(
                f"Unable to initialize backend 'rocm': {_UNKNOWN.format('rocm')} (set JAX"
            ),
            "cannot start gpu: it has only cpu, tpu",
            {_CUDA, _CPU},
        ),
        (
            "tpu",
            RuntimeError(
                "Unable to initialize backend 'tpu': ABORTED: The TPU is already in use.\nSo (set "
                "JAX_PLATFORMS='' to automatically choose an available backend)"
            ),
            "cannot start tpu: The TPU is already in use. So",
            {_TPU, _CPU},
        ),
        (
            "",
            RuntimeError(
                "Unable to initialize backend 'cuda': INTERNAL: no driver (you may need to "
                "uninstall the failing plugin package, or set JAX_PLATFORMS=cpu to skip it.)"
            ),
            "jax cannot start cuda: no driver",
            {_CUDA, _CPU},
        ),
    ],
    ids=["no GPU", "alias", "in use", "unset"],
)
def test_no_device_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, platforms: str, said: Exception, ending: str, hints: set[str]
) -> None:
    import jax

    def devices() -> None:
        raise said

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    for ask in (machine.devices, machine.device_bytes):
        with pytest.raises(UsageError) as caught:
            ask()
        assert caught.value.message.endswith(ending)
        assert caught.value.message.startswith(
            f"JAX_PLATFORMS={platforms}, but " if platforms else "jax"
        )
        every = (_CUDA, _TPU, _CPU)
        assert {each for each in every if each in (caught.value.hint or "")} == hints
    # What is installed need not be.
    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    with pytest.raises(UsageError) as caught:
        machine.devices()
    assert "pip" not in (caught.value.hint or "")


def test_a_process_that_is_gone_is_not_blamed_on_the_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import jax

    def devices() -> None:
        raise RuntimeError("Unable to initialize backend 'cpu': DEADLINE_EXCEEDED: timed out")

    monkeypatch.setattr(jax, "devices", devices)
    monkeypatch.setattr(machine.processes, "count", lambda: 2)
    with pytest.raises(RuntimeError, match="timed out"):
        machine.devices()
