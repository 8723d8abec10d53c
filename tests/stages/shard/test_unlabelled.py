"""Images without labels: a dataset of its own kind, which nothing that needs classes takes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stages import api
from stages.shard.run import run
from stages.shard.spec import Inputs, ShardConfig
from tests import made
from tests.data.encoded_images import encode, rgb
from tests.stages.shard.test_run import HERE, everything, photos, said
from vitctl.artifacts import Artifact, Store
from vitctl.data.dataset import Dataset
from vitctl.data.verify import check_records
from vitctl.errors import InputError, UsageError
from vitctl.events import Next, Note
from vitctl.ingest.trees.folder import list_folder
from vitctl.recipes import pretraining
from vitctl.train.trained_model import load


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


def flat(root, *, images=12):
    root.mkdir(parents=True)
    for i in range(images):
        (root / f"{i}.png").write_bytes(encode(rgb(8, 8 + i), "PNG"))
    return root


def shard(source, store, *, emit=None, inputs=None, **config):
    events = [] if emit is None else emit
    cfg = ShardConfig(unlabelled=True, **config)
    return run(cfg, inputs or Inputs(str(source)), store=store, runtime=HERE, emit=events.append)


def test_a_flat_folder(tmp_path, store):
    source, events = flat(tmp_path / "photos"), []
    artifact = shard(source, store, emit=events, val_fraction=0.4, shards=4)
    dataset = Dataset.load(artifact.path)
    assert dataset.info.classes == ()
    examples = everything(dataset)
    assert set(examples) == {f"{i}.png" for i in range(12)}
    for name, example in examples.items():
        assert example.labels == ()
        assert example.image == (source / name).read_bytes()
    for split, info in dataset.info.splits.items():
        assert dataset.labels(split).tolist() == [[-1]] * info.examples
    assert artifact.summary["classes"] == 0
    assert sum(artifact.summary["examples"].values()) == 12
    assert set(artifact.summary["examples"]) == {"train", "val"}
    assert f"{source} is read without labels, without splits of its own" in said(events, Note)
    assert "pretrain" not in next(event for event in events if isinstance(event, Next)).command


def test_it_is_whole(tmp_path, store):
    artifact = shard(flat(tmp_path / "photos"), store)
    assert Artifact.load(artifact.path).check_contents() == []
    assert list(check_records(Dataset.load(artifact.path))) == []
    features = json.loads((artifact.path / "features.json").read_text())
    assert set(features["featuresDict"]["features"]) == {"id", "image"}
    assert not (artifact.path / "label.labels.txt").exists()


def test_any_tree_and_one_class(tmp_path, store):
    """Class folders, one class folder, folders in folders: none of them is a label."""
    many = shard(photos(tmp_path / "many"), store, val_fraction=0.0)
    assert Dataset.load(many.path).info.classes == ()
    assert many.summary["examples"] == {"train": 18}
    one = shard(photos(tmp_path / "one", classes=("ant",)), store, val_fraction=0.0)
    assert one.summary["examples"] == {"train": 6}
    deep = flat(tmp_path / "deep" / "2026" / "may", images=3).parents[1]
    (deep / "top.png").write_bytes(encode(rgb(9, 9), "PNG"))
    assert shard(deep, store, val_fraction=0.0).summary["examples"] == {"train": 4}


def test_folders_of_splits_stay_splits(tmp_path, store):
    root = tmp_path / "split"
    flat(root / "train", images=4)
    flat(root / "valid", images=2)
    artifact = shard(root, store)
    assert artifact.summary["examples"] == {"train": 4, "val": 2}
    whole = shard(root, store, layout="flat", val_fraction=0.0)
    assert whole.summary["examples"] == {"train": 6}
    assert whole.id != artifact.id
    # What lies beside the splits is left out where there are several, and counted.
    (root / "top.png").write_bytes(encode(rgb(9, 9), "PNG"))
    listing = list_folder(root, unlabelled=True)
    assert len(listing.entries) == 6
    assert listing.skipped["images outside the folders of splits"] == 1


def test_a_lone_folder_called_train_beside_images_is_no_split(tmp_path):
    root = flat(tmp_path / "photos", images=2)
    flat(root / "train", images=3)
    assert {entry.split for entry in list_folder(root, unlabelled=True).entries} == {None}


def test_the_same_again(tmp_path, store):
    source = flat(tmp_path / "photos")
    first = shard(source, store)
    assert shard(source, store).path == first.path
    again = shard(source, Store(tmp_path / "elsewhere"))
    assert (again.id, again.digest) == (first.id, first.digest)
    labelled = photos(tmp_path / "labelled")
    with_classes = run(ShardConfig(), Inputs(str(labelled)), store=store, runtime=HERE)
    assert shard(labelled, store).id != with_classes.id


def test_in_python(tmp_path, store):
    artifact = api.shard(
        flat(tmp_path / "photos"),
        store=store,
        set={"unlabelled": True},
        runtime={"workers": 0},
    )
    assert artifact.summary["classes"] == 0


def test_labels_and_classes_do_not_go_with_it(tmp_path, store):
    source = flat(tmp_path / "photos", images=2)
    titles = tmp_path / "titles.tsv"
    titles.write_text("ant\tFormica\n")
    for name in ("labels", "class_titles", "classes_from"):
        with pytest.raises(UsageError, match="without classes"):
            shard(source, store, inputs=Inputs(str(source), **{name: titles}))
    for name, value in {"classes": "ant", "val_per_class": 2}.items():
        with pytest.raises(ValueError, match="unlabelled images have none"):
            ShardConfig(unlabelled=True, **{name: value})
    with pytest.raises(UsageError, match="no folder is a class"):
        shard(source, store, layout="classes")
    with pytest.raises(UsageError, match="--unlabelled is for a folder"):
        shard(source, store, inputs=Inputs("digits"))
    assert not list(store.entries())


def test_the_errors_of_folders_without_classes_name_the_way(tmp_path, store):
    one = photos(tmp_path / "one", classes=("ant",))
    for source in (flat(tmp_path / "flat"), one):
        with pytest.raises(InputError) as caught:
            run(ShardConfig(), Inputs(str(source)), store=store, runtime=HERE)
        assert "--unlabelled" in caught.value.hint
    with pytest.raises(UsageError) as usage:
        list_folder(one, layout="flat")
    assert "--unlabelled" in usage.value.hint


@pytest.fixture
def unlabelled(tmp_path, store):
    return shard(flat(tmp_path / "photos"), store, val_fraction=0.4)


def test_training_refuses_it(unlabelled, store):
    for call in (
        lambda: api.pretrain(model="Ti/16", data=unlabelled, steps=2, store=store),
        lambda: api.finetune(made.checkpoint(store), data=unlabelled, steps=2, store=store),
        lambda: pretraining.images_of(unlabelled, split="train"),
    ):
        with pytest.raises(InputError, match="has no labels") as caught:
            call()
        assert caught.value.exit_code == 3
        assert "--labels" in caught.value.hint


@pytest.mark.parametrize("stage", [api.fewshot, api.evaluate])
def test_measuring_refuses_it(unlabelled, store, stage):
    checkpoint = made.checkpoint(store)
    for settings in ({}, {"eval_split": "val"}):
        with pytest.raises(InputError, match="has no labels"):
            stage(checkpoint, data=unlabelled, set=settings, store=store)
    assert not (store.root / stage.__name__).exists()  # nothing unfinished is left


def test_a_model_makes_features_of_it(unlabelled, store):
    model = load(made.checkpoint(store).path, store=store)
    part = model.features_of(unlabelled, split="train")
    examples = unlabelled.summary["examples"]["train"]
    assert part.features.shape == (examples, 16)
    assert np.isfinite(part.features).all()
    assert part.labels.tolist() == [[-1]] * examples
    assert part.classes == ()


def test_it_numbers_no_classes(unlabelled, store, tmp_path):
    source = photos(tmp_path / "classes")
    with pytest.raises(InputError, match="has no labels"):
        run(
            ShardConfig(),
            Inputs(str(source), classes_from=unlabelled.path),
            store=store,
            runtime=HERE,
        )


@pytest.mark.slow
def test_tensorflow_datasets_reads_it(unlabelled):
    tfds = pytest.importorskip("tensorflow_datasets")
    data = tfds.builder_from_directory(str(unlabelled.path)).as_data_source()
    images = {
        example["id"].decode(): example["image"] for part in data.values() for example in part
    }
    assert {name: image.shape for name, image in images.items()} == {
        f"{i}.png": np.asarray(rgb(8, 8 + i)).shape for i in range(12)
    }
