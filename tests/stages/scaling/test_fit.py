"""`vitctl scaling fit`: from a table to an artifact, and what it says of tables that don't do."""

from __future__ import annotations

import csv
import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.scaling.analysis import resolve_config, study_table
from stages.scaling.fit.run import run
from stages.scaling.fit.spec import VERSION, Inputs
from tests import forking, schemas
from tests.forking import COMMAND, SCALING
from vitctl.artifacts import Artifact, Parent, Recipe, Store
from vitctl.errors import InputError, NotFoundError, UsageError, VitctlError
from vitctl.events import Event, Note, Settings
from vitctl.scaling.config import ColumnsConfig, ScalingConfig
from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.settings import settings
from vitctl.scaling.user_table import read_points, resolve
from vitctl.stage import Runtime
from vitctl.text.tables import read_table

PAPER = {"compute": "tpuv3_core_days", "accuracy": "inet10"}


def fit(store: Store, table: Path, *, emit: Any = lambda event: None, **chosen: Any) -> Artifact:
    cfg = ScalingConfig.model_validate({"draws": 100, **chosen})
    return run(cfg, Inputs(table), store=store, runtime=Runtime(), emit=emit)


def write(path: Path, **columns: list[Any]) -> Path:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def curve(n: int = 12) -> dict[str, list[Any]]:
    compute = np.geomspace(1, 1e4, n)
    error = Law(a=0.6, b=0.3, c=0.1, d=0.5).error(compute)
    wobble = 1 + 0.004 * np.cos(7 * np.arange(n))
    return {"compute": compute.tolist(), "error": (error * wobble).tolist()}


def test_the_papers_table(store: Store, examples: Path) -> None:
    said: list[Event] = []
    artifact = fit(store, examples / "paper_fewshot.csv", emit=said.append, columns=PAPER)
    summary = artifact.summary
    assert artifact.kind == "scaling-fit"
    schemas.check(artifact.as_json(), "artifact")
    content = [summary[name] for name in "cadb"]
    np.testing.assert_allclose(content, (0.12, 0.63, 0.52, 0.32), atol=0.01)
    assert summary["compute_unit"] == "tpuv3_core_days"
    assert json.loads((artifact.path / "fit.json").read_text())["b"] == summary["b"]
    with (artifact.path / "residuals.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 262
    assert rows[6]["model"] == "G/14"
    notes = " ".join(event.text for event in said if isinstance(event, Note))
    assert "G/14 at 27510, has error 15.1 %: +0.1 points against this law" in notes
    assert "+0.7 points against the law the paper prints" in notes
    assert "because its coefficients are rounded to 2 decimals" in notes


def test_rounding_is_no_excuse_for_another_frontier(store: Store, examples: Path) -> None:
    said: list[Event] = []
    columns = {**PAPER, "where": ("model=L/16",)}
    fit(store, examples / "paper_fewshot.csv", emit=said.append, columns=columns)
    notes = " ".join(event.text for event in said if isinstance(event, Note))
    assert "more than rounding explains" in notes
    assert "because" not in notes


def test_again_is_found_and_says_the_same(store: Store, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", **curve())
    said: list[list[Event]] = [[], []]
    one = fit(store, table, emit=said[0].append)
    stamp = (one.path / "artifact.json").stat().st_mtime_ns
    two = fit(store, table, emit=said[1].append)
    assert two.path == one.path
    assert (two.path / "artifact.json").stat().st_mtime_ns == stamp
    assert said[0] == said[1]
    table.write_text(table.read_text() + "20000,0.13\n")
    assert fit(store, table).path != one.path


def test_fits_made_by_older_code_are_found(examples: Path) -> None:
    """The id that version 0.1 gave to this study of the paper's table, settings that came later
    being left out of it where they say nothing."""
    table = read_table(examples / "paper_fewshot.csv")
    cfg = ScalingConfig.model_validate(
        {"columns": PAPER, "budgets": (5000.0,), "compare": ("Ti/16:L/16",)}
    )
    recipe = Recipe(
        stage="scaling-fit",
        version=VERSION,
        kind="scaling-fit",
        config=resolve_config(cfg, table).model_dump(mode="json"),
        parents=(Parent(role="table", kind="source", id=table.sha256, digest=table.sha256),),
    )
    assert recipe.id.startswith("e1cb9d27")


def with_seeds() -> dict[str, list[Any]]:
    base, rng = curve(), np.random.default_rng(0)
    return {
        "compute": [c for c in base["compute"] for _ in range(3)],
        "error": [e + 0.002 * rng.standard_normal() for e in base["error"] for _ in range(3)],
        "seed": [0, 1, 2] * len(base["error"]),
    }


def test_seeds_are_averaged_and_tell_the_noise(store: Store, tmp_path: Path) -> None:
    said: list[Event] = []
    summary = fit(store, write(tmp_path / "t.csv", **with_seeds()), emit=said.append).summary
    assert summary["points"] == 12
    assert summary["seeds"]["freedom"] == 24
    assert summary["seeds"]["noise"] == pytest.approx(0.002, rel=0.5)
    assert any("36 runs are averaged to 12 cells" in str(event) for event in said)
    assert any("draws cells, and of each its seeds" in str(event) for event in said)
    assert summary["bootstrap"]["resampling"] == "seeds"
    deviation = summary["seeds"]["noise"] / 3**0.5
    for row in summary["residuals"]:
        assert row["seeds"] == 3
        assert row["deviation"] == pytest.approx(deviation)
    every = fit(store, tmp_path / "t.csv", columns={"seed": ""}).summary
    assert every["points"] == 36
    assert every["seeds"] is None


def test_the_bootstrap_of_repeated_seeds_draws_them_unless_told_not_to(tmp_path: Path) -> None:
    """Resolved from the table, so that fits of tables without seeds keep their ids."""
    table = read_table(write(tmp_path / "t.csv", **with_seeds()))
    assert resolve_config(ScalingConfig(), table).resampling == "seeds"
    for resampling in ("rows", "residuals"):
        cfg = ScalingConfig.model_validate({"resampling": resampling})
        assert resolve_config(cfg, table).resampling == resampling
    every = ScalingConfig.model_validate({"columns": {"seed": ""}})
    assert resolve_config(every, table).resampling == "rows"
    once = {**curve(), "seed": list(range(12))}
    single = read_table(write(tmp_path / "u.csv", **once))
    assert resolve_config(ScalingConfig(), single).resampling == "rows"
    with pytest.raises(UsageError, match="draws seeds of repeated runs") as refused:
        resolve_config(ScalingConfig(resampling="seeds"), single)
    assert "columns.seed" in str(refused.value.hint)


def test_the_form_is_chosen_and_said(store: Store, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", **curve(20))
    said: list[Event] = []
    artifact = fit(store, table, emit=said.append, law={"form": "auto"})
    summary = artifact.summary
    schemas.check(artifact.as_json(), "artifact")
    assert summary["form_chosen"] == {"form": summary["form"], "by": "held-out runs"}
    assert summary["form"] == summary["held_out"][0]["form"] == "saturating"
    notes = " ".join(event.text for event in said if isinstance(event, Note))
    assert (
        "the form is saturating: fitted to the cheap runs, it predicts the expensive ones" in notes
    )
    (ranked,) = [event for event in said if "predictions, best first" in str(event)]
    assert "of drawn tables" in str(ranked)
    assert fit(store, table).summary["form_chosen"] is None


def test_repeated_data_and_held_out_runs_are_told(store: Store, examples: Path) -> None:
    said: list[Event] = []
    columns = {"compute": "tpuv3_core_days", "error": "inet10_error_pct"}
    summary = fit(store, examples / "paper_i21k.csv", emit=said.append, columns=columns).summary
    assert 100 < summary["repeats"]["worth"] < 600
    assert summary["repeats"]["gain"] > 10
    assert any("repeated data, on the 49 runs" in str(event) for event in said)
    held_out = summary["held_out"]
    for better, worse in pairwise(held_out):  # equal to a thousandth, the simpler is the better
        assert better["rmse"] <= 1.001 * worse["rmse"]
    assert {one["form"] for one in held_out} <= {"saturating", "floor", "shift", "power"}


def points_of(path: Path, **columns: Any) -> Points:
    table = read_table(path)
    points, skipped, _ = read_points(table, resolve(ColumnsConfig(**columns), table))
    assert skipped == 0
    return points


def test_units_and_kinds_of_the_column_agree(tmp_path: Path) -> None:
    """Errors or accuracies, percent or fraction: the same points."""
    base = curve()
    error = np.array(base["error"])
    for name, values, columns in (
        ("e", error, {"error": "y"}),
        ("ep", 100 * error, {"error": "y"}),
        ("a", 1 - error, {"accuracy": "y"}),
        ("ap", 100 - 100 * error, {"accuracy": "y", "unit": "percent"}),
    ):
        table = write(tmp_path / f"{name}.csv", compute=base["compute"], y=values.tolist())
        np.testing.assert_allclose(points_of(table, **columns).error, error, atol=1e-11)


def test_json_and_parquet_are_the_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    base = curve()
    (tmp_path / "t.json").write_text(json.dumps(base))
    parquet.write_table(pyarrow.table(base), tmp_path / "t.parquet")
    expected = points_of(write(tmp_path / "t.csv", **base))
    for name in ("t.json", "t.parquet"):
        points = points_of(tmp_path / name)
        np.testing.assert_array_equal(points.compute, expected.compute)
        np.testing.assert_array_equal(points.error, expected.error)


def five_models() -> dict[str, list[Any]]:
    """45 runs under the names of the paper's columns; each model has its best compute."""
    number, length = (x.ravel() for x in np.meshgrid(np.arange(5.0), np.geomspace(1, 1000, 9)))
    compute = 0.03 * 10**number * length**0.8
    law = Law(a=0.5, b=0.25, c=0.12, d=0.2)
    detour = 0.02 * (np.log10(compute) - number) ** 2 + 0.002 * np.cos(7 * np.arange(45))
    names = ["Ti/16", "S/16", "B/16", "L/16", "g/14"]
    return {
        "tpuv3_core_days": compute.tolist(),
        "inet10": (100 * np.clip(1 - law.error(compute) - detour, 0.02, 1)).tolist(),
        "model": [names[int(i)] for i in number],
        "images_seen": (1e6 * length).tolist(),
        "steps": (1e3 * length**1.1).tolist(),
    }


def test_where_leaves_runs_out(store: Store, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", **five_models())
    summary = fit(store, table, columns={**PAPER, "where": ("model!=g/14",)}).summary
    assert summary["points"] == 36
    assert summary["largest_run"]["model"] == "L/16"


def test_every_setting_of_the_law_matters(tmp_path: Path) -> None:
    """No option is parsed and ignored: each one moves the exponent."""
    points = points_of(write(tmp_path / "t.csv", **five_models()), **PAPER)

    def exponent(**law: Any) -> float:
        result = settings(ScalingConfig.model_validate({"law": law}), points)
        on = frontier(points.compute, points.error, rule=result.rule)
        fit = fit_law(
            points.compute[on],
            points.error[on],
            form=result.form,
            objective=result.objective,
            bounds=result.bounds,
        )
        return fit.law.b

    plain = exponent()
    for law in (
        {"form": "floor"},
        {"frontier": "hull"},
        {"frontier": "all"},
        {"space": "log"},
        {"huber": 0.003},
        {"bounds": {"a_min": 0.6}},
        {"bounds": {"a_max": 0.3}},
        {"bounds": {"b_min": 0.8}},
        {"bounds": {"b_max": 0.1}},
        {"bounds": {"c_min": 0.13}},
        {"bounds": {"c_max": 0.1}},
        {"bounds": {"d_min": 0.5}},
        {"bounds": {"d_max": 0.01}},
    ):
        assert exponent(**law) != plain, law


def test_every_other_setting_matters(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.csv", **five_models()))

    def summary(**chosen: Any) -> dict[str, Any]:
        cfg = ScalingConfig.model_validate({"draws": 100, **chosen})
        report = study_table(resolve_config(cfg, table), table, emit=lambda event: None)
        return report.as_json()

    only = {"compare": ("Ti/16:S/16",), "columns": PAPER, "below": ()}
    plain = summary(**only)
    for more, key in (
        ({"level": 0.5}, "intervals"),
        ({"noise": 0.02}, "intervals"),
        ({"seed": 5}, "interval_methods"),
        ({"draws": 120}, "interval_methods"),
        ({"resampling": "residuals"}, "interval_methods"),
        ({"below": (5.0,)}, "extrapolation"),
        ({"compare": ("S/16:B/16",)}, "sample_efficiency"),
        ({"budgets": (50.0,)}, "allocation"),
        ({"against": "none"}, "largest_run"),
        ({"columns": {**PAPER, "compute_unit": "days"}}, "compute_unit"),
        ({"columns": {**PAPER, "images": "steps"}}, "sample_efficiency"),
        ({"columns": {**PAPER, "where": ("model!=g/14",)}}, "points"),
    ):
        assert summary(**{**only, **more})[key] != plain[key], more


BAD = [
    ({"compute": [1, 2], "error": [0.5, 0.4]}, {}, InputError, "no law can be fitted to 2 runs"),
    ({"compute": [1, 2, 4, 8], "error": [0.5, 0.4, 0.3, 0.25]}, {}, InputError, "4 of 4 runs"),
    ({"compute": [1, 2, 4, 8], "error": [0.4] * 4}, {}, InputError, "the curve is flat"),
    ({"compute": [1, 2, 0, 8], "error": [0.5, 0.4, 0.3, 0.2]}, {}, InputError, "not positive"),
    ({"compute": [1, 2, 4], "error": [0.5, "nan", 0.3]}, {}, InputError, "error is nan in row 2"),
    ({"compute": [1, "nan", 4], "error": [0.5, 0.4, 0.3]}, {}, InputError, "compute is not a numb"),
    ({"compute": [1, 2, 4], "error": [0.5, "", 0.3]}, {}, InputError, "error is empty in row 2"),
    ({"compute": [1, "x", 4], "error": [0.5, 0.4, 0.3]}, {}, InputError, "compute is not a number"),
    ({"compute": [1, 2, 4], "error": [50, 40, 130]}, {}, InputError, "error is 130 in row 3"),
    ({"compute": [1, 2, 4], "error": [0.5, 0.4, 2]}, {}, UsageError, "percent or fraction"),
    ({"compute": [1, 2, 4], "err_pct": [0.5, 0.4, 0.3]}, {"error": "err_pct"}, UsageError, "perc"),
    (
        {"compute": [1, 2], "loss": [0.5, 0.4]},
        {},
        UsageError,
        "the column of the error is not clear",
    ),
    (
        {"flops": [1, 2], "error": [0.5, 0.4]},
        {},
        UsageError,
        "the column of the compute is not clear",
    ),
    ({"compute": [1, 2], "error": [0.5, 0.4]}, {"error": "errr"}, InputError, "no column 'errr'"),
    ({"compute": [1, 2], "error": [0.5, 0.4]}, {"model": "m"}, InputError, "no column 'm'"),
    (
        {"compute": [1, 2, 4, 8], "error": [0.2, 0.3, 0.4, 0.5]},
        {},
        InputError,
        "error grows with compute",
    ),
]


@pytest.mark.parametrize(("columns", "names", "kind", "says"), BAD)
def test_bad_tables(
    store: Store,
    tmp_path: Path,
    columns: dict[str, list[Any]],
    names: dict[str, str],
    kind: type[VitctlError],
    says: str,
) -> None:
    table = write(tmp_path / "t.csv", **columns)
    with pytest.raises(kind, match=says) as error:
        fit(store, table, columns=names)
    assert error.value.hint


def test_a_fit_that_fails_leaves_nothing_unfinished(store: Store, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", compute=[1, 2, 4, 8], error=[0.4] * 4)
    with pytest.raises(InputError, match="the curve is flat"):
        fit(store, table)
    assert list(store.directories()) == []


def test_missing_cells_can_be_skipped(store: Store, tmp_path: Path) -> None:
    base = curve()
    base["error"][4] = ""
    table = write(tmp_path / "t.csv", **base)
    summary = fit(store, table, columns={"missing": "skip"}).summary
    assert summary["points"] == 11
    assert 5 not in [row["row"] for row in summary["residuals"]]


def test_no_table(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        fit(store, tmp_path / "none.csv")


def of_losses() -> dict[str, list[Any]]:
    base = curve()
    return {"compute": base["compute"], "val_loss": [2 + 8 * e for e in base["error"]]}


def test_losses_are_fitted_as_losses_or_refused(store: Store, tmp_path: Path) -> None:
    """Values from 2.8 to 6.5 could be percent: never in silence, and not under such a name."""
    table = write(tmp_path / "t.csv", **of_losses())
    with pytest.raises(UsageError, match="val_loss is named like a loss") as refused:
        fit(store, table, columns={"error": "val_loss"})
    assert "--loss val_loss" in str(refused.value.hint)
    said: list[Event] = []
    summary = fit(
        store, table, emit=said.append, columns={"error": "val_loss", "unit": "none"}
    ).summary
    assert summary["measure"] == "loss"
    assert summary["c"] > 2
    assert "%" not in " ".join(map(str, said)).replace("95 %", "")
    assert any(str(event).count("loss = a (C + d)^-b + c") for event in said)

    unnamed = write(tmp_path / "u.csv", compute=curve()["compute"], y=of_losses()["val_loss"])
    said.clear()
    fit(store, unnamed, emit=said.append, columns={"error": "y"})
    (read,) = [event for event in said if "is read" in str(event)]
    assert "percent, as y goes from" in str(read)
    assert "none for a loss" in str(read)

    far = write(tmp_path / "v.csv", compute=[1, 2, 4], y=[900, 700, 650])
    with pytest.raises(UsageError, match="y goes from 650 to 900, so it is not in percent"):
        fit(store, far, columns={"error": "y"})


class WasRead(Exception):
    """The table was read; what would be computed of it is another matter."""


def test_all_that_was_guessed_is_said(store: Store, examples: Path) -> None:
    def stop(event: Event) -> None:
        if "is read" in str(event):
            raise WasRead(event)

    def guessed(**columns: str) -> set[str]:
        with pytest.raises(WasRead) as said:
            fit(store, examples / "paper_fewshot.csv", emit=stop, columns={**PAPER, **columns})
        (read,) = said.value.args
        assert isinstance(read, Settings)
        return set(read.values)

    assert guessed() == {"unit", "model", "data size", "images", "frontier"}
    names = {"model": "model", "data_size": "data_size", "images": "images_seen"}
    assert guessed(unit="percent", **names) == {"frontier"}


def test_what_reading_changed_is_said(store: Store, tmp_path: Path) -> None:
    base = curve()
    rows = [f"{c};{e}".replace(".", ",") for c, e in zip(*base.values(), strict=True)]
    text = "\r\n".join(["compute;error", *rows])
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8-sig"))
    said: list[Event] = []
    summary = fit(store, tmp_path / "t.csv", emit=said.append).summary
    assert summary["points"] == 12
    assert any("commas were read as decimal points" in str(event) for event in said)


# The command line


def vitctl(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    streams = {"stdin": subprocess.DEVNULL, "text": True}
    return forking.run(COMMAND, *arguments, preload=SCALING, cwd=cwd, **streams)


def test_the_command_line(tmp_path: Path, examples: Path) -> None:
    """One JSON object on stdout, the story on stderr, and G/14 in it."""
    command = ("scaling", "fit", examples / "paper_fewshot.csv", "--compute", "tpuv3_core_days")
    done = vitctl(
        *command,
        "--accuracy",
        "inet10",
        "--json",
        "--set",
        "draws=100",
        "--budget",
        "5k",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    assert set(answer) == {"path", "id", "digest", "kind", "summary"}
    assert {"a", "b", "c", "d", "intervals", "frontier", "residuals"} <= set(answer["summary"])
    assert answer["summary"]["allocation"][0]["model"] == "g/14"
    assert "+0.7 points against the law the paper prints" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fit", "missing.csv"], 4),
        (["fit", "t.csv", "--form", "cubic"], 2),
        (["fit", "t.csv", "--error", "nothing"], 3),
        (["fit", "t.csv", "--against", "imagenet"], 2),
        (["fit", "t.csv", "--set", "law.frm=power"], 2),
        (["plot", "t.csv", "--figure", "pie"], 2),
        (["fit", "t.csv", "--error", "error", "--loss", "error"], 2),
        (["fit", "t.csv", "--loss", "error", "--unit", "percent"], 2),
        (["plot", "t.csv", "--loss", "nothing"], 3),
    ],
)
def test_exit_codes(tmp_path: Path, arguments: list[str], code: int) -> None:
    write(tmp_path / "t.csv", **curve())
    done = vitctl("scaling", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_print_config_is_what_runs(tmp_path: Path) -> None:
    """The printed configuration, read back, makes the same artifact."""
    write(tmp_path / "t.csv", **curve())
    quick = ("--set", "draws=100")
    shown = vitctl("scaling", "fit", "t.csv", *quick, "--print-config", cwd=tmp_path)
    assert 'unit = "fraction"' in shown.stdout
    (tmp_path / "c.toml").write_text(shown.stdout)
    one = vitctl("scaling", "fit", "t.csv", *quick, cwd=tmp_path)
    two = vitctl("scaling", "fit", "t.csv", "--config", "c.toml", cwd=tmp_path)
    assert one.stdout == two.stdout != ""
