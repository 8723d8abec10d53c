"""Names of classes in the forms of JSON that other programs write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.data.class_json import NoClassesError, read_class_json
from vitctl.data.classes import read_class_list, read_pairs
from vitctl.errors import InputError
from vitctl.places import place

KERAS = {"0": ["n01440764", "tench"], "1": ["n01443537", "great_white"]}


@pytest.mark.parametrize(
    ("value", "classes", "titles"),
    [
        (KERAS, ["n01440764", "n01443537"], {"n01440764": "tench", "n01443537": "great white"}),
        ({"0": "a", "1": "b"}, ["a", "b"], {"0": "a", "1": "b"}),
        ({"21": "fire lily", "1": "rose"}, None, {"21": "fire lily", "1": "rose"}),
        ({"b": 1, "a": 0}, ["a", "b"], {"0": "a", "1": "b"}),
        ({"b": 2, "a": 1}, None, {"1": "a", "2": "b"}),
        ({"model_type": "vit", "id2label": {"1": "b", "0": "a"}}, ["a", "b"], {"0": "a", "1": "b"}),
        ({"label2id": {"a": 0, "b": 1}}, ["a", "b"], {"0": "a", "1": "b"}),
        (["a", "b"], ["a", "b"], None),
    ],
)
def test_forms(tmp_path, value, classes, titles):
    file = tmp_path / "classes.json"
    file.write_text(json.dumps(value))
    events = []
    if classes is None:
        with pytest.raises(InputError, match="from 0 on without gaps"):
            read_class_list(place(file))
    else:
        assert read_class_list(place(file), emit=events.append) == classes
        assert f"0 is {classes[0]}" in events[0].text
    if titles is None:
        with pytest.raises(InputError, match="beside the words"):
            read_pairs(file, option="--class-titles")
    else:
        assert read_pairs(file, option="--class-titles") == titles


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("{", "is not JSON"),
        ("[]", "neither an object"),
        ("3", "neither an object"),
        ("{}", "names no class"),
        ('{"a": 0, "b": 0}', "two classes one number"),
        ('{"a": true, "b": 0}', "no object of names"),
        ('{"a": [1, 2]}', "no object of names"),
        ('{"a": "x", "a": "y"}', "twice"),
        ('["a", "a"]', "twice"),
    ],
)
def test_what_is_none(tmp_path, text, clause):
    file = tmp_path / "classes.json"
    file.write_text(text)
    with pytest.raises(InputError, match=clause):
        read_class_list(place(file))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["0", "1", "id2label", "label2id", "x"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=150)
@given(JSON)
def test_any_json_is_names_or_a_clause(value):
    try:
        classes = read_class_json(json.dumps(value))
    except NoClassesError as error:
        clause = str(error)
        assert len(clause.splitlines()) == 1
        return
    assert all(isinstance(name, str) for name in classes.order or ())
    assert all(isinstance(name, str) for pair in classes.titles.items() for name in pair)
