from __future__ import annotations

from itertools import pairwise

import pytest

from vitctl.console.curve import curve, thinned, unicode_shown


def dots(lines):
    """(x, y from the top) of every dot behind the axis, at braille's resolution."""
    places = set()
    for row, line in enumerate(lines):
        axis_end = max(line.find("┤"), line.find("│")) + 1
        for column, character in enumerate(line[axis_end:]):
            if not 0x2800 <= ord(character) <= 0x28FF:
                continue
            for bit, (dx, dy) in enumerate(
                [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]
            ):
                if (ord(character) - 0x2800) >> bit & 1:
                    places.add((2 * column + dx, 4 * row + dy))
    return places


def test_a_falling_line_falls_from_corner_to_corner_without_gaps():
    lines = curve([(0, 2.0), (100, 1.0)], columns=30, rows=5, last_x=100)
    values = dots(lines)
    across = max(x for x, _ in values)
    by_column = [sorted(y for x, y in values if x == column) for column in range(across + 1)]
    assert all(by_column)
    assert by_column[0][0] == 0
    assert by_column[-1][-1] == 19
    for left, right in pairwise(by_column):
        assert left[0] <= right[0] <= left[-1] + 1


def test_both_ends_are_labelled():
    lines = curve([(0, 2.5), (1, 1.25)], columns=30, rows=4, last_x=1)
    assert lines[0].startswith(" 2.5 ┤")
    assert lines[-1].startswith("1.25 ┤")


def test_a_wide_range_is_logarithmic():
    """1 is halfway between 10 and 0.1 in factors, near the bottom in differences."""
    points = [(0, 10.0), (50, 1.0), (100, 0.1)]
    lines = curve(points, columns=40, rows=5, last_x=100)
    assert lines[2].startswith("  1 ┤")
    middle = [y for x, y in dots(lines) if x == 34 * 2 // 2]
    assert all(8 <= y <= 11 for y in middle)


def test_what_is_to_come_stays_empty():
    lines = curve([(0, 2.0), (25, 1.0)], columns=44, rows=4, last_x=100)
    assert max(x for x, _ in dots(lines)) <= 20


@pytest.mark.parametrize("braille", [True, False])
@pytest.mark.parametrize("columns", [12, 20, 79, 200])
@pytest.mark.parametrize("rows", [2, 3, 8])
def test_it_keeps_to_its_place(braille, columns, rows):
    points = [(step, 1 / (1 + step)) for step in range(300)]
    lines = curve(points, columns=columns, rows=rows, last_x=400, braille=braille)
    assert len(lines) in (0, rows)
    assert all(len(line) <= columns for line in lines)
    if not braille:
        assert all(line.isascii() for line in lines)


@pytest.mark.parametrize(
    "points", [[], [(1, 1.0)], [(1, float("nan")), (2, 1.0)], [(0, float("inf"))]]
)
def test_too_little_to_draw(points):
    assert curve(points, columns=40, rows=5, last_x=10) == []


def test_nothing_changes_and_it_is_drawn_in_the_middle():
    lines = curve([(0, 3.0), (10, 3.0)], columns=40, rows=5, last_x=10)
    assert {y // 4 for _, y in dots(lines)} == {2}


def test_values_that_are_not_finite_leave_no_mark():
    clean = [(0, 2.0), (10, 1.0)]
    assert curve([*clean, (10, float("nan"))], columns=40, rows=5, last_x=10) == curve(
        clean, columns=40, rows=5, last_x=10
    )


def test_thinning_keeps_the_ends_and_the_mean():
    points = [(float(x), float(x * x % 7)) for x in range(1000)]
    fewer = thinned(points, most=100)
    assert len(fewer) <= 100
    assert (fewer[0], fewer[-1]) == (points[0], points[-1])
    mean = sum(y for _, y in points) / len(points)
    assert sum(y for _, y in fewer) / len(fewer) == pytest.approx(mean, rel=0.1)


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
        ({"LC_ALL": "", "LANG": "C.utf8"}, True),
    ],
)
def test_the_locale_decides_on_unicode(environment, shown):
    assert unicode_shown(environment) is shown


@pytest.mark.parametrize("rows", [2, 3, 5, 8])
@pytest.mark.parametrize(
    ("high", "low"),
    [(3.0, 3.0), (0.69315, 0.69314), (1.0, 1.0 - 1e-12), (100.0, 1e-3), (5e-324, 0.0), (7.0, 0.9)],
)
def test_no_label_is_printed_twice(rows, high, low):
    lines = curve([(0, high), (10, low)], columns=60, rows=rows, last_x=10, braille=False)
    labels = [label for line in lines if (label := line.split("|")[0].strip())]
    assert labels
    assert len(set(labels)) == len(labels)
    assert all(len(line) <= 60 for line in lines)
