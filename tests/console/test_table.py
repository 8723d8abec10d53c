from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from vitctl.console import table as tables

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
COLUMNS = ["kind", "name", "id", "step", "made", "summary"]
ROWS = [
    ["run", "test-8", "225d5cd6", "120..1.2k (10)", "2 min ago", "test/8, loss 6.2, top-1 10.8%"],
    ["dataset", "src", "c76c11dd", "", "just now", "5 classes, 270 train, 30 val"],
]


def drawn(columns, rows, width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "answer_columns", lambda: width)
        return ESCAPES.sub("", tables.table(columns, rows)).split("\n")


def test_a_program_reads_a_row_on_one_line():
    assert drawn(COLUMNS, ROWS, None) == [
        "kind     name    id        step            made       summary",
        "run      test-8  225d5cd6  120..1.2k (10)  2 min ago  test/8, loss 6.2, top-1 10.8%",
        "dataset  src     c76c11dd                  just now   5 classes, 270 train, 30 val",
    ]


def test_prose_with_little_room_wraps_between_words():
    assert drawn(COLUMNS, ROWS[:1], 76) == [
        "kind  name    id        step            made       summary",
        "run   test-8  225d5cd6  120..1.2k (10)  2 min ago  test/8, loss 6.2, top-1",
        " " * 51 + "10.8%",
    ]


def test_columns_without_room_stand_on_a_line_of_their_own():
    assert drawn(COLUMNS, ROWS, 60) == [
        "kind     name    id        step            made",
        "  summary",
        "run      test-8  225d5cd6  120..1.2k (10)  2 min ago",
        "  test/8, loss 6.2, top-1 10.8%",
        "dataset  src     c76c11dd                  just now",
        "  5 classes, 270 train, 30 val",
    ]


def test_styles_reach_a_terminal_only(monkeypatch):
    rows = [["S/16", Text("fails", style="red")]]
    for width, styled in ((80, True), (None, False)):
        monkeypatch.setattr(tables, "answer_columns", lambda width=width: width)
        assert ("\x1b[31mfails" in tables.table(["model", "state"], rows)) is styled


@given(st.lists(st.lists(st.text("ab-é日", max_size=6), min_size=3, max_size=3), min_size=1))
def test_a_file_gets_what_a_very_wide_terminal_shows(rows):
    head, *body = [["x", *row] for row in rows]
    assert drawn(head, body, None) == drawn(head, body, 10_000)


cell_texts = st.text("abcdefgh0123456789.-/", min_size=0, max_size=14)


@given(
    columns=st.integers(1, 9),
    width=st.integers(24, 120),
    draw=st.data(),
)
def test_no_cell_is_cut_and_no_line_is_too_long(columns, width, draw):
    row = st.lists(cell_texts, min_size=columns, max_size=columns)
    head, *rows = draw.draw(st.lists(row, min_size=1, max_size=4))
    lines = drawn(head, rows, width)
    assert all(len(line) <= width for line in lines)
    # In order, as words: each cell stands on the screen whole.
    shown = [word for line in lines for word in line.split()]
    assert shown == [cell for each in (head, *rows) for cell in each if cell]
