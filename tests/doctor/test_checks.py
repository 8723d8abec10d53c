"""What the checks measure, and that each can fail."""

from __future__ import annotations

import importlib
import resource

import numpy as np
import pytest

from tests.artifacts.making import dataset
from vitctl.artifacts import Store
from vitctl.doctor import batches, child, devices, machine, packages, store
from vitctl.doctor.checks import Check, checks
from vitctl.doctor.finding import CheckRequest
from vitctl.errors import InputError, UsageError
from vitctl.places import place
from vitctl.places.local import LocalPath


@pytest.fixture
def checked(tmp_path):
    return CheckRequest(place(tmp_path) / "artifacts" / "not" / "there" / "yet")


GOOD = {"jax": "0.10.2", "jaxlib": "0.10.2", "numpy": "2.4.6", "tensorflow-cpu": "2.21.0"}


def troubles(driver=None, tpu=False, **changes):
    versions = {k: v for k, v in (GOOD | changes).items() if v is not None}
    return [
        (bad, message) for bad, message, _ in packages.known_bad(versions, driver=driver, tpu=tpu)
    ]


def test_versions_that_go_together():
    assert troubles() == []
    assert troubles(jax="0.12.0.1", jaxlib="0.12.0.1") == []
    assert troubles(driver=580, **{"jax-cuda13-plugin": "0.10.2"}) == []
    assert troubles(tpu=True, libtpu="0.0.52") == []


@pytest.mark.parametrize(
    ("changes", "fatal", "word"),
    [
        ({"jax": "0.13.0", "jaxlib": "0.13.0"}, True, "not a version that vitctl supports"),
        ({"jax": "0.9.9", "jaxlib": "0.9.9"}, True, "not a version that vitctl supports"),
        ({"jaxlib": "0.10.3"}, True, "not of the same release"),
        ({"jax": "0.11.0"}, True, "not of the same release"),
        ({"jaxlib": None}, True, "jaxlib is not installed"),
        ({"tensorflow-cpu": None}, False, "TensorFlow is not installed"),
        ({"vitctl": "0.1.0", "vitctl-light": "0.1.0"}, False, "overwrite each other's files"),
        ({"tensorflow": "2.21.0"}, False, "each other's files"),
        ({"jax-cuda13-plugin": "0.10.1"}, True, "does not belong to jaxlib"),
        ({"jax-cuda13-plugin": "0.10.2", "driver": 535}, True, "older than CUDA 13 needs"),
        ({"driver": 580}, True, "NVIDIA GPU that jax cannot use"),
        ({"tpu": True}, True, "TPU that jax cannot use"),
    ],
    ids=str,
)
def test_versions_that_do_not(changes, fatal, word):
    assert [(bad, word in message) for bad, message in troubles(**changes)] == [(fatal, True)]


def test_two_plugins():
    both = {"jax-cuda12-plugin": "0.10.2", "jax-cuda13-plugin": "0.10.2"}
    assert any("two versions of CUDA" in message for _, message in troubles(**both))


def test_a_library_for_tpus_that_are_not_there(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert troubles(libtpu="0.0.52") != []
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert troubles(libtpu="0.0.52") == []


def test_this_machine_is_fit(checked, tmp_path):
    for check in (machine.clock, machine.memory, store.rename, store.lock):
        assert check(checked).verdict in ("ok", "warn"), check
    finding = store.disk(checked)
    assert finding.numbers["free_bytes"] > 0
    assert finding.numbers["write_bytes_per_s"] > 0
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


@pytest.mark.parametrize(("soft", "verdict"), [(100, "fail"), (256, "warn"), (1024, "ok")])
def test_open_files(checked, monkeypatch, soft, verdict):
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (soft, 4096))
    finding = machine.files(checked)
    assert (finding.verdict, finding.exit_code if finding.hint else 6) == (verdict, 6)
    monkeypatch.setattr(
        machine.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    assert machine.files(checked).message == "no limit"


@pytest.mark.parametrize(("gib", "verdict"), [(1, "fail"), (3, "warn"), (8, "ok")])
def test_memory(checked, monkeypatch, gib, verdict):
    monkeypatch.setattr(machine.machine, "host_bytes", lambda: gib * 2**30)
    assert machine.memory(checked).verdict == verdict


def test_a_clock_that_jumps(checked, monkeypatch):
    times = iter([4e9, 4e9 + 3600, 4e9 + 3600])
    monkeypatch.setattr(machine.time, "time", lambda: next(times))
    assert "moved by" in machine.clock(checked).message


def test_a_disk_that_is_full(checked, monkeypatch):
    full = store.shutil.disk_usage("/")._replace(free=10_000)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: full)
    finding = store.disk(checked)
    assert (finding.verdict, finding.exit_code) == ("fail", 6)


def test_a_slow_disk(checked, monkeypatch):
    roomy = store.shutil.disk_usage("/")._replace(free=2**40)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: roomy)
    monkeypatch.setattr(store, "_speeds", lambda _: (10e6, 1e9))
    assert store.disk(checked).verdict == "warn"


def test_renames_that_do_not_replace(checked, monkeypatch):
    def in_place(path, content):
        with path.open("wb" if not path.exists() else "r+b") as file:
            file.write(content)

    monkeypatch.setattr(LocalPath, "write_atomic", in_place)
    assert store.rename(checked).verdict == "fail"


def test_a_file_server_whose_clock_is_off(checked, monkeypatch):
    monkeypatch.setattr(store.time, "time", lambda: 1e9)
    assert "clock" in store.rename(checked).message


def test_a_flock_that_is_only_known_for_this_machine(checked, monkeypatch):
    assert store.lock(checked).message == "flock keeps a second process out"
    monkeypatch.setattr(store.mounts, "shared", lambda folder: "nfs4")
    finding = store.lock(checked)
    assert finding.verdict == "ok"
    assert "on this machine, and .lock.held those on others (nfs4)" in finding.message


def test_locks_that_keep_nobody_out(checked, monkeypatch):
    monkeypatch.setattr(store.fcntl, "flock", lambda *_: None)
    assert store.lock(checked).verdict == "warn"

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(store.fcntl, "flock", unsupported)
    assert "not supported" in store.lock(checked).message


def test_eight_devices_compute_and_exchange(checked):
    assert devices.devices(checked).numbers["devices"] == 8
    assert devices.compute(checked).verdict == "ok"
    finding = devices.collective(checked)
    assert finding.verdict == "ok"
    assert "over 8 devices" in finding.message


def test_devices_that_jax_cannot_start(checked, monkeypatch):
    import jax

    def none():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    (check,) = [check for check in checks(checked.store) if check.name == "devices"]
    finding = child._finding(check, checked)
    assert (finding.verdict, finding.exit_code) == ("fail", 2)
    assert finding.message == "JAX_PLATFORMS=cuda, but jax cannot start cuda: it sees no NVIDIA GPU"
    assert "export JAX_PLATFORMS=cpu" in (finding.hint or "")


@pytest.mark.parametrize(
    ("chosen", "tpu", "driver", "verdict"),
    [
        ("", True, None, "fail"),
        ("", False, 580, "fail"),
        ("", False, None, "ok"),
        ("cpu", True, 580, "ok"),
    ],
)
def test_an_accelerator_that_jax_passes_over(checked, monkeypatch, chosen, tpu, driver, verdict):
    monkeypatch.setenv("JAX_PLATFORMS", chosen)
    monkeypatch.setattr(packages, "tpu_is_there", lambda: tpu)
    monkeypatch.setattr(packages, "driver", lambda: driver)
    finding = devices.devices(checked)
    assert finding.verdict == verdict
    if verdict == "fail":
        assert f"JAX_PLATFORMS={'tpu' if tpu else 'cuda'} vitctl doctor" in (finding.hint or "")


@pytest.mark.parametrize("group", ["store", "devices"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (AssertionError(), "AssertionError in "),
        (ValueError("so\n so"), "ValueError: so so"),
        (OSError(), "OSError in "),
        (OSError(28, "No space left on device", "/x"), "No space left on device (/x)"),
        (InputError("it is damaged"), "it is damaged"),
        (UsageError("it is wrong", hint="change it"), "it is wrong"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_every_failure_has_a_sentence_and_a_hint(checked, monkeypatch, error, message, group):
    def fails(*_):
        raise error

    monkeypatch.setattr(Check, "run", fails)
    finding = child._finding(Check("any", "module", "function", group, 1), checked)
    assert finding.verdict == "fail"
    assert finding.message.startswith(message)
    assert finding.hint
    assert ("--store" in finding.hint) == (group == "store" and isinstance(error, OSError))


def test_wrong_results_are_seen(checked, monkeypatch):
    import jax

    jit = jax.jit
    off = lambda function, **kw: jit(lambda *a: function(*a).at[..., 3].add(1), **kw)  # noqa: E731
    monkeypatch.setattr(jax, "jit", off)
    assert len(devices.compute(checked).numbers["wrong"]) == 8
    finding = devices.collective(checked)
    assert finding.verdict == "fail"


def test_batches(checked, tmp_path):
    finding = batches.mock_batch(checked)
    assert finding.numbers["images_per_s"] > 0
    assert batches.first_batch(checked).message == "there is no dataset yet"
    broken = dataset(Store(tmp_path)).path
    (broken / "dataset_info.json").write_text("{")
    finding = batches.first_batch(CheckRequest(place(tmp_path), broken))
    assert (finding.verdict, finding.exit_code) == ("fail", 3)
    assert np.isfinite(finding.seconds)


def test_every_check_has_a_limit(tmp_path):
    for store_ in (place(tmp_path), place("gs://bucket/store")):
        listed = checks(store_)
        assert all(0 < check.patience_s <= 180 for check in listed)
        assert len({check.name for check in listed}) == len(listed)
        for check in listed:
            assert callable(getattr(importlib.import_module(check.module), check.function))
