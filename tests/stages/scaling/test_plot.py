"""`vitctl scaling plot`: from a table or a fit to pictures on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")


from stages.scaling.fit.run import run as run_fit
from stages.scaling.fit.spec import Inputs as FitInputs
from stages.scaling.plot.run import run
from stages.scaling.plot.spec import Inputs, PlotConfig
from tests import schemas
from vitctl.artifacts import Artifact, Store
from vitctl.errors import InputError, UsageError
from vitctl.events import Event, Note
from vitctl.figures import style
from vitctl.scaling.config import ScalingConfig
from vitctl.stage import Runtime

PAPER = {"compute": "tpuv3_core_days", "accuracy": "inet10"}
LIGHT = {"themes": ("light",), "formats": ("svg",)}


def plot(
    store: Store, source: Path | Artifact, *, emit: Any = lambda event: None, **settings: Any
) -> Artifact:
    table, fit = (source, None) if isinstance(source, Path) else (None, source)
    cfg = PlotConfig.model_validate(settings)
    return run(cfg, Inputs(table=table, fit=fit), store=store, runtime=Runtime(), emit=emit)


def drawn(artifact: Artifact) -> list[str]:
    return [row["file"] for row in artifact.summary["figures"]]


def test_a_table_gives_all_figures(store: Store, examples: Path) -> None:
    # Three models of eleven: of all runs the study and the drawing take three times as long.
    columns = {**PAPER, "where": ("model=Ti/16,B/16,L/16",)}
    study = {"columns": columns, "draws": 100, "compare": ("Ti/16:L/16",)}
    artifact = plot(store, examples / "paper_fewshot.csv", study=study, **LIGHT)
    schemas.check(artifact.as_json(), "artifact")
    names = ("compute", "model-size", "data-size", "images-seen", "held-out", "schedules")
    assert drawn(artifact) == [f"{name}-light.svg" for name in names]
    for file in drawn(artifact):
        assert (artifact.path / file).stat().st_size > 20_000


def test_both_themes_and_formats(store: Store, examples: Path) -> None:
    table = examples / "paper_decay.csv"
    columns = {"accuracy": "inet5", "unit": "percent"}
    artifact = plot(store, table, study={"columns": columns}, figures=("weight-decay",))
    assert drawn(artifact) == [
        f"weight-decay-{theme}.{form}" for theme in ("light", "dark") for form in ("svg", "png")
    ]
    assert (artifact.path / "weight-decay-dark.png").read_bytes()[1:4] == b"PNG"
    assert b"<svg" in (artifact.path / "weight-decay-light.svg").read_bytes()


STUDY = {"draws": 100, "compare": ()}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Seven runs, so that a study takes tenths of a second; the paper's 262 are drawn above."""
    rows = "\n".join(f"{10**i},{0.6 - 0.07 * i}" for i in range(7))
    path = tmp_path / "t.csv"
    path.write_text(f"compute,error\n{rows}\n")
    return path


@pytest.fixture
def fit(store: Store, table: Path) -> Artifact:
    study = ScalingConfig.model_validate(STUDY)
    return run_fit(study, FitInputs(table), store=store, runtime=Runtime())


def test_a_fit_is_drawn_as_its_table(store: Store, table: Path, fit: Artifact) -> None:
    """The same pictures either way, byte for byte: nothing is fitted anew in another way."""
    one = plot(store, fit, figures=("compute",), **LIGHT)
    two = plot(store, table, study=STUDY, figures=("compute",), **LIGHT)
    assert one.path != two.path
    assert one.digest == two.digest
    assert one.manifest.parent("fit").id == fit.id


def test_the_weight_decay_table(store: Store, examples: Path) -> None:
    columns = {"accuracy": "inet5", "unit": "percent"}
    artifact = plot(store, examples / "paper_decay.csv", study={"columns": columns}, **LIGHT)
    assert drawn(artifact) == ["schedules-light.svg", "weight-decay-light.svg"]


def test_figures_a_table_can_not_feed(
    store: Store, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out with a note, or refused when asked for. What a picture's bytes are is no matter."""
    monkeypatch.setattr(style, "render", lambda drawn, **options: b"bytes of a picture")
    said: list[Event] = []
    artifact = plot(store, table, emit=said.append, study={"draws": 100}, **LIGHT)
    assert drawn(artifact) == [f"{name}-light.svg" for name in ("compute", "held-out", "schedules")]
    notes = [event.text for event in said if isinstance(event, Note)]
    assert any("model-size can't be drawn: it needs a column" in note for note in notes)
    with pytest.raises(InputError, match="data-size can't be drawn"):
        plot(store, table, study={"draws": 100}, figures=("compute", "data-size"), **LIGHT)
    assert len(list(store.directories())) == 1  # the drawn one; a picture alone is not kept
    with pytest.raises(InputError, match="no column 'wd_head'"):
        plot(store, table, figures=("weight-decay",), **LIGHT)


def test_a_fit_holds_no_weight_decays(store: Store, fit: Artifact) -> None:
    with pytest.raises(UsageError, match="has no weight decays"):
        plot(store, fit, figures=("weight-decay",))


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, examples: Path) -> None:
    """In a fresh process whose import of matplotlib fails."""
    code = (
        "import sys; sys.modules['matplotlib'] = None; from stages.app import main; "
        f"main(['scaling', 'plot', {str(examples / 'paper_decay.csv')!r}, "
        "'--accuracy', 'inet5', '--unit', 'percent'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "drawing needs matplotlib" in done.stderr
    assert "vitctl[report]" in done.stderr
