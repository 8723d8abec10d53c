"""`vitctl dedup`: what goes, what stays, and what is said of it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from stages import api
from stages.dedup import parts
from stages.inspect.verify.checks import of_entry
from tests.duplicates.pictures import CHANGES, as_png, tiles
from tests.workers.fake_ray import FakeRay
from tests.workers.fake_ray import begin as begin_ray
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.kinds import DATASET, IMAGE_HASHES
from vitctl.data.dataset import DatasetInfo, SplitInfo, keys_name, labels_name, shard_name
from vitctl.data.example import Example, decode_example, encode_example
from vitctl.data.opening import open_dataset
from vitctl.data.order import sample_key
from vitctl.data.records import open_writer
from vitctl.data.sheet import MADE_BY
from vitctl.duplicates import stored
from vitctl.errors import InputError, NewerFormatError, NotFoundError, UsageError
from vitctl.events import Caution, Note, Progress, Settings, silent
from vitctl.places.local import based


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")


def images(store, name, *, classes=("cat", "dog"), **splits):
    """A dataset of encoded images: split -> {id: bytes}."""
    recipe = Recipe(stage="shard", version=1, kind="dataset", config={"name": name}, parents=())
    with store.open(recipe, name=name) as draft:
        counts = {}
        for split, encoded in splits.items():
            labels = [i % len(classes) if classes else -1 for i in range(len(encoded))]
            with open_writer(draft.path / shard_name(split, index=0, shards=1)) as writer:
                for (id, image), label in zip(encoded.items(), labels, strict=True):
                    own = (label,) if classes else ()
                    writer.write(encode_example(Example(image, own, f"{split}/{id}")))
            keys = [sample_key(f"{split}/{id}") for id in encoded]
            np.array(keys, "<u8").tofile(draft.path / keys_name(split))
            np.array(labels, "<i4").tofile(draft.path / labels_name(split))
            counts[split] = SplitInfo(shard_lengths=(len(encoded),), record_bytes=1)
        info = DatasetInfo(classes=classes, splits=counts)
        (draft.path / "dataset.json").write_text(info.model_dump_json())
        summary = {split: len(encoded) for split, encoded in splits.items()}
        return draft.publish(
            summary=DATASET.model.without_files(classes=len(classes), examples=summary).as_json()
        )


@pytest.fixture
def photos(store):
    """20 tiles to train on, two more to validate with."""
    return images(
        store,
        "photos",
        train={f"{i}.png": as_png(tiles()[i]) for i in range(20)},
        val={f"{i}.png": as_png(tiles()[i]) for i in range(20, 22)},
    )


@pytest.fixture
def pets(store):
    """Of other classes: tiles 2 to 5 of the photos, each changed in its own way, 6, and others."""
    ways = list(CHANGES)[:4]
    changed = {f"{i}-{way}": CHANGES[way](tiles()[i]) for i, way in enumerate(ways, start=2)}
    others = {f"{i}.png": as_png(tiles()[i]) for i in range(24, 28)}
    return images(
        store,
        "pets",
        classes=("x", "y", "z"),
        train={"same": as_png(tiles()[6]), **others},
        test=changed,
    )


def dedup(data, *against, emit=silent, **more):
    return api.dedup(
        data, against=against, store=Store(str(data.path.parents[1])), emit=emit, **more
    )


def ids_of(artifact, split="train"):
    source = open_dataset(artifact)
    records = source.records(split)
    examples = [decode_example(r) for r in records.read(np.arange(len(records)))]
    records.close()
    assert [sample_key(e.id) for e in examples] == np.asarray(source.keys(split)).tolist()
    return [example.id.removeprefix(f"{split}/") for example in examples]


def pairs_of(artifact):
    lines = (artifact.path / "pairs.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_planted_duplicates_go_and_all_others_stay(photos, pets):
    events = []
    artifact = dedup(photos, pets, emit=events.append)
    assert ids_of(artifact) == [f"{i}.png" for i in range(20) if not 2 <= i <= 6]
    assert ids_of(artifact, "val") == ["20.png", "21.png"]
    assert DATASET.summary(artifact).left_out == {"bytes": 1, "near": 4}
    assert DATASET.in_one_line(artifact.summary) == (
        "2 classes, 15 train of 20, 2 val, 5 duplicates left out"
    )
    pairs = pairs_of(artifact)
    assert [(p["id"], p["matches"]["split"]) for p in pairs] == [
        *((f"train/{i}.png", "test") for i in range(2, 6)),
        ("train/6.png", "train"),
    ]
    assert all(p["matches"]["id"].split("/")[1][0] == p["id"][6] for p in pairs[:4])
    assert {p["how"] for p in pairs[:4]} == {"near"}
    assert pairs[4]["how"] == "bytes"
    assert pairs[4]["bits"] == 0
    report = json.loads((artifact.path / "dedup.json").read_text())
    assert [(a["name"], a["split"], a["matches"]) for a in report["against"]] == [
        ("pets", "train", 1),
        ("pets", "test", 4),
    ]
    counts = [row["images"] for row in report["images_within"]]
    assert counts == sorted(counts)
    assert counts[6] == counts[8] == 5
    with Image.open(artifact.path / "pairs.png") as picture:
        assert picture.info["Software"] == MADE_BY
    (settings,) = [event for event in events if isinstance(event, Settings)]
    assert settings.values == {
        "train": "15 of 20 images kept",
        "left out": "1 same bytes, 4 nearly the same",
    }
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any(note.startswith("4 images match pets test (4 images)") for note in notes)
    check = of_entry(
        artifact, store=Store(str(artifact.path.parents[1])), depth="contents", emit=silent
    )
    assert check.whole


def test_the_result_is_a_dataset_like_any_other(photos, pets):
    once = dedup(photos, pets)
    store = Store(str(photos.path.parents[1]))
    subset = api.subset(once, store=store, set={"images": 4})
    assert set(ids_of(subset)) < set(ids_of(once))
    mixture = api.mix(subset, pets, store=store)
    again = dedup(mixture, photos)
    left = ids_of(again)
    # The four, and those of pets that the photos have.
    assert left == ["24.png", "25.png", "26.png", "27.png"]
    assert len(ids_of(dedup(subset, once, set={"exact": True, "eval_splits": ["val"]}))) == 4


def test_another_distance_decodes_nothing_again(photos, pets, monkeypatch):
    dedup(photos, pets)

    def no_images(records, rows):
        raise AssertionError("read again")

    monkeypatch.setattr(parts, "read_examples", no_images)
    exact = dedup(photos, pets, set={"exact": True})
    assert len(ids_of(exact)) == 19
    loose = dedup(photos, pets, set={"distance": 10})
    assert len(ids_of(loose)) <= 15
    assert dedup(photos, pets, set={"distance": 10}).path == loose.path


def test_an_interrupted_run_goes_on_after_the_last_part(photos, monkeypatch):
    monkeypatch.setattr(stored, "_ROWS", 6)
    whole, calls = parts.read_examples, []

    def cut(records, rows):
        calls.append(rows.tolist())
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(records, rows)

    monkeypatch.setattr(parts, "read_examples", cut)
    with pytest.raises(KeyboardInterrupt):
        dedup(photos)
    calls_before = calls.copy()
    artifact = dedup(photos)
    assert calls[3:] == [calls_before[2], [18, 19]]
    assert len(ids_of(artifact)) == 20
    (hashes,) = [
        Artifact.load(path)
        for path in (photos.path.parents[1] / "dedup").iterdir()
        if "hashes" in path.name
    ]
    assert IMAGE_HASHES.in_one_line(hashes.summary) == "photos train, 20 images"
    assert sum(file.path.endswith(".npy") for file in hashes.manifest.files) == 4


def hashes_in(data):
    """Of each artifact of hashes its id and its files."""
    folders = sorted((data.path.parents[1] / "dedup").glob("*hashes*"))
    return [
        (folder.name, {file.name: file.read_bytes() for file in folder.glob("prints*")})
        for folder in folders
    ]


def test_hashes_of_a_ray_cluster_are_those_of_this_machine(photos, pets, monkeypatch):
    """By a cluster in this process; tests/workers/test_ray_cluster.py has a real one."""
    monkeypatch.setattr(stored, "_ROWS", 6)
    here = dedup(photos, pets)
    made_here = hashes_in(photos)
    assert len(made_here) == 3
    for folder in (photos.path.parents[1] / "dedup").iterdir():
        shutil.rmtree(folder)
    fake, events = begin_ray(monkeypatch, FakeRay(losses=1)), []
    remote = dedup(photos, pets, emit=events.append, runtime={"ray": "auto"})
    assert fake.actors
    assert fake.losses == 0
    assert hashes_in(photos) == made_here
    assert (remote.id, remote.digest) == (here.id, here.digest)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert sum("work is done on Ray auto" in note for note in notes) == 1  # of four splits
    assert any("again: 6 images from row 0 of photos train" in note for note in notes)
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done[:6] == [0, 6, 12, 18, 20, 0]


def test_hashes_that_are_there_need_no_cluster(photos, monkeypatch):
    begin_ray(monkeypatch, FakeRay(unreachable=ConnectionError("none")))
    with pytest.raises(NotFoundError, match="no Ray cluster on this machine"):
        dedup(photos, runtime={"ray": "auto"})
    assert not (photos.path.parents[1] / "dedup").exists()
    dedup(photos)
    again = dedup(photos, set={"distance": 2}, runtime={"ray": "auto"})
    assert len(ids_of(again)) == 20


def test_an_image_that_ends_its_worker_is_compared_by_its_bytes(photos, tmp_path):
    info, images = stored.parted(20), parts.SplitImages(photos, "train", None)
    begun = []
    with parts.records_closed_after():
        counts = parts.hash_part(
            0,
            images=images,
            info=info,
            folder=based(tmp_path),
            threads=1,
            progress=None,
            poisoned={3: "SIGSEGV"},
            begin=begun.append,
        )
    assert counts == parts.PartCounts(unreadable=1, flat=0)
    assert begun == list(range(20))
    part = stored.read_part(based(tmp_path) / "prints-00000-of-00001.npy", rows=20)
    assert np.flatnonzero(~part["readable"]).tolist() == [3]
    assert part["bytes"][3].all()
    assert parts.digest_of(images, 3) != parts.digest_of(images, 4)


def test_repetitions_within_a_dataset(store):
    tile = tiles()[0]
    data = images(
        store,
        "twice",
        train={
            "a": as_png(tile),
            "b": CHANGES["half the size"](tile),
            "c": as_png(tiles()[1]),
            "d": as_png(tile),
            "e": as_png(tiles()[1].convert("RGBA").convert("RGB")),
        },
    )
    artifact = dedup(data)
    assert ids_of(artifact) == ["a", "c"]
    assert [(p["id"], p["how"], p["matches"]["id"]) for p in pairs_of(artifact)] == [
        ("train/b", "near", "train/a"),
        ("train/d", "bytes", "train/a"),
        ("train/e", "bytes", "train/c"),
    ]
    assert json.loads((artifact.path / "dedup.json").read_text())["against"] is None


def test_other_splits_of_the_same_dataset(store):
    encoded = {f"{i}": as_png(tiles()[i]) for i in range(6)}
    data = images(store, "photos", train=encoded, val={"x": CHANGES["a crop of 5 %"](tiles()[3])})
    artifact = dedup(data, data)
    assert ids_of(artifact) == ["0", "1", "2", "4", "5"]
    assert ids_of(artifact, "val") == ["x"]
    alone = images(store, "alone", train=encoded)
    with pytest.raises(UsageError, match="is the dataset itself"):
        dedup(alone, alone)


def test_mirrored_pictures_go_where_that_is_asked_for(photos, store):
    other = images(store, "flipped", train={"m": CHANGES["mirrored"](tiles()[4])})
    assert len(ids_of(dedup(photos, other))) == 20
    assert len(ids_of(dedup(photos, other, set={"flip": True}))) == 19


def test_without_labels_and_with_images_that_cannot_be_decoded(store):
    broken = as_png(tiles()[5])[:200]
    data = images(
        store,
        "plain",
        classes=(),
        train={"a": as_png(tiles()[0]), "b": broken, "c": b"no image", "d": as_png(tiles()[1])},
    )
    other = images(store, "other", train={"x": as_png(tiles()[0]), "y": broken})
    events = []
    artifact = dedup(data, other, emit=events.append)
    assert ids_of(artifact) == ["c", "d"]
    assert (artifact.path / "pairs.png").is_file()
    cautions = [event.text for event in events if isinstance(event, Caution)]
    assert cautions[0] == (
        "only the bytes are compared of 2 of 4 images of plain train, which cannot be decoded"
    )


def test_grey_images_of_16_bits_are_compared_as_training_sees_them(store):
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(256, 2**16, (3, 48, 48), dtype=np.uint16)

    def png(values):
        return as_png(Image.fromarray(values))

    high = (a >> 8).astype(np.uint8)  # libpng's png_set_strip_16, by which TensorFlow decodes
    encoded = {"a": png(a), "b": png(b), "c": png(c), "a8": png(high), "rgb": as_png(
        Image.fromarray(np.repeat(high[..., None], 3, axis=2)))}  # fmt: skip
    artifact = dedup(images(store, "scans", train=encoded))
    assert ids_of(artifact) == ["a", "b", "c"]
    assert [(p["id"], p["how"], p["matches"]["id"]) for p in pairs_of(artifact)] == [
        ("train/a8", "pixels", "train/a"),
        ("train/rgb", "pixels", "train/a"),
    ]


def test_hashes_of_format_1_are_not_used(photos, store):
    recipe = Recipe(
        stage="dedup",
        version=1,
        kind=IMAGE_HASHES.name,
        config={"hashes": 1, "split": "train"},
        parents=(photos.as_parent("dataset"),),
    )
    with store.open(recipe, name="photos-train-hashes") as draft:
        (draft.path / "prints.json").write_text("{}")
        draft.publish(summary={})
    assert len(ids_of(dedup(photos))) == 20


def test_what_cannot_be(photos, pets):
    with pytest.raises(NotFoundError, match="no split 'night'"):
        dedup(photos, pets, set={"eval_splits": ["night"]})
    with pytest.raises(NotFoundError, match="no split 'test'"):
        dedup(photos, set={"split": "test"})
    with pytest.raises(UsageError, match="no image of train is left"):
        dedup(
            photos,
            api.subset(
                photos, store=Store(str(photos.path.parents[1])), set={"classes": "cat,dog"}
            ),
            set={"eval_splits": ["train"]},
        )
    with pytest.raises(UsageError, match="less than or equal to 16"):
        dedup(photos, set={"distance": 17})


def test_hashes_of_another_version_or_damaged(photos):
    dedup(photos)
    (folder,) = (photos.path.parents[1] / "dedup").glob("*hashes*")
    description, part = folder / "prints.json", folder / "prints-00000-of-00001.npy"
    text, content = description.read_text(), part.read_bytes()
    again = {"set": {"distance": 5}}
    description.write_text(text.replace('"format": 2', '"format": 3'))
    with pytest.raises(NewerFormatError, match="image hashes format 3; this vitctl reads up to 2"):
        dedup(photos, **again)
    description.write_text(text.replace('"format": 2', '"format": 1'))
    with pytest.raises(InputError, match="format 1, where 2 is expected"):
        dedup(photos, **again)
    description.write_text(text)
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="other bytes than were published") as caught:
        dedup(photos, **again)
    assert "vitctl rm" in caught.value.hint
    part.write_bytes(content)
    assert len(ids_of(dedup(photos, **again))) == 20


def test_all_stay_where_nothing_matches(photos, store):
    other = images(store, "far", train={"m": as_png(tiles()[-1])})
    artifact = dedup(photos, other)
    assert len(ids_of(artifact)) == 20
    assert not (artifact.path / "pairs.png").exists()
    assert (artifact.path / "pairs.jsonl").read_bytes() == b""
