from __future__ import annotations

import numpy as np
import pytest

from vitctl.data.classes import (
    class_mapping,
    map_labels,
    read_class_list,
    read_pairs,
    select_classes,
    sort_classes,
    titles_for,
)
from vitctl.errors import InputError, NotFoundError, UsageError

DIGITS = [str(i) for i in range(12)]


def test_integers_sort_as_numbers_and_text_by_code_point():
    assert sort_classes(["10", "9", "2"]) == ["2", "9", "10"]
    assert sort_classes(["b", "10", "9", "B", "ä"]) == ["10", "9", "B", "b", "ä"]


def test_mapping_is_by_name():
    mapping = class_mapping(dataset=["cat", "ant"], model=["ant", "bee", "cat"])
    assert mapping.tolist() == [2, 0]
    labels = np.array([[0, -1], [1, 0]], np.int32)
    assert map_labels(labels, mapping).tolist() == [[2, -1], [0, 2]]


def test_mapping_with_a_class_map():
    assert class_mapping(
        dataset=["Katze", "ant"], model=["ant", "cat"], class_map={"Katze": "cat"}
    ).tolist() == [1, 0]


def test_a_class_map_that_renames_nothing_is_a_mistake():
    with pytest.raises(InputError, match="renames none of the dataset's 2 classes"):
        class_mapping(dataset=["ant", "cat"], model=["ant", "cat"], class_map={"Katze": "cat"})


def test_mismatch_tells_both_counts_and_three_examples():
    with pytest.raises(InputError) as error:
        class_mapping(dataset=["a", "b", "c", "d", "x"], model=["x", "y"])
    assert "4 of the dataset's 5" in error.value.message
    assert "model's 2 ('a', 'b', 'c', ...)" in error.value.message
    assert "--class-map" in error.value.hint


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("0-5", DIGITS[:6]), ("7,3", ["3", "7"]), ("10-99, 1", ["1", "10", "11"])],
)
def test_selecting_integer_classes(wanted, chosen):
    assert select_classes(wanted, available=DIGITS) == chosen


def test_a_name_is_a_name_before_it_is_a_range():
    assert select_classes("1-2", available=["1-2", "x"]) == ["1-2"]


@pytest.mark.parametrize("wanted", ["dog", "0-5x", "20-30", ""])
def test_classes_that_are_not_there(wanted):
    with pytest.raises(UsageError):
        select_classes(wanted, available=DIGITS)


def test_ranges_need_integer_names():
    with pytest.raises(UsageError, match="no class '1-2'"):
        select_classes("1-2", available=["1", "2", "x"])


def test_class_list_file(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("zebra\n\nant\n")
    assert read_class_list(file) == ["zebra", "ant"]
    file.write_text("ant\nant\n")
    with pytest.raises(InputError, match="twice"):
        read_class_list(file)
    with pytest.raises(NotFoundError):
        read_class_list(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("zebra,\n\ntench, Tinca tinca,\nant\n", "commas at the ends of lines"),
        ("zebra,\r\ntench, Tinca tinca,\r\nant,\r\n", "commas at the ends of lines"),
        ('"zebra"\n"tench, Tinca tinca"\n"ant"\n', "quotes around names"),
        ("'zebra'\n'tench, Tinca tinca'\n'ant'\n", "quotes around names"),
        ("  'zebra',\n  'tench, Tinca tinca',\n  'ant'\n", "quotes around names"),
        ('["zebra", "tench, Tinca tinca", "ant"]', "a list in brackets"),
        ("[\n 'zebra',\n 'tench, Tinca tinca',\n 'ant',\n]\n", "a list in brackets"),
    ],
)
def test_lists_copied_out_of_code_and_tables(tmp_path, text, remark):
    (tmp_path / "classes.txt").write_bytes(text.encode())
    events = []
    listed = read_class_list(tmp_path / "classes.txt", emit=events.append)
    assert listed == ["zebra", "tench, Tinca tinca", "ant"]
    assert remark in events[0].text


@pytest.mark.parametrize(
    "names", [["a,", "b"], ['"a"', "b"], ["[a]", "[b]"], ["a", "b,"], ["'a\"", "'b'x"]]
)
def test_what_only_some_names_have_is_a_part_of_them(tmp_path, names):
    (tmp_path / "classes.txt").write_text("\n".join([*names, "c", ""]))
    assert read_class_list(tmp_path / "classes.txt") == [*names, "c"]


@pytest.mark.parametrize("line", ['"cat" "dog"', "'cat', 'dog'", '"cat"; "dog"'])
def test_quotes_around_several_names_of_a_line_are_a_part_of_it(tmp_path, line):
    (tmp_path / "classes.txt").write_text(f'{line}\n"ant"\n')
    assert read_class_list(tmp_path / "classes.txt") == [line, '"ant"']


def test_quotes_within_a_name_are_doubled_or_apostrophes(tmp_path):
    (tmp_path / "classes.txt").write_text("'Queen Anne's lace'\n'a ''b'' c'\n")
    assert read_class_list(tmp_path / "classes.txt") == ["Queen Anne's lace", "a 'b' c"]


def test_a_list_of_one_line(tmp_path):
    (tmp_path / "classes.txt").write_text("cat, dog,sofa\n")
    events = []
    assert read_class_list(tmp_path / "classes.txt", emit=events.append) == ["cat", "dog", "sofa"]
    assert "commas between" in events[0].text


def test_titles_in_csv(tmp_path):
    file = tmp_path / "titles.csv"
    file.write_text('class,title\nn01,"tench, Tinca tinca"\nn02,great white, a shark\n')
    assert read_pairs(file, option="--class-titles") == {
        "class": "title",
        "n01": "tench, Tinca tinca",
        "n02": "great white, a shark",
    }
    file.write_text("n01\ta cat, a dog\nn02 goldfish\n")  # of another program, so called
    assert read_pairs(file, option="--class-titles") == {"n01": "a cat, a dog", "n02": "goldfish"}
    file.write_text("n01\n")
    with pytest.raises(InputError, match="line 1"):
        read_pairs(file, option="--class-titles")


def test_titles(tmp_path):
    file = tmp_path / "titles.txt"
    file.write_text("n01\ttench, Tinca tinca\nn02 goldfish\n")
    titles = read_pairs(file, option="--class-titles")
    assert titles_for(["n02", "n03", "n01"], titles) == ("goldfish", "n03", "tench, Tinca tinca")
    with pytest.raises(InputError, match="none of the 1"):
        titles_for(["x"], titles)
    file.write_text("n01\n")
    with pytest.raises(InputError, match="line 1"):
        read_pairs(file, option="--class-titles")
    as_json = tmp_path / "titles.json"
    as_json.write_text('{"a": "Ä"}')
    assert read_pairs(as_json, option="--class-titles") == {"a": "Ä"}


def test_forms_of_unicode_are_one_name():
    """macOS writes names of files decomposed, Linux as they were typed."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert class_mapping(dataset=[decomposed, "a"], model=["a", composed]).tolist() == [1, 0]
    assert class_mapping(dataset=[composed], model=["a", decomposed]).tolist() == [1]
    renamed = class_mapping(dataset=["x"], model=["a", composed], class_map={"x": decomposed})
    assert renamed.tolist() == [1]
    # A model that has both tells them apart, and a third spelling is none of them.
    both = ["\u1e9b\u0323", "\u017f\u0323\u0307"]
    assert class_mapping(dataset=both[::-1], model=both).tolist() == [1, 0]
    with pytest.raises(InputError, match="the classes differ"):
        class_mapping(dataset=["\u1e9b\u0323".replace("\u1e9b", "\u017f\u0307")], model=both)
