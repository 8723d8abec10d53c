"""What a shell offers for a half-written value, also in a store that is damaged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vitctl.console import completion
from vitctl.plan import topology
from vitctl.train.config import TrainConfig


def values_of(choices):
    return [word for word, _ in choices]


@pytest.fixture
def store(tmp_path):
    """A dataset, a run with two checkpoints, a damaged run, an unfinished dataset, and litter."""
    for folder, file in (
        ("shard/photos-1a2b3c4d", "artifact.json"),
        ("pretrain/S-16-5e6f7a8b", "run.json"),
        ("cooldown/S-16-20000-9c0d1e2f", "run.json"),
        ("fewshot/S-16-aaaa1111", "artifact.json"),
        ("scaling-fit/runs-bbbb2222", "artifact.json"),
        ("shard/draft-cccc3333", "draft.json"),
    ):
        place = tmp_path / folder
        place.mkdir(parents=True)
        (place / file).write_text("{ damaged")
    for step in ("500", "20000", "strange"):
        (tmp_path / "pretrain/S-16-5e6f7a8b/checkpoints" / step).mkdir(parents=True)
    (tmp_path / "stray").write_text("")
    (tmp_path / ".cache" / "x").mkdir(parents=True)
    return SimpleNamespace(params={"store": tmp_path})


def test_artifacts_by_kind(store):
    assert values_of(completion.datasets(store, "")) == ["latest", "photos-1a2b3c4d"]
    assert values_of(completion.checkpoints(store, "S")) == ["S-16-20000-9c0d1e2f", "S-16-5e6f7a8b"]
    assert values_of(completion.fits(store, "r")) == ["runs-bbbb2222"]
    assert len(completion.artifacts(store, "")) == 6  # not the draft
    assert dict(completion.artifacts(store, "ph")) == {"photos-1a2b3c4d": "shard"}


def test_steps_of_a_run(store):
    assert values_of(completion.checkpoints(store, "S-16@")) == ["S-16@20k", "S-16@500"]
    assert values_of(completion.checkpoints(store, "S-16-5e6f7a8b@5")) == ["S-16-5e6f7a8b@500"]
    assert completion.checkpoints(store, "nothing@") == []


def test_stores_that_cannot_be_looked_into(tmp_path):
    for root in (tmp_path / "missing", "gs://bucket/store"):
        offered = values_of(completion.artifacts(SimpleNamespace(params={"store": root}), ""))
        assert offered in ([], ["latest"])


def test_models_kinds_and_topologies():
    assert values_of(completion.models("S1")) == ["S16"]
    assert values_of(completion.models("g")) == ["g/14", "g-opt/14"]
    assert "dataset" in values_of(completion.kinds(""))
    assert values_of(completion.kinds("scaling")) == ["scaling-fit", "scaling-plot"]
    assert values_of(completion.topologies("lo")) == ["local"]
    assert values_of(completion.topologies("v3")) == ["v3:2x2"]
    assert "h100-pcie:8" in values_of(completion.topologies("h100"))
    for word in values_of(completion.topologies("")):
        assert word == "local" or topology.parse(word).devices >= 1


def test_settings_and_their_choices():
    complete = completion.settings_of(TrainConfig)
    assert values_of(complete("optim.wd_")) == ["optim.wd_head=", "optim.wd_body="]
    assert values_of(complete("model.head=")) == [
        "model.head=map",
        "model.head=gap",
        "model.head=token",
        "model.head=distilled",
    ]
    assert values_of(complete("optim.clip_norm=")) == ["optim.clip_norm=none"]
    assert values_of(complete("data.augment.flip=f")) == ["data.augment.flip=false"]
    assert complete("no.such=") == []
    for word in values_of(complete("")):  # every word is one that --set takes
        assert word.endswith("=")
