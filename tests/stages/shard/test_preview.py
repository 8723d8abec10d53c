"""`vitctl shard --dry-run`: what it says is what sharding then does, and nothing is stored."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from stages import api
from stages.app import load
from stages.shard.preview import preview
from stages.shard.preview_text import as_text
from stages.shard.run import run
from stages.shard.settings import resolve
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from tests import schemas
from tests.data.encoded_images import encode, rgb, rgba
from tests.stages.shard.test_run import photos
from vitctl.artifacts import Store
from vitctl.errors import NotFoundError, OverwriteError, UsageError
from vitctl.ingest.columns import EntriesBuilder
from vitctl.ingest.write.sample import sample_rows
from vitctl.pixels.picture_mark import is_marked
from vitctl.settings.overrides import Overrides

HERE = ShardRuntime(workers=0)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


@pytest.fixture
def source(tmp_path):
    root = photos(tmp_path / "photos", each=9)
    (root / "ant" / "large.jpg").write_bytes(encode(rgb(60, 90), "JPEG"))
    (root / "ant" / "clear.png").write_bytes(encode(rgba(), "PNG"))
    (root / "bee" / "page.jpg").write_bytes(b"<html>")
    (root / "bee" / "notes.txt").write_text("none")
    (root / "bee" / "9.jpg.1").write_bytes(encode(rgb(), "JPEG"))
    (root / "none").mkdir()
    return root


def looked_at(source, store, *, runtime=HERE, picture=None, **config):
    inputs = source if isinstance(source, Inputs) else Inputs(str(source))
    previewed = preview(
        ShardConfig(**config), inputs, store=store, runtime=runtime, picture=picture
    )
    schemas.check(previewed.as_json(), "preview")
    assert not store.root.exists()
    return previewed


def test_it_says_what_then_happens(source, store):
    policy = {"pixels": {"max_side": 40}}
    previewed = looked_at(source, store, **policy)
    artifact = run(
        ShardConfig(**policy),
        Inputs(str(source)),
        store=store,
        runtime=ShardRuntime(workers=0, max_bad_fraction=1),
    )
    summary = artifact.summary
    assert previewed.shards == summary["shards"]
    rejected = sum(previewed.images.values()) - sum(summary["examples"].values())
    assert rejected == summary["rejected"] == len(previewed.sample.rejected) == 1
    assert [one.name for one in previewed.classes] == ["ant", "bee", "cat"]
    assert [one.total for one in previewed.classes] == [11, 10, 9]
    assert previewed.skipped == summary["skipped"]
    assert previewed.misnamed == {"with a number after the ending (photo.jpg.1)": 1}
    assert previewed.sample.images == 30  # all: there are so few
    assert previewed.sample.converted == summary["converted"] == {"PNG with transparency": 1}
    assert previewed.sample.treatments == summary["treatments"] == {"shrunk": 1, "encoded": 1}
    assert previewed.sample.rejected["bee/page.jpg"].startswith("it is an HTML page")
    assert previewed.changes == ("longer side at most 40",)
    assert previewed.sample.widths[2] == 40
    assert any("1 class folder holds no image: none" in text for text in previewed.cautions)
    record_bytes = sum(part["numBytes"] for part in _splits(artifact))
    assert previewed.estimate.bytes == previewed.sample.stored_bytes == record_bytes


def _splits(artifact):
    """TensorFlow Datasets' own description, whose numbers are texts."""
    description = json.loads((artifact.path / "dataset_info.json").read_text())
    return [{"numBytes": int(split["numBytes"])} for split in description["splits"]]


def test_what_was_made_already_is_named(source, store):
    runtime = ShardRuntime(workers=0, max_bad_fraction=1)
    artifact = run(ShardConfig(), Inputs(str(source)), store=store, runtime=runtime)
    previewed = preview(ShardConfig(), Inputs(str(source)), store=store, runtime=HERE)
    assert previewed.finished == str(artifact.path)
    other = preview(
        ShardConfig(pixels={"quality": 90}), Inputs(str(source)), store=store, runtime=HERE
    )
    assert other.finished is None


def test_of_two_that_were_made_the_one_of_this_version_is_named_and_returned(source, store):
    inputs, cfg = Inputs(str(source)), ShardConfig(val_fraction=0.34)
    by_hash = ShardConfig(val_fraction=0.34, share_of="image")
    run(by_hash, inputs, store=store, runtime=ShardRuntime(workers=0, max_bad_fraction=1))
    forced = ShardRuntime(workers=0, max_bad_fraction=1, force=True)
    anew = run(cfg, inputs, store=store, runtime=forced)
    returned = run(cfg, inputs, store=store, runtime=HERE)
    assert returned.path == anew.path
    assert preview(cfg, inputs, store=store, runtime=HERE).finished == str(returned.path)


def test_a_source_that_is_read_from_front_to_back(source, store, tmp_path):
    file = tmp_path / "photos.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(source, "photos")
    folder, archive = looked_at(source, store), looked_at(file, store)
    assert archive.sample.from_the_front
    assert not folder.sample.from_the_front
    assert archive.images == folder.images
    assert archive.classes == folder.classes
    assert archive.sample.rejected == folder.sample.rejected
    assert archive.estimate.copied_bytes == archive.bytes == folder.bytes
    assert folder.estimate.copied_bytes == 0


def test_pictures_that_are_made(store):
    overrides = Overrides()
    for virtual in (False, True):
        cfg, inputs = resolve(
            overrides,
            "formula",
            formula={"classes": None, "per_class": 3, "resolution": 32, "family": "fractal"},
            virtual=virtual,
            imagenet={},
        )
        inputs = inputs.__class__(
            **{**inputs.__dict__, "formula": inputs.formula.model_copy(update={"classes": 4})}
        )
        previewed = preview(cfg, inputs, store=store, runtime=ShardRuntime() if virtual else HERE)
        schemas.check(previewed.as_json(), "preview")
        assert previewed.images["train"] == 12
        assert (previewed.sample is None) == virtual
        assert (previewed.estimate is None) == virtual


def test_images_without_labels_and_digits(source, store):
    previewed = looked_at(source, store, unlabelled=True)
    assert previewed.classes == ()
    assert "none (unlabelled)" in as_text(previewed)
    digits = looked_at("digits", store)
    assert sum(digits.images.values()) == 1797
    assert digits.sample.images == 256
    assert abs(digits.estimate.bytes / digits.sample.stored_bytes - 1797 / 256) < 0.2


def test_too_many_bad_images_are_foreseen(source, store):
    for i in range(9):
        (source / "cat" / f"{i}.png").write_bytes(b"no")
    previewed = looked_at(source, store)
    assert any("so many bad images end the command" in text for text in previewed.cautions)


def test_nothing_but_bad_images(store, tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "1.jpg").write_bytes(b"no")
    previewed = looked_at(tmp_path / "bad", store, picture=tmp_path / "sheet.png")
    assert len(previewed.sample.rejected) == 2
    assert previewed.sample.widths is None
    assert previewed.sheet is None
    assert not (tmp_path / "sheet.png").exists()


def test_text_for_people(source, store, tmp_path):
    text = as_text(looked_at(source, store, picture=tmp_path / "sheet.png"))
    assert "photos is read as folders of classes" in text
    assert "30: train 27 in 1 shard; val 3 in 1 shard" in text
    assert text.endswith(f"nothing was stored; the sample: {tmp_path / 'sheet.png'}")


def test_of_many_classes_the_largest_and_the_smallest(store, tmp_path):
    for number in range(25):
        folder = tmp_path / "many" / f"c{number:02d}"
        folder.mkdir(parents=True)
        for i in range(1 + number):
            (folder / f"{i}.png").write_bytes(encode(rgb(4, 4 + i), "PNG"))
    lines = as_text(looked_at(tmp_path / "many", store)).splitlines()
    at = lines.index("images of the 5 largest and smallest classes")
    names = [line.split()[0] for line in lines[at + 2 : at + 13]]
    assert names == ["c24", "c23", "c22", "c21", "c20", "...", "c04", "c03", "c02", "c01", "c00"]


# ---- The picture


def test_the_picture_shows_what_is_stored(source, store, tmp_path):
    picture = tmp_path / "sheet.png"
    (source / "ant" / "clear.png").unlink()
    Image.new("RGB", (90, 30), (12, 200, 34)).save(source / "cat" / "green.png")
    Image.new("RGBA", (30, 90), (9, 9, 9, 0)).save(source / "cat" / "clear.png")
    looked_at(source, store, picture=picture, pixels={"background": "#fe0102", "max_side": 60})
    data = picture.read_bytes()
    assert is_marked(data)
    with Image.open(io.BytesIO(data)) as page:
        pixels = np.asarray(page.convert("RGB"))
    # 60 x 20 and 20 x 60 pixels, enlarged twice.
    for colour in ((12, 200, 34), (254, 1, 2)):
        assert (pixels == colour).all(axis=-1).sum() == 4 * 60 * 20


def test_the_picture_shows_large_and_deep_images(store, tmp_path, monkeypatch):
    """Pillow's limit of pixels is not ours; of 16 bits the high ones are drawn, as in training."""
    levels = {"ant": 10_000, "bee": 50_000}
    for name, level in levels.items():
        (tmp_path / "deep" / name).mkdir(parents=True)
        grey = Image.fromarray(np.full((100, 100), level, np.uint16))
        (tmp_path / "deep" / name / "1.png").write_bytes(encode(grey, "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000)
    looked_at(tmp_path / "deep", store, picture=tmp_path / "sheet.png", keep_bytes=True)
    monkeypatch.undo()
    drawn = np.asarray(Image.open(tmp_path / "sheet.png"))
    for level in levels.values():
        assert (drawn == level >> 8).all(axis=-1).sum() >= 100 * 100


def test_a_picture_that_cannot_be_written(source, store, tmp_path):
    existing = tmp_path / "there.png"
    existing.write_bytes(b"mine")
    for picture, error in (
        (existing, OverwriteError),
        (tmp_path, UsageError),
        (tmp_path / "sheet.jpg", UsageError),
        (tmp_path / "no" / "sheet.png", NotFoundError),
    ):
        with pytest.raises(error):
            looked_at(source, store, picture=picture)
    assert existing.read_bytes() == b"mine"
    looked_at(source, store, picture=existing, runtime=ShardRuntime(workers=0, force=True))
    assert is_marked(existing.read_bytes())


# ---- The sample


def _entries(parts):
    entries = EntriesBuilder()
    for part, count in enumerate(parts):
        for i in range(count):
            entries.add(f"{part}/{i:04d}".encode(), size=1, mtime_ns=0, part=part, offset=count - i)
    return entries.build()


def test_a_sample_is_spread_or_from_the_front():
    entries = _entries([1000, 3, 1000])
    spread = sample_rows(entries, from_the_front=False)
    assert len(set(spread.tolist())) == 256
    assert np.histogram(spread, bins=4, range=(0, 2003))[0].min() > 40
    front = sample_rows(entries, from_the_front=True)
    rows = [(entries[row].part, entries[row].offset) for row in front.tolist()]
    assert rows == [
        *((0, i) for i in range(1, 87)),
        *((1, i) for i in range(1, 4)),
        *((2, i) for i in range(1, 87)),
    ]


# ---- Shell and Python


def test_from_the_shell_and_from_python(source, tmp_path, monkeypatch):
    answers = []
    monkeypatch.setattr("vitctl.console.session.answer", answers.append)
    monkeypatch.setattr("vitctl.console.guarded.silence_stdout", lambda: None)
    monkeypatch.chdir(tmp_path)
    arguments = ["photos", "--dry-run", "--workers", "0", "--json", "--max-side", "50"]
    load("shard").main(arguments, standalone_mode=False)
    previewed = api.shard(
        "photos", dry_run=True, set={"pixels.max_side": 50}, runtime={"workers": 0}
    ).as_json()
    (shown,) = map(json.loads, answers)
    for name in ("seconds", "images_per_second", "free_bytes"):
        shown["estimate"][name] = previewed["estimate"][name] = 0
    assert shown == json.loads(json.dumps(previewed))
    assert not (tmp_path / "artifacts").exists()


def test_a_picture_needs_a_sample():
    with pytest.raises(UsageError, match="dry_run=True"):
        api.shard("digits", sheet="sheet.png")
