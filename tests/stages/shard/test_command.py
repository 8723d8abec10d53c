"""Every flag reaches the function that does the work."""

from __future__ import annotations

from pathlib import Path

import pytest

import stages.shard.run
from stages.app import load
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from vitctl.artifacts import Store
from vitctl.errors import VitctlError


class Reached(VitctlError):
    """Ends the command once its arguments are known."""

    exit_code = 99


def called_with(monkeypatch, *arguments):
    options = {}

    def run(cfg, inputs, *, store, runtime, emit):
        options.update(cfg=cfg, inputs=inputs, store=store, runtime=runtime)
        raise Reached("here")

    monkeypatch.setattr(stages.shard.run, "run", run)
    monkeypatch.setattr("vitctl.console.guarded.silence_stdout", lambda: None)
    with pytest.raises(SystemExit) as stop:
        load("shard").main(list(arguments), standalone_mode=False)
    return stop.value.code, options


def test_defaults(monkeypatch):
    code, options = called_with(monkeypatch)
    assert code == 99
    assert options["cfg"] == ShardConfig()
    assert options["inputs"] == Inputs("digits")
    assert options["runtime"] == ShardRuntime()


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        (["--val-fraction", "0.2"], {"val_fraction": 0.2}),
        (["--classes", "0-5"], {"classes": "0-5"}),
        (["--shards", "7"], {"shards": 7}),
        (["--shard-size", "1MiB"], {"shard_bytes": 2**20}),
        (["--set", "max_pixels=9"], {"max_pixels": 9}),
        (["--max-side", "512", "--srgb"], {"pixels": {"max_side": 512, "srgb": True}}),
        (["--max-short-side", "256"], {"pixels": {"max_short_side": 256}}),
        (["--quality", "90"], {"pixels": {"encode": "jpeg", "quality": 90}}),
        (
            ["--encode", "webp", "--background", "white"],
            {"pixels": {"encode": "webp", "background": "#ffffff"}},
        ),
    ],
)
def test_flags_that_decide_the_result(monkeypatch, arguments, config):
    _, options = called_with(monkeypatch, "photos", *arguments)
    assert options["cfg"] == ShardConfig(**config)


def test_flags_that_name_inputs(monkeypatch):
    _, options = called_with(
        monkeypatch,
        *("photos", "--rehash", "--classes-from", "a", "--class-titles", "b", "--labels", "c"),
    )
    assert options["inputs"] == Inputs(
        "photos", rehash=True, classes_from=Path("a"), class_titles=Path("b"), labels=Path("c")
    )


def test_flags_that_say_where_and_how_fast(monkeypatch):
    _, options = called_with(
        monkeypatch,
        *("photos", "--workers", "3", "--max-bad-fraction", "0.5", "--force"),
        *("--name", "n", "--store", "s"),
    )
    assert options["runtime"] == ShardRuntime(workers=3, max_bad_fraction=0.5, force=True, name="n")
    assert isinstance(options["store"], Store)
    assert options["store"].root == Path("s")
    _, options = called_with(monkeypatch, "photos", "--out", "o")
    assert options["runtime"].out == Path("o")


@pytest.mark.parametrize(
    "arguments",
    [["--shards", "0"], ["--val-fraction", "1"], ["--shard-size", "no"], ["--set", "no=1"]],
)
def test_bad_values_are_usage_errors(monkeypatch, arguments):
    code, options = called_with(monkeypatch, "photos", *arguments)
    assert code == 2
    assert not options
