from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.errors import InputError
from vitctl.text.delimited import Rows, parse
from vitctl.text.textfiles import decode


def rows(text: str, separator: str = ",") -> Rows:
    return parse(decode(text.encode(), label="t.csv"), separator=separator)


CELL = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"], exclude_characters="\ufeff"),
    min_size=1,
    max_size=8,
)


@given(
    table=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=2, max_size=6).filter(
        lambda table: len(set(table[0])) == 3 and not table[0][0].startswith("sep=")
    ),
    separator=st.sampled_from(",;\t"),
    trailing=st.booleans(),
)
def test_what_python_writes_is_read(table: list[list[str]], separator: str, trailing: bool) -> None:
    """Whatever the separator, the ending's or not; a comma within a cell is quoted all the same."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([*row, ""] if trailing else row for row in table)
    read = rows(stream.getvalue(), separator)
    assert [read.header, *read.rows] == table
    assert bool(read.remarks) == trailing


@pytest.mark.parametrize(
    ("text", "separator", "remark"),
    [
        ("model;error\nS/16;0.5\n", ",", "separated by semicolons"),
        ("model\terror\nS/16\t0.5\n", ",", "separated by tabs"),
        ("model,error\nS/16,0.5\n", "\t", "separated by commas"),
        # A comma in the header is no reason to cut there.
        ("model;error, top 1\nS/16;0.5\n", ",", "separated by semicolons"),
    ],
)
def test_the_separator_is_told_by_what_gives_a_table(
    text: str, separator: str, remark: str
) -> None:
    read = rows(text, separator)
    assert [read.header[0], *read.rows] == ["model", ["S/16", "0.5"]]
    assert read.remarks == (remark,)


def test_excel_names_its_separator() -> None:
    read = rows("sep=;\na;b\n1;2\n")
    assert (read.header, read.rows, read.numbers) == (["a", "b"], [["1", "2"]], [1])


@pytest.mark.parametrize(
    "text", ["a,b,\n1,2,\n3,4,\n", "a,b\n1,2,\n3,4,\n", "a,b,,,\n1,2\n3,4,,,\n", "a,b,\n1,2\n3,4\n"]
)
def test_separators_after_the_last_cell(text: str) -> None:
    read = rows(text)
    assert (read.header, read.rows) == (["a", "b"], [["1", "2"], ["3", "4"]])
    assert read.remarks == ("separators after the last cell were left out",)


def test_a_cell_beyond_the_header_is_no_trailing_separator() -> None:
    with pytest.raises(InputError, match=r"row 2 of t\.csv has 3 cells where the header has 2"):
        rows("a,b\n1,2\n3,4,5\n")


def test_a_trailing_gap_is_a_missing_cell() -> None:
    assert rows("a,b\n1,\n").rows == [["1", ""]]


def test_empty_rows_of_a_spreadsheet_keep_the_others_numbers() -> None:
    read = rows("a,b\n1,2\n,\n\n3,4\n,\n")
    assert (read.rows, read.numbers) == ([["1", "2"], ["3", "4"]], [1, 3])
    assert read.remarks == ("rows without any cell were left out (2)",)


def test_decimal_commas() -> None:
    read = rows("c;e\n1;0,25\n10;0,125\n")
    assert read.rows == [["1", "0.25"], ["10", "0.125"]]
    assert "commas were read as decimal points" in read.remarks


def test_a_comma_that_may_part_thousands_is_left_alone() -> None:
    read = rows("c;e\n1,500;2\n10,000;1\n")
    assert read.rows == [["1,500", "2"], ["10,000", "1"]]


def test_spaces_after_the_separator_and_quotes() -> None:
    assert rows('a, "b"\n1, "2, 3"\n').rows == [["1", "2, 3"]]


def test_bad_quotes() -> None:
    with pytest.raises(InputError, match=r"t\.csv is not valid CSV"):
        rows('a,b\n"1,2\n')
