"""Every kind has a section, and every section survives what its kind can hold."""

from __future__ import annotations

import json

import pytest

from tests.artifacts.making import made, recipe
from tests.report.studies import FEWSHOT, Page, photos, result
from tests.sweeps import FAILED, row, rows, summary, sweep
from vitctl.artifacts.kinds import KINDS
from vitctl.report import sections
from vitctl.report.page import page
from vitctl.report.sections import SECTIONS


def test_every_kind_has_a_section():
    assert set(SECTIONS) == set(KINDS)


def test_every_module_of_sections_is_in_the_table():
    from pathlib import Path

    modules = {path.stem for path in Path(str(sections.__file__)).parent.glob("*.py")}
    shared = {"__init__", "section", "overlap", "unknown"}
    assert modules - shared == {name.replace("-", "_") for name in SECTIONS}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_headings_and_nouns_are_words(kind):
    known = KINDS[kind]
    assert SECTIONS[kind].heading[0].isupper()
    assert known.noun.islower() or "-" in known.noun


def test_a_kind_of_a_later_version_is_reported_by_its_fields(store):
    novel = made(store, recipe("novel", "novelty"), summary={"score": 0.5, "of": "/home/alice/x"})
    text = Page(page([(novel, None)], store=store).content).text
    assert "score" in text
    assert "0.5" in text
    assert "alice" not in text


def test_a_summary_that_is_not_of_its_kind_is_reported_by_its_fields(store):
    odd = made(store, recipe("fewshot", "fewshot"), summary={"model": "S/16", "shots": "none"})
    assert "S/16" in Page(page([(odd, None)], store=store).content).text


VTAB = {
    "model": "S/16",
    "step": 12,
    "weights": "raw",
    "images": 1000,
    "tasks": [
        {
            "task": task,
            "group": group,
            "dataset": f"{task}-1a2b3c4d",
            "top1": top1,
            "interval": [top1 - 0.05, top1 + 0.05],
            "split": "test",
            "examples": 500,
            "train_examples": 1000,
            "classes": 10,
            "lr": 0.01,
            "checkpoint": "5" * 64,
        }
        for task, group, top1 in (("svhn", "natural", 0.6), ("<b>mine", "other", 0.9))
    ],
    "groups": [
        {"group": "natural", "top1": 0.6, "tasks": 1},
        {"group": "other", "top1": 0.9, "tasks": 1},
    ],
    "mean": 0.6,
    "mean_of_groups": None,
}


def test_vtab_has_its_tasks_and_says_of_how_many_the_mean_is(store):
    artifact = result(store, "vtab", VTAB, parents=[photos(store)], name="v")
    read = Page(page([(artifact, None)], store=store).content)
    for part in ("mean top-1 on 1 of VTAB's 19 tasks", "svhn", "<b>mine", "55.0 to 65.0", "90.0"):
        assert part in read.text.replace("\u00a0", " ")


def test_vtab_without_any_of_its_tasks_quotes_a_dataset(store):
    others = {**VTAB, "tasks": VTAB["tasks"][1:], "groups": VTAB["groups"][1:], "mean": None}
    artifact = result(store, "vtab", others, parents=[photos(store)], name="v")
    text = Page(page([(artifact, None)], store=store).content).text
    assert "top-1 on <b>mine" in text


def test_a_sweep_has_its_runs_their_rates_and_what_failed(store):
    table = [*rows(), row("<b>mine", 1000, 400, 1e9, axes={"wd_head": 3.0}, seed=1, **FAILED)]
    tried = [
        {"lr": 0.01, "scores": {"top1": 0.5, "top5": 1.0, "loss": 1.25, "examples": 9}, "id": "5"},
        {"lr": 0.1, "scores": None, "id": None},
    ]
    rates = [{"model": "one", "data_size": 1000, "steps": 40, "lr": 0.01, "tried": tried}]
    artifact = sweep(store, summary(table, rates=rates, part="1/2"))
    text = Page(page([(artifact, None)], store=store).content).text.replace("\u00a0", " ")
    for part in (
        "best top1 on two",
        "part 1/2 of the grid",
        "<b>mine",
        "wd_head",
        "the loss is NaN",
        "0.01: 1.25, 0.1: diverged",
        "25,600",
        "two on 1,000 images",
    ):
        assert part in text, part
    best = max(one["metrics"]["top1"]["value"] for one in rows())
    assert f"{100 * best:.1f} %" in text


def test_a_sweep_of_which_all_failed_is_reported(store):
    artifact = sweep(store, summary([{**row("one", 100, 400, 1e9), **FAILED}], metrics=[]))
    text = Page(page([(artifact, None)], store=store).content).text
    assert "the loss is NaN" in text


PIXELS = {
    "model": "pixels at 8 px",
    "step": None,
    "cooled": None,
    "weights": None,
    "at": "pixels",
    "width": 192,
    "dataset": "photos-1a2b3c4d",
    "classes": 2,
    "examples": {"train": 12},
}


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({}, "pixels at 8 px"),
        ({"model": "S/16", "step": 12, "weights": "raw", "at": "tokens"}, "S/16 at step 12"),
        ({"model": "S/16", "step": 12, "weights": "ema"}, "S/16 at step 12, averaged"),
    ],
    ids=["pixels", "raw", "ema"],
)
def test_features_say_of_which_weights_they_are_if_of_any(store, changes, cell):
    features = result(
        store, "feature-set", {**PIXELS, **changes}, parents=[photos(store)], name="f"
    )
    cells = Page(page([(features, None)], store=store).content).named("td")
    assert cell in [cell.text for cell in cells]


def test_probes_of_other_shots_stand_in_one_table(store):
    data = photos(store)
    all_images = {**FEWSHOT["shots"][0], "shots": None, "accuracy_mean": 0.99}
    result(store, "fewshot", FEWSHOT, parents=[data], name="a")
    result(store, "fewshot", {**FEWSHOT, "shots": [all_images]}, parents=[data], name="b")
    named = [(entry, None) for entry in store.entries()]
    read = Page(page(named, store=store).content)
    heads = [node.text for node in read.named("th") if node.attributes["scope"] == "col"]
    for title in ("1-shot", "5-shot", "10-shot", "all images"):
        assert title in heads


def test_pictures_of_a_photo_are_small(store):
    """Large images are shrunk: a page is no copy of a dataset."""
    large = photos(store, images=4, side=600)
    read = Page(page([(large, None)], store=store).content)
    sizes = [len(str(node.attributes["src"])) for node in read.named("img")]
    assert len(sizes) == 4
    assert max(sizes) < 10_000


def test_charts_have_an_alternative_in_numbers(study_made):
    read = Page(page(study_made.named, store=study_made.store).content)
    assert len(read.data) == len([n for n in read.named("summary") if "Numbers" in n.text])
    assert json.dumps(read.data, allow_nan=False)
