"""Options of other trainers, and what they are answered with."""

from __future__ import annotations

from typing import get_args

import pytest

from stages.app import VERBS, load
from vitctl.artifacts.kinds.export import Target
from vitctl.console import habits, verb
from vitctl.console.session import Options, Session
from vitctl.errors import UsageError
from vitctl.events import silent
from vitctl.train.config import TrainConfig


def commands(command):
    below = getattr(command, "commands", None)
    return [command] if not below else [one for each in below.values() for one in commands(each)]


OPTIONS = {
    verb: {name for one in commands(load(verb)) for param in one.params for name in param.opts}
    for verb in VERBS
}


def test_what_is_offered_exists():
    every = set().union(*OPTIONS.values())
    assert {*habits.OPTIONS} <= every
    known = TrainConfig.model_json_schema()
    for key, _ in habits.SETTINGS.values():
        node = known
        for part in key.split("."):
            node = _properties(node, known)[part]


def _properties(node, root):
    """Of a schema's node, behind references and alternatives."""
    for one in (node, *node.get("anyOf", ())):
        while "$ref" in one:
            one = root["$defs"][one["$ref"].rsplit("/", 1)[-1]]
        if "properties" in one:
            return one["properties"]
    raise KeyError(node)


def test_no_name_of_pretrain_is_called_unknown():
    theirs = {name for names in habits.OPTIONS.values() for name in names}
    assert not (theirs | {*habits.SETTINGS} | {*habits.SENTENCES}) & OPTIONS["pretrain"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("steps", "did you mean schedule.total_steps?"),
        ("schedule.steps", "did you mean schedule.total_steps?"),
        ("lr", "did you mean schedule.peak_lr?"),
        ("batch_size", "did you mean data.batch?"),
        ("weight_decay", "did you mean optim.wd_body or optim.wd_head?"),
        ("optimizer", "did you mean optim.name?"),
        ("epochs", "give it as an option of the command: --epochs"),
        ("num_workers", "give it as an option of the command: --workers"),
        ("checkpoint-every", "give it as an option of the command: --checkpoint-every"),
        ("store", "give it as an option of the command: --store"),
        ("from", "give it as an option of the command: --from"),
    ],
)
def test_a_key_of_a_file_that_is_named_as_an_option(tmp_path, monkeypatch, key, hint):
    """`steps = 5` in a file was answered with three other settings of steps."""
    assert hint_for("pretrain", key, tmp_path, monkeypatch) == hint


def test_steps_of_a_cooldown_are_not_those_of_the_run(tmp_path, monkeypatch):
    hint = hint_for("cooldown", "steps", tmp_path, monkeypatch)
    assert hint == "give it as an option of the command: --steps"
    assert hint_for("pretrain", "steps", tmp_path, monkeypatch, source="RUN") == hint
    assert hint_for("pretrain", "steps", tmp_path, monkeypatch, source=None).endswith("_steps?")
    assert hint_for("finetune", "steps", tmp_path, monkeypatch, source="R").endswith("total_steps?")


def hint_for(command, key, folder, monkeypatch, **arguments):
    """The hint of a command, called with these arguments, for a settings file with this key."""
    monkeypatch.setattr(verb, "run_guarded", lambda checked, *rest, **more: caught.append(checked))
    caught = []
    load(command).main([], standalone_mode=False)
    (folder / "c.toml").write_text(f"{key} = 5\n")
    options = Options(config=folder / "c.toml")
    with pytest.raises(UsageError, match="there is no setting") as raised:
        caught[0](Session(options, silent), **arguments)
    return raised.value.hint


def test_words_for_values_name_some():
    known = get_args(Target)
    assert {value for values in habits.VALUES.values() for value in values} <= {*known}
    assert habits.chosen("HF", known) == "did you mean huggingface?"
    assert habits.chosen("hf", ["paper", "small"]) is None


def test_words_for_commands_are_none_and_name_some():
    assert not {*habits.COMMANDS} & {*VERBS}
    for ours in habits.COMMANDS.values():
        assert {*ours.split(" or ")} <= {*VERBS}


@pytest.mark.parametrize(
    ("command", "unknown", "hint"),
    [
        ("pretrain", "--batch-size", "did you mean --batch?"),
        ("pretrain", "--batch_size", "did you mean --batch?"),
        ("pretrain", "--learning-rate", "did you mean --lr?"),
        ("pretrain", "--weight-decay", "did you mean --wd-body or --wd-head?"),
        ("pretrain", "--output-dir", "did you mean --out?"),
        ("pretrain", "--gpus", "did you mean --devices?"),
        ("plan", "--gpu", "did you mean --topology?"),
        ("pretrain", "--resume", habits.SENTENCES["--resume"]),
        ("pretrain", "--dtype", "it is a setting: --set precision=VALUE, for example bfloat16"),
        ("shard", "--num-proc", "did you mean --workers?"),
        ("shard", "--resume", None),
        ("ls", "--batch-size", None),
    ],
)
def test_what_is_meant(command, unknown, hint):
    assert habits.meant(unknown, OPTIONS[command]) == hint
