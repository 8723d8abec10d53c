"""verify: what was changed behind the manifest's back is found, at the depth that promises it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from stages.inspect.verify.checks import of_directory, of_entry
from tests.artifacts.making import dataset, dataset_summary, made, recipe, trained
from vitctl.artifacts import Run, Store
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.manifest import seal_of
from vitctl.data.batches import keys_of_steps
from vitctl.data.dataset import Dataset
from vitctl.data.digest import ConsumedSamples
from vitctl.errors import InputError, VitctlError
from vitctl.events import silent


def checked(entry, store, *, deep=False, **step):
    depth = "contents" if deep else "sizes"
    return of_entry(entry, store=store, depth=depth, emit=silent, **step)


def rewritten(path, **fields):
    file = path / "artifact.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))
    return Artifact.load(path, check=False)


def test_a_whole_dataset(store):
    verdict = checked(dataset(store), store, deep=True)
    assert verdict.whole
    assert (verdict.remarks, verdict.records, verdict.files) == ([], 12, 8)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_sizes_find_what_is_missing_or_cut_and_only_contents_a_flipped_bit(store):
    photos = dataset(store)
    shard = photos.path / "images-train.array_record-00000-of-00002"
    flip(shard)
    assert checked(photos, store).whole
    problems = checked(photos, store, deep=True).problems
    assert f"{shard.name} has other bytes than were published" in problems
    shard.write_bytes(shard.read_bytes()[:-5])
    assert [shard.name in p for p in checked(photos, store).problems] == [True]
    shard.unlink()
    assert f"{shard.name} cannot be read" in checked(photos, store).problems[0]


@pytest.mark.parametrize("name", ["images-val.labels", "images-train.keys"])
def test_labels_and_keys_are_read_at_any_depth(store, name):
    """They are small, and no command trains or scores on others than were published."""
    photos = dataset(store)
    flip(photos.path / name)
    for deep in (False, True):
        assert (
            f"{name} has other bytes than were published"
            in checked(photos, store, deep=deep).problems
        )


def test_counts_must_agree_with_each_other(store):
    photos = dataset(store)
    summary = dataset_summary({"train": 5, "val": 6})
    seal = seal_of("dataset", summary)
    content = checked(rewritten(photos.path, summary=summary, seal=seal), store)
    assert content.problems == ["train has 6 records by dataset.json, 5 by the manifest"]


def republished(store, name, change):
    """A dataset whose content was wrong before it was hashed."""
    photos = dataset(store)
    with store.open(recipe(changed=name), name=name) as draft:
        for file in photos.path.iterdir():
            if file.name != "artifact.json":
                shutil.copy(file, draft.path)
        change(draft.path)
        return draft.publish(summary=photos.summary)


def test_the_index_is_compared_with_the_records(store):
    """Hashes can't tell: they are of the wrong content."""

    def swap_labels(path):
        file = path / "images-train.labels"
        (1 - np.fromfile(file, "<i4")).tofile(file)

    def repeat_key(path):
        file = path / "images-val.keys"
        keys = np.fromfile(file, "<u8")
        keys[1] = keys[0]
        keys.tofile(file)

    wrong = republished(store, "labels", swap_labels)
    assert checked(wrong, store).whole
    problems = checked(wrong, store, deep=True).problems
    assert len(problems) == 6
    assert all("labels" in problem for problem in problems)
    twice = republished(store, "keys", repeat_key)
    assert checked(twice, store).problems == ["val has 1 ids twice"]


def test_a_manifest_that_contradicts_itself(store):
    photos = made(store, recipe("fewshot", "fewshot", a=1))
    with pytest.raises(InputError, match="id is not that of the settings") as error:
        rewritten(photos.path, config={"a": 2})
    verdict = of_directory(photos.path, error.value)
    assert not verdict.whole
    assert "id is not that of the settings" in verdict.problems[0]
    with pytest.raises(InputError, match="digest is not that of the files"):
        rewritten(photos.path, config={"a": 1}, digest="0" * 64)


def test_a_manifest_from_before_there_were_seals_is_whole_with_a_remark(store):
    photos = made(store, recipe("fewshot", "fewshot", a=1))
    verdict = checked(rewritten(photos.path, format=1, seal=None), store)
    assert verdict.whole
    assert "has no seal" in verdict.remarks[0]


def test_files_of_others_are_a_remark(store):
    photos = made(store, recipe("fewshot", "fewshot"))
    (photos.path / ".DS_Store").touch()
    verdict = checked(photos, store, deep=True)
    assert verdict.whole
    assert verdict.remarks == ["1 file is not its own, such as '.DS_Store'"]


def test_inputs_that_changed_are_problems_and_those_elsewhere_remarks(store, tmp_path):
    photos = made(store, recipe("fewshot", "fewshot"))
    child = made(store, recipe("evaluate", "evaluation", parents=(photos.as_parent("from"),)))
    assert checked(child, store).whole
    made(store, recipe("fewshot", "fewshot"), content=b"other", force=True)
    assert "its input from: " in checked(child, store).problems[0]
    shutil.rmtree(photos.path)
    verdict = checked(child, store)
    assert verdict.whole
    assert "is not in this store" in verdict.remarks[0]


def test_all_checkpoints_of_a_run(store):
    path = trained(store, recipe("pretrain", "run"), steps=(10, 20, 30))
    run = Run.load(path)
    for name in ("40", "tmp"):
        (path / "checkpoints" / name).mkdir()
    verdict = checked(run, store)
    assert verdict.whole
    assert (verdict.kind, verdict.files) == ("run", 3)
    assert verdict.remarks == [
        "checkpoints/40 was never finished; the command that trains the run clears it away",
        "checkpoints/tmp is no finished checkpoint",
    ]
    with store.open_run(recipe("pretrain", "run"), name="x") as draft:
        assert checked(run, store).remarks == ["checkpoints/tmp is no finished checkpoint"]
        draft.empty_place(50)
        assert "checkpoints/50 is not finished yet" in checked(run, store).remarks
    shutil.rmtree(path / "checkpoints/50")
    flip(path / "checkpoints/10/weights.bin")
    (path / "checkpoints/30/artifact.json").write_text("{")
    problems = checked(run, store, deep=True).problems
    assert any("checkpoint 30: " in problem and "not JSON" in problem for problem in problems)
    assert any("checkpoint 10: weights.bin has other bytes" in problem for problem in problems)
    assert checked(run, store, deep=False, step=10).whole


def test_places_that_hold_no_artifact(store):
    with store.open(recipe(), name="half") as draft:
        path = draft.path
    torn = made(store, recipe(a=1), name="torn").path
    (torn / "artifact.json").write_text("{")
    (store.root / "shard" / "empty").mkdir()
    values = {}
    for directory in store.directories():
        try:
            Store.load(directory)
        except VitctlError as error:
            values[directory] = of_directory(directory, error)
    assert values[path].whole
    assert "unfinished" in values[path].remarks[0]
    assert not values[torn].whole
    assert values[store.root / "shard" / "empty"] is None


CONFIG = {
    "name": "S/16",
    "recipe": "small",
    "model": {
        "width": 8,
        "depth": 1,
        "mlp_dim": 8,
        "heads": 1,
        "patch": 4,
        "resolution": 8,
        "classes": 2,
    },
    "loss": "softmax",
    "data": {"batch": 4, "eval_split": None},
    "schedule": {"kind": "rsqrt", "peak_lr": 0.1, "warmup_steps": 1},
    "precision": "float32",
}


@pytest.fixture
def consumed(store):
    """A run of 5 steps on 6 images, with its record of the samples it was trained on."""

    def make(**changes):
        photos = dataset(store)
        config = CONFIG | changes.pop("config", {})
        wanted = recipe("pretrain", "run", parents=(photos.as_parent("data"),), **config)
        keys = keys_of_steps(Dataset.load(photos.path), split="train", seed=0, batch=4)
        samples = ConsumedSamples()
        for step in range(5):
            samples = samples.advance(keys(step))
        position = {"step": 5, "consumed": samples.to_json() | changes}
        with store.open_run(wanted, name="run") as draft:
            place = draft.empty_place(5)
            (place / "position.json").write_text(json.dumps(position))
            draft.publish(5, summary={"step": 5}, started="2026-01-01")
        return Run.load(draft.path)

    return make


def test_the_samples_of_a_checkpoint_are_replayed(consumed, store):
    run = consumed()
    assert checked(run, store, deep=True).problems == []
    assert checked(run, store, deep=True).remarks == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"config": {"seed": 1}}, "are not the ones"),
        ({"config": {"data": {"batch": 2, "eval_split": None}}}, "are not the ones"),
        ({"digest": "0" * 64}, "are not the ones"),
        ({"step": 4}, "those of step 4"),
        ({"step": "x"}, "damaged"),
    ],
    ids=["seed", "batch", "digest", "step", "type"],
)
def test_other_samples_are_noticed(consumed, store, changes, problem):
    run = consumed(**changes)
    assert checked(run, store).whole
    assert problem in checked(run, store, deep=True).problems[0]


def test_without_its_images_the_samples_cannot_be_checked(consumed, store):
    run = consumed()
    shutil.rmtree(store.root / "shard")
    verdict = checked(run, store, deep=True)
    assert verdict.whole
    assert any("cannot be checked" in remark for remark in verdict.remarks)


def test_what_a_run_recorded_of_its_course_is_looked_at(store):
    """A note, as nothing depends on it: the run goes on, and its checkpoints are whole."""
    run = Run.load(trained(store, recipe("pretrain", "run"), steps=(1,)))
    row = b'{"kind": "train", "step": 1, "loss": 2.5}\n'
    run.metrics.write_bytes(row + b'{"kind": "tra')
    before = checked(run, store, deep=True)
    assert (before.remarks, checked(run, store).remarks) == ([], [])
    (run.path / "goodput.json").write_text('{"format": 1, "starts": [{"began": "long ago"}]}')
    run.metrics.write_bytes(row + b"\xff\n" * 7 + row)
    assert [remark.split(":")[0] for remark in checked(run, store).remarks] == [
        "goodput.json is damaged"
    ]
    verdict = checked(run, store, deep=True)
    assert verdict.problems == before.problems
    assert [remark.split(":")[0] for remark in verdict.remarks] == [
        "goodput.json is damaged",
        "metrics.jsonl has damaged lines (2, 3, 4, 5, 6 and 2 more)",
    ]
