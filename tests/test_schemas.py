"""docs/schemas describes what commands print: checked on what they print, and checked to bite."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from stages.inspect.lineage.run import run as lineage
from stages.inspect.lineage.spec import Inputs
from stages.inspect.ls.run import rows
from stages.inspect.show.run import as_json
from stages.inspect.verify.checks import of_directory, of_entry
from tests import schemas
from tests.artifacts.making import dataset, made, recipe, trained
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import KINDS, schema
from vitctl.errors import EXIT_CODES, InputError
from vitctl.events import silent

GUIDE = Path(__file__).parents[1] / "docs" / "guide" / "json.md"


@pytest.fixture
def store(tmp_path):
    """Something of every state."""
    store = Store(tmp_path / "artifacts")
    photos = dataset(store)
    parents = (photos.as_parent("data"),)
    trained(store, recipe("pretrain", "run", parents=parents), steps=(1, 2), results=(2,))
    trained(store, recipe("pretrain", "run", lr=2), steps=())
    torn = made(store, recipe(a=1), name="torn").path
    (torn / "artifact.json").write_text("{")
    with store.open(recipe(a=2), name="draft"):
        pass
    return store


def test_rows_of_ls(store):
    content = [row.as_json() for kind in (None, "checkpoint") for row in rows(store, kind=kind)]
    assert {row["state"] for row in content} == {"finished", "unfinished", "failed", "damaged"}
    for row in content:
        schemas.check(row, "listing")


def test_trees_of_lineage(store):
    for entry in store.entries():
        schemas.check(lineage(Inputs(entry), store=store).as_json(), "lineage")


def test_verdicts_of_verify(store):
    for entry in store.entries():
        verdict = of_entry(entry, store=store, depth="contents", emit=silent)
        schemas.check(verdict.as_json(), "verdict")
    damaged = of_directory(store.root / "shard", InputError("damaged"))
    schemas.check(damaged.as_json(), "verdict")


def test_what_show_prints_begins_with_the_artifact(store):
    for entry in store.entries():
        shown = as_json(entry)
        assert {"path", "id", "digest", "kind", "summary"} <= shown.keys()


EVALUATION = {
    "model": "S/16",
    "step": 20,
    "dataset": "digits",
    "split": "val",
    "top1": 0.5,
    "top5": 0.9,
    "loss": 1.5,
    "examples": 300,
    "top1_interval": [0.44, 0.56],
    "without_label": 0,
}


def evaluation(**changes):
    summary = {key: value for key, value in (EVALUATION | changes).items() if value != "absent"}
    sha = "a" * 64
    return {"path": "p", "id": sha, "digest": sha, "kind": "evaluation", "summary": summary}


def test_a_right_object_passes():
    schemas.check(evaluation(), "artifact")


@pytest.mark.parametrize(
    "changes",
    [{"top1": 1.5}, {"top1": "absent"}, {"top5": None}, {"examples": 1.5}, {"news": 1}],
    ids=str,
)
def test_a_wrong_summary_does_not(changes):
    with pytest.raises(jsonschema.ValidationError):
        schemas.check(evaluation(**changes), "artifact")


@pytest.mark.parametrize("field", ["path", "id", "digest", "kind", "summary"])
def test_every_artifact_has_the_five_fields(field):
    whole = evaluation()
    del whole[field]
    with pytest.raises(jsonschema.ValidationError):
        schemas.check(whole, "artifact")


def test_the_schema_of_artifacts_is_made_from_the_summaries():
    committed = (schemas.FOLDER / "artifact.schema.json").read_text()
    assert committed == schema.as_text(), (
        "make it anew: python -m vitctl.artifacts.kinds.schema > docs/schemas/artifact.schema.json"
    )


def test_every_kind_is_a_row_of_the_guide_with_the_commands_that_make_it():
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| (.*) \|$", GUIDE.read_text(), re.M)
    commands = {kind: re.findall(r"`(.*?)`", makers) for kind, makers, _ in rows}
    assert commands == {name: list(kind.commands) for name, kind in KINDS.items()}
    definitions = schema.artifact_schema()["$defs"]
    for name, _, fields in rows:
        assert set(re.findall(r"`(\w+)`", fields)) <= names_in(definitions[name], definitions), name


def names_in(definition, definitions):
    """The fields of a definition, and of those that it refers to."""
    names = set(definition["properties"])
    for below in re.findall(r"#/\$defs/([\w-]+)", json.dumps(definition["properties"])):
        names |= names_in(definitions[below], definitions)
    return names


def test_the_examples_of_the_guide_are_valid():
    """Each JSON block of the page, by the schema its heading names."""
    text = GUIDE.read_text()
    blocks = re.findall(r"\((?:\.\./schemas/)(\w+)\.schema\.json\).*?```json\n(.*?)```", text, re.S)
    names = {
        "artifact",
        "listing",
        "lineage",
        "plan",
        "advice",
        "verdict",
        "doctor",
        "feed",
        "batch",
        "fewshot_comparison",
        "prediction",
        "removal",
        "sweep_plan",
        "vtab_plan",
        "comparison",
        "preview",
        "report",
    }
    assert {name for name, _ in blocks} == names
    for name, block in blocks:
        schemas.check(json.loads(block), name)


def test_the_table_of_exit_codes_is_the_one_in_the_guide():
    text = (GUIDE.parent / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", text, re.M)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES
