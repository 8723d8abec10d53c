"""`croissant.json` against the dataset that it describes, and against Croissant's own reader."""

from __future__ import annotations

import hashlib
import json

import pytest
from pydantic import ValidationError

from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.ingest.write.about import About
from vitctl.ingest.write.croissant import croissant_file

KNOWN = About(
    license="CC-BY-4.0",
    creator="Jane Doe",
    organization="ACME",
    homepage="https://example.org/photos",
    citation="Jane Doe: Photos. 2026",
    description="Cats and dogs.",
    date_published="2026-11-29",
)
KINDS = {
    "one label": {},
    "titles": {"class_titles": ("Cat, domestic", "Dog")},
    "several labels": {"multi_label": True, "max_labels": 2},
    "no labels": {"classes": ()},
}


def info(**fields):
    splits = {
        "train": SplitInfo(shard_lengths=(3, 4), record_bytes=10),
        "test": SplitInfo(shard_lengths=(2,), record_bytes=3),
    }
    return DatasetInfo(**{"classes": ("cat", "dog"), "splits": splits, **fields})


def document(about=None, **fields):
    digest = hashlib.sha256(b"x").hexdigest()
    files = {
        f"images-{name}": (1, digest)
        for name in (
            "train.array_record-00000-of-00002",
            "train.array_record-00001-of-00002",
            "test.array_record-00000-of-00001",
        )
    }
    files["dataset.json"] = (2, digest)
    return croissant_file(info(**fields), name="photos", about=about or About(), files=files)


def references(value):
    """All that a document refers to by an id alone."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for item in value.values():
            yield from references(item)
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def definitions(value):
    if isinstance(value, dict):
        if {"@id", "@type"} <= set(value) and str(value["@type"]).startswith("cr:"):
            yield value["@id"]
        for item in value.values():
            yield from definitions(item)
    if isinstance(value, list):
        for item in value:
            yield from definitions(item)


def record_set(document, name):
    (one,) = (each for each in document["recordSet"] if each["@id"] == name)
    return one


@pytest.mark.parametrize("kind", KINDS)
def test_every_id_is_defined_once_and_every_reference_leads_to_one(kind):
    read = json.loads(document(**KINDS[kind]))
    del read["@context"]
    ids = list(definitions(read))
    assert len(ids) == len(set(ids))
    assert set(references(read)) <= set(ids)
    labels = [f["@id"] for f in record_set(read, "images")["field"]]
    assert ("images/label" in labels) == (kind != "no labels")


def test_counts_classes_and_titles():
    read = json.loads(document(class_titles=("Cat, domestic", "Dog")))
    splits = record_set(read, "splits")["data"]
    assert [(row["splits/name"], row["splits/records"]) for row in splits] == [
        ("train", 7),
        ("test", 2),
    ]
    assert record_set(read, "classes")["data"][0] == {
        "classes/number": 0,
        "classes/name": "cat",
        "classes/title": "Cat, domestic",
    }
    assert "several" in json.loads(document(multi_label=True))["description"]


def test_what_nobody_said_is_left_out_and_what_a_person_said_is_there():
    bare, full = json.loads(document()), json.loads(document(KNOWN))
    properties = ("license", "creator", "url", "citeAs", "datePublished")
    assert not set(properties) & set(bare)
    assert [full[name] for name in properties if name != "creator"] == [
        KNOWN.license,
        KNOWN.homepage,
        KNOWN.citation,
        KNOWN.date_published,
    ]
    assert [each["name"] for each in full["creator"]] == ["Jane Doe", "ACME"]
    assert full["description"] == "Cats and dogs."
    assert KNOWN.missing == ()
    assert About().missing == ("license", "creator", "homepage", "date_published")
    assert "creator" not in About(organization="ACME").missing


@pytest.mark.parametrize(
    "wrong", [{"date_published": "yesterday"}, {"homepage": "javascript:alert(1)"}]
)
def test_what_is_no_day_and_no_address(wrong):
    with pytest.raises(ValidationError, match=str(next(iter(wrong.values()))).split("(")[0]):
        About(**wrong)


@pytest.mark.slow  # another library, which imports pandas and rdflib
@pytest.mark.parametrize("about", [About(), KNOWN], ids=["bare", "known"])
@pytest.mark.parametrize("kind", KINDS)
def test_its_own_library_finds_nothing_wrong(kind, about, tmp_path):
    croissant = pytest.importorskip("mlcroissant")
    file = tmp_path / "croissant.json"
    file.write_bytes(document(about, **KINDS[kind]))
    dataset = croissant.Dataset(str(file))
    issues = dataset.metadata.ctx.issues
    assert issues.errors == set()
    # What it recommends beyond what was given are the properties that only a person knows.
    missing = {line.split('"')[1].rpartition("/")[2] for line in issues.warnings}
    assert missing == (set() if about == KNOWN else {"citeAs", "datePublished", "license"})
    assert [row["splits/records"] for row in dataset.records("splits")] == [7, 2]
    if kind != "no labels":
        assert [row["classes/name"] for row in dataset.records("classes")] == ["cat", "dog"]
