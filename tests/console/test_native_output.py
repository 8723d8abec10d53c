"""What C++ code writes to descriptor 2: caught, shown once, and never lost with the process that
dies of it. Every case is a real process, without an array library."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import pytest

from tests.waiting import PATIENCE_S
from vitctl import native_log

BEGIN = """
import ctypes, os, sys, time
from vitctl.console import streams
from vitctl.console.native_output import NativeOutput, wanted
streams.silence_stdout()
caught = NativeOutput(
    lambda sentence: print(sentence, file=sys.stderr),
    terminal=streams.terminal(),
    errors_only=lambda: "quiet" in sys.argv,
)
if wanted():
    caught.begin()
holding_the_lock = ctypes.PyDLL(None)
def native(text):
    data = text.encode() + b"\\n"
    holding_the_lock.write(2, data, len(data))
"""
END = """
if wanted():
    caught.tell_repeated()
    streams.answer("the answer")
    caught.end()
"""
LIVE = """
import ctypes, os, sys, time
from vitctl.console import guarded, streams
from vitctl.events import Answering, Doing, Stepped
streams.silence_stdout()
shown = guarded.LateDisplay(quiet=False)
shown.catch()
shown(Doing("step"))
for step in range(1, 21):
    os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\\n")
    shown(Stepped("pretrain", step, 20, 6.9))
    time.sleep(0.02)
shown(Answering())
shown.end()
"""
ICCP = "libpng warning: iCCP: known incorrect sRGB profile"


def run(body, *arguments, end=END, **environment):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + body + end, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


REPEATS = f"""
for number in range(3):
    native("{ICCP}")
    native(f"Corrupt JPEG data: {{number}} extraneous bytes")
native("I0000 00:00:1795860866.244964   28444 cpu_feature_guard.cc:227] This TensorFlow binary")
native("[Compiling module jit_step] Very slow compile? If you want to file a bug, run with")
os.system("echo of a child >&2")
os.write(1, b"to descriptor 1\\n")
print("our own")
"""


def test_a_kind_of_line_is_shown_once_and_counted():
    code, out, err = run(REPEATS)
    assert (code, out) == (0, "the answer\n")
    assert err.count("our own") == 1
    assert sorted(line for line in err if line.startswith("a library")) == [
        "a library writes: Corrupt JPEG data: 0 extraneous bytes",
        "a library writes: libpng warning: iCCP: known incorrect sRGB profile",
        "a library writes: of a child",
        "a library writes: to descriptor 1",
    ]
    assert err[-1] == (
        f"libraries repeated themselves: 3 x {ICCP}; 3 x Corrupt JPEG data: 0 extraneous bytes"
    )
    assert len(err) == 6


def test_quiet_leaves_what_its_writer_calls_an_error():
    error = "E0000 00:00:1795860866.244964   28444 device.cc:1] the device is on fire"
    code, _, err = run(f"native('{ICCP}')\nnative('{error}')\nnative('{error}')", "quiet")
    assert (code, err) == (0, [error])


def test_everything_passes_where_a_person_debugs():
    _, _, err = run(f"native('{ICCP}')\nnative('{ICCP}')", VITCTL_NATIVE_STDERR="all")
    assert err == [ICCP, ICCP]


def test_many_kinds_are_counted_only():
    _, _, err = run('for c in range(65, 91):\n    native(f"kind {chr(c)}")')
    assert len(err) == 21
    assert err[-1] == "libraries write many kinds of messages; the rest is only counted"


@pytest.mark.parametrize(
    ("last_words", "number"),
    [
        ("native('F0000 00:00:1.1   28444 x.cc:2] Check failed')\nos.abort()", signal.SIGABRT),
        # Nobody can read them while the lock is held; an order that no thread gets to see.
        ("native('Check failed: 1 == 2')\nholding_the_lock.abort()", signal.SIGABRT),
        ("import faulthandler\nfaulthandler.enable(2)\nfaulthandler._sigsegv()", signal.SIGSEGV),
        ("native('Check failed')\nos.kill(os.getpid(), 9)", signal.SIGKILL),
    ],
)
def test_last_words_reach_the_terminal(last_words, number):
    code, out, err = run("native('before')\n" + last_words)
    assert (code, out) == (-number, "")
    text = "\n".join(err)
    assert "Check failed" in text or "Fatal Python error: Segmentation fault" in text
    if number == signal.SIGSEGV:
        assert 'File "<string>"' in text


def test_stacks_that_a_user_asked_for_are_there_before_the_end():
    """Not copied once the process is gone, when a shell has written its prompt already."""
    end_the_keeper = "os.write(caught._life, b'end\\n')"
    sigsegv = "import faulthandler\nfaulthandler._sigsegv()"
    code, _, err = run(f"{end_the_keeper}\n{sigsegv}", PYTHONFAULTHANDLER="1")
    assert code == -signal.SIGSEGV
    assert sum(line.startswith("Fatal Python error: Segmentation fault") for line in err) == 1


def test_a_library_that_holds_the_lock_is_never_blocked():
    code, out, _ = run("for _ in range(50_000):\n    holding_the_lock.write(2, b'x' * 60, 60)")
    assert (code, out) == (0, "the answer\n")


def test_the_keeper_ends_with_its_process():
    """Whoever reads stderr to its end would wait for it, until the test gives up."""
    run("", end="caught.end()\ntime.sleep(0.1)")
    run("", end="os._exit(0)")


def test_a_live_view_is_not_torn():
    """A terminal of 60 columns: whatever is written in between, the lines of the view are drawn
    over themselves, and never again below."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**environment, "TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(theirs)
    output = b""
    try:
        while part := os.read(ours, 65536):
            output += part
    except OSError:  # EIO: the other side closed it
        pass
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    shown = rows(output.decode(), columns=60)
    assert [row for row in shown if "iCCP" in row] == [
        "a library writes: libpng warning: iCCP: known incorrect sRGB",
        "libraries repeated themselves: 20 x libpng warning: iCCP:",
    ]
    assert sum("20/20" in row for row in shown) == 1
    assert sum("pretrain" in row for row in shown) == 1


def rows(output, *, columns):
    """What a terminal shows, scrolled-off rows too; as much of one as rich uses."""
    screen, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[\??\d*(?:;\d+)*[A-Za-z]|\r|\n|[^\x1b\r\n]+", output):
        if token == "\r":
            column = 0
        elif token == "\n":
            row, column = row + 1, 0
            screen += [""] * (row + 1 - len(screen))
        elif token.startswith("\x1b"):
            if token.endswith("A"):
                row = max(0, row - int(re.search(r"\d+", token)[0]))
            elif token == "\x1b[2K":
                screen[row] = ""
        else:
            screen[row] = (
                screen[row][:column].ljust(column) + token + screen[row][column + len(token) :]
            )
            column += len(token)
            assert column <= columns
    return [line.rstrip() for line in screen]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Corrupt JPEG data: 12 extraneous bytes before marker 0xd9",
         "Corrupt JPEG data: N extraneous bytes before marker N"),
        ("W0000 00:00:1795860882.184335   28444 png_io.cc:96] PNG warning: iCCP: too short",
         "PNG warning: iCCP: too short"),
        ("2026-11-28 13:00:00.123456: E external/xla/slow_operation_alarm.cc:73] ", None),
        ("********************************", None),
        ("2026-11-28 13:00:00.123456: W tensorflow/core/x.cc:5] odd 7", "odd N"),
        ("WARNING: All log messages before absl::InitializeLog() is called", None),
        ("  ", None),
    ],
)  # fmt: skip
def test_kinds(line, kind):
    assert native_log.kind(line) == kind


def test_crashes_are_known_by_their_first_line():
    for line in (
        "F0000 00:00:1795860882.184335   28444 x.cc:96] Check failed: a",
        "*** SIGTERM received by PID 5 (TID 5) on cpu 1 ***",
        "Fatal Python error: Aborted",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "free(): invalid pointer",
    ):
        assert native_log.is_crash(line)
    assert not native_log.is_crash(ICCP)
    assert not native_log.is_crash("********************************")
