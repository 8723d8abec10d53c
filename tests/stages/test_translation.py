"""Errors in Python name arguments, where those of the command line name flags."""

from __future__ import annotations

import errno
import inspect
import os
from typing import get_args

import pytest
from typer.models import OptionInfo

from stages import api
from stages.api.translation import in_python, translated
from tests.artifacts.making import dataset, recipe, trained
from tests.stages.commands import COMMANDS
from tests.stages.test_parity import OF_THE_TERMINAL
from vitctl.artifacts import Run, Store
from vitctl.console.shared_flags import PROCESSES
from vitctl.errors import DoesNotFitError, UsageError


@pytest.mark.parametrize(
    ("function", "sentence", "expected"),
    [
        (api.pretrain, "a smaller --batch", 'a smaller set={"data.batch": ...}'),
        (api.pretrain, "--batch 64 or fewer", 'set={"data.batch": 64} or fewer'),
        (api.pretrain, "pass --force to replace it", "pass force=True to replace it"),
        (
            api.pretrain,
            "another --out, or --steps 20k",
            'another out, or steps="20k"',
        ),
        (api.pretrain, "--workers 0 or 1", 'runtime={"workers": 0} or 1'),
        (api.pretrain, "--set optim.wd_head=1 sets it", 'set={"optim.wd_head": 1} sets it'),
        (api.pretrain, "leave out --from, or --data", "leave out from_, or data"),
        (api.fewshot, "--neighbours 7 or auto", 'set={"neighbours": 7} or auto'),
        (api.shard, "--layout splits reads them", 'set={"layout": "splits"} reads them'),
        (api.shard, "see `vitctl ls --kind dataset`", "see `vitctl ls --kind dataset`"),
        (api.shard, "make it: vitctl shard SRC --labels FILE", None),
        (api.shard, "a dash - and -- are none", None),
    ],
)
def test_flags_become_arguments(function, sentence, expected):
    assert translated(sentence, function) == (sentence if expected is None else expected)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_flag_is_known(command):
    function = getattr(api, command.in_python)
    of_the_shell = PROCESSES | OF_THE_TERMINAL.keys() | {"settings"}
    flags = [
        "--" + name.replace("_", "-").replace("source", "from").replace("descending", "descendants")
        for name, parameter in inspect.signature(command.function).parameters.items()
        if isinstance(get_args(parameter.annotation)[1], OptionInfo)
        if name not in of_the_shell and (str(command), name) not in OF_THE_TERMINAL
    ]
    assert [flag for flag in flags if "--" in translated(f"use {flag}", function)] == []


def test_an_error_is_translated_where_it_leaves_the_api(tmp_path):
    with pytest.raises(UsageError) as error:
        api.pretrain(steps=4, images=8, mock=True, store=tmp_path)
    assert "--" not in f"{error.value} {error.value.message} {error.value.hint}"


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_errors_of_every_function_are_translated(command):
    function = getattr(api, command.in_python)
    assert inspect.unwrap(function) is not function, "@in_python is missing"


class _OutOfMemoryOnDevice(RuntimeError):
    """As jax raises it: with no class of its own."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            _OutOfMemoryOnDevice("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
            "out of mem",
        ),
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the disk is full"),
    ],
)
@pytest.mark.parametrize("lazily", [False, True])
def test_what_the_system_reports_is_an_expected_error_in_python_too(error, message, lazily):
    def pretrain():
        raise error

    def predict():
        yield 1
        raise error

    with pytest.raises(DoesNotFitError, match=message) as raised:
        list(in_python(predict)()) if lazily else in_python(pretrain)()
    assert raised.value.__cause__ is error
    assert raised.value.exit_code == 6
    assert "--" not in raised.value.hint


def test_a_bug_stays_what_it_is():
    def pretrain():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_python(pretrain)()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (["photos"], r"rm\(\) takes .* of type list: call rm\(\*references\) for a list"),
        (None, r"rm\(\) takes .* of type NoneType$"),
        (3, r"of type int$"),
    ],
)
def test_what_is_no_reference_is_a_mistake_of_the_program(tmp_path, reference, message):
    with pytest.raises(TypeError, match=message):
        api.rm(reference, store=tmp_path)


def test_artifacts_runs_and_their_places_are_references(tmp_path):
    store = Store(tmp_path)
    data = dataset(store)
    run = Run.load(trained(store, recipe("pretrain", "run", parents=(data.as_parent("data"),)),
                           steps=(1,)))  # fmt: skip
    for reference in (run, run.path, data, data.path, str(data.path), "photos"):
        going = api.rm(reference, descendants="remove", dry_run=True, store=store)
        assert str(getattr(reference, "path", reference)) in str(going[-1].path)
