"""What `vitctl shard` says of a source: every kind of file that is left alone, however many."""

from __future__ import annotations

from collections import Counter, namedtuple

import pytest

from stages.shard.announce import announce_plan, announce_source
from stages.shard.run import run
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from tests.ingest.trees.test_folder import make
from tests.ingest.write.test_shard_plan import named
from vitctl.artifacts import Store
from vitctl.errors import DoesNotFitError, InputError, VitctlError
from vitctl.events import Caution, Note
from vitctl.ingest.litter import kinds_in_words
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.trees.folder import list_folder
from vitctl.ingest.write.shard_plan import assign_splits, make_units


def said(root):
    """(texts of notes, texts of cautions) of the source in a folder."""
    events = []
    announce_source(list_folder(root), emit=events.append)
    notes, cautions = (
        [event.text for event in events if isinstance(event, kind)] for kind in (Note, Caution)
    )
    return notes, cautions


def test_misnamed_images_are_said_by_kind(tmp_path):
    names = ["1.jpg?w=400", "2.jpg?x", "3.png.1", "4.jpeg (2)", "5.webp:large", "6.jpg.part"]
    make(tmp_path, "cat/a.jpg", "dog/b.jpg", *(f"cat/{name}" for name in names))
    notes, cautions = said(tmp_path)
    assert cautions == [
        "skipped for their names: 5 images (2 with a number after the ending (photo.jpg.1), 2 with "
        "a web address's tail (photo.jpg?w=400), 1 with something after the ending "
        "(photo.jpg:large)); rename them to use them"
    ]
    assert "1 download that did not finish (photo.jpg.part)" in notes[0]


@pytest.mark.parametrize(
    ("kinds", "end"), [(8, ""), (9, "and 1 more kind"), (11, "and 3 more kinds")]
)
def test_of_many_kinds_the_most_frequent_are_said_and_the_others_counted(tmp_path, kinds, end):
    make(tmp_path, "cat/a.jpg", "dog/b.jpg")
    make(tmp_path, *(f"cat/{i}.x{kind:02}" for kind in range(kinds) for i in range(kinds - kind)))
    (note,), cautions = said(tmp_path)
    assert cautions == []
    shown = [
        f"{kinds - kind} .x{kind:02} {'file' if kinds - kind == 1 else 'files'}"
        for kind in range(min(kinds, 8))
    ]
    assert note == f"skipped in {tmp_path}: {', '.join([*shown, *([end] if end else [])])}"


def test_kinds_that_are_not_shown_are_counted_also_in_errors(tmp_path):
    make(tmp_path, *(f"cat/a.x{kind}" for kind in range(5)))
    with pytest.raises(InputError, match=r"it holds 1 \.x\d file, .*, and 2 more kinds\)"):
        list_folder(tmp_path)
    assert kinds_in_words(Counter(), most=3) == ""


@pytest.mark.parametrize(
    ("kind", "one"),
    [
        (".txt files", "1 .txt file"),
        ("hidden folders", "1 hidden folder"),
        ("links that lead back up", "1 link that leads back up"),
        ("rows in a.csv that repeat another", "1 row in a.csv that repeats another"),
        ("images in folders left out by --exclude", "1 image in folders left out by --exclude"),
        ("recycle bins", "1 recycle bin"),
        ("encrypted members", "1 encrypted member"),
        (
            "downloads that did not finish (photo.jpg.part)",
            "1 download that did not finish (photo.jpg.part)",
        ),
    ],
)
def test_one_of_a_kind(kind, one):
    assert kinds_in_words(Counter([kind] * 2), most=1) == f"2 {kind}"
    assert kinds_in_words(Counter([kind]), most=1) == one


def test_too_small_a_disk_is_told_with_the_largest_file(tmp_path, monkeypatch):
    root = make(tmp_path / "photos", *(f"{c}/{i}.jpg" for c in ("cat", "dog") for i in range(3)))
    with open(root / "dog" / "huge.jpg", "wb") as file:
        file.truncate(300 * 2**20)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(9, 9, 2**20))
    with pytest.raises(DoesNotFitError) as refused:
        run(
            ShardConfig(),
            Inputs(str(root)),
            store=Store(tmp_path / "artifacts"),
            runtime=ShardRuntime(workers=0),
        )
    assert "(the largest file is dog/huge.jpg, 300 MiB)" in refused.value.message


CLASSES = 2000
SHORT = 400


@pytest.fixture(scope="module")
def two_thousand(tmp_path_factory):
    root = tmp_path_factory.mktemp("source") / "photos"
    return make(root, *(f"class number {c}/{i}.jpg" for c in range(CLASSES) for i in range(2)))


def refused(root, tmp_path, cfg=None, **inputs):
    """The error's sentence and its hint."""
    with pytest.raises(VitctlError) as error:
        run(
            cfg or ShardConfig(),
            Inputs(str(root), **inputs),
            store=Store(tmp_path / "artifacts"),
            runtime=ShardRuntime(workers=0),
        )
    return error.value.message, error.value.hint


def test_errors_and_hints_of_two_thousand_classes_list_none_of_them_all(two_thousand, tmp_path):
    listed = tmp_path / "classes.txt"
    listed.write_text("".join(f"Class Number {c}\n" for c in range(CLASSES)))
    errors = {
        "not among": refused(two_thousand, tmp_path, classes_from=listed),
        "no class, top": refused(two_thousand, tmp_path, exclude=("class nmber 7",)),
        "there is no class": refused(two_thousand, tmp_path, ShardConfig(classes="class nmber 7")),
        "none of the 2000": refused(two_thousand, tmp_path, class_titles=_titles(tmp_path)),
    }
    for phrase, (message, hint) in errors.items():
        assert phrase in message
        assert len(message) < SHORT
        assert len(hint) < SHORT


def _titles(tmp_path):
    file = tmp_path / "titles.txt"
    file.write_text("".join(f"n{c:08}\tclass number {c}\n" for c in range(CLASSES)))
    return file


@pytest.mark.parametrize(
    "cfg",
    [
        ShardConfig(val_fraction=0.1),
        ShardConfig(val_fraction=0.9, share_of="image"),
        ShardConfig(val_per_class=2),
    ],
    ids=["share of each", "share of all", "per class"],
)
def test_what_is_said_of_two_thousand_classes_is_short(cfg):
    listing = named(*[2] * CLASSES)
    splitting = assign_splits(
        listing,
        val_fraction=cfg.val_fraction or 0,
        val_per_class=cfg.val_per_class,
        share_of=cfg.share_of,
    )
    classes = listing.classes
    units = make_units(
        splitting.by_split,
        names=listing.names,
        classes=classes,
        shard_bytes=2**20,
        shards=None,
        storage=ImageStorage(max_pixels=10**9),
    )
    events = []
    announce_plan(units, classes=classes, splitting=splitting, cfg=cfg, emit=events.append)
    texts = [event.text for event in events if isinstance(event, Note | Caution)]
    assert any("held out as val" in text for text in texts)
    assert all(len(text) < SHORT for text in texts)
    assert len(texts) <= 3
