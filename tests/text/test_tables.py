from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.text.tables import Table, read_table

ROWS = [
    {"model": "G/14", "steps": 5000, "error": 0.15},
    {"model": "g/14", "steps": 400, "error": 0.19},
    {"model": "L/16", "steps": 20, "error": 0.5},
]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def every_format(folder: Path) -> list[Path]:
    parquet = folder / "t.parquet"
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(ROWS), parquet)
    lines = [list(map(str, row.values())) for row in ROWS]
    return [
        write(folder / "t.csv", "\n".join(",".join(line) for line in [list(ROWS[0]), *lines])),
        write(folder / "t.tsv", "\n".join("\t".join(line) for line in [list(ROWS[0]), *lines])),
        write(folder / "t.json", json.dumps(ROWS)),
        write(folder / "u.json", json.dumps({k: [row[k] for row in ROWS] for k in ROWS[0]})),
        write(folder / "t.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        parquet,
    ]


def test_all_formats_give_the_same_table(tmp_path: Path) -> None:
    for path in every_format(tmp_path):
        table = read_table(path)
        assert list(table.columns) == ["model", "steps", "error"]
        assert table.rows == [1, 2, 3]
        assert table.texts("model").tolist() == ["G/14", "g/14", "L/16"]
        np.testing.assert_array_equal(table.numbers("error"), [0.15, 0.19, 0.5])


def test_the_fingerprint_is_of_the_bytes(tmp_path: Path) -> None:
    one = read_table(write(tmp_path / "a.csv", "x\n1\n"))
    same = read_table(write(tmp_path / "b.csv", "x\n1\n"))
    other = read_table(write(tmp_path / "c.csv", "x\n2\n"))
    assert one.sha256 == same.sha256 != other.sha256


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (["model=G/14"], [1]),
        (["model=G/14,g/14"], [1, 2]),
        (["model!=G/14,g/14"], [3]),
        (["steps>=400"], [1, 2]),
        (["steps>400"], [1]),
        (["steps<=20"], [3]),
        (["steps < 400"], [3]),
        (["steps=4e2"], [2]),  # numbers compare as numbers
        (["steps>=400", "model!=G/14"], [2]),
    ],
)
def test_where(tmp_path: Path, condition: list[str], rows: list[int]) -> None:
    for path in every_format(tmp_path):
        assert read_table(path).where(condition).rows == rows


def test_where_says_what_is_wrong(tmp_path: Path) -> None:
    table = read_table(every_format(tmp_path)[0])
    with pytest.raises(InputError, match=r"no row of .* is left after --where model=H/14") as error:
        table.where(["model=H/14"])
    assert error.value.hint == "model has G/14, g/14, L/16"
    with pytest.raises(InputError, match="no column 'modle'") as error:
        table.where(["modle=G/14"])
    assert error.value.hint == "did you mean model?"
    with pytest.raises(UsageError, match="is no condition"):
        table.where(["model"])


def test_a_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", "x,y\n1,2\n,3\nabout 4,5\n"))
    with pytest.raises(InputError, match=r"x is not a number in row 3 of .*: 'about 4'"):
        table.numbers("x")
    cut = table.where(["y<5"])
    assert cut.rows == [1, 2]
    np.testing.assert_array_equal(cut.numbers("x"), [1, np.nan])


def test_truth_values_and_underscores_are_no_numbers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.json", json.dumps([{"x": True, "y": "1_000"}])))
    for name in "xy":
        with pytest.raises(InputError, match="is not a number"):
            table.numbers(name)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"a,b\n", "has no rows"),
        ("t.csv", b"a,b\n1,2,3\n", "row 1 of .* has 3 cells where the header has 2"),
        ("t.csv", b"a,a\n1,2\n", "more than one column 'a'"),
        ("t.csv", b"a,b\n\xff,2\n", "is not UTF-8 text"),
        ("t.csv", b'a,b\n"1,2\n', "is not valid CSV"),
        ("t.json", b"[{]", "is not JSON"),
        ("t.json", b"3", "neither a list of objects nor an object of lists"),
        ("t.json", b'{"a": [1, 2], "b": [1]}', "columns of different lengths"),
        ("t.json", b'[{"a": "\\ud800"}]', "text that is not Unicode"),
        ("t.json", b"[" * 100_000, "nests more than 64"),
        ("t.jsonl", b'{"a": 1}\nx\n', "line 2 of .* is not JSON"),
        ("t.parquet", b"PAR1 no", "is not valid Parquet"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_format_in_the_encodings_of_windows(tmp_path: Path, encoding: str) -> None:
    for path in every_format(tmp_path):
        if path.suffix == ".parquet":
            continue
        plain = read_table(path)
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_bytes(text.encode(encoding))
        table = read_table(path)
        assert (table.columns, table.rows) == (plain.columns, plain.rows)
        assert table.where(["model=G/14"]).rows == [1]
        assert bool(table.remarks) == (encoding != "utf-8" or "\r\n" in text)


def test_a_table_as_a_european_spreadsheet_saves_it(tmp_path: Path) -> None:
    text = "model;steps;error;\r\nG/14;5000;0,15;\r\ng/14;400;0,19;\r\n;;;\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8-sig"))
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table.numbers("error"), [0.15, 0.19])
    assert table.remarks == (
        "a byte-order mark was left out",
        "line ends of Windows (CRLF)",
        "separated by semicolons",
        "separators after the last cell were left out",
        "rows without any cell were left out (1)",
        "commas were read as decimal points",
    )


def test_a_json_text_may_hold_a_line_separator(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"a": "x\u2028y"}\n{"a": "z"}\n')
    assert read_table(path).columns == {"a": ["x\u2028y", "z"]}


def test_what_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no table"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(UsageError, match="names no table format") as error:
        read_table(write(tmp_path / "t.xlsx", "x"))
    assert ".csv" in str(error.value.hint)


def test_take_keeps_the_files_row_numbers() -> None:
    table = Table("t", "", {"x": [5, 6, 7]}, [1, 2, 3])
    assert table.take(np.array([2, 0])).rows == [3, 1]
