"""Each kind of artifact by its record: what is recorded is read as it was, and else refused."""

from __future__ import annotations

import json
import pkgutil
import re
import tarfile
from importlib import import_module
from pathlib import Path

import pytest

from tests.artifacts.making import checkpoint_summary, dataset_summary, made, recipe
from vitctl.artifacts import Store, kinds
from vitctl.artifacts.kinds import BATCH, CHECKPOINT, DATASET, KINDS
from vitctl.errors import InputError
from vitctl.scaling.summary import FitSummary
from vitctl.summaries import Summary

OLD_STORE = Path(__file__).parents[1] / "fixtures" / "old_store" / "store.tar.xz"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


def old_manifests():
    """Of a store that older code made, before summaries were typed."""
    with tarfile.open(OLD_STORE) as archive:
        for member in archive.getmembers():
            if member.name.endswith("/artifact.json"):
                yield json.load(archive.extractfile(member))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_has_the_article_that_is_spoken(kind):
    article, noun = kind.phrase.split(" ", 1)
    assert article == ("an" if noun[0] in "aeio" else "a")
    assert kinds.phrase_of(kind.name) == kind.phrase


def test_no_sentence_sets_an_article_before_a_name_that_varies():
    """As in "is a image-hashes": what the names of kinds are called is a field of the record."""
    root = Path(__file__).parents[2]
    article = re.compile(r"(?<![\w|])an? \{(\w+\.)*(kind|what|noun)\}")
    with_any = [
        f"{path.relative_to(root)}: {line.strip()}"
        for folder in ("vitctl", "stages")
        for path in sorted((root / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if article.search(line)
    ]
    # The kinds of schedules: constant, trapezoid, rsqrt, linear, cosine, cooldown.
    assert [line for line in with_any if "schedule" not in line] == []


def test_every_summary_class_is_of_one_kind():
    """So a class that is written and not registered is found."""
    for module in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}."):
        import_module(module.name)
    finished = {cls for cls in Summary.__subclasses__() if not cls.__name__.startswith("_")}
    finished |= {
        cls
        for base in Summary.__subclasses__()
        if base.__name__.startswith("_")
        for cls in base.__subclasses__()
    }
    ours = {cls for cls in finished if cls.__module__.startswith(kinds.__name__)} | {FitSummary}
    registered = [kind.model for kind in KINDS.values()]
    assert len(registered) == len(ours)
    assert set(registered) == ours


def test_what_older_code_recorded_is_read_and_recorded_the_same():
    """Byte for byte: seals are hashes of it."""
    names = set()
    for manifest in old_manifests():
        kind = KINDS[manifest["kind"]]
        typed = kind.model.model_validate(manifest["summary"])
        assert json.dumps(typed.as_json()) == json.dumps(manifest["summary"])
        assert kind.in_one_line(manifest["summary"])
        names.add(kind.name)
    assert names >= {"dataset", "checkpoint", "fewshot", "evaluation", "scaling-fit"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"classes": "two"}, "classes: Input should be a valid tuple"),
        ({"classes": ["cat", 2]}, "classes.1: Input should be a valid string"),
        ({"step": True}, "step: Input should be a valid integer"),
        ({"step": 8.0}, "step: Input should be a valid integer"),
        ({"step": -1}, "step: Input should be greater than or equal to 0"),
        ({"finished_schedule": 1}, "finished_schedule: Input should be a valid boolean"),
        ({"eval": {"top1": 2.0}}, "eval.top1: Input should be less than or equal to 1"),
        ({"loss": "1.5"}, "loss: Input should be a valid number"),
    ],
    ids=str,
)
def test_a_summary_of_other_types_is_one_sentence(store, change, problem):
    artifact = made(store, recipe(kind="checkpoint"), summary=checkpoint_summary(8) | change)
    with pytest.raises(InputError) as error:
        CHECKPOINT.summary(artifact)
    assert error.value.exit_code == 3
    expected = f"the summary of {artifact.path} is not that of a checkpoint: {problem}"
    assert error.value.message.startswith(expected)
    assert "\n" not in error.value.message
    assert CHECKPOINT.in_one_line(artifact.summary) is None


@pytest.mark.parametrize("absent", ["classes", "examples", "bytes"])
def test_so_is_one_that_lacks_what_every_version_recorded(store, absent):
    summary = dataset_summary({"train": 6})
    del summary[absent]
    artifact = made(store, recipe(), summary=summary)
    with pytest.raises(InputError, match=f"{absent}: Field required"):
        DATASET.summary(artifact)


def test_fields_of_later_versions_are_ignored(store):
    artifact = made(store, recipe(), summary=dataset_summary({"train": 6}, news=[1, {}]))
    assert DATASET.summary(artifact).examples == {"train": 6}


def test_commands_that_make_several_kinds_name_none_of_them():
    training = {*CHECKPOINT.commands} & {*BATCH.commands}
    assert {kinds.kind_named(command) for command in training} == training
    assert kinds.kind_named("import") == "checkpoint"
    assert {kinds.kind_named(command) for command in DATASET.commands} == {"dataset", "dedup"}
    assert kinds.example_of("batch") == kinds.example_of("novelty") == CHECKPOINT.example
