"""Class maps: one name or several for a class, and ObjectNet's own tables."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from vitctl.data.class_map import ilsvrc2012_classes, read_class_map
from vitctl.errors import InputError
from vitctl.events import Note


def test_lines_have_a_name_or_several(tmp_path):
    path = tmp_path / "map.tsv"
    path.write_text("clock\tn1\tn2\nair freshener\tn3\n")
    assert read_class_map(path) == {"clock": ("n1", "n2"), "air freshener": "n3"}
    path.write_text("clock n1, a clock\n")
    assert read_class_map(path) == {"clock": "n1, a clock"}


def test_json_has_a_name_or_a_list_or_nothing(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"clock": ["n1", "n2"], "pan": "n3", "one": ["n4"], "owl": []}')
    assert read_class_map(path) == {"clock": ("n1", "n2"), "pan": "n3", "one": "n4", "owl": ()}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("map.json", '{"a": "x", "a": "y"}', "names 'a' twice"),
        ("map.json", '{"a": 1}', "'a' in .* is neither a name of a class nor a list"),
        ("map.json", "[]", "is no JSON object"),
        ("map.txt", "a\tx\na\ty\n", "line 2 of .* names 'a' again"),
        ("map.txt", "a\t\n", "line 1 of .* is not a class of the dataset, a tab, and a class of"),
    ],
)
def test_what_is_no_class_map(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_class_map(path)


@pytest.mark.parametrize(
    ("text", "way"), [("ring,disc\n", "with a tab, not with a comma"), ("ring\t\n", "as JSON")]
)
def test_the_hint_on_a_line_is_for_its_fault(tmp_path, text, way):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError) as raised:
        read_class_map(tmp_path / "map.csv")
    assert way in raised.value.hint


def objectnet_mappings(folder: Path) -> Path:
    """The four tables of ObjectNet's archive, as they are but short: ImageNet's readable names by
    the lines of one, whose numbers another translates to PyTorch's."""
    folder.mkdir(parents=True)
    labels = ["tench, Tinca tinca", "analog clock", "digital clock", "frying pan, frypan, skillet"]
    numbers = {"0": 0, "409": 1, "530": 2, "567": 3}
    tables = {
        "folder_to_objectnet_label.json": {
            "alarm_clock": "Alarm clock",
            "frying_pan": "Frying pan",
            "air_freshener": "Air freshener",
        },
        "objectnet_to_imagenet_1k.json": {
            "Alarm clock": "analog clock; digital clock",
            "Frying pan": "frying pan, frypan, skillet",
        },
        "pytorch_to_imagenet_2012_id.json": numbers,
    }
    for name, table in tables.items():
        (folder / name).write_text(json.dumps(table))
    (folder / "imagenet_to_label_2012_v2").write_text("".join(f"{text}\n" for text in labels))
    return folder


def test_objectnets_mappings(tmp_path):
    events: list[Note] = []
    result = read_class_map(objectnet_mappings(tmp_path / "mappings"), emit=events.append)
    # WordNet: analog clock, digital clock, frying pan.
    assert result == {
        "alarm_clock": ("n02708093", "n03196217"),
        "frying_pan": "n03400231",
        "air_freshener": (),
    }
    assert "2 of ObjectNet's 3 classes are classes of ImageNet" in events[0].text
    assert "alarm_clock is n02708093 or n03196217" in events[0].text


def test_a_name_that_objectnets_tables_lack_is_refused(tmp_path):
    folder = objectnet_mappings(tmp_path / "mappings")
    (folder / "imagenet_to_label_2012_v2").write_text("tench, Tinca tinca\n")
    with pytest.raises(InputError, match="names 'analog clock', which"):
        read_class_map(folder)
    with pytest.raises(InputError, match="is a folder without objectnet_to"):
        read_class_map(tmp_path)


def test_the_classes_of_imagenet():
    """1,000 WordNet ids, sorted, as models number them: 0 is the tench, 999 toilet tissue."""
    classes = ilsvrc2012_classes()
    assert len({*classes}) == 1000
    assert list(classes) == sorted(classes)
    assert (classes[0], classes[409], classes[999]) == ("n01440764", "n02708093", "n15075141")
    lines = "".join(f"{name}\n" for name in classes)
    assert hashlib.sha256(lines.encode()).hexdigest() == (
        "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"
    )
