"""Policies are one thing whatever holds the images: folders, Parquet, ImageNet's archives."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from stages.shard.spec import Inputs, ShardRuntime
from tests.data.encoded_images import encode, rgb, rgba
from tests.ingest.sources import miniature_imagenet as mini
from tests.ingest.sources.test_parquet import IMAGE
from tests.stages.shard.test_run import HERE, everything, shard
from vitctl.artifacts import Store
from vitctl.data.dataset import Dataset
from vitctl.errors import InterruptedRun
from vitctl.ingest.pixels.policy import PixelPolicy
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.sources.imagenet_files import ImageNetFiles
from vitctl.ingest.write import shard_writer as shards_module

POLICIES = {
    "smaller": {"max_side": 12},
    "webp": {"max_short_side": 10, "encode": "webp", "quality": 70},
    "png": {"encode": "png", "background": "#ff0000"},
    "jpeg": {"quality": 60, "srgb": True},
}
FILES = {
    "1.jpg": encode(rgb(30, 40), "JPEG"),
    "2.png": encode(rgba(), "PNG"),
    "3.png": encode(rgb(8, 9), "PNG"),
    "4.gif": encode(rgb(16, 20).convert("P"), "GIF"),
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


def expected(policy):
    """What each file alone becomes."""
    storage = ImageStorage(10**6, policy=PixelPolicy(**policy))
    return {name: prepare(data, storage=storage).image for name, data in FILES.items()}


def stored(artifact):
    return {id_: example.image for id_, example in everything(Dataset.load(artifact.path)).items()}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_parquet(policy, store, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [{"bytes": data, "path": name} for name, data in FILES.items()]
    table = pa.table({"image": pa.array(images, IMAGE), "label": ["a", "b", "a", "b"]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    artifact = shard(tmp_path / "x.parquet", store, val_fraction=0.0, pixels=policy)
    assert list(dict(sorted(stored(artifact).items())).values()) == list(expected(policy).values())


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_imagenet(policy, store, tmp_path):
    """Its PNG called JPEG and its CMYK, too."""
    files = ImageNetFiles(train=mini.train_tar(tmp_path / "ILSVRC2012_img_train.tar"))
    inputs = Inputs("imagenet", imagenet=files)
    artifact = shard("imagenet", store, inputs=inputs, pixels=policy)
    storage = ImageStorage(10**6, policy=PixelPolicy(**policy))
    assert stored(artifact) == {
        f"{wnid}/{wnid}_{number}.JPEG": prepare(
            mini.train_image(wnid, number), storage=storage
        ).image
        for wnid, numbers in mini.TRAIN.items()
        for number in numbers
    }
    assert artifact.summary["rejected"] == 0


def test_the_limit_of_pixels_is_of_the_file_and_not_of_what_is_stored(store, tmp_path):
    """A limit protects from decoding, which shrinking needs."""
    for name, (height, width) in {"a": (40, 50), "b": (40, 51), "c": (5, 5), "d": (5, 6)}.items():
        folder = tmp_path / "photos" / ("cat" if name < "c" else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(encode(rgb(height, width), "PNG"))
    runtime = ShardRuntime(workers=0, max_bad_fraction=0.5)
    options = {"val_fraction": 0.0, "max_pixels": 2000, "runtime": runtime}
    for policy in ({"max_side": 20}, {"encode": "jpeg"}):
        artifact = shard(tmp_path / "photos", store, pixels=policy, **options)
        assert sorted(stored(artifact)) == ["cat/a.png", "dog/c.png", "dog/d.png"]
        assert artifact.summary["rejected"] == 1
        assert "40 pixels, more than the limit of 2,000" in (
            artifact.path / "rejects.jsonl"
        ).read_bytes().decode().replace("51 x ", "")


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_what_was_interrupted_goes_on_to_the_same_bytes(policy, store, tmp_path, monkeypatch):
    for number, (name, data) in enumerate(list(FILES.items()) * 3):
        folder = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}{name[1:]}").write_bytes(data)
    source, options = tmp_path / "photos", {"shards": 4, "pixels": policy, "runtime": HERE}
    whole = shard(source, Store(tmp_path / "whole"), **options)
    count = 0

    def dying(data, **arguments):
        nonlocal count
        count += 1
        if count == 8:
            raise InterruptedRun("now")
        return prepare(data, **arguments)

    monkeypatch.setattr(shards_module, "prepare", dying)
    with pytest.raises(InterruptedRun):
        shard(source, store, **options)
    again = shard(source, store, **options)
    assert count < 8 + 12  # some shards were done
    assert (again.id, again.digest) == (whole.id, whole.digest)
    assert again.summary == whole.summary


def test_what_becomes_png_fills_as_many_shards_as_it_needs(store, tmp_path):
    """Photos as PNG are several times as large as the files; a shard stays about as asked for."""
    samples = pytest.importorskip("sklearn.datasets").load_sample_images().images
    for name, pixels in zip(("temple", "flower"), samples, strict=True):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for side in range(4):
            image = Image.fromarray(pixels).resize((150 + side, 100))
            file = io.BytesIO()
            image.save(file, "JPEG", quality=85)
            (tmp_path / "photos" / name / f"{side}.jpg").write_bytes(file.getvalue())
    artifact = shard(
        tmp_path / "photos", store, val_fraction=0.0, shard_bytes=60_000, pixels={"encode": "png"}
    )
    train = Dataset.load(artifact.path).info.split("train")
    # By the sizes of the files there would be one shard.
    assert 30_000 < train.record_bytes / len(train.shard_lengths) < 120_000
