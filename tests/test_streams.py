"""stdin, stdout, stderr and exit codes, as a shell sees them: every case is a real process, most
are forks (`tests.forking`)."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forking
from tests.artifacts.making import dataset, made, recipe
from tests.forking import COMMAND, LOOKING, shell_command
from tests.waiting import PATIENCE_S, until_it_waits
from vitctl.artifacts import Store

ROOT = Path(__file__).parents[1]
VITCTL = [sys.executable, "-m", "stages.app"]


@pytest.fixture
def store(tmp_path):
    """Two datasets; `newest` is what is taken when nothing is named."""
    store = Store(tmp_path / "artifacts")
    dataset(store, name="first", images=4)
    dataset(store, name="newest", images=6, larger=True)
    return store


@pytest.fixture
def first(store):
    return next(entry for entry in store.entries() if entry.path.name.startswith("first"))


@pytest.fixture
def vitctl(tmp_path, store):
    """Run a command in the folder of the store."""

    def run(*arguments, program=(), **options):
        options = {"cwd": tmp_path, "env": _environment(), "timeout": PATIENCE_S} | options
        if program:
            options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
            done = subprocess.run([*program, *map(str, arguments)], **options, check=False)
        else:
            done = forking.run(COMMAND, *arguments, preload=LOOKING, **options)
        return done.returncode, _text(done.stdout), _text(done.stderr)

    return run


@pytest.fixture
def shell(vitctl):
    """Run a line of bash in which `vitctl` is the command."""
    command = f'vitctl() {{ {shell_command(COMMAND, preload=LOOKING)} "$@"; }}; '

    def run(line, **options):
        return vitctl("-c", command + line, program=["bash"], **options)

    return run


def script(vitctl, text, **options):
    return vitctl("-c", text, program=[sys.executable], **options)


def _environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm-256color"} | more


def _text(data):
    return None if data is None else os.fsdecode(data)


# stdout


NOISE = """
import ctypes, os, subprocess, sys
from vitctl.console.streams import answer, claim_stdout, silence_stdout
claim_stdout()
silence_stdout()
print("print")
sys.__stdout__ and sys.__stdout__.write("old object\\n")
os.write(1, b"descriptor\\n")
libc = ctypes.CDLL(None)
libc.puts(b"from C")
libc.fflush(None)
subprocess.run(["echo", "child"])
with open("kept.txt", "w") as file:
    os.write(2, b"to stderr\\n")
    file.write("only this")
answer("the answer")
"""


def test_nothing_but_the_answer_reaches_stdout(vitctl):
    code, out, err = script(vitctl, NOISE)
    assert (code, out) == (0, "the answer\n")
    for word in ("print", "old object", "descriptor", "from C", "child", "to stderr"):
        assert word in err


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_not_given_to_files(shell, tmp_path, closed):
    """Python would open the next file as descriptor 2, and log lines would land in it."""
    (tmp_path / "noise.py").write_text(NOISE)
    code, out, _ = shell(f"{sys.executable} noise.py {closed}")
    assert code == 0
    assert out == ("" if ">&-" in closed.replace("2>&-", "") else "the answer\n")
    assert (tmp_path / "kept.txt").read_text() == "only this"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_commands_work_with_a_closed_stream(shell, closed):
    code, out, err = shell(f"vitctl ls --json {closed}")
    assert code == 0
    assert len(out.splitlines()) == (0 if closed == ">&-" else 2)
    assert err == ""


def test_an_error_keeps_its_code_where_nobody_hears_it(shell):
    assert shell("vitctl show nope 2>&-") == (4, "", "")


@contextlib.contextmanager
def pipe_without_reader():
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("arguments", [["ls"], ["show"], ["--help"]])
def test_a_reader_that_went_away_is_no_error(vitctl, arguments):
    with pipe_without_reader() as write:
        code, _, err = vitctl(*arguments, stdout=write, stdin=subprocess.DEVNULL)
    assert (code, err.replace("REF", "").count("Error")) == (0, 0)
    assert "Traceback" not in err
    assert "Broken pipe" not in err


def test_work_goes_on_when_nobody_reads_stderr(vitctl):
    """`2>&1 | head` must not end a week of training, nor hide how it ended."""
    with pipe_without_reader() as write:
        code, out, _ = vitctl("show", "nope", stderr=write)
        assert (code, out) == (4, "")
        code, out, _ = vitctl("show", "--json", stderr=write, stdin=subprocess.DEVNULL)
        assert code == 0
        assert json.loads(out)["kind"] == "dataset"


def test_a_full_disk_behind_stdout_is_told(shell):
    code, _, err = shell("vitctl ls > /dev/full")
    assert code == 6
    assert "error: cannot write: the disk is full" in err


def test_several_answers_are_several_lines_and_json_is_one_object_a_line(vitctl, store):
    _, out, _ = vitctl("ls", "--json")
    objects = [json.loads(line) for line in out.splitlines()]
    assert [row["summary"]["examples"]["train"] for row in objects] == [4, 6]
    for row in objects:
        assert {"path", "id", "digest", "kind", "summary"} <= row.keys()


# stdin


def newest(out):
    return json.loads(out)["summary"]["examples"]["train"] == 6


def test_what_is_no_pipe_is_not_read(vitctl, tmp_path, first):
    """/dev/null, a file, a closed descriptor, a terminal: the next rule applies."""
    (tmp_path / "list").write_text(f"{first.path}\n")
    ours, theirs = pty.openpty()
    os.write(ours, f"{first.path}\n".encode())
    with (tmp_path / "list").open() as file:
        for stdin in (subprocess.DEVNULL, file, theirs):
            code, out, _ = vitctl("show", "--json", stdin=stdin)
            assert code == 0
            assert newest(out)
    for descriptor in (ours, theirs):
        os.close(descriptor)


def test_a_closed_stdin_is_not_read(shell):
    code, out, _ = shell("vitctl show --json <&-")
    assert code == 0
    assert newest(out)


def test_pipes_sockets_and_fifos_are_read(vitctl, shell, first):
    line = f"{first.path}\n".encode()
    code, out, _ = vitctl("show", "--json", input=line)
    assert (code, newest(out)) == (0, False)

    ours, theirs = socket.socketpair()
    ours.sendall(line)
    ours.close()
    code, out, _ = vitctl("show", "--json", stdin=theirs.fileno())
    assert (code, newest(out)) == (0, False)
    theirs.close()

    code, out, _ = shell(f"mkfifo f; (echo {first.path} > f &) ; vitctl show --json < f")
    assert (code, newest(out)) == (0, False)


@pytest.mark.parametrize(
    ("command", "upstream"), [("verify", ""), ("cooldown", ""), ("fewshot", "\n\n")]
)
def test_an_upstream_that_failed_is_exit_4(vitctl, command, upstream):
    code, out, err = vitctl(command, input=upstream.encode())
    assert (code, out) == (4, "")
    assert err.startswith("error: the command before the pipe printed no artifact")
    assert "pipefail" in err


def test_with_pipefail_the_first_failure_is_what_the_shell_reports(shell):
    code, out, err = shell("set -o pipefail; vitctl show nope | vitctl verify")
    assert (code, out) == (4, "")
    assert err.count("error: ") == 2


def test_every_line_is_an_input_paths_and_json_alike(vitctl, store):
    first, second = (str(entry.path) for entry in store.entries())
    lines = ["", first, f"{second}\r", json.dumps({"path": first, "id": "x"}), " ", second]
    code, out, _ = vitctl("show", "--json", input="\n".join(lines).encode())
    assert code == 0
    assert [json.loads(line)["path"] for line in out.splitlines()] == [first, second] * 2


def test_commands_chain_in_both_forms(shell):
    code, out, _ = shell("vitctl ls --json | vitctl verify --json | vitctl verify")
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_line_that_is_neither_path_nor_object(vitctl):
    code, out, err = vitctl("show", input=b'{"id": "x"}\n')
    assert (code, out) == (3, "")
    assert "neither a path nor an object" in err


def test_input_without_an_end_is_refused(shell):
    code, out, err = shell("yes | vitctl evaluate")
    assert (code, out) == (3, "")
    assert "stdin holds more than 100,000 lines" in err


LONG_LINE = """
from vitctl.console import streams
from vitctl.errors import InputError
streams.MOST_LINE_BYTES = 1000
streams.claim_stdout()
try:
    streams.read_references(what="dataset", several=False, emit=print)
except InputError as error:
    streams.answer(error.message)
"""


def test_a_line_without_an_end_is_refused(shell, tmp_path):
    (tmp_path / "long.py").write_text(LONG_LINE)
    code, out, _ = shell(f"cat /dev/zero | {sys.executable} long.py")
    assert code == 0
    assert "a line of more than 1,000 bytes" in out


def test_a_named_input_leaves_stdin_to_others(shell, first):
    code, out, _ = shell(f"printf 'for cat' | (vitctl verify {first.path} > /dev/null; cat)")
    assert (code, out) == (0, "for cat")


READ_ONE = """
from vitctl.console.streams import claim_stdout, read_references
claim_stdout()
assert read_references(what="dataset", several=False, emit=print) == ["one"]
"""


def test_one_input_is_one_line_and_not_a_byte_more(shell, tmp_path):
    (tmp_path / "one.py").write_text(READ_ONE)
    code, out, _ = shell(f"printf 'one\\ntwo\\n' | ({sys.executable} one.py; cat)")
    assert (code, out) == (0, "two\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_is_announced_once_and_a_signal_ends_it(tmp_path, store, number):
    process = subprocess.Popen(
        [*VITCTL, "cooldown"],
        cwd=tmp_path,
        env=_environment(PYTHONPROFILEIMPORTTIME="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    lines = []
    for line in process.stderr:
        lines.append(line.decode())
        if "waiting for the path of a checkpoint on stdin" in lines[-1]:
            break
    until_it_waits(process.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 10
    assert out == b""
    assert f"stopped: {number.name} before work began\n".encode() in err
    assert b"Traceback" not in err
    assert b"waiting" not in err
    # The upstream may take hours: it is awaited with little memory, before jax is imported.
    modules = {line.rsplit("|", 1)[-1].strip() for line in lines}
    assert not modules & {"jax", "tensorflow", "numpy"}


# What is shown


def test_what_is_told_goes_to_stderr(vitctl):
    _, out, err = vitctl("ls", "--kind", "fewshot")
    assert (out, err) == ("", "no fewshot in artifacts yet\n")


def test_quiet_leaves_only_errors(vitctl):
    assert vitctl("ls", "--kind", "fewshot", "--quiet") == (0, "", "")
    code, _, err = vitctl("show", "nope", "--quiet")
    assert (code, err.startswith("error: ")) == (4, True)


def test_a_terminal_is_recognised_behind_our_own_descriptor(tmp_path, store):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*VITCTL, "ls"],
        cwd=tmp_path,
        env=_environment(NO_COLOR=""),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # EIO: the other side closed it
        while part := os.read(ours, 4096):
            output += part
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    assert b"newest" in output
    assert b"\x1b[" in output


def test_names_from_data_cannot_steer_the_terminal(vitctl, store):
    made(store, recipe(a=3), name="evil", summary={"name": "\x1b[31mred\u202e\n[bold]"})
    for command in ("ls", "show"):
        code, out, _ = vitctl(command, stdin=subprocess.DEVNULL)
        assert code == 0
        assert "red" in out
        assert not {"\x1b", "\u202e"} & set(out)
    code, _, err = vitctl("show", "a\x1b[31m\nb")
    assert code == 4
    assert err.splitlines()[0].startswith("error: 'a\\x1b[31m\\nb' is neither")


@pytest.mark.parametrize(
    ("place", "sentence_part"),
    [
        (b"a\nb", "'a\\nb': a path must not have a line break"),
        (b"caf\xe9", "UTF-8"),
    ],
)
@pytest.mark.parametrize("option", ["--out", "--store"])
def test_places_that_no_later_command_could_be_told(vitctl, option, place, sentence_part, tmp_path):
    code, out, err = vitctl("shard", "digits", option, os.fsdecode(place))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {option} ")
    assert sentence_part in err
    assert not (tmp_path / os.fsdecode(place)).exists()


def test_paths_of_other_bytes_than_utf8_can_be_looked_at(vitctl, tmp_path):
    """As bytes between commands, escaped for people, valid JSON for programs."""
    root = tmp_path / os.fsdecode(b"caf\xe9")
    artifact = made(Store(root), recipe("fewshot", "fewshot"), name="photos")
    code, out, _ = vitctl("verify", input=os.fsencode(artifact.path))
    assert code == 0
    assert "caf\\xe9" in out
    code, out, _ = vitctl("show", "--json", "--store", root, "photos")
    assert code == 0
    assert "caf\\xe9" in json.loads(out)["path"]
    named = json.loads(out)
    code, out, _ = vitctl("verify", "--json", input=json.dumps(named).encode())
    assert (code, json.loads(out)["path"]) == (0, named["path"])
    code, out, _ = script(vitctl, r"from vitctl.console.streams import answer; answer('caf\udce9')")
    assert (code, os.fsencode(out)) == (0, b"caf\xe9\n")
