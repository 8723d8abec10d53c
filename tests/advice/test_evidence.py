"""What advice rests on: the paper's points, a table, and what a store has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import sweeps
from tests.advice import studies
from vitctl.advice import evidence, own_runs, target
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.references import plain_name
from vitctl.errors import InputError, UsageError
from vitctl.model import accounting

EXAMPLES = Path(__file__).parents[2] / "examples" / "scaling"


@pytest.mark.parametrize("name", ["paper_fewshot.csv", "paper_i21k.csv"])
def test_the_points_that_ship_are_those_of_the_examples(name):
    shipped = Path(evidence.__file__).parent / name
    assert shipped.read_bytes() == (EXAMPLES / name).read_bytes()


@pytest.mark.parametrize(
    ("examples", "largest"), [(1_281_167, 13_000_000), (13_000_000, 13_000_000), (30_000_000, 3e9)]
)
def test_the_study_of_the_paper_whose_sets_are_nearer(examples, largest):
    runs = evidence.of_paper(examples=examples, metric=None)
    assert runs.data_sizes[1] == largest
    assert runs.metric == "10-shot ImageNet error"


def test_a_metric_names_its_study_and_an_unknown_one_is_refused():
    runs = evidence.of_paper(examples=1_000_000, metric="pets5")
    assert runs.metric == "5-shot Pets error"
    g14 = (runs.points.model == "g/14") & (runs.points.images == 491_520_000)
    assert runs.points.error[g14] == pytest.approx([1 - 0.934])  # Table 4
    with pytest.raises(UsageError) as error:
        evidence.of_paper(examples=1_000_000, metric="pets7")
    assert "pets" in (error.value.hint or "")


# ---- A table


def write(tmp_path, header, *rows):
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_table_needs_no_compute(tmp_path):
    path = write(
        tmp_path,
        "model,images_seen,data_size,accuracy",
        *(f"S/16,{10**k},1000,{10 * k}" for k in range(3, 8)),
    )
    runs = evidence.of_table(path, metric=None)
    assert runs.source == "table"
    assert runs.points.error == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.3])


def test_a_table_without_models_is_refused(tmp_path):
    path = write(tmp_path, "images_seen,data_size,error", "1000,10,0.5")
    with pytest.raises(InputError, match="no column model"):
        evidence.of_table(path, metric=None)


def test_an_unknown_column_is_refused_with_the_nearest(tmp_path):
    path = write(tmp_path, "model,images_seen,data_size,top1_error", "S/16,1000,10,0.5")
    with pytest.raises(InputError) as error:
        evidence.of_table(path, metric="top1_eror")
    assert "top1_error" in (error.value.hint or "")


# ---- A store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("work") / "artifacts")
    studies.study(store, rate=1000.0)
    return store


def results_of(store):
    return own_runs.results(store.entries(check=False), store=store)


def test_results_by_what_they_measured(store):
    results = results_of(store)
    assert set(results.by_metric) == {"5-shot:photos/2", "10-shot:photos/2"}
    runs = results.by_metric["10-shot:photos/2"]
    points = runs.points
    assert sorted(set(points.model.tolist())) == ["tiny", "wide"]
    for model in ("tiny", "wide"):
        own = points.model == model
        images = points.images[own]
        assert sorted(images) == [steps * studies.BATCH for steps in studies.LENGTHS]
        expected = [studies.law(model, n) for n in images]
        assert points.error[own] == pytest.approx(expected)
    assert set(points.data_size) == {studies.EXAMPLES}
    assert runs.settings == {"model.resolution": 8, "recipe": "small", "data.batch": studies.BATCH}
    assert runs.sizes["wide"]["width"] == 32


def test_the_compute_of_a_run_is_three_forward_passes(store):
    points = results_of(store).by_metric["10-shot:photos/2"].points
    own = points.model == "tiny"
    flops = accounting.trained_flops(studies.config("tiny").model)
    assert points.compute[own] == pytest.approx(points.images[own] * flops)


def test_what_does_not_count_is_counted(tmp_path):
    store = Store(tmp_path / "artifacts")
    data = studies.photos(store)
    trunk = studies.trained(store, "tiny", 100, data=data, cooled=False)
    studies.probed(store, trunk, 0.5, data=data)
    other = studies.trained(store, "tiny", 200, data=data, summary={"images_before": 5})
    studies.probed(store, other, 0.5, data=data)
    results = results_of(store)
    assert results.by_metric == {}
    assert results.chosen(None) is None
    assert results.skipped == {
        "are of models that are not cooled down": 1,
        "are of models that did not begin from random weights": 1,
    }


def test_seeds_of_a_cell_are_averaged(tmp_path):
    store = Store(tmp_path / "artifacts")
    data = studies.photos(store)
    for seed, error in ((0, 0.4), (1, 0.5)):
        checkpoint = studies.trained(store, "tiny", 100, data=data, seed=seed)
        studies.probed(store, checkpoint, error, data=data)
    points = results_of(store).by_metric["10-shot:photos/2"].points
    assert points.error == pytest.approx([0.45])


def test_runs_with_other_settings_are_not_averaged_with_these(tmp_path):
    store = Store(tmp_path / "artifacts")
    data = studies.photos(store)
    for decay, error in ((0.25, 0.4), (3.0, 0.6)):
        checkpoint = studies.trained(store, "tiny", 100, data=data, optim={"wd_head": decay})
        studies.probed(store, checkpoint, error, data=data)
    runs = results_of(store).by_metric["10-shot:photos/2"]
    assert runs.points.error == pytest.approx([0.4])
    assert runs.trained["tiny"].settings["optim.wd_head"] == 0.25
    (remark,) = runs.remarks
    assert "optim.wd_head=0.25" in remark
    assert "1 with other settings" in remark


def test_a_sweep_is_its_own_measurements_alone(store):
    entries = [entry for entry in store.entries(check=False) if isinstance(entry, Artifact)]
    probes = [entry for entry in entries if entry.kind == "fewshot"]
    own = sweeps.row("tiny", 100, 100, 1.0, probes=[probe.id for probe in probes[:5]])
    sweep = sweeps.sweep(store, sweeps.summary([own]))
    results = own_runs.results(entries, store=store, sweep=sweep)
    runs = results.by_metric["10-shot:photos/2"]
    assert len(runs.points) == 5
    assert runs.title == f"the sweep {plain_name(sweep)}"


def test_the_speed_is_the_median_of_what_runs_logged(store):
    devices = target.Devices("local", "cpu", 4, None, None, local=True)
    speeds = own_runs.speeds(store.entries(check=False), devices)
    assert len(speeds) == len(studies.LENGTHS)
    assert {speed.images_per_second for speed in speeds} == {1000.0}
    assert {speed.model.width for speed in speeds} == {16}
    elsewhere = target.named("h100", option="--gpu")
    assert own_runs.speeds(store.entries(check=False), elsewhere) == []


def test_no_laws_of_too_few_lengths(tmp_path):
    store = Store(tmp_path / "artifacts")
    studies.study(store, lengths=studies.LENGTHS[:3])
    results = results_of(store)
    assert len(results.by_metric["10-shot:photos/2"].points) == 6
    assert results.chosen(None) is None


def test_an_unknown_metric_of_the_store_is_refused(store):
    with pytest.raises(UsageError) as error:
        results_of(store).chosen("10-shot:photo/2")
    assert "10-shot:photos/2" in (error.value.hint or "")
    assert np.size(results_of(store).chosen("5-shot:photos/2").points.error) == 12
