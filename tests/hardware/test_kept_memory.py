from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

# A thread takes 100 MiB, writes to all of it and gives it back, five times; pages that the last of
# them had to get from the system.
PROGRAM = """
import ctypes, resource, threading
from vitctl.hardware.machine import keep_freed_memory
print({call})
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def work():
    size = 100 * 2**20
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        there = libc.malloc(size)
        libc.memset(there, 1, size)
        libc.free(there)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def faults(call, **environment):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    plain.pop("GLIBC_TUNABLES", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    result, pages = done.stdout.split()
    return result, int(pages)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc")
def test_memory_that_was_freed_is_not_got_from_the_system_again():
    assert faults("False")[1] > 10_000  # 25,600 pages of 4 KiB; larger pages are fewer
    assert faults("keep_freed_memory()") == ("True", pytest.approx(0, abs=100))


def test_what_the_user_has_set_stays():
    assert faults("keep_freed_memory()", MALLOC_ARENA_MAX="8")[0] == "False"
