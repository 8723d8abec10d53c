from __future__ import annotations

import io
import re
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from vitctl.console import bars
from vitctl.console import display as displays
from vitctl.console.display import Display
from vitctl.events import (
    Answering,
    Caution,
    Doing,
    Left,
    Next,
    Note,
    Progress,
    Scored,
    Settings,
    Spent,
    Stepped,
    Trained,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def plain(monkeypatch):
    """stderr that is no terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(displays, "sys", SimpleNamespace(stderr=stream))
    return stream


@contextmanager
def showing():
    show = Display()
    yield show
    show.stop()


def progress(done, total=10, **fields):
    return Progress("train", done, total, "steps", {k: str(v) for k, v in fields.items()})


def test_plain_lines(plain):
    with showing() as show:
        show(Note("seen once"))
        show(Caution("careful"))
        show(Settings("run", {"model": "S/16", "batch": "8"}))
        show(Next.of("ls"))
    assert plain.getvalue().splitlines() == [
        "seen once",
        "caution: careful",
        "run",
        "  model  S/16",
        "  batch  8",
    ]


def test_plain_progress_is_rare_but_has_the_end_once(plain, monkeypatch):
    now = 0.0
    monkeypatch.setattr(displays.time, "monotonic", lambda: now)
    with showing() as show:
        for done in range(1, 11):
            show(progress(done, loss=0.5))
            now += 3
        show(progress(10, loss=0.5))
    assert plain.getvalue().splitlines() == [
        "train: 1/10 steps  loss 0.5",
        "train: 5/10 steps  loss 0.5",
        "train: 9/10 steps  loss 0.5",
        "train: 10/10 steps  loss 0.5",
    ]


def test_work_without_an_end(plain):
    with showing() as show:
        show(progress(3, total=None))
    assert plain.getvalue() == "train: 3 steps\n"


def test_markup_and_escapes_in_names_are_text(plain):
    with showing() as show:
        show(Note("[bold]x[/bold] \x1b[31m [/nonsense]"))
        show(Settings("a [b]", {"k": "[link=x]"}))
        show(progress(1, label="[red]"))
    assert plain.getvalue().splitlines() == [
        "[bold]x[/bold] \\x1b[31m [/nonsense]",
        "a [b]",
        "  k  [link=x]",
        "train: 1/10 steps  label [red]",
    ]


def test_long_lines_are_not_broken_where_programs_read_them(plain):
    with showing() as show:
        show(Note("word " * 100))
    assert len(plain.getvalue().splitlines()) == 1


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(displays, "sys", SimpleNamespace(stderr=stream))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def test_a_terminal_gets_bars_and_the_next_command_in_one_piece(terminal):
    command = "vitctl cooldown --from " + "long/" * 30
    with showing() as show:
        for done in range(3):
            show(progress(done, loss=0.5, note="[red]"))
        show(Next.of(*command.split()[1:]))
    output = terminal.getvalue()
    assert "\x1b[" in output
    assert "train" in output
    assert "loss 0.5  note [red]" in output
    assert command in output


def test_nothing_is_drawn_below_an_answer_and_what_follows_gets_bars_again(terminal):
    with showing() as show:
        show(progress(3))
        show(Answering())
        before = terminal.getvalue()
        show.stop()
        assert terminal.getvalue() == before
        show(progress(4))
        show(Answering())
    assert terminal.getvalue() != before


def test_no_color_is_respected(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with showing() as show:
        show(Caution("careful"))
        show(Settings("title", {"a": "b"}))
    assert "\x1b[3" not in terminal.getvalue()
    assert "caution: careful" in terminal.getvalue()


def test_a_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with showing() as show:
        show(progress(1, loss=2))
    assert terminal.getvalue() == "train: 1/10 steps  loss 2\n"


def test_prose_is_wrapped_between_words_on_a_terminal(terminal):
    with showing() as show:
        show(Note("word " * 40))
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.split() == ["word"] * len(line.split()) for line in lines)


def training(step, total=1000):
    return Trained("pretrain S/16", step, total, 2.5, 8e-4, 100.0, 0.0, 1e9)


def test_training_in_plain_lines(plain, monkeypatch):
    now = 0.0
    monkeypatch.setattr(displays.time, "monotonic", lambda: now)
    with showing() as show:
        show(Doing("start"))
        show(Doing("compile"))
        for step in (1, 2, 3, 1000):
            show(training(step))
            now += 6
        show(Scored(1000, "val", {"top1": 0.5}))
        show(Spent({"step": 90.0, "compile": 10.0}, starts=2))
    lines = plain.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "compiling the training step",
        "pretrain S/16: 1/1000 steps",
        "pretrain S/16: 3/1000 steps",
        "pretrain S/16: 1000/1000 steps",
        "val at step 1000: top-1 50.0 %",
        "time 1 min 40 s in 2 starts: 90 % training steps, 10 % compiling",
    ]


def test_training_on_a_terminal_ends_with_where_the_time_went(terminal):
    with showing() as show:
        show(Doing("compile"))
        show(training(500))
        show(Note("said meanwhile"))
        show(Spent({"step": 90.0, "compile": 10.0}, starts=1))
    output = terminal.getvalue()
    assert "compiling" in output
    assert "500/1,000 steps" in output
    assert "said meanwhile" in output
    last = output[output.rindex("pretrain S/16") :]
    assert "time 1 min 40 s: 90 % training steps, 10 % compiling" in last
    assert "eta" not in last


def test_plain_lines_until_the_first_row_are_rare(plain, monkeypatch):
    now = 0.0
    monkeypatch.setattr(displays.time, "monotonic", lambda: now)
    with showing() as show:
        for step in range(1, 80):
            left = Left(*[100.0 - step] * 3) if step >= 3 else None
            show(Stepped("pretrain S/16", step, 1000, 6.9 - step / 100, left=left))
            now += 1
        show(training(80))
        now += 1000
        show(Stepped("pretrain S/16", 81, 1000, 6.1))
    lines = plain.getvalue().splitlines()
    assert lines[:2] == [
        "pretrain S/16: 1/1000 steps  loss 6.89",
        "pretrain S/16: 61/1000 steps  loss 6.29  eta 39 s",
    ]
    assert [line.split("  ")[0] for line in lines[2:]] == ["pretrain S/16: 80/1000 steps"]


def test_plain_lines_name_what_is_compiled(plain):
    with showing() as show:
        for activity in ("start", "open", "compile", "step", "score", "compile", "score"):
            show(Doing(activity))
    assert plain.getvalue().splitlines() == ["compiling the training step", "compiling the scoring"]


def test_an_import_is_shown_on_a_terminal(terminal):
    with showing() as show:
        show(Doing("import"))
        show._region.refresh()
    assert "importing jax" in terminal.getvalue()


def test_an_import_is_nothing_for_logs(plain):
    with showing() as show:
        show(Doing("import"))
    assert plain.getvalue() == ""


def screen_of(written, *, columns=80):
    """What a terminal shows in the end; it knows the control codes of live regions."""
    lines, row, column = [""], 0, 0
    for code in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\n]|[^\x1b\r\n]+", written):
        if code == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif code == "\r":
            column = 0
        elif code == "\x1b[2K":
            lines[row] = ""
        elif code == "\x1b[1A":
            row -= 1
        elif not code.startswith("\x1b"):
            assert column + len(code) <= columns
            lines[row] = lines[row][:column].ljust(column) + code
            column += len(code)
    return "\n".join(line.rstrip() for line in lines).rstrip().split("\n")


@pytest.fixture
def seconds(monkeypatch):
    """A clock that the test sets."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(bars.time, "monotonic", lambda: now.seconds)
    return now


@pytest.mark.parametrize("columns", [60, 100])
def test_of_a_finished_bar_one_line_stays_above_what_came_of_it(
    terminal, seconds, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    with showing() as show:
        for done in (64, 128, 256):
            show(Progress("val features", done, 256, "images", {"img/s": str(done)}))
            seconds.seconds += 30
        for done in (1, 2):
            show(Progress("probes", done, 2, "draws"))
        show(Settings("few-shot", {"top-1": "50.0 %"}))
        show(Next.of("ls"))
        show(Answering())
        terminal.write("artifacts/fewshot/x\n")
    assert screen_of(terminal.getvalue(), columns=columns) == [
        "val features: 256/256 images in 1 min 30 s  img/s 256",
        "few-shot",
        "  top-1  50.0 %",
        "next: vitctl ls",
        "artifacts/fewshot/x",
    ]


@pytest.mark.parametrize("total", [None, 500])
def test_of_a_bar_that_is_broken_off_stays_how_far_it_came(terminal, seconds, total):
    with showing() as show:
        show(Progress("predict", 10, total, "images"))
        seconds.seconds += 5
        show(Note("said meanwhile"))
        show(Progress("predict", 20, total, "images"))
        before = screen_of(terminal.getvalue())
        show.stop()
    of = "" if total is None else "/500"
    assert "predict" in before[-1]
    assert screen_of(terminal.getvalue()) == [
        "said meanwhile",
        f"predict: 20{of} images in 5 s",
    ]


def test_what_took_no_time_leaves_nothing(terminal, seconds):
    with showing() as show:
        for done in range(1, 4):
            show(Progress("names of images", done, 3, "images"))
            seconds.seconds += 0.1
        show(Progress("copying", 7, 7, "MiB"))
        show(Answering())
    assert screen_of(terminal.getvalue()) == [""]
