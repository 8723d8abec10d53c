"""What a stage names as the next command, for every kind: it exists, and can be pasted."""

from __future__ import annotations

import shlex

import pytest

from stages.app import VERBS, load
from tests.artifacts.making import checkpoint_summary, dataset_summary, made, recipe
from tests.sweeps import rows, summary
from vitctl.artifacts import Store
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import KINDS

FEATURES = {
    "model": "S/16",
    "step": 1,
    "cooled": False,
    "weights": "raw",
    "at": "pre_logits",
    "width": 4,
    "dataset": "photos",
    "examples": {"train": 1},
}
CASES = {
    ("dataset", "shard"): ("pretrain --data", dataset_summary({"train": 1})),
    ("dataset-part", "shard"): ("merge", {}),
    ("dataset", "subset"): ("show", dataset_summary({"train": 1}, classes=0)),
    ("feature-set", "embed"): ("fewshot --features", {**FEATURES, "classes": 2}),
    ("feature-set", "unlabelled"): ("show", {**FEATURES, "classes": 0}),
    ("checkpoint", "cooldown"): ("fewshot --from", checkpoint_summary(1)),
    ("checkpoint", "finetune"): ("evaluate --from", checkpoint_summary(1)),
    ("checkpoint", "average"): ("evaluate --from", checkpoint_summary(1)),
    ("checkpoint", "import"): ("fewshot --from", checkpoint_summary(1)),
    ("checkpoint", "pretrain"): ("show", checkpoint_summary(1)),
    ("scaling-fit", "scaling.fit"): ("scaling plot", {}),
    ("scaling-plot", "scaling.plot"): ("show", {}),
    ("evaluation", "evaluate"): ("show", {}),
    ("fewshot", "fewshot"): ("show", {}),
    ("export", "export"): ("show", {}),
    ("batch", "pretrain"): ("show", {}),
    ("image-hashes", "dedup"): ("show", {}),
    ("vtab", "vtab"): ("show", {}),
    ("sweep", "sweep"): ("scaling fit", summary()),
    ("sweep", "few"): ("show", summary(rows()[:3])),
    ("dataset", "cluster"): ("pretrain --data", dataset_summary({"train": 1})),
}


def test_every_kind_is_a_case():
    assert {kind for kind, _ in CASES} == set(KINDS)


@pytest.mark.parametrize(("kind", "stage"), CASES, ids=lambda value: value)
def test_the_next_command_exists_and_can_be_pasted(kind, stage, tmp_path):
    arguments, summary = CASES[kind, stage]
    store = Store(tmp_path / "it's $HOME; a store")
    artifact = made(store, recipe(stage=stage, kind=kind), summary=summary)
    pasted = shlex.split(following(artifact).command)
    assert pasted == ["vitctl", *arguments.split(), str(artifact.path)]
    command = load(pasted[1])
    assert pasted[1] in VERBS
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in pasted if word.startswith("--")} <= options
