"""`vitctl cluster`: whose features label which images; the result is a dataset like any other."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from stages import api
from stages.cluster import fitted, rows
from stages.inspect.verify.checks import of_entry
from tests import made
from tests.artifacts.making import dataset, formula_options
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import DATASET
from vitctl.data.batches import keys_of_steps
from vitctl.data.opening import open_dataset
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Note, Progress, Settings, silent
from vitctl.feature_sets import stored
from vitctl.formula.family import FormulaConfig
from vitctl.inference import features as model_features
from vitctl.ingest.choices import Choices
from vitctl.ingest.sources.artifact import list_artifact

IMAGES = 60
GROUPS = np.arange(IMAGES) * 7 % 5


class StoppedError(Exception):
    pass


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "artifacts")


@pytest.fixture
def photos(store):
    """60 images each of train and val; image i is of class i % 2, cat or dog."""
    return dataset(store, images=IMAGES)


@pytest.fixture
def file(tmp_path):
    """Five tight groups of features, of 8 numbers; those of val lie where those of train do."""
    random = np.random.default_rng(0)
    middles = random.standard_normal((5, 8))
    noise = 0.01 * random.standard_normal((2, IMAGES, 8))
    path = tmp_path / "dino.npz"
    np.savez(
        path, train_features=middles[GROUPS] + noise[0], val_features=middles[GROUPS] + noise[1]
    )
    return path


def cluster(photos: Artifact, features: Any, k: int = 5, *, emit: Any = silent, **settings: Any):
    store = Store(str(photos.path.parents[1]))
    return api.cluster(
        data=photos, clusters=k, features=features, store=store, set=settings, emit=emit
    )


def labels_of(artifact: Artifact, split: str = "train") -> np.ndarray:
    return np.asarray(open_dataset(artifact).labels(split))[:, 0]


def contents(artifact: Artifact) -> dict[str, bytes]:
    return {e.path: (artifact.path / e.path).read_bytes() for e in artifact.manifest.files}


def test_groups_become_classes_and_nothing_is_copied(photos, file):
    events: list[Any] = []
    artifact = cluster(photos, file, emit=events.append)
    source, whole = open_dataset(artifact), open_dataset(photos)
    for split in ("train", "val"):
        labels = labels_of(artifact, split)
        pairs = {(int(a), int(b)) for a, b in zip(labels, GROUPS, strict=True)}
        assert len(pairs) == 5  # one cluster a group
        np.testing.assert_array_equal(source.keys(split), whole.keys(split))
        assert source.records(split).read(np.arange(3)) == whole.records(split).read(np.arange(3))
    assert source.info.classes == tuple(
        f"cluster-{artifact.id[:6]}-{number:04d}" for number in range(5)
    )
    assert sorted(contents(artifact)) == [
        "centers.npy",
        "clusters.json",
        "dataset.json",
        "images-train.labels",
        "images-val.labels",
        "mean.npy",
    ]
    summary = DATASET.summary(artifact)
    assert summary.clusters is not None
    assert (summary.clusters.smallest, summary.clusters.largest) == (12, 12)
    assert summary.clusters.balance == pytest.approx(1)
    # Groups of i mod 5 say nothing of cats and dogs, which are i mod 2.
    assert summary.clusters.agreement == pytest.approx(0, abs=1e-12)
    assert DATASET.in_one_line(artifact.summary).startswith("5 clusters, 12 to 12 images a cluster")
    (said,) = [event for event in events if isinstance(event, Settings)]
    assert "took no part" in said.values["agreement"]
    assert artifact.manifest.parent("dataset") == photos.as_parent("dataset")
    assert cluster(photos, file).path == artifact.path


def test_the_report_says_how_centers_are_used_again(photos, file):
    """New features get a cluster by what the artifact holds and nothing else."""
    artifact = cluster(photos, file)
    report = json.loads((artifact.path / "clusters.json").read_text())
    centers, mean = (np.load(artifact.path / name) for name in ("centers.npy", "mean.npy"))
    with np.load(file) as arrays:
        moved = arrays["val_features"].astype(np.float32) - mean
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    assert report["spherical"]
    np.testing.assert_array_equal((moved @ centers.T).argmax(axis=1), labels_of(artifact, "val"))
    assert report["sizes"]["val"] == np.bincount(labels_of(artifact, "val")).tolist()
    assert report["inertias"] == sorted(report["inertias"], reverse=True)


def test_it_is_a_dataset_like_any_other(photos, file):
    artifact = cluster(photos, file)
    store = Store(str(photos.path.parents[1]))
    assert of_entry(artifact, store=store, depth="contents", emit=silent).whole
    some = api.subset(artifact, store=store, set={"images": 10})
    assert of_entry(some, store=store, depth="contents", emit=silent).whole
    assert open_dataset(some).info.classes == open_dataset(artifact).info.classes
    both = api.mix(artifact, some, store=store)
    assert open_dataset(both).info.examples("train") == 70
    order, whole_order = (
        keys_of_steps(open_dataset(d), split="train", seed=1, batch=8)(3)
        for d in (artifact, photos)
    )
    np.testing.assert_array_equal(order, whole_order)  # that of the dataset that has the images
    listing = list_artifact(str(artifact.path), Choices())
    assert tuple(listing.classes) == open_dataset(artifact).info.classes


def test_a_second_round_is_of_the_first_ones_images(photos, file):
    first = cluster(photos, file)
    events: list[Any] = []
    again = cluster(first, file, k=3, emit=events.append)
    assert again.manifest.parent("dataset") == photos.as_parent("dataset")
    assert any("has clusters as labels" in e.text for e in events if isinstance(e, Note))
    assert not {*open_dataset(first).info.classes} & {*open_dataset(again).info.classes}


def test_an_interrupted_run_goes_on_and_ends_the_same(photos, file, tmp_path, monkeypatch):
    settings = {"tolerance": 0.0, "spherical": False, "seed": 4}
    whole = cluster(photos, file, 9, **settings)
    other = dataset(Store(tmp_path / "other"), images=IMAGES)

    def stop(event: Any) -> None:
        if isinstance(event, Progress) and event.task == "k-means" and event.done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        cluster(other, file, 9, emit=stop, **settings)
    drawn: list[int] = []
    choose = fitted.seeding.choose
    monkeypatch.setattr(
        fitted.seeding, "choose", lambda *a, **k: drawn.append(1) or choose(*a, **k)
    )
    steps: list[int] = []

    def count(event: Any) -> None:
        if isinstance(event, Progress) and event.task == "k-means":
            steps.append(event.done)

    resumed = cluster(other, file, 9, emit=count, **settings)
    assert not drawn
    assert steps[0] == 3
    assert resumed.digest == whole.digest


def test_threads_parts_and_memory_change_no_byte(photos, file, tmp_path, monkeypatch):
    whole = cluster(photos, file, 7)
    other = dataset(Store(tmp_path / "other"), images=IMAGES)
    monkeypatch.setattr(stored, "_PART_BYTES", 4 * 8 * 11)
    monkeypatch.setattr(rows, "_CACHED_BYTES", 0)
    assert cluster(other, file, 7).digest == whole.digest


def test_centers_of_some_images_label_all(photos, file):
    events: list[Any] = []
    artifact = cluster(photos, file, fit_images=20, emit=events.append)
    assert any("20 of 60 images" in e.text for e in events if isinstance(e, Note))
    assert len(labels_of(artifact)) == IMAGES
    assert len(set(zip(labels_of(artifact).tolist(), GROUPS.tolist(), strict=True))) == 5


def test_features_of_a_model_are_made_once(store, monkeypatch):
    """From a checkpoint, then from the features that this left, then as `embed` makes them."""
    pictures = FormulaConfig(
        family="contour", classes=3, per_class=6, val_per_class=2, resolution=32
    )
    photos = api.shard("formula", store=store, virtual=True, **formula_options(pictures))
    checkpoint = made.checkpoint(store)
    computed_rows: list[int] = []
    of_model = model_features.of_model

    def counted(*args: Any, **kwargs: Any) -> Any:
        for part in of_model(*args, **kwargs):
            computed_rows.append(len(part))
            yield part

    monkeypatch.setattr(model_features, "of_model", counted)
    options: dict[str, Any] = {"clusters": 4, "store": store}
    first = api.cluster(checkpoint, data=photos, **options)
    computed = sum(computed_rows)
    assert computed == sum(DATASET.summary(photos).examples.values())
    features = api.embed(checkpoint, data=photos, store=store)
    assert first.manifest.parent("features") == features.as_parent("features")
    assert api.cluster(features=features, **options).path == first.path
    assert api.cluster(checkpoint, data=photos, **{**options, "clusters": "3"}).path != first.path
    assert sum(computed_rows) == computed
    pixels = api.cluster(data=photos, set={"pixels": 8}, **options)
    assert pixels.manifest.parent("features") != first.manifest.parent("features")
    assert DATASET.summary(pixels).clusters is not None


# ---- What is refused


def test_fewer_images_than_clusters(photos, file):
    with pytest.raises(UsageError, match="train has 60 images, fewer than 61 clusters") as caught:
        cluster(photos, file, 61)
    assert caught.value.hint == "-k 6, for about ten images a cluster"


def test_no_number_of_clusters_and_too_small_a_one(photos, file):
    with pytest.raises(UsageError, match="number of clusters is not given"):
        api.cluster(data=photos, features=file)
    with pytest.raises(UsageError, match="clusters"):
        cluster(photos, file, 1)


def test_features_that_do_not_fit(photos, store, tmp_path):
    def saved(**arrays: Any):
        np.savez(tmp_path / "x.npz", **arrays)
        return tmp_path / "x.npz"

    random = np.random.default_rng(0)
    some = random.standard_normal((IMAGES, 4))
    with pytest.raises(InputError, match="of train are of 59 images, which are not the 60"):
        cluster(photos, saved(train_features=some[1:]))
    with pytest.raises(InputError, match="different widths"):
        cluster(photos, saved(train_features=some, val_features=some[:, 1:]))
    with pytest.raises(InputError, match="not finite"):
        cluster(photos, saved(train_features=np.where(some > 2, np.nan, some)))
    with pytest.raises(InputError, match="all images have the same features"):
        cluster(photos, saved(train_features=np.ones_like(some)))
    with pytest.raises(InputError, match="take only 2 values, fewer than 5 clusters"):
        cluster(photos, saved(train_features=np.repeat(some[:2], 30, axis=0)))
    with pytest.raises(NotFoundError, match="no features of the split train"):
        cluster(photos, saved(val_features=some))
    with pytest.raises(UsageError, match="does not say of which images"):
        api.cluster(features=saved(features=some), clusters=5, store=store)


def test_features_of_one_split_label_that_alone(photos, tmp_path):
    np.save(tmp_path / "features.npy", np.random.default_rng(0).standard_normal((IMAGES, 4)))
    artifact = cluster(photos, tmp_path / "features.npy")
    assert list(open_dataset(artifact).info.splits) == ["train"]


def test_two_places_for_features(photos, file):
    with pytest.raises(UsageError, match="features can come from one place only"):
        cluster(photos, file, pixels=8)


def test_damaged_labels_are_reported(photos, file):
    artifact = cluster(photos, file)
    path = artifact.path.local / "images-train.labels"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="holds 59 values where 60 were written"):
        open_dataset(artifact).labels("train")
