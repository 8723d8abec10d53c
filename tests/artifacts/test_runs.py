from __future__ import annotations

import json
import shutil

import pytest

from tests.artifacts.making import made, recipe, trained
from vitctl.artifacts.runs import Run, run_of
from vitctl.errors import DoesNotFitError, InputError, NotFoundError, OverwriteError
from vitctl.locks.pins import PINS, Pins
from vitctl.places.local import LocalPath

TRUNK = recipe("pretrain", "run", lr=1)


def test_checkpoints_are_artifacts_of_the_run(store):
    run = Run.load(trained(store, TRUNK, steps=(10, 20, 100)))
    assert run.steps() == [10, 20, 100]
    checkpoint = run.checkpoint(20)
    assert (checkpoint.kind, checkpoint.step) == ("checkpoint", 20)
    assert checkpoint.config == {"lr": 1, "step": 20}
    assert run.newest().step == 100
    assert run_of(checkpoint).path == run.path
    assert run.checkpoint(10).id != run.checkpoint(20).id != run.info.id


def test_a_step_not_kept_names_the_nearest(store):
    run = Run.load(trained(store, TRUNK, steps=(10, 20, 30, 1000)))
    with pytest.raises(NotFoundError, match="no checkpoint at step 24") as error:
        run.checkpoint(24)
    assert error.value.hint.count("@") == 3
    assert [f"@{step}" in error.value.hint for step in (10, 20, 30, 1000)] == [1, 1, 1, 0]


def test_only_finished_checkpoints_of_plain_names_count(store):
    path = trained(store, TRUNK, steps=(10,))
    for name in ("20", "030", "²", "-5", "tmp", "1e3"):
        (path / "checkpoints" / name).mkdir()
    for name in ("030", "²", "-5", "tmp", "1e3"):
        (path / "checkpoints" / name / "artifact.json").write_text("{}")
    assert Run.load(path).steps() == [10]


def test_an_empty_run_says_what_to_do(store):
    run = Run.load(trained(store, TRUNK, steps=()))
    with pytest.raises(NotFoundError, match="no finished checkpoint") as error:
        run.newest()
    assert "continue" in error.value.hint


def test_the_same_recipe_continues_and_another_is_refused(store, tmp_path):
    out = tmp_path / "run"
    trained(store, TRUNK, steps=(10,), out=out)
    assert Run.load(trained(store, TRUNK, steps=(20,), out=out)).steps() == [10, 20]
    with pytest.raises(OverwriteError, match="another run"):
        trained(store, recipe("pretrain", "run", lr=2), steps=(10,), out=out)
    forced = trained(store, recipe("pretrain", "run", lr=2), steps=(5,), out=out, force=True)
    assert Run.load(forced).steps() == [5]
    assert Run.load(forced).info.config == {"lr": 2}


def test_segments_and_results_are_written_down(store):
    path = trained(store, TRUNK, steps=(10, 20), results=(20, 10, 20))
    run = Run.load(path)
    assert run.info.results == (10, 20)
    assert [segment.from_step for segment in run.info.segments] == [0]
    assert not run.is_working
    with store.open_run(TRUNK, name="x"):
        assert Run.load(path).is_working


def test_a_damaged_checkpoint_is_passed_over(store):
    """Resuming goes back to the newest whole one and says why."""
    path = trained(store, TRUNK, steps=(10, 20, 30))
    (path / "checkpoints/30/artifact.json").write_text("{")
    (path / "checkpoints/20/weights.bin").write_bytes(b"weights 21")
    with store.open_run(TRUNK, name="x") as draft:
        usable, problems = draft.usable(at_most=100)
        assert usable.step == 10
        assert list(problems) == [30, 20]
        assert draft.usable(at_most=5) == (None, {})


def test_half_written_places_are_emptied(store):
    path = trained(store, TRUNK, steps=(10,))
    place = path / "checkpoints/20"
    (place / "params").mkdir(parents=True)
    (place / "params" / "half").write_text("x")
    with store.open_run(TRUNK, name="x") as draft:
        assert list(draft.empty_place(20).iterdir()) == []
        draft.drop(10)
    assert Run.load(path).steps() == []


def test_what_killed_commands_left_goes_when_the_run_is_worked_on_again(store):
    path = trained(store, TRUNK, steps=(10, 20, 30))
    (path / "checkpoints/30/artifact.json").write_text("{")  # damaged is not unfinished
    entries = sorted(path.rglob("*"))
    for name in ("checkpoints/7/params/half", "checkpoints/8/.tmp-artifact.json.99", "batches/3/x"):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_text("half")
    for name in (".tmp-run.json.99", ".tmp-goodput.json.7", ".tmp-seen-1f"):
        (path / name).write_text("half")
    waiting = path / ".tmp-.lock.held.1f"
    waiting.write_text("of one that waits, and lives")
    assert [p.name for p in Run.load(path).unfinished()] == ["7", "8", "3"]
    with store.open_run(TRUNK, name="x"):
        pass
    assert sorted(path.rglob("*")) == sorted([*entries, waiting, path / "batches"])


def test_nothing_is_cleared_away_without_the_lock(store, monkeypatch):
    path = trained(store, TRUNK, steps=(10,))
    (path / "checkpoints/7").mkdir()
    monkeypatch.setattr(LocalPath, "is_read_only", True)
    with store.open_run(TRUNK, name="x"):
        assert (path / "checkpoints/7").is_dir()


def test_what_other_work_begins_from_is_left_to_it(store):
    """Its checkpoint was being dropped when it was pinned, and the command was killed."""
    trunk = trained(store, TRUNK, steps=(10, 20))
    beginning = Run.load(trunk).checkpoint(10)
    with store.open_run(recipe("cooldown", "run"), name="branch") as child:
        child.begin_from(beginning)
        (trunk / "checkpoints/10/artifact.json").unlink()
        with store.open_run(TRUNK, name="S16"):
            assert (trunk / "checkpoints/10/weights.bin").is_file()
        child.finish_from(beginning)
    with store.open_run(TRUNK, name="S16"):
        assert not (trunk / "checkpoints/10").exists()


def test_damaged_and_newer_runs(store):
    path = trained(store, TRUNK, steps=(10,))
    file = path / "run.json"
    whole = file.read_text()
    file.write_text(json.dumps(json.loads(whole) | {"format": 2}))
    with pytest.raises(InputError, match="run format 2; this vitctl reads up to 1"):
        Run.load(path)
    file.write_text(whole[:-30])
    with pytest.raises(InputError, match="is damaged") as error:
        Run.load(path)
    assert f"{path}/checkpoints" in error.value.hint
    with pytest.raises(InputError):
        trained(store, TRUNK, steps=(20,))
    with pytest.raises(NotFoundError, match="is not a run"):
        Run.load(path.parent)
    assert Run.load(trained(store, TRUNK, steps=(5,), force=True)).steps() == [5]


def test_a_copied_checkpoint_has_no_run(store, tmp_path):
    artifact = made(store, recipe("x", "checkpoint"))
    assert run_of(artifact) is None


def test_a_checkpoint_that_unfinished_work_begins_from_stays(store):
    trunk = trained(store, TRUNK, steps=(10, 20))
    beginning = Run.load(trunk).checkpoint(10)
    branch = recipe("cooldown", "run", parents=(beginning.as_parent("from"),))

    def dropped() -> bool:
        with store.open_run(TRUNK, name="S16") as run:
            run.drop(10)
            return 10 not in run.steps()

    with store.open_run(branch, name="branch") as child:
        child.begin_from(beginning)
        assert not dropped()
    assert not dropped()  # interrupted is unfinished
    with store.open_run(branch, name="branch") as child:
        child.finish_from(beginning)
    assert dropped()


def test_a_pin_that_a_kill_left_behind_a_finished_run_holds_nothing(store):
    """The kill fell between the answer and what takes the pin away."""
    trunk = trained(store, TRUNK, steps=(10, 20, 30))
    beginning = Run.load(trunk).checkpoint(10)
    branch = recipe("cooldown", "run", parents=(beginning.as_parent("from"),))

    def finish(child, step):
        child.begin(from_step=step - 5, runtime={})
        place = child.empty_place(step)
        (place / "weights.bin").write_bytes(b"")
        child.mark_result(step)
        assert Run.load(trunk).pins.steps() == {10}  # not yet published
        child.publish(step, summary={"step": step}, started="2026-01-01")

    with store.open_run(branch, name="branch") as child:
        child.begin_from(beginning)
        finish(child, 15)
        assert Run.load(trunk).pins.steps() == {10}  # somebody works on it
    assert Run.load(trunk).pins.steps() == set()
    assert Run.load(trunk).pins.held() == []
    with store.open_run(branch, name="branch") as child:  # asked for more, and interrupted
        child.begin(from_step=15, runtime={})
    assert Run.load(trunk).pins.steps() == {10}
    with store.open_run(branch, name="branch") as child:
        finish(child, 20)
    assert list((trunk / PINS).iterdir())
    with store.open_run(TRUNK, name="S16") as run:
        assert not (trunk / PINS).exists()
        run.drop(10)
        assert run.steps() == [20, 30]


def test_a_pin_of_work_that_is_gone_or_of_nobody_holds_nothing(store):
    trunk = trained(store, TRUNK, steps=(10,))
    beginning = Run.load(trunk).checkpoint(10)
    branch = recipe("cooldown", "run", parents=(beginning.as_parent("from"),))
    with store.open_run(branch, name="branch") as child:
        child.begin_from(beginning)
    (trunk / PINS / "notes.txt").write_text("anybody's")
    assert Run.load(trunk).pins.steps() == {10}
    shutil.rmtree(child.path)
    assert Run.load(trunk).pins.steps() == set()


def test_the_folder_of_pins_goes_with_the_last_and_comes_again(store, monkeypatch):
    """Also while another command makes it for its own."""
    trunk = trained(store, TRUNK, steps=(10,))
    pins, folder = Run.load(trunk).pins, trunk / PINS
    make_folder, removals = type(folder).make_folder, iter([folder.remove_if_empty])
    for id in ("1" * 20, "2" * 20):
        pins.pin(10, by=trunk, id=id)
    pins.unpin(10, id="1" * 20)
    assert [file.name for file in folder.iterdir()] == ["10-2222222222222222"]
    pins.unpin(10, id="2" * 20)
    assert not folder.exists()

    def make_and_lose(path):
        make_folder(path)
        next(removals, lambda: None)()

    monkeypatch.setattr(type(folder), "make_folder", make_and_lose)
    pins.pin(10, by=trunk, id="1" * 20)
    assert next(removals, None) is None
    assert [file.name for file in folder.iterdir()] == ["10-1111111111111111"]


def test_dropping_and_pinning_at_once_end_in_one_of_the_two(store, monkeypatch):
    """Pinned between the look for pins and the end of the manifest: it is put back."""
    trunk = trained(store, TRUNK, steps=(10,))
    before = (trunk / "checkpoints" / "10" / "artifact.json").read_bytes()
    looks = iter([set(), {10}])
    monkeypatch.setattr(Pins, "steps", lambda pins: next(looks))
    with store.open_run(TRUNK, name="S16") as run:
        run.drop(10)
    assert (trunk / "checkpoints" / "10" / "artifact.json").read_bytes() == before
    assert Run.load(trunk).checkpoint(10).check_contents() == []


def test_beginning_from_what_was_just_dropped_says_so(store):
    trunk = trained(store, TRUNK, steps=(10, 20))
    beginning = Run.load(trunk).checkpoint(10)
    with store.open_run(TRUNK, name="S16") as run:
        run.drop(10)
    with (
        store.open_run(recipe("cooldown", "run"), name="branch") as child,
        pytest.raises(NotFoundError),
    ):
        child.begin_from(beginning)


def test_a_run_that_is_refused_before_it_begins_leaves_nothing(store):
    def refused(*, begins):
        with store.open_run(TRUNK, name="S16") as run:
            (run.path / "batches").make_folder()
            if begins:
                run.begin(from_step=0, runtime={})
            raise DoesNotFitError("too large")

    with pytest.raises(DoesNotFitError):
        refused(begins=False)
    assert list(store.root.glob("*/*")) == []
    with pytest.raises(DoesNotFitError):
        refused(begins=True)
    [path] = store.root.glob("*/*")
    assert Run.load(path).info.segments
