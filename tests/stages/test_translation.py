"""Errors in Python name arguments, where those of the command line name flags."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest
from typer.models import OptionInfo

from stages import api
from stages.api.translation import translated
from tests.stages.commands import COMMANDS
from tests.stages.test_parity import OF_THE_TERMINAL
from vitctl.console.shared_flags import PROCESSES
from vitctl.errors import UsageError


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
