"""`vitctl plan` where nothing can be compiled: estimates, advice, refusals. tests/plan compiles."""

from __future__ import annotations

import json

import pytest
import typer

from stages.app import app
from tests import forking, made, schemas
from tests.forking import TRAINING
from vitctl.artifacts import Store
from vitctl.plan import topology

G14 = ["plan", "--model", "G14", "--topology", "v3:32x32", "--batch", "32768"]


@pytest.fixture
def ask(monkeypatch):
    """ask(arguments...) -> what is written to stdout. libtpu is not installed."""
    monkeypatch.setattr(topology, "has_libtpu", lambda: False)
    from vitctl.console import session

    written: list[str] = []
    monkeypatch.setattr(session, "answer", written.append)

    def call(*arguments):
        written.clear()
        command = typer.main.get_command(app)
        command.main([*arguments], prog_name="vitctl", standalone_mode=False)
        return "\n".join(written)

    return call


def answer_of(ask, *arguments):
    value = json.loads(ask(*arguments, "--json"))
    schemas.check(value, "plan")
    return value


def test_an_estimate_of_the_paper_s_largest(ask):
    value = answer_of(ask, *G14, "--classes", "29593", "--price", "1.1", "--watts", "220")
    summary = value["summary"]
    assert set(summary) == {
        "parameters",
        "fits",
        "peak_bytes_per_device",
        "images_per_second_per_device",
        "roofline_images_per_second_per_device",
        "mfu",
        "device_hours",
        "mesh",
        "remat",
    }
    assert summary["parameters"] == 1_930_404_761  # big_vision under eval_shape
    assert value["model"]["parameters_backbone"] == 1_842_772_352
    assert value["basis"] == "estimated"
    assert summary["fits"]
    rate = value["rate"]
    assert rate["low"] < rate["predicted"] < rate["high"] <= rate["roofline"]
    # Three forward passes of 963.6 GFLOPs at 61.5 TFLOP/s.
    hand = 3 * 963.647e9 * rate["predicted"] / 61.5e12
    assert summary["mfu"] == pytest.approx(hand, rel=1e-4)
    bill = value["bill"]
    assert summary["device_hours"] == pytest.approx(1e6 * 32768 / rate["predicted"] / 3600)
    assert bill["money"] == pytest.approx(1.1 * bill["device_hours"])
    assert bill["energy_kwh"] == pytest.approx(0.22 * bill["device_hours"])
    assert (
        sum(v for k, v in value["memory"].items() if k != "available")
        == (summary["peak_bytes_per_device"])
    )


def test_gpus_that_are_not_here_are_estimated(ask, capfd):
    value = answer_of(ask, "plan", "--model", "L16", "--topology", "8xH100", "--batch", "1024")
    assert (value["basis"], value["summary"]["fits"]) == ("estimated", True)
    assert value["hardware"] == {
        "topology": "8 x H100",
        "devices": 8,
        "precision": "bfloat16",
    }
    assert value["memory"]["available"] == 60_000_000_000  # three quarters of 80 GB
    rate = value["rate"]
    assert (rate["calibration"], rate["assumed"], rate["measured"]) == ("GPUs", True, False)
    assert rate["low"] < rate["predicted"] < rate["high"] <= rate["roofline"]
    gflops = value["model"]["gflops_per_image"]
    assert rate["mfu"] == pytest.approx(3 * gflops * 1e9 * rate["predicted"] / 989e12)
    said = capfd.readouterr().err
    assert "nothing is compiled for GPUs that are not here" in said
    assert "machines of" not in said


def test_a_slow_network_between_machines_of_gpus_is_counted(ask, capfd):
    machine = ["plan", "--model", "g14", "--batch", "4096", "--remat", "full"]

    def rate(*more):
        return answer_of(ask, *machine, *more)["rate"]["predicted"]

    near = rate("--topology", "h100:32")
    assert "4 machines of 8, with 400 Gbit/s a GPU between them" in capfd.readouterr().err
    assert rate("--topology", "h100:32", "--network", "10") < near / 2
    alone = rate("--topology", "h100:32", "--gpus-per-node", "32")
    assert rate("--topology", "h100:32", "--network", "1e6") == alone >= near


def test_no_price_is_invented(ask):
    bill = answer_of(ask, *G14)["bill"]
    assert (bill["money"], bill["energy_kwh"]) == (None, None)


def test_what_does_not_fit_is_an_answer_with_advice(ask):
    value = answer_of(ask, *G14, "--mesh", "data=2048", "--remat", "none")
    assert value["summary"]["fits"] is False
    assert value["summary"]["images_per_second_per_device"] is None
    assert value["summary"]["device_hours"] is None
    assert any("--mesh" in line for line in value["advice"])


def test_no_mesh_would_do(ask):
    value = answer_of(ask, "plan", "--model", "e14", "--topology", "v3:1x1", "--batch", "2")
    assert value["summary"]["fits"] is False
    assert "take a larger slice" in value["advice"][0]


def test_a_search_lists_what_it_looked_at(ask):
    value = answer_of(ask, *G14, "--search")
    rates = [row["peak_bytes"] for row in value["candidates"]]
    assert len(rates) > 3
    assert all(row["batch"] == 32768 for row in value["candidates"])
    free = answer_of(ask, "plan", "--model", "S16", "--topology", "v5e:4x4", "--search")
    assert free["schedule"]["batch"] % 16 == 0


def test_the_text_says_what_it_is(ask):
    text = ask(*G14, "--steps", "100k")
    assert "an estimate from shapes; nothing was compiled" in text
    assert "963.6 GFLOPs an image" in text
    assert "an upper bound" in text
    assert "whole schedule: 100k steps, 3,276,800,000 images" in text
    other = ask("plan", "--model", "L16", "--topology", "v5p:4x4x4", "--batch", "4096")
    assert "an assumption" in other


def test_settings_are_those_of_pretrain(ask):
    printed = ask(*G14, "--print-config")
    assert 'name = "G/14"' in printed
    assert "batch = 32768" in printed
    value = answer_of(ask, *G14, "--set", "model.depth=24", "--res", "384")
    assert value["model"]["resolution"] == 384


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["--topology", "v9:4x4"], "unknown chip", "did you mean"),
        (["--topology", "v3:3x3"], "hosts of 2x2", "v3:4x4"),
        (["--topology", "v3:4x4", "--batch", "100"], "does not divide", "--batch 96"),
        (["--topology", "v3:4x4", "--mesh", "data=7"], "mesh of 7 devices", "data=32"),
        (["--topology", "v3:4x4", "--mesh", "date=7"], "no axis 'date'", "did you mean data?"),
        (["--topology", "v3:4x4", "--price", "cheap"], "--price 'cheap'", "money"),
        (["--topology", "v3:4x4", "--watts", "-5"], "--watts '-5'", "watts"),
        (["--topology", "v3:4x4", "--remat", "some"], "--remat 'some'", "choose one of none, "),
        (["--topology", "v3:4x4", "--examples", "0"], "--examples 0", ""),
        (
            ["--topology", "v3:4x4", "--examples", "1k", "--batch", "4096"],
            "larger than the 1000 images",
            "--batch",
        ),
        (["--topology", "v3:4x4", "--steps", "1k", "--epochs", "3"], "both give", "keep one"),
        (["--topology", "v3:4x4", "--microbatch", "7"], "--microbatch 7", "--microbatch 4"),
        (["--topology", "l40s:16"], "no network between machines is known", "--network 100"),
        (["--topology", "h100:12"], "12 x H100 do not fill machines of 8", "--gpus-per-node 6"),
        (["--topology", "v3:4x4", "--network", "9"], "--network describes machines", "leave it"),
        (["--topology", "h100:16", "--network", "-9"], "--network '-9'", "Gbit/s"),
        (["--topology", "v100:8"], "no peak, bandwidth and memory are known", "H100"),
        (["--topology", "h10:8"], "unknown chip 'h10'", "did you mean h100"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_a_hint(ask, capfd, arguments, says, hint):
    with pytest.raises(SystemExit) as stopped:
        ask("plan", "--model", "S16", *arguments)
    assert stopped.value.code == 2
    output = capfd.readouterr().err
    assert says in output.split("error: ")[1].splitlines()[0]
    assert hint in output
    assert "Traceback" not in output


def test_this_machine(ask):
    """The eight CPU devices of the tests: memory is known, speed is not."""
    value = answer_of(
        ask, "plan", "--model", "test", "--res", "32", "--batch", "16", "--steps", "10"
    )
    assert value["basis"] == "compiled"
    assert value["summary"]["fits"] is True
    assert value["summary"]["mesh"] == "data=8"
    assert value["summary"]["images_per_second_per_device"] is None
    assert value["bill"] is None


def test_what_pretraining_adds_to_a_run_is_planned(ask, tmp_path):
    """The model and batch of the run, and only the steps from there on."""
    before = made.checkpoint(Store(tmp_path), saved=False)
    batch = before.config["data"]["batch"]
    slice_ = ("--topology", "v3:2x2", "--batch", str(4 * batch))
    value = answer_of(ask, "plan", "--from", str(before.path), "--steps", "10", *slice_)
    assert value["model"]["name"] == "tiny"
    assert value["schedule"]["steps"] == 10
    assert value["schedule"]["images"] == 10 * 4 * batch
    finer = answer_of(
        ask, "plan", "--from", str(before.path), "--steps", "10", *slice_, "--set", "model.patch=2"
    )
    assert finer["model"]["resolution"] == value["model"]["resolution"]
    # Four times the patches: about four times the work.
    assert finer["model"]["gflops_per_image"] > 3 * value["model"]["gflops_per_image"]


def test_a_plan_from_a_checkpoint_keeps_its_classes(ask, tmp_path, capsys):
    before = made.checkpoint(Store(tmp_path), saved=False)
    slice_ = ("--topology", "v3:2x2", "--batch", "64", "--steps", "10")
    given = ("plan", "--from", str(before.path), "--examples", "5000", *slice_)
    value = answer_of(ask, *given)
    assert value["model"]["classes"] == len(made.CLASSES)
    assert "warmup" not in capsys.readouterr().err  # nothing begins anew
    assert answer_of(ask, *given, "--classes", "9")["model"]["classes"] == 9


def test_planning_for_a_slice_imports_no_tensorflow():
    code = (
        "import sys; from vitctl.plan import topology; topology.has_libtpu = lambda: False\n"
        "from stages.app import main\n"
        "try: main(['plan', '--model', 'S16', '--topology', 'v3:4x4', '--batch', '4096'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print([m for m in ('tensorflow', 'array_record') if m in sys.modules], file=sys.stderr)"
    )
    done = forking.run(code, preload=TRAINING, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.stdout.startswith("S/16 at 224 px on v3:4x4")
