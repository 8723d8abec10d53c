"""Names of WordNet ids: from the files that come with ImageNet, else those that vitctl has."""

from __future__ import annotations

import json
import shutil

import pytest

from stages import api
from tests.ingest.sources import miniature_imagenet as mini
from vitctl.artifacts import Store
from vitctl.data.class_map import ilsvrc2012_titles
from vitctl.data.dataset import Dataset
from vitctl.events import Note
from vitctl.ingest.sources.wordnet import known_titles

IDS = sorted(mini.WORDS)


def test_the_list_has_all_classes_of_imagenet_and_its_makers_words():
    titles = ilsvrc2012_titles()
    assert len(titles) == 1000  # tests/data/test_class_map.py has each of them
    # miniature_imagenet.py has them from the development kit.
    assert {name: titles[name] for name in IDS} == mini.WORDS


@pytest.mark.parametrize("classes", [[], ["cat"], ["n01440764", "cat"], ["n0144076"]])
def test_other_classes_have_none(classes, tmp_path):
    assert known_titles(classes, [tmp_path], {}) is None


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("LOC_synset_mapping.txt", "{} {}\n"),
        ("synset_words.txt", "{} {}\n"),
        ("words.txt", "{}\t{}\n"),
    ],
)
def test_a_list_beside_the_images(name, line, tmp_path):
    """It goes before what vitctl has, and has classes that vitctl does not know."""
    names = {**dict.fromkeys(IDS, "a word"), "n00004475": "organism, being"}
    (tmp_path / name).write_text("".join(line.format(*pair) for pair in names.items()))
    known = known_titles([*IDS, "n00004475"], [tmp_path / "nowhere", tmp_path], {})
    assert known is not None
    assert (known.titles, known.path) == (names, tmp_path / name)


def test_a_development_kit_beside_the_images(tmp_path):
    mini.devkit(tmp_path / "ILSVRC2012_devkit_t12.tar.gz")
    known = known_titles(IDS, [tmp_path], {})
    assert known is not None
    assert known.titles == mini.WORDS
    assert known.path == tmp_path / "ILSVRC2012_devkit_t12.tar.gz"


def test_a_list_of_something_else_is_passed_over_and_a_garbled_one_is_said(tmp_path):
    (tmp_path / "words.txt").write_text("alpha\nbeta\n")
    (tmp_path / "synset_words.txt").write_text("n00000001 nothing\n")
    known = known_titles(IDS, [tmp_path], {})
    assert known is not None
    assert (known.titles, known.path) == (mini.WORDS, None)
    assert [note for note in known.notes if "words.txt is not read" in note]


def test_a_dataset_that_was_made_without_names_is_still_found(tmp_path, monkeypatch):
    for name in IDS:
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "images" / name / f"{i}.JPEG").write_bytes(mini.image(i))

    def sharded(store):
        events = []
        artifact = api.shard(
            tmp_path / "images", store=Store(store), runtime={"workers": 0}, emit=events.append
        )
        return artifact, [event.text for event in events if isinstance(event, Note)]

    with monkeypatch.context() as before:
        before.setattr("stages.shard.source.known_titles", lambda *_: None)
        old, _ = sharded(tmp_path / "old")
    assert Dataset.load(old.path).info.class_titles is None
    again, notes = sharded(tmp_path / "old")
    assert (again.path, again.id) == (old.path, old.id)
    assert any("which gave WordNet ids no readable names" in text for text in notes)
    new, notes = sharded(tmp_path / "new")
    assert list(Dataset.load(new.path).info.class_titles) == [mini.WORDS[name] for name in IDS]
    assert any("n01440764 is tench, Tinca tinca" in text for text in notes)
    assert new.id != old.id


def titles_of(source, store, **inputs):
    """(artifact, its titles, notes) of a dataset of a source."""
    events = []
    artifact = api.shard(
        source, store=Store(store), runtime={"workers": 0}, emit=events.append, **inputs
    )
    notes = [event.text for event in events if isinstance(event, Note)]
    return artifact, Dataset.load(artifact.path).info.class_titles, notes


def images(folder, *classes):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(2):
            (folder / name / f"{i}.JPEG").write_bytes(mini.image(i))
    return folder


UNKNOWN = ("n00004475", "n00005787")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tiny/words.txt", "n00004475\torganism, being\nn00005787\tbenthos\nn01440764\ttench\n"),
        ("imagenet_class_index.json", '{"0": ["n00004475", "organism, being"], '
         '"1": ["n00005787", "benthos"], "2": ["n01440764", "tench"]}'),
    ],
)  # fmt: skip
def test_a_list_in_an_archive(tmp_path, monkeypatch, ending, name, content):
    """It is read where it knows more than vitctl, and a dataset without it is still found."""
    images(tmp_path / "files" / "tiny" / "train", *UNKNOWN, "n01440764")
    (tmp_path / "files" / name).write_text(content)
    kind = {".tar": "tar", ".tar.gz": "gztar", ".zip": "zip"}[ending]
    shutil.make_archive(str(tmp_path / "x"), kind, tmp_path / "files")
    with monkeypatch.context() as before:
        before.setattr("vitctl.ingest.sources.wordnet._files", lambda *_: ())
        old, titles, _ = titles_of(tmp_path / f"x{ending}", tmp_path / "old")
    assert list(titles) == [*UNKNOWN, "tench, Tinca tinca"]
    again, _, notes = titles_of(tmp_path / f"x{ending}", tmp_path / "old")
    assert again.id == old.id
    assert any("fewer files of readable names" in text for text in notes)
    new, titles, notes = titles_of(tmp_path / f"x{ending}", tmp_path / "new")
    assert list(titles) == ["organism, being", "benthos", "tench"]
    assert any(f"WordNet ids are from {name.rpartition('/')[2]}" in text for text in notes)
    assert new.id != old.id


def test_names_of_numbers_beside_the_images(tmp_path, monkeypatch):
    """cat_to_name.json, which lies above the folder of the images in Kaggle's Flowers-102."""
    images(tmp_path / "dataset", "1", "21", "10")
    names = {"1": "pink primrose", "21": "fire lily", "10": "globe thistle", "102": "blackberry"}
    (tmp_path / "cat_to_name.json").write_text(json.dumps(names))
    with monkeypatch.context() as before:
        before.setattr("stages.shard.source.known_titles", lambda *_: None)
        old, titles, _ = titles_of(tmp_path / "dataset", tmp_path / "old")
    assert titles is None
    again, _, notes = titles_of(tmp_path / "dataset", tmp_path / "old")
    assert again.id == old.id
    assert any("which read no files of readable names" in text for text in notes)
    _, titles, notes = titles_of(tmp_path / "dataset", tmp_path / "new")
    assert list(titles) == ["pink primrose", "globe thistle", "fire lily"]
    assert any("1 is pink primrose" in text for text in notes)
    del names["21"]
    (tmp_path / "cat_to_name.json").write_text(json.dumps(names))
    assert known_titles(["1", "10", "21"], [tmp_path], {}) is None
    (tmp_path / "cat_to_name.json").write_text("{")
    garbled = known_titles(["1", "10", "21"], [tmp_path], {})
    assert garbled is not None
    assert not garbled.titles
    assert "cat_to_name.json is not read for names of classes" in garbled.notes[0]


def test_words_of_food_101(tmp_path):
    """Of a folder and of its archive; lists that do not say the same are left alone."""
    classes = ["apple_pie", "creme_brulee", "macaroni_and_cheese"]
    meta = tmp_path / "food-101" / "meta"
    meta.mkdir(parents=True)
    (meta / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    (meta / "labels.txt").write_text("Apple pie\nCreme brulee\nMacaroni and cheese\n")
    shown = ["Apple pie", "Creme brulee", "Macaroni and cheese"]
    of_folder = known_titles(classes, [tmp_path / "food-101"], {})
    inside = {f"meta/{name}": (meta / name).read_bytes() for name in ("classes.txt", "labels.txt")}
    of_archive = known_titles(classes, [], inside)
    for known in (of_folder, of_archive):
        assert known is not None
        assert [known.titles[name] for name in classes] == shown
    for content in ("Apple pie\nCreme brulee\n", "Macaroni\nCreme brulee\nApple pie\n"):
        (meta / "labels.txt").write_text(content)
        assert known_titles(classes, [tmp_path / "food-101"], {}) is None
