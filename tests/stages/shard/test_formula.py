"""`vitctl shard formula`: stored, described, and refused."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from stages import api
from stages.inspect.verify.images import check_counts, check_records
from stages.shard.formula import WRITTEN_PER_CLASS, check_source, formula_settings
from stages.shard.spec import Inputs, ShardConfig
from tests.artifacts.making import formula_options
from vitctl.artifacts import Store
from vitctl.data.dataset import Dataset
from vitctl.data.example import decode_example
from vitctl.data.opening import open_source
from vitctl.errors import DoesNotFitError, InputError, UsageError
from vitctl.formula.family import FormulaConfig
from vitctl.formula.maker import HostMaker, labels_of

CONFIG = FormulaConfig(family="multi", classes=6, per_class=3, val_per_class=1, resolution=40)


def sharded(store, config=CONFIG, *, shards=2, **options):
    settings = {"shards": shards} if shards else {}
    command = formula_options(config, **settings)
    if not options.get("virtual"):
        command |= {"runtime": {"workers": 0}}
    return api.shard("formula", store=Store(store), **command, **options)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return sharded(tmp_path_factory.mktemp("store"))


def test_records_are_the_pictures_without_loss(stored):
    dataset = Dataset.load(stored.path)
    assert stored.summary["examples"] == {"train": 18, "val": 6}
    assert dataset.info.formula is None
    assert dataset.info.multi_label
    maker, records = HostMaker(CONFIG), dataset.records("train")
    for position in range(18):
        example = decode_example(records.read(np.asarray([position]))[0])
        split, name, number = example.id.removesuffix(".png").split("/")
        assert split == "train"
        picture = (np.asarray([dataset.info.classes.index(name)]), np.asarray([int(number)]))
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(example.image))), maker.pictures(*picture)[0]
        )
        labels = dataset.labels("train")[position]
        expected = labels_of(CONFIG, *picture)[0]
        assert set(labels[labels >= 0]) == set(expected[expected >= 0])
    records.close()


def test_the_same_set_is_found_and_another_is_another(stored):
    store = str(stored.path.parents[1])
    assert sharded(store).path == stored.path
    more = CONFIG.model_copy(update={"per_class": 4})
    assert sharded(store, more).id != stored.id


def test_a_description_alone(tmp_path):
    config = CONFIG.model_copy(update={"per_class": 10**8})
    artifact = sharded(tmp_path, config, shards=None, virtual=True)
    assert sorted(path.name for path in artifact.path.iterdir()) == [
        "artifact.json",
        "dataset.json",
    ]
    assert artifact.summary["examples"]["train"] == 6 * 10**8
    source = open_source(artifact, mock=None, classes=0)
    positions = np.asarray([0, 599_999_999])
    expected = labels_of(config, positions % 6, positions // 6)
    assert np.array_equal(source.labels("train")[positions], expected)
    assert list(check_counts(artifact)) == []
    assert check_records(artifact) == ([], 0)
    assert sharded(tmp_path, config, shards=None, virtual=True).path == artifact.path
    with pytest.raises(InputError, match="a description of formula images") as error:
        api.shard(artifact.path, store=Store(tmp_path / "again"))
    assert f"--classes {config.classes} " in error.value.hint


@pytest.mark.parametrize(
    ("source", "cfg", "given", "virtual", "message"),
    [
        ("photos", {}, {"per_class": 3}, False, "--per-class is about formula images"),
        ("photos", {}, {}, True, "--virtual is about formula images"),
        ("formula", {"classes": "0-5"}, {}, False, "give how many classes"),
        ("formula", {"classes": "1"}, {}, False, "--classes: .*greater than or equal to 2, got 1"),
        ("formula", {}, {"resolution": 4}, False, "--res: .*greater than or equal to 32, got 4"),
        ("formula", {}, {"per_class": 0}, False, "--per-class: .*, got 0"),
    ],
)
def test_settings_that_make_no_set(source, cfg, given, virtual, message):
    with pytest.raises(UsageError, match=message):
        formula_settings(source, ShardConfig(**cfg), given, virtual)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"resolution": 600}, "--res of formula images takes 32 to 512"),
        ({"seed": 2**32}, "--seed of formula images takes 0 to 4,294,967,295"),
        ({"family": "sun"}, "--family of formula images takes fractal, multi, atom, contour"),
    ],
)
def test_the_hint_of_a_wrong_setting_says_what_it_takes(given, hint):
    with pytest.raises(UsageError) as raised:
        formula_settings("formula", ShardConfig(), given, False)
    assert raised.value.hint == hint


def test_settings():
    cfg = ShardConfig(classes="30", val_per_class=2, shards=3)
    left, formula = formula_settings("formula", cfg, {"family": "atom"}, False)
    assert left == ShardConfig(shards=3)
    assert formula == FormulaConfig(
        family="atom", classes=30, per_class=WRITTEN_PER_CLASS, val_per_class=2
    )
    assert formula_settings("photos", cfg, {}, False) == (cfg, None)


def test_what_is_written_is_small_unless_the_user_says_otherwise():
    """A thousand pictures of a thousand classes are 100 GiB of PNG; described, they take none."""
    for virtual, per_class in ((False, WRITTEN_PER_CLASS), (True, 1000)):
        _, formula = formula_settings("formula", ShardConfig(), {}, virtual)
        assert formula.per_class == per_class
    _, formula = formula_settings("formula", ShardConfig(), {"per_class": 7}, False)
    assert formula.per_class == 7


def test_the_size_is_said_before_anything_is_written(tmp_path, monkeypatch):
    """With the flags that choose it; where it does not fit, nothing is left to be listed."""
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    events = []
    with pytest.raises(DoesNotFitError, match="100 B left"):
        sharded(tmp_path, emit=events.append)
    assert events[0].text.startswith("24 pictures of 40 px are written, at most")
    assert "--classes, --per-class and --res" in events[0].text
    assert list(tmp_path.rglob("*.json")) == []
    assert api.ls(store=Store(tmp_path)) == []


@pytest.mark.parametrize(
    ("inputs", "cfg", "message"),
    [
        (Inputs("formula", formula=CONFIG, rehash=True), {}, "--rehash is about image files"),
        (Inputs("formula", formula=CONFIG), {"layout": "flat"}, "--layout is about image files"),
        (Inputs("formula"), {}, "go together"),
        (Inputs("photos", formula=CONFIG), {}, "go together"),
        (Inputs("photos", virtual=True), {}, "go together"),
        (Inputs("formula", formula=CONFIG, virtual=True), {"part": "1/2"}, "--part is about"),
        (Inputs("formula", formula=CONFIG, virtual=True), {"shards": 3}, "--shards is about"),
        (Inputs("formula", formula=CONFIG, virtual=True), {"shard_bytes": 9}, "--shard-size is"),
    ],
)
def test_sources_and_options_that_do_not_go_together(inputs, cfg, message):
    with pytest.raises(UsageError, match=message):
        check_source(inputs, ShardConfig(**cfg))
