"""Near names: the right one, in one style, from one place, and fast among thousands."""

from __future__ import annotations

import ast
import difflib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.app import VERBS
from vitctl.text.suggestions import did_you_mean, either, nearest, suggest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for top in ("vitctl", "stages") for path in (ROOT / top).rglob("*.py"))
OF_SUGGESTIONS = "vitctl/text/suggestions.py"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("pretain", "pretrain"),
        ("PRETRAIN", "pretrain"),
        ("finetun", "finetune"),
        ("evalute", "evaluate"),
        ("shrad", "shard"),
        ("lineag", "lineage"),
    ],
)
def test_a_mistyped_command_is_named(wrong, right):
    assert nearest(wrong, VERBS)[0] == right


def test_what_is_like_nothing_gets_the_other_hint():
    assert suggest("zzz", VERBS, otherwise="see vitctl --help") == "see vitctl --help"
    assert suggest("zzz", [], otherwise="see vitctl --help") == "see vitctl --help"
    assert suggest("", ["", "a"], otherwise="none") == "none"


def test_a_beginning_names_what_begins_with_it():
    known = ["custom-width-96-depth-2-patch-16", "custom-width-8-depth-2", "S-16", "test-8"]
    assert nearest("custom", known) == [known[1], known[0]]
    assert nearest("cu", known) == []


def test_one_style():
    assert did_you_mean(["a"]) == "did you mean a?"
    assert did_you_mean(["a", "b"]) == "did you mean a or b?"
    assert did_you_mean(["a", "b", "c"]) == "did you mean a, b or c?"
    assert did_you_mean([]) is None
    assert either(["a", "b", "c", "d"]) == "a, b, c or d"


NAMES = st.lists(st.text("abcde-_", min_size=1, max_size=12), max_size=30, unique=True)


@given(st.text("abcde-_", min_size=1, max_size=12), NAMES)
def test_few_names_are_ranked_as_difflib_ranks_them(name, known):
    ratios = [difflib.SequenceMatcher(None, one, name).ratio() for one in nearest(name, known)]
    ratios = [ratio for ratio in ratios if ratio >= 0.6]  # not those that only begin with it
    theirs = [
        difflib.SequenceMatcher(None, one, name).ratio()
        for one in difflib.get_close_matches(name, known, n=2)
    ]
    assert ratios == theirs


@pytest.fixture(scope="module")
def thousands():
    """Names as the folders of many runs are called."""
    return [f"run-{number * 2654435761 % 2**32:08x}-wd" for number in range(20_000)]


@pytest.mark.parametrize("at", [0, 5, 12])
@pytest.mark.parametrize("mistake", ["swapped", "dropped", "doubled", "other"])
def test_one_wrong_letter_among_thousands(thousands, at, mistake):
    right = thousands[7_777]
    head, one, tail = right[:at], right[at], right[at + 1 :]
    wrong = {
        "swapped": head + tail[:1] + one + tail[1:],
        "dropped": head + tail,
        "doubled": head + one + one + tail,
        "other": head + "z" + tail,
    }[mistake]
    assert nearest(wrong, thousands)[0] == right


@pytest.mark.parametrize("name", ["run-0000000", "x", "y" * 100_000])
def test_thousands_are_compared_in_a_moment(thousands, name):
    """Processor time, 0.1 s as a rule; difflib alone takes seconds, and hours for the longest."""
    begin = time.process_time()
    nearest(name, thousands, cutoff=0)
    assert time.process_time() - begin < 1


def uses_difflib(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names) if any(name.name == "difflib" for name in names):
                return True
            case ast.ImportFrom(module="difflib"):
                return True
    return False


def test_all_hints_on_names_come_from_one_place():
    sources = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in FILES}
    assert [name for name, source in sources.items() if uses_difflib(source)] == [OF_SUGGESTIONS]
    phrase = "did you mean {"
    assert [name for name, source in sources.items() if phrase in source] == [OF_SUGGESTIONS]


def test_that_another_place_would_be_seen():
    assert uses_difflib("def f():\n    from difflib import get_close_matches\n")
    assert uses_difflib("import os, difflib\n")
    assert not uses_difflib("import os\n")
