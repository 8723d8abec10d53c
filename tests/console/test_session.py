"""Where inputs come from when they are left out, and what is said about it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.artifacts.making import dataset_summary, made, recipe, trained
from vitctl.artifacts import Store, pasteable
from vitctl.console import session as sessions
from vitctl.console.session import Options, Session
from vitctl.errors import InputError, UsageError
from vitctl.events import Next
from vitctl.settings.config import Config
from vitctl.train.config import TrainRuntime


class Optim(Config):
    lr: float = 1.0


class Setup(Config):
    steps: int = 1
    optim: Optim = Optim()
    clip: float | None = 1.0


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VITCTL_STORE", raising=False)
    return tmp_path / "artifacts"


@pytest.fixture
def session(root, monkeypatch):
    """A session without a pipe on stdin; `said` collects its events, `answers` its stdout."""
    monkeypatch.setattr(sessions, "stdin_is_pipe", lambda: False)

    def make(**options):
        said, answers = [], []
        made = Session(Options(**{"store": Path("artifacts")} | options), said.append)
        made.said, made.answers = said, answers
        monkeypatch.setattr(sessions, "answer", answers.append)
        return made

    return make


def test_what_each_process_may_have_of_its_own(session, monkeypatch):
    """Its folder, its threads and its copies; not when it saves."""
    events = []

    def agree(name, value, **options):
        events.append(value)
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions.processes, "agree", agree)
    for own in ({}, {"cache_dir": "/disk1", "workers": 3, "out": "/here"}, {"checkpoint_every": 7}):
        with pytest.raises(KeyboardInterrupt):
            session().deliver("pretrain", Setup(), None, runtime=TrainRuntime(**own))
    assert events[0] == events[1]
    assert events[0] != events[2]


def test_a_named_input_is_taken_without_a_word(session, root):
    photos = made(Store(root), recipe())
    one = session()
    assert one.one("dataset", "thing", option="--data").id == photos.id
    assert one.said == []


def test_left_out_it_is_the_newest_and_that_is_said(session, root):
    made(Store(root), recipe(a=1))
    run = trained(Store(root), recipe("pretrain", "run"), steps=(1, 2))
    one = session()
    (result,) = one.many("checkpoint", None, option="--from")
    assert result.step == 2
    assert [event.text for event in one.said] == [
        f"--from artifacts/pretrain/{run.name}/checkpoints/2 (the newest checkpoint in artifacts)"
    ]


def test_with_nothing_there_the_command_that_makes_one_is_named(session):
    with pytest.raises(UsageError, match="no --data given") as error:
        session().one("dataset", None, option="--data")
    assert error.value.hint == "make one: vitctl shard SRC"


def test_the_lineage_comes_before_the_newest(session, root):
    store = Store(root)
    photos = made(store, recipe(a=1), name="trained-on")
    parents = (photos.as_parent("data"),)
    path = trained(store, recipe("pretrain", "run", parents=parents), steps=(1,))
    made(store, recipe(a=2), name="newer")
    checkpoint = Store.load(path).newest()
    one = session()
    assert one.one("dataset", None, option="--data", of=checkpoint).id == photos.id
    assert "was trained on" in one.said[0].text


def test_a_pipe_comes_before_everything(session, root, monkeypatch):
    first = made(Store(root), recipe(a=1), name="first")
    made(Store(root), recipe(a=2), name="second", summary=dataset_summary({"train": 6}))
    one = session()
    monkeypatch.setattr(sessions, "stdin_is_pipe", lambda: True)
    monkeypatch.setattr(sessions, "read_references", lambda **_: [str(first.path)])
    assert one.one("dataset", None, option="--data", of=first).id == first.id
    assert "(from stdin)" in one.said[0].text
    # An optional input never waits for a pipe.
    assert one.one("dataset", None, option="--data", stdin=False).id != first.id


def test_what_is_named_or_piped_may_be_of_another_kind(session, root, monkeypatch):
    photos, one = made(Store(root), recipe()), session()
    other = {"option": "TABLE", "or_kind": "dataset"}
    assert one.one("scaling-fit", "thing", **other).id == photos.id
    assert one.said == []
    with pytest.raises(UsageError, match="there is no finished scaling-fit"):
        one.one("scaling-fit", None, **other)
    monkeypatch.setattr(sessions, "stdin_is_pipe", lambda: True)
    monkeypatch.setattr(sessions, "read_references", lambda **_: [str(photos.path)])
    assert one.one("scaling-fit", None, **other).id == photos.id
    assert [event.text for event in one.said] == [f"TABLE {photos.path} (from stdin)"]
    with pytest.raises(InputError, match="is a dataset, where a scaling fit is expected"):
        one.one("scaling-fit", "thing", option="TABLE")


def test_a_name_that_a_dataset_shares_with_a_run_is_the_kind_that_is_wanted(session, root):
    store = Store(root)
    dataset = made(store, recipe(), name="photos", summary=dataset_summary({"train": 6}))
    run = trained(store, recipe("pretrain", "run"), steps=(1, 2), name="photos")
    one = session()
    with pytest.raises(UsageError, match="fits several"):
        one.named("photos")
    assert [e.path.name for e, _ in one.named("photos", kind="checkpoint")] == [run.name]
    assert [e.path.name for e, _ in one.named(None, kind="dataset")] == [dataset.path.name]


def test_config_file_then_flags_then_set(session, tmp_path):
    (tmp_path / "c.toml").write_text("steps = 2\nclip = 'none'\n[optim]\nlr = 2.0\n")
    one = session(config=Path("c.toml"), settings=("optim.lr=4",))
    flags = {"steps": None, "optim.lr": 3.0}
    built = one.overrides.with_flags(flags).build(Setup, {"steps": 1})
    assert built == Setup(steps=2, optim=Optim(lr=4.0), clip=None)
    only_file = session(config=Path("c.toml")).overrides
    assert only_file.with_flags({"steps": 7}).build(Setup, {}).steps == 7


def test_print_config_answers_with_the_settings_and_runs_nothing(session):
    one = session(print_config=True, store=Path("a\nb"))
    one.deliver("no such stage", Setup(steps=3), None, runtime=None)
    assert one.answers == ["steps = 3\nclip = 1.0\n\n[optim]\nlr = 1.0"]


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"name": "a", "out": Path("b")}, "--name \\(a folder"),
        ({"name": "../a"}, "not usable"),
    ],
)
def test_options_that_contradict_each_other(session, options, pattern):
    with pytest.raises(UsageError, match=pattern):
        session(**options)


def test_inputs_at_places_that_libraries_cannot_read(session, tmp_path):
    store = Store(tmp_path / "caf\udce9")
    made(store, recipe())
    with pytest.raises(InputError, match="not UTF-8"):
        session(store=store.root).one("dataset", "thing", option="--data")


@pytest.mark.parametrize(
    ("store", "variable", "flags"),
    [
        ("artifacts", None, ""),
        ("my runs", None, " --store 'my runs'"),
        ("my runs", "my runs", ""),
        ("artifacts", "elsewhere", " --store artifacts"),
    ],
)
def test_the_next_command_uses_the_same_store(session, monkeypatch, store, variable, flags):
    if variable:
        monkeypatch.setenv("VITCTL_STORE", variable)
    one = session(store=Path(store))
    command = pasteable.command("cooldown", "--from", Path("a b"), store=one.store)
    assert command == f"vitctl cooldown --from 'a b'{flags}"
    assert shlex.split(command)[:4] == ["vitctl", "cooldown", "--from", "a b"]
    one._with_store(Next.of("ls"))
    assert [event.command for event in one.said] == [f"vitctl ls{flags}"]


def test_a_file_of_settings_is_read_once_and_stays_as_it_was_read(session, root, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("steps = 5\noptim = { lr = 2.0 }\n")
    one = session(config=file)
    assert one.overrides.tree(without=("optim.lr",)) == {"steps": 5, "optim": {}}
    file.write_text("steps = 6\n")
    assert one.overrides.build(Setup, {}) == Setup(steps=5, optim=Optim(lr=2.0))
