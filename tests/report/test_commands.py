"""The recorded command lines as another machine would run them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.artifacts.making import dataset_summary, recipe
from tests.report.studies import EVALUATION, FEWSHOT, photos, republished, result, run, small
from tests.stages.commands import COMMANDS, ROOT
from vitctl.report.commands import IN_FILES, INPUT_FLAGS, WITH_VALUE, script
from vitctl.report.privacy import Redaction
from vitctl.report.subjects import contents


def lines(named, store, **more):
    result = script(contents(named, store=store, **more), redaction=Redaction())
    return result.lines, result


def typed(artifact, *arguments):
    def change(provenance):
        provenance["command"] = ["/x/bin/vitctl", *arguments]

    return republished(artifact, change)


@pytest.fixture
def made(store):
    """A small study, with the command lines that a person would have typed."""
    study = small(store)
    trunk = study.trunk
    data = typed(study.photos, "shard", "photos/", "--workers", "4", "--val-fraction", "0.2", "-q")
    for step in (8, 12):
        typed(trunk.checkpoint(step), "pretrain", "--model", "S/16", "--config", "c.toml")
    cooled = ("cooldown", "--from", f"{trunk.path}@8", "--steps=4", "--store=/x")
    typed(study.cooled.checkpoint(12), *cooled)
    typed(study.other.checkpoint(16), "cooldown", "--steps", "4")
    return replace(
        study,
        photos=data,
        probe=typed(study.probe, "fewshot", "--shots", "1,5,10", "--data", data.id[:8]),
        evaluation=typed(
            study.evaluation, "evaluate", "--from", "latest", "--top", "1,5", "--json"
        ),
    )


def test_a_whole_study(made, store):
    written, result = lines(made.named, store)
    assert written == [
        "vitctl shard IMAGES --val-fraction 0.2 --name photos",
        "vitctl pretrain --model S/16 --config CONFIG --data photos --name S-16",
        "vitctl cooldown --from S-16@8 --steps=4 --name S-16-12",
        "vitctl fewshot --shots 1,5,10 --data photos --from S-16-12 --name probe",
        "vitctl evaluate --from S-16-12 --top 1,5 --data photos --name scores",
        "vitctl cooldown --steps 4 --from S-16 --name S-16-16",
    ]
    assert result.placeholders == {
        "IMAGES": "the images that the dataset was made from",
        "CONFIG": "a file of settings",
    }
    assert result.unknown == []


def test_inputs_come_before_what_was_made_from_them(made, store):
    """Also where they were named in another order, and nothing else is reported."""
    named = [(entry, None) for entry in (made.probe, made.cooled, made.trunk, made.photos)]
    written, _ = lines(named, store, parents=False)
    order = [line.split("--name ")[1] for line in written]
    assert order == ["photos", "S-16", "S-16-12", "probe"]


def test_two_of_one_name_have_names_of_their_own(store):
    data = photos(store)
    for seed in (1, 2):
        entry = run(
            store, "pretrain", parents=[data.as_parent("data")], steps=(4,), name="S-16", seed=seed
        )
        typed(entry.checkpoint(4), "pretrain", "--set", f"seed={seed}")
    typed(data, "shard", "x")
    written, _ = lines([(entry, None) for entry in store.entries()], store)
    names = [line.split("--name ")[1] for line in written]
    assert len(set(names)) == 3
    assert all(name.startswith("S-16-") for name in names[1:])


def test_what_a_program_made_has_no_command(store, made):
    probe = typed(made.probe, "notebook.py", "/home/alice/x")
    written, result = lines(replace(made, probe=probe).named, store)
    assert [subject.label for subject in result.unknown] == ["probe"]
    assert not any("notebook" in line for line in written)


def test_one_word_for_one_path(store, made):
    second = result(store, "evaluation", EVALUATION, parents=[made.cooled.checkpoint(12)], name="b")
    named = [
        (typed(artifact, "evaluate", "--class-map", "/home/alice/map.txt"), None)
        for artifact in (made.evaluation, second)
    ]
    written, commands = lines(named, store)
    assert sum("--class-map CLASS_MAP" in line for line in written) == 2
    assert not any("alice" in line for line in written)
    assert "CLASS_MAP" in commands.placeholders


def test_a_command_that_made_several_results_stands_once(store, made):
    """A probe on two datasets, of which each result has one as its input."""
    other = photos(store, name="drawings")
    arguments = (
        "fewshot",
        "--data",
        str(made.photos.path),
        "--data",
        str(other.path),
        "--shots",
        "5",
    )
    probes = [
        typed(
            result(
                store, "fewshot", FEWSHOT, parents=[made.cooled.checkpoint(12), data], name=name
            ),
            *arguments,
        )
        for data, name in ((made.photos, "one"), (other, "two"))
    ]
    written, _ = lines([(probe, None) for probe in probes], store)
    assert written[-1] == "vitctl fewshot --data photos --data drawings --shots 5 --from S-16-12"
    assert sum("fewshot" in line for line in written) == 1


def features_of(store, made, parents, *line):
    """Features that a command made on its way, and the dataset that it was typed for."""
    features = typed(result(store, "feature-set", {}, parents=parents, name="features"), *line)
    data = made.photos.as_parent("dataset")
    clusters = recipe("cluster", "dataset", parents=(data, features.as_parent("features")))
    with store.open(clusters, name="clusters") as draft:
        labels = draft.publish(summary=dataset_summary({"train": 12}))
    return features, typed(labels, *line)


def test_what_a_command_makes_on_the_way_has_no_line_but_its_inputs_are_named(store, made):
    trunk = made.trunk.checkpoint(8)
    line = ("cluster", "-k", "100", "--store", "/x")
    features, labels = features_of(store, made, [trunk, made.photos], *line)
    written, commands = lines([(labels, None)], store)
    assert written[-1] == "vitctl cluster -k 100 --data photos --from S-16@8 --name clusters"
    assert [subject.id for subject in commands.on_the_way] == [features.id]
    assert commands.unknown == []


def test_features_that_were_named_stay_named(store, made):
    features = typed(
        result(store, "feature-set", {}, parents=[made.trunk.checkpoint(8), made.photos], name="f"),
        "embed",
    )
    data, given = made.photos.as_parent("dataset"), features.as_parent("features")
    with store.open(recipe("cluster", "dataset", parents=(data, given)), name="c") as draft:
        labels = draft.publish(summary=dataset_summary({"train": 12}))
    labels = typed(labels, "cluster", "--features", str(features.path), "-k", "9")
    written, _ = lines([(labels, None)], store)
    assert written[-1] == "vitctl cluster --features f -k 9 --data photos --name c"


def test_tasks_keep_their_names_before_a_dataset(store, made):
    trunk = made.trunk.checkpoint(12)
    parents = (trunk.as_parent("from"), made.photos.as_parent("data-pets"))
    with store.open(recipe("vtab", "vtab", parents=parents), name="v") as draft:
        scores = draft.publish(summary={})
    scores = typed(scores, "vtab", "--data", f"pets={made.photos.path}", "--steps", "5")
    written, _ = lines([(scores, None)], store)
    assert written[-1] == "vitctl vtab --data pets=photos --steps 5 --from S-16 --name v"


def test_names_of_models_are_no_paths(store, made):
    probe = typed(made.probe, "fewshot", "--shots", "5", "--compare", "Ti/16:L/16")
    written, _ = lines([(probe, None)], store)
    assert "--compare Ti/16:L/16" in written[-1]


@pytest.mark.parametrize("stage", sorted(INPUT_FLAGS))
def test_inputs_are_named_by_flags_that_the_command_has(stage):
    arguments = tuple(stage.split("-", 1)) if stage.startswith("scaling") else (stage,)
    (command,) = (command for command in COMMANDS if command.verbs == arguments)
    page = (ROOT / f"tests/golden/help_{'_'.join(arguments)}.txt").read_text()
    for flag in INPUT_FLAGS[stage].values():
        assert re.search(rf"^  {flag} ", page, re.MULTILINE) if flag else "Arguments" in page
    assert command.makes_an_artifact


def test_every_input_of_every_command_can_be_named():
    """Roles in manifests that name artifacts, not sources outside."""
    used = set()
    for path in (ROOT / "stages").rglob("*.py"):
        used |= set(re.findall(r'as_parent\(f?"([a-z]+)', path.read_text()))
    assert used <= {role for flags in INPUT_FLAGS.values() for role in flags} | IN_FILES


def test_every_command_that_records_inputs_has_flags_for_them():
    for path in (ROOT / "stages").rglob("*.py"):
        if "as_parent(" in path.read_text():
            commands = commands_of(path.parent)
            assert commands, path
            assert commands <= set(INPUT_FLAGS), path


def commands_of(room: Path) -> set[str]:
    """The stage whose room it is, or those that share what lies beside their own rooms."""
    stages = {run.parent.relative_to(ROOT / "stages") for run in room.rglob("run.py")}
    return {"-".join(stage.parts) for stage in stages}


def test_flags_of_processes_are_of_one_machine():
    from vitctl.console.shared_flags import PROCESSES

    named = {f"--{name.replace('_', '-')}" for name in PROCESSES}
    assert named <= WITH_VALUE
