"""Strict jax on eight devices of one CPU, for every test."""

from __future__ import annotations

import gc
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.compiling import EIGHT_DEVICES, KNOWN_TO_LIBTPU

pytest_plugins = ["tests.deaths"]

# Bytecode is kept, also where the environment forbids that. uv installs none, so each process that
# a test starts would compile all modules that it imports: 3 s of processor time with jax, 15 s with
# TensorFlow.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Before anything imports jax. The compiled programs are kept between test runs, as the command line
# keeps them between commands.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {EIGHT_DEVICES}".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_COMPILED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "compiled"
_COMPILED.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_COMPILED))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")

# A store is hundreds of small files, each synced: in memory they take two thirds of the processor
# time that they take on a disk, and wait for no other program. `--basetemp` chooses a disk.
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 4 * 2**30
if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# jax reads its flags once, for good. libtpu, which compiles for TPUs in some tests, reads the same
# variable later, and a flag that it does not know ends the process.
importlib.import_module("jax").devices()
os.environ["XLA_FLAGS"] = KNOWN_TO_LIBTPU

# A shell starts what runs in the background with Ctrl-C ignored, and what ignores a signal passes
# that on to what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines of all speeds run these; how long an example takes says nothing.
settings.register_profile("vitctl", deadline=None)
settings.load_profile("vitctl")

# Tracing makes many objects that live until it is done, and with jax, TensorFlow and the tests
# there are millions to look through again and again: 3 % of a file that trains.
gc.set_threshold(50_000, 10, 5)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden() -> Callable[[str, list[str] | str], None]:
    """Compare lines with a text that people review; UPDATE_GOLDEN=1 rewrites it."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, lines: list[str] | str) -> None:
        text = lines if isinstance(lines, str) else "\n".join(lines) + "\n"
        if os.environ.get("UPDATE_GOLDEN"):
            (folder / name).write_text(text)
        assert text == (folder / name).read_text()

    return check
