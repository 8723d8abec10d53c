"""The picture of a run, at the sizes terminals have."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vitctl.console.live import Region
from vitctl.console.training_view import Picture, plain, plain_scores
from vitctl.events import Doing, Left, Scored, Stepped, Trail, Trained
from vitctl.text import quantities


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    """Where TERM is `dumb`, as in some CI, rich moves no cursor."""
    monkeypatch.setenv("TERM", "xterm-256color")


LEFT = Left(3600.0, 3300.0, 4200.0)


def trained(step=500, **changes):
    fields = {
        "task": "pretrain S/16",
        "step": step,
        "total": 1000,
        "loss": 2.5,
        "lr": 8e-4,
        "images_per_s": 1234.5,
        "data_wait": 0.031,
        "flops_per_s": 33.3e12,
        "left": LEFT,
    }
    return Trained(**(fields | changes))


def scored(step=400, top1=0.612):
    return Scored(step, "val", {"top1": top1, "top5": 0.84, "loss": 1.71, "examples": 50_000})


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def picture(clock, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return Picture(clock=clock)


def drawn(picture, columns=100, rows=40):
    out = io.StringIO()
    console = Console(file=out, width=columns, height=rows, color_system=None, highlight=False)
    console.print(picture)
    return out.getvalue().splitlines()


def fed(picture):
    picture(Trail(tuple((step, 7 - step / 100) for step in range(0, 400, 10))))
    picture(scored())
    picture(Doing("step"))
    picture(trained())
    return picture


def test_a_wide_terminal_sees_everything(picture):
    text = "\n".join(drawn(fed(picture), 120))
    for sentence in (
        "pretrain S/16",
        "50%  500/1,000 steps",
        "loss 2.500",
        "lr 0.000800",
        "img/s 1,234",
        "model 33.3 TFLOP/s",
        "data wait 3 %",
        "val at 400",
        "top-1 61.2 %",
        "top-5 84.0 %",
        "eta 1 h 00 min (55 min to 1 h 10 min)",
        "training",
    ):
        assert sentence in text


def test_what_a_rollback_gave_up_is_no_longer_drawn(picture):
    fed(picture)
    picture(Trail(()))
    assert picture._points == []


@pytest.mark.parametrize("columns", [20, 40, 59, 60, 80, 100, 200])
@pytest.mark.parametrize("rows", [4, 10, 14, 24, 60])
def test_it_never_leaves_the_terminal(picture, columns, rows):
    fed(picture)
    lines = drawn(picture, columns, rows)
    assert all(len(line) < columns for line in lines)
    assert lines[0].strip().startswith("pretrain"[:10])


def test_a_narrow_one_is_calm(picture):
    lines = drawn(fed(picture), 50)
    assert len(lines) <= 6
    assert not any("┤" in line for line in lines)


def test_known_peak_gives_mfu_instead_of_flops(picture):
    picture(trained(mfu=0.412))
    text = "\n".join(drawn(picture))
    assert "MFU 41.2 %" in text
    assert "FLOP/s" not in text


def test_no_eta_before_the_pace_is_known_and_none_at_the_end(picture):
    picture(trained(left=None))
    assert "eta not known yet" in "\n".join(drawn(picture))
    picture(trained(1000, left=Left(0, 0, 0)))
    assert "eta" not in "\n".join(drawn(picture))


def test_the_eta_runs_down_while_nothing_is_told(picture, clock):
    picture(trained())
    clock.now += 600
    assert "eta 50 min (45 min to 1 h 00 min)" in "\n".join(drawn(picture))
    clock.now += 10_000
    assert "eta 0 s" in "\n".join(drawn(picture))


def test_what_takes_long_is_named_with_its_time(picture, clock):
    picture(Doing("compile"))
    clock.now += 75
    assert drawn(picture) == [" compiling 1 min 15 s"]


def test_steps_are_drawn_before_the_first_row(picture):
    picture(Doing("step"))
    picture(Stepped("pretrain S/16", 1, 1000, 6.9081))
    text = "\n".join(drawn(picture))
    assert "1/1,000 steps" in text
    assert "loss 6.908" in text
    assert "eta not known yet" in text
    picture(Stepped("pretrain S/16", 3, 1000, 6.9, left=LEFT))
    text = "\n".join(drawn(picture))
    assert "3/1,000 steps" in text
    assert "eta 1 h" in text


def test_steps_between_rows_move_the_bar_and_nothing_else(picture):
    before = drawn(fed(picture))
    picture(Stepped("pretrain S/16", 510, 1000, 1.2345, left=LEFT))
    after = drawn(picture)
    assert "510/1,000 steps" in after[0]
    assert after[1:] == before[1:]


@pytest.mark.parametrize(
    ("activity", "line"), [("restore", "restoring 7 s"), ("open", "opening the data 7 s")]
)
def test_the_phases_of_starting_are_told_with_their_time(picture, clock, activity, line):
    picture(Doing("start"))
    clock.now += 20
    picture(Doing(activity))
    clock.now += 7
    assert drawn(picture) == [f" {line}"]


def test_the_best_score_is_remembered(picture):
    fed(picture)
    picture(scored(450, 0.5))
    assert "best top-1 61.2 % at 400" in "\n".join(drawn(picture, 120))
    picture(scored(480, 0.7))
    assert "best" not in "\n".join(drawn(picture, 120))


def test_in_the_end_it_says_how_long_it_took(picture, clock):
    fed(picture)
    clock.now += 3725
    picture.end()
    clock.now += 99
    text = "\n".join(drawn(picture))
    assert "took 1 h 02 min" in text
    assert "training" not in text


def test_without_unicode_it_is_ascii(monkeypatch, clock):
    monkeypatch.setenv("LC_ALL", "C")
    picture = fed(Picture(clock=clock))
    for columns in (40, 80, 120):
        assert all(line.isascii() for line in drawn(picture, columns))


def test_names_are_shown_safely(picture):
    picture(trained(task="a\x1b[31m[bold]"))
    picture(Scored(3, "v\n", {"top1": 1.0}))
    text = "\n".join(drawn(picture))
    assert "a\\x1b[31m[bold]" in text
    assert "v\\x0a at 3" in text


def test_a_line_for_logs():
    assert plain(trained(mfu=0.412), scored()) == (
        "pretrain S/16: 500/1000 steps  loss 2.5  lr 0.0008  img/s 1,234  MFU 41.2 %  "
        "data wait 3 %  top-1 61.2 %  eta 1 h 00 min (55 min to 1 h 10 min)"
    )
    assert plain_scores(scored()) == "val at step 400: top-1 61.2 %  top-5 84.0 %  loss 1.71"


@pytest.mark.parametrize(("narrower", "rows_up"), [(80, 2), (40, 2), (20, 4), (10, 8)])
def test_a_narrower_terminal_wraps_what_was_drawn(narrower, rows_up):
    """Three lines of 35, 35 and 5 columns; going up to the first row they now begin in."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    region = Region(lambda: "x" * 35 + "\n" + "x" * 35 + "\n" + "x" * 5, console=console)
    region.start(refresh=True)
    try:
        out.truncate(0)
        console.width = narrower
        region.refresh()
        assert out.getvalue().split("x")[0].count("\x1b[1A") == rows_up
    finally:
        region.stop()


def test_the_cursor_stays_visible():
    out = io.StringIO()
    region = Region(lambda: "x", console=Console(file=out, width=80, force_terminal=True))
    region.start()
    try:
        assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")
    finally:
        region.stop()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (605, "10 min"),
        (3599.6, "1 h 00 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    assert quantities.duration(seconds) == text


def test_rates_and_flops():
    assert [quantities.rate(x) for x in (0.5234, 98.76, 12_345.6)] == ["0.523", "98.8", "12,346"]
    assert [quantities.flops(x) for x in (1.5e15, 2e12, 3e9, 4e6, 5)] == [
        "1.5 PFLOP/s",
        "2 TFLOP/s",
        "3 GFLOP/s",
        "4 MFLOP/s",
        "5 FLOP/s",
    ]


def test_a_long_title_leaves_room_for_the_steps(picture):
    label = "finetune custom (width 32, depth 1, patch 4)"
    picture(Trained(label, 26, 1_000, 2.5, 8e-4, 100.0, 0.0, 1e9))
    assert drawn(picture, 60, 20)[0].endswith("3%  26/1,000")
    assert label in drawn(picture, 100, 30)[0]
