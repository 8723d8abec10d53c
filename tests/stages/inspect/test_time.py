"""`vitctl show` of a run's time."""

from __future__ import annotations

import json

import pytest

from stages.inspect.show import run as show_run
from stages.inspect.show import text as show
from tests.artifacts.making import recipe, trained
from vitctl.artifacts import Run, Store
from vitctl.train.telemetry import goodput


@pytest.fixture
def run(tmp_path):
    return Run.load(trained(Store(tmp_path), recipe("pretrain", "run"), steps=(1,)))


def rows(*starts):
    return json.dumps(
        {
            "format": 1,
            "starts": [
                {"began": 0, "from_step": 0, "step": 9, "ended": None, "seconds": seconds}
                for seconds in starts
            ],
        }
    )


def test_shares_of_all_starts(run):
    file = run.path / goodput.FILE
    file.write_text(rows({"step": 50.0, "start": 10.0}, {"step": 30.0, "stopped": 10.0}))
    seconds = show.time_by_account(run)
    assert seconds["in all"] == "1 min 40 s in 2 starts"
    assert seconds["training steps"].split() == ["80.0%", "1", "min", "20", "s"]
    content = show_run.as_json(run)["time"]
    assert (content["goodput"], content["wall_s"], content["starts"]) == (0.8, 100, 2)
    assert sum(content["shares"].values()) == pytest.approx(1)


@pytest.mark.parametrize("content", [None, "{", rows()])
def test_a_run_whose_time_was_not_counted(run, content):
    if content is not None:
        (run.path / goodput.FILE).write_text(content)
    assert show.time_by_account(run) == {}
    assert show_run.as_json(run)["time"]["goodput"] is None
