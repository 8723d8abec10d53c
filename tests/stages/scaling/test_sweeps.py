"""A sweep is a table: what `scaling fit` and `scaling plot` make of it is what they make of its
columns in a file."""

from __future__ import annotations

import csv

import pytest

from stages import api
from tests import sweeps
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import SCALING_FIT, SWEEP
from vitctl.errors import InputError, NotFoundError
from vitctl.events import Caution, Settings

QUICK = {"draws": 100}


@pytest.fixture
def sweep(store: Store):
    return sweeps.sweep(store)


def test_a_fit_of_a_sweep_is_that_of_its_table(store, sweep, tmp_path):
    table = SWEEP.summary(sweep).table()
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    columns = {"compute": "flops", "accuracy": "top1", "unit": "fraction"}
    by_hand = api.scaling_fit(
        tmp_path / "table.csv", set={**QUICK, "columns": columns}, store=store
    )
    events = []
    fit = api.scaling_fit(sweep, set=QUICK, store=store, emit=events.append)
    one, other = SCALING_FIT.summary(fit), SCALING_FIT.summary(by_hand)
    assert (one.a, one.b, one.c, one.d) == (other.a, other.b, other.c, other.d)
    assert one.compute_unit == "FLOPs"
    assert one.points == 16
    assert one.b == pytest.approx(0.3, abs=0.01)
    assert one.c == pytest.approx(0.1, abs=0.01)
    assert [(p.role, p.id) for p in fit.manifest.parents] == [("sweep", sweep.id)]
    assert fit.path.name.startswith("grid-top1-")
    read = next(e for e in events if isinstance(e, Settings) and "is read" in e.title)
    assert "compute" not in read.values  # nothing is guessed of it
    # The newest, by its name, and by its folder.
    for reference in (None, "grid", sweep.path):
        assert api.scaling_fit(reference, set=QUICK, store=store).id == fit.id


def test_a_loss_of_a_sweep(store, sweep):
    fit = api.scaling_fit(sweep, loss="loss", set=QUICK, store=store)
    assert SCALING_FIT.summary(fit).measure == "loss"


def test_rows_of_runs_that_failed_are_left_out(store):
    failed = sweeps.row("two", 1000, 99, 9e9, **sweeps.FAILED)
    sweep, events = sweeps.sweep(store, sweeps.summary([*sweeps.rows(), failed])), []
    fit = api.scaling_fit(sweep, set=QUICK, store=store, emit=events.append)
    assert SCALING_FIT.summary(fit).points == 16
    assert any(isinstance(e, Caution) and "1 row with empty cells" in e.text for e in events)


def test_figures_of_a_sweep(store, sweep):
    pytest.importorskip("matplotlib")
    settings = {"figures": ("compute",), "themes": ("light",), "formats": ("svg",)}
    drawn = api.scaling_plot(sweep, set=settings, store=store)
    assert (drawn.path / "compute-light.svg").exists()
    assert [(p.role, p.id) for p in drawn.manifest.parents] == [("sweep", sweep.id)]


def test_what_is_no_table_and_no_sweep(store, sweep):
    with pytest.raises(NotFoundError, match=r"there is no table runs\.csv"):
        api.scaling_fit("runs.csv", store=store)
    with pytest.raises(NotFoundError, match="nothing"):
        api.scaling_fit("nothing", store=store)
    fit = api.scaling_fit(sweep, set=QUICK, store=store)
    with pytest.raises(InputError, match="is a scaling fit, where a sweep is expected"):
        api.scaling_fit(fit, store=store)
