"""Whatever a store holds, listing and showing it gives text or one sentence."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.inspect.ls import run as listing
from stages.inspect.ls.text import cells
from stages.inspect.show import run as show_run
from stages.inspect.show import text as show
from tests.artifacts.making import dataset, recipe, trained
from tests.artifacts.making import made as of_kind
from vitctl.artifacts import Run, Store
from vitctl.artifacts.canonical import canonical_json
from vitctl.artifacts.files import DRAFT
from vitctl.artifacts.manifest import FileEntry, Recipe, digest_of, seal_of
from vitctl.artifacts.run_info import Rollback
from vitctl.errors import InputError, NotFoundError

FORGED = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -1, 2**33, 1e308, -0.0, float("inf"), float("nan")]),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "\0", "..", "/", "a\nb", "\x1b[2J", "inf", "9999-12-31T23:59:59Z"]),
    st.sampled_from([[], {}, [[]], {"": 0}, [1, "a"], {"loss": "many", "step": []}]),
    st.integers(100, 900).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)
"""What stands in the place of one value; two thirds of it are JSON that people could write."""

BACK = Rollback(
    at="2026-01-01", diverged=3, step=2, batches=1, loss="inf", grad_norm="1", kept="batches/3"
)
SUMMARIES = {
    "evaluation": {"model": "S/16", "dataset": "photos", "top1": 0.5, "top5": 0.9, "loss": 1.5},
    "fewshot": {"model": "S/16", "shots": [{"shots": 5, "accuracy_mean": 0.4}]},
    "scaling-fit": {"a": 1.0, "b": 0.1, "c": 0.2, "d": 3.0},
    "scaling-plot": {"figures": [{"figure": "law"}]},
}


def leaves(value, at=()):
    """The places of all values below `value`, containers among them."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*at, key))


def forged(document, where, value):
    document = copy.deepcopy(document)
    *above, last = where
    inner = document
    for key in above:
        inner = inner[key]
    inner[last] = value
    return document


def fitting(document):
    """With the hashes that fit the content, as whoever edits on purpose would write them."""
    document = dict(document)
    with suppress(Exception):
        document["id"] = Recipe.model_validate(
            {key: document[key] for key in ("stage", "version", "kind", "config", "parents")}
        ).id
    with suppress(Exception):
        document["digest"] = digest_of([FileEntry(**entry) for entry in document["files"]])
    with suppress(Exception):
        document["seal"] = seal_of(document["kind"], document["summary"])
    return document


def look_at(store, only=None):
    """All that `ls` and `show` make of a store, with and without --json."""
    for path in store.directories() if only is None else [only]:
        for checkpoints in (False, True):
            for row in listing._rows_at(path, checkpoints=checkpoints):
                cells(row)
                canonical_json(row.as_json())
        try:
            entry = Store.load(path)
        except (InputError, NotFoundError):
            continue
        lines = show.of_run(entry) if isinstance(entry, Run) else show.of_artifact(entry)
        "\n".join(lines).encode()
        canonical_json(show_run.as_json(entry))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("store"))
    dataset(made)
    for kind, summary in SUMMARIES.items():
        of_kind(made, recipe(kind, kind), name=kind, summary=summary)
    with made.open_run(recipe("pretrain", "checkpoint", name="S/16"), name="S16") as draft:
        draft.begin(from_step=0, runtime={"workers": None, "keep": 2})
        draft.mark_rollback(BACK)
    trained(made, recipe("pretrain", "checkpoint", name="B/16"), steps=(2, 4), results=(4,))
    return made


@settings(
    derandomize=True,
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_value_in_any_place_is_listed_shown_or_refused(store, data):
    documents = sorted([*store.root.rglob("artifact.json"), *store.root.rglob("run.json")], key=str)
    path = data.draw(st.sampled_from(documents), label="file")
    whole = path.read_bytes()
    document = json.loads(whole)
    where = data.draw(st.sampled_from(list(leaves(document))), label="place")
    edited = forged(document, where, data.draw(FORGED, label="value"))
    path.write_text(json.dumps(fitting(edited)))
    try:
        look_at(store, only=store.root.joinpath(*path.relative_to(store.root).parts[:2]))
    finally:
        path.write_bytes(whole)


def test_a_loss_that_is_no_number_is_refused(store):
    path = next(p for p in store.root.rglob("run.json") if json.loads(p.read_bytes())["rollbacks"])
    whole = path.read_bytes()
    document = json.loads(whole)
    document["rollbacks"][0]["loss"] = "many"
    path.write_text(json.dumps(document))
    try:
        with pytest.raises(InputError, match="is damaged"):
            Run.load(path.parent)
    finally:
        path.write_bytes(whole)


def test_the_store_is_whole_before_anything_is_forged(store):
    assert {row.state for row in listing.rows(store)} <= {"finished", "failed"}
    look_at(store)


@pytest.mark.parametrize("note", ["[" * 5000, '{"vitctl": "x", "id": 1}', '{"id": NaN}', "\\ud800"])
def test_notes_of_drafts(store, note):
    folder = store.root / "shard" / "left-00000000"
    folder.mkdir()
    (folder / DRAFT).write_text(note)
    try:
        look_at(store)
    finally:
        (folder / DRAFT).unlink()
        folder.rmdir()
