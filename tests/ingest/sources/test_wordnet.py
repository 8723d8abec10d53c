"""Names of WordNet ids: from the files that come with ImageNet, else those that vitctl has."""

from __future__ import annotations

import pytest

from stages import api
from tests.ingest.sources import miniature_imagenet as mini
from vitctl.artifacts import Store
from vitctl.data.class_map import ilsvrc2012_titles
from vitctl.data.dataset import Dataset
from vitctl.events import Note
from vitctl.ingest.sources.wordnet import wordnet_titles

IDS = sorted(mini.WORDS)


def test_the_list_has_all_classes_of_imagenet_and_its_makers_words():
    titles = ilsvrc2012_titles()
    assert len(titles) == 1000  # tests/data/test_class_map.py has each of them
    # miniature_imagenet.py has them from the development kit.
    assert {name: titles[name] for name in IDS} == mini.WORDS


@pytest.mark.parametrize("classes", [[], ["cat"], ["n01440764", "cat"], ["n0144076"]])
def test_other_classes_have_none(classes, tmp_path):
    assert wordnet_titles(classes, [tmp_path]) is None


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
    known = wordnet_titles([*IDS, "n00004475"], [tmp_path / "nowhere", tmp_path])
    assert known is not None
    assert (known.titles, known.path) == (names, tmp_path / name)


def test_a_development_kit_beside_the_images(tmp_path):
    mini.devkit(tmp_path / "ILSVRC2012_devkit_t12.tar.gz")
    known = wordnet_titles(IDS, [tmp_path])
    assert known is not None
    assert known.titles == mini.WORDS
    assert known.path == tmp_path / "ILSVRC2012_devkit_t12.tar.gz"


def test_a_list_of_something_else_is_passed_over_and_a_garbled_one_is_said(tmp_path):
    (tmp_path / "words.txt").write_text("alpha\nbeta\n")
    (tmp_path / "synset_words.txt").write_text("n00000001 nothing\n")
    known = wordnet_titles(IDS, [tmp_path])
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
        before.setattr("stages.shard.source.wordnet_titles", lambda *_: None)
        old, _ = sharded(tmp_path / "old")
    assert Dataset.load(old.path).info.class_titles is None
    again, notes = sharded(tmp_path / "old")
    assert (again.path, again.id) == (old.path, old.id)
    assert any("which gave WordNet ids no readable names" in text for text in notes)
    new, notes = sharded(tmp_path / "new")
    assert list(Dataset.load(new.path).info.class_titles) == [mini.WORDS[name] for name in IDS]
    assert any("n01440764 is tench, Tinca tinca" in text for text in notes)
    assert new.id != old.id
