"""Training on pictures that devices make: the same images on any layout, again, and later on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages import api
from stages.pretrain import run as pretrain_stage
from stages.pretrain.spec import Inputs
from tests.artifacts.making import formula_options
from tests.train.conftest import ADAFACTOR, config, contents
from vitctl.artifacts import Artifact, Store
from vitctl.errors import UsageError
from vitctl.events import Caution
from vitctl.formula.family import FormulaConfig
from vitctl.sharding import layout as layouts
from vitctl.sharding.spec import parse
from vitctl.train.config import TrainRuntime
from vitctl.train.run.device_images import DeviceImages, as_images
from vitctl.train.run.images import Images, open_images
from vitctl.train.run.replay import pixels, replay

FORMULA = FormulaConfig(family="contour", classes=4, per_class=9, val_per_class=2, resolution=32)
ON_DEVICES: dict[str, Any] = {"data": {"mock": None, "made_on": "devices"}}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Artifact:
    store = Store(tmp_path_factory.mktemp("store"))
    return api.shard("formula", store=store, virtual=True, **formula_options(FORMULA))


def images_of(dataset: Artifact, **changes: Any) -> Images:
    return open_images(config(8, **ON_DEVICES, **changes), dataset, workers=1)


@pytest.mark.parametrize("mesh", ["data=1", "data=4", "fsdp=2,tensor=2"])
def test_images_do_not_depend_on_the_layout(dataset, mesh):
    images = images_of(dataset)
    hosts = open_images(config(8, data={"mock": None}), dataset, workers=1)
    spec = parse(mesh)
    layout = layouts.make(spec, devices=1 if mesh == "data=1" else 4)
    make = DeviceImages(images, layout)
    batch = images.batch_of_step(3)
    inputs, labels = layout.place_batch(batch.local)
    made = make(inputs)
    assert made.sharding.is_equivalent_to(layout.batch, made.ndim)
    assert np.array_equal(made, as_images(images, batch))
    expected = hosts.batch_of_step(3)
    np.testing.assert_allclose(made, expected.images, atol=1e-5)
    assert np.array_equal(labels, expected.labels)
    assert np.array_equal(batch.keys, expected.keys)


def trained(dataset: Artifact, steps: int, store: Store, emit=lambda event: None) -> Artifact:
    cfg = config(8, **ON_DEVICES, **ADAFACTOR)
    runtime = TrainRuntime(checkpoint_every=4, log_every=1)
    if steps < 8:
        cfg = config(steps, **ON_DEVICES, **ADAFACTOR)
    return pretrain_stage.run(cfg, Inputs(dataset=dataset), store=store, runtime=runtime, emit=emit)


def test_a_run_goes_on_exactly(dataset, tmp_path):
    events: list[Any] = []
    whole = trained(dataset, 8, Store(tmp_path / "a"), emit=events.append)
    trained(dataset, 4, Store(tmp_path / "b"))
    resumed = trained(dataset, 8, Store(tmp_path / "b"))
    assert contents(resumed) == contents(whole)
    cautions = [event.text for event in events if isinstance(event, Caution)]
    assert any("data.made_on" in text for text in cautions), "CPUs are slower at it"


def test_a_model_goes_on_to_other_images(dataset, tmp_path):
    """Where pictures were made is left behind with the pictures."""
    store = Store(tmp_path / "a")
    run = trained(dataset, 4, store)
    tuned = api.finetune(run, data=dataset, steps=2, store=store, set={"data.batch": 8})
    assert tuned.config["data"].get("made_on") is None
    same = api.pretrain(from_=run, data=dataset, steps=2, store=store)
    assert same.config["data"]["made_on"] == "devices"
    other = api.shard(
        "formula",
        store=store,
        virtual=True,
        **formula_options(FORMULA.model_copy(update={"seed": 3})),
    )
    changed = api.pretrain(from_=run, data=other, steps=2, store=store)
    assert changed.config["data"].get("made_on") is None


def test_a_batch_is_replayed(dataset):
    images = images_of(dataset)
    shown = pixels(images, replay(images, step=3, first=5))
    batch = images.batch_of_step(2)
    assert np.array_equal(shown.augmented, as_images(images, batch)[:5])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"augment": {"crop": "simple"}}, "no crop simple"),
        ({"augment": {"randaugment": {}}}, "RandAugment"),
        ({"augment": {"jpeg_oversampling": 1}}, "is of JPEGs"),
    ],
)
def test_what_devices_do_not_do(data, message):
    with pytest.raises(ValueError, match=message):
        config(8, data={**ON_DEVICES["data"], **data})


def test_images_that_devices_cannot_make(dataset):
    with pytest.raises(UsageError, match="pictures of formulas alone"):
        open_images(config(8, data={"made_on": "devices"}), None, workers=1)
    held_out = {"held_out": 0.2, "eval_split": "held-out"}
    with pytest.raises(UsageError, match="pictures of formulas alone"):
        open_images(config(8, data=ON_DEVICES["data"] | held_out), dataset, workers=1)
    with pytest.raises(UsageError, match="crop=none asks for pictures of 16 x 16") as error:
        open_images(
            config(8, data=ON_DEVICES["data"] | {"augment": {"crop": "none"}}), dataset, workers=1
        )
    assert error.value.hint == "--res 32, or another crop"
