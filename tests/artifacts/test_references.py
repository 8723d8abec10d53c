from __future__ import annotations

import os

import pytest

from tests.artifacts.making import made, recipe, trained
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.kinds import kind_named
from vitctl.artifacts.references import find, resolve
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.places import place

TRUNK = recipe("pretrain", "run", lr=1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos(store):
    return made(store, recipe(), name="photos")


@pytest.fixture
def run(store):
    return Run.load(trained(store, TRUNK, steps=(10, 20, 20_000), name="S16"))


def step_of(reference, store):
    return resolve(reference, store=store, kind="checkpoint").step


def test_every_way_to_name_a_dataset(store, photos, here):
    ways = [
        str(photos.path),
        os.path.relpath(photos.path),
        f"{photos.path}/",
        photos.path.name,
        "photos",
        photos.id,
        photos.id[:4],
        "latest",
    ]
    for way in ways:
        resolved = resolve(way, store=store, kind="dataset")
        assert (resolved.id, resolved.path.resolve()) == (photos.id, photos.path), way


def test_every_way_to_name_a_checkpoint(store, run, here):
    newest = run.checkpoint(20_000)
    for way in (str(run.path), "S16", run.path.name, run.info.id[:6], "latest", "ckpt"):
        assert step_of(way, store) == 20_000, way
    for way in (
        "S16@20",
        f"{run.path}@20",
        f"{run.path}/checkpoints/20",
        run.checkpoint(20).id[:8],
    ):
        assert step_of(way, store) == 20, way
    for way in ("S16@20k", "S16@20000", "latest@20k", newest.id[:12]):
        assert step_of(way, store) == 20_000, way


def test_a_folder_called_ckpt_is_that_folder(store, run, here):
    (here / "ckpt").mkdir()
    with pytest.raises(NotFoundError, match="is a folder, but no artifact"):
        resolve("ckpt", store=store, kind="checkpoint")


def test_a_step_that_is_not_kept(store, run):
    with pytest.raises(NotFoundError, match="no checkpoint at step 11") as error:
        resolve("S16@11", store=store, kind="checkpoint")
    assert "@10" in error.value.hint


def test_a_step_that_a_run_called_after_it_has_is_offered(store, run):
    """Results say "S/16 at step 30" of a cooldown too, whose name is another: S16-30."""
    trained(store, recipe("cooldown", "run", begins=20), steps=(25, 30), name="S16-30")
    trained(store, recipe("pretrain", "run", other=1), steps=(30,), name="S160")
    with pytest.raises(NotFoundError, match=r"S16-\w+ has no checkpoint at step 30$") as error:
        resolve("S16@30", store=store, kind="checkpoint")
    offered = error.value.hint.removeprefix("did you mean ").removesuffix("?")
    assert offered.startswith("S16-30-")
    assert step_of(offered, store) == 30
    with pytest.raises(NotFoundError, match="no checkpoint at step 11") as error:
        resolve("S16@11", store=store, kind="checkpoint")
    assert error.value.hint.startswith("nearest kept: ")


def test_a_name_beats_a_folder_that_is_no_artifact(store, photos, here):
    """`vitctl shard photos` leaves ./photos where it was; --data photos means the dataset."""
    (here / "photos").mkdir()
    assert resolve("photos", store=store, kind="dataset").id == photos.id
    (here / "cats").mkdir()
    with pytest.raises(NotFoundError, match="cats is a folder, but no artifact") as error:
        resolve("cats", store=store, kind="dataset")
    assert "vitctl shard cats" in error.value.hint


def test_what_is_given_must_be_of_the_kind_that_is_wanted(store, photos, run):
    with pytest.raises(InputError, match="is a dataset, where a run or checkpoint is expected"):
        resolve("photos", store=store, kind="checkpoint")
    with pytest.raises(InputError, match="is a run, where a dataset is expected") as error:
        resolve("S16", store=store, kind="dataset")
    assert error.value.hint.endswith("vitctl ls --kind dataset")
    with pytest.raises(InputError, match="is a checkpoint, where a dataset is expected"):
        resolve(str(run.place(10)), store=store, kind="dataset")
    with pytest.raises(InputError, match="only a run takes @5"):
        resolve("photos@5", store=store, kind="dataset")


def test_a_name_of_several_is_the_one_of_the_kind(store, run):
    other = made(store, recipe("fewshot", "fewshot"), name="S16")
    assert step_of("S16", store) == 20_000
    assert resolve("S16", store=store, kind="fewshot") == other
    with pytest.raises(UsageError, match="fits several artifacts"):
        find("S16", store=store)


def test_of_several_of_one_kind_the_newest_that_has_the_step_is_taken_and_said(store, run):
    """README's `cooldown --from S-16@20k` holds also when other runs of that name exist."""
    other = trained(store, recipe("pretrain", "run", lr=2), steps=(5,), name="S16")
    events = []
    taken = resolve("S16", store=store, kind="checkpoint", emit=events.append)
    assert taken.path.parent.parent == max((run.path, other), key=lambda p: Run.load(p).order)
    (note,) = events
    assert "fits 2 artifacts: taking the newest" in note.text
    assert str(run.path) in note.text
    assert str(other) in note.text
    for reference, step in (("S16@20k", 20_000), ("S16@5", 5)):
        assert resolve(reference, store=store, kind="checkpoint", emit=pytest.fail).step == step
    with pytest.raises(NotFoundError, match="no checkpoint at step 7"):
        resolve("S16@7", store=store, kind="checkpoint")
    for reference in ("S16", "S16@7"):
        with pytest.raises(UsageError, match="fits several artifacts"):
            find(reference, store=store)
    assert find("S16@5", store=store)[0].path == other, "the step leaves one, whatever is wanted"


def test_a_run_that_ended_before_its_first_checkpoint_is_no_input(store, run):
    """A fine-tuning that failed at once inherits the name, and is the newest."""
    failed = trained(store, recipe("finetune", "run", lr=2), steps=(), name="S16")
    for reference in ("S16", "latest"):
        taken = resolve(reference, store=store, kind="checkpoint", emit=pytest.fail)
        assert taken.path.is_relative_to(run.path)
    assert find("latest", store=store)[0].path == failed


def test_a_cooldown_begins_from_the_trunk_of_several_runs(store, run):
    tuned = trained(store, recipe("finetune", "run", lr=2), steps=(20_000,), name="S16")
    assert tuned != run.path
    taken = resolve("S16@20k", store=store, kind="checkpoint", trunk=True, emit=pytest.fail)
    assert taken.path == run.place(20_000)


def test_short_or_wrong_ids_name_nothing(store, photos):
    for reference in (photos.id[:3], "0" * 8, photos.id + "0"):
        with pytest.raises(NotFoundError, match="neither a path nor an artifact"):
            resolve(reference, store=store, kind="dataset")


def test_near_names_are_suggested(store, photos):
    with pytest.raises(NotFoundError) as error:
        resolve("photoss", store=store, kind="dataset")
    assert error.value.hint == f"did you mean {photos.path.name}?"


def test_a_near_name_counts_without_its_id(store, photos):
    short = made(store, recipe(a=1), name="ab")
    for reference, near in (("phtos", photos), ("Photos", photos), ("abc@4", short)):
        with pytest.raises(NotFoundError) as error:
            find(reference, store=store)
        assert error.value.hint == f"did you mean {near.path.name}?"


@pytest.mark.parametrize("reference", ["x" * 5000, "a\0b", "/proc/1/fd/x", "*", "@", "@5", "..x"])
def test_odd_references_are_simply_not_found(store, reference):
    with pytest.raises(NotFoundError):
        find(reference, store=store)


def test_an_empty_reference_is_usually_an_unset_variable(store):
    with pytest.raises(UsageError, match="empty reference"):
        find("", store=store)


def test_unfinished_work_says_so(store, here):
    with store.open(recipe(a=1), name="photos") as draft:
        with pytest.raises(NotFoundError, match="is not finished") as error:
            find(str(draft.path), store=store)
        assert "continues" in error.value.hint
    place = here / "run" / "checkpoints" / "7"
    place.mkdir(parents=True)
    with pytest.raises(NotFoundError, match="checkpoint that was never finished"):
        find("run/checkpoints/7", store=store)
    (here / "file").touch()
    with pytest.raises(NotFoundError, match="is a file, not an artifact"):
        find("file", store=store)


def test_damage_is_told_when_it_is_used_and_not_when_it_is_looked_at(store, photos):
    (photos.path / "data.bin").unlink()
    assert find("photos", store=store)[0].id == photos.id
    with pytest.raises(InputError, match="is damaged"):
        resolve("photos", store=store, kind="dataset")


def test_one_damaged_checkpoint_does_not_hide_the_others(store, run):
    wanted = run.checkpoint(20).id[:8]
    (run.place(10) / "artifact.json").write_text("{")
    assert step_of(wanted, store) == 20


def test_there_is_nothing_yet(store):
    with pytest.raises(NotFoundError, match="no finished dataset") as error:
        resolve("latest", store=store, kind="dataset")
    assert error.value.hint == "make one: vitctl shard SRC"
    with pytest.raises(NotFoundError, match=r"nothing in .* yet"):
        find("latest", store=store)


def test_latest_is_the_last_finished_of_any_kind(store, photos, run):
    later = made(store, recipe("evaluate", "evaluation"))
    artifact, step = find("latest", store=store)
    assert isinstance(artifact, Artifact)
    assert (artifact.id, step) == (later.id, None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("scaling-fit", "scaling-fit"),
        ("scaling fit", "scaling-fit"),
        ("Scaling_Plot", "scaling-plot"),
        ("evaluate", "evaluation"),
        ("evaluation", "evaluation"),
        ("shard", "dataset"),
        ("fewshot", "fewshot"),
        ("checkpoint", "checkpoint"),
        ("run", "run"),
        ("pretrain", "pretrain"),  # makes checkpoints and batches
        ("fit", "fit"),
    ],
)
def test_a_kind_is_named_by_itself_or_by_its_command(text, kind):
    assert kind_named(text) == kind


@pytest.mark.parametrize("spelling", ["S-16", "S16", "S/16", "ViT-S/16", "vit_small_patch16_224"])
def test_every_spelling_of_a_model_names_its_run(store, spelling):
    trained(store, TRUNK, name="S-16", steps=(10, 20))
    assert step_of(f"{spelling}@10", store) == 10


def test_only_what_a_name_fits_is_read(store, run, monkeypatch):
    """A manifest costs half a millisecond, and stores hold thousands; the folders say enough."""
    others = [made(store, recipe(number=n), name=f"other{n}") for n in range(5)]
    loaded = []
    load = Store.load

    def counting(path, *, check=True):
        loaded.append(path.name)
        return load(path, check=check)

    monkeypatch.setattr(Store, "load", staticmethod(counting))
    wanted = others[3]
    for reference in ("other3", wanted.path.name, wanted.id, wanted.id[:8], wanted.id[:5]):
        loaded.clear()
        assert find(reference, store=store)[0].id == wanted.id
        assert loaded == [wanted.path.name], reference
    loaded.clear()
    with pytest.raises(NotFoundError, match="neither a path") as error:
        find("oter3", store=store)
    assert wanted.path.name in error.value.hint
    assert run.path.name not in loaded


def test_ids_that_no_folder_shows(store, photos):
    """Made with `--out` in the store, once below a name that looks like another's id."""
    for number, folder in enumerate(("mine", "mine-deadbeef")):
        out = made(store, recipe(number=number), out=place(store.root / "shard" / folder))
        for reference in (out.id, out.id[:12]):
            assert find(reference, store=store)[0].path == out.path


def test_a_damaged_folder_is_not_suggested(store, photos):
    broken = made(store, recipe(a=1), name="photosss")
    (broken.path / "artifact.json").write_text("{")
    with pytest.raises(NotFoundError) as error:
        find("photosss", store=store)
    assert error.value.hint == f"did you mean {photos.path.name}?"


@pytest.mark.parametrize(
    ("reference", "kind", "near"),
    [
        ("s16@20k", None, "S16-{run}@20000"),  # its case is all that differs
        ("S61@20", "checkpoint", "S16-{run}@20"),
        ("S61@7", "checkpoint", "S16-{run}"),  # no such step: the run alone
        ("hpotos", "dataset", "photos-{photos}"),
        ("S16x", "dataset", "S16-{other}"),
    ],
)
def test_near_names_are_of_the_kind_and_have_the_step(store, photos, run, reference, kind, near):
    other = made(store, recipe(a=2), name="S16")
    ids = {"run": run.info.id[:8], "photos": photos.id[:8], "other": other.id[:8]}
    with pytest.raises(NotFoundError) as error:
        find(reference, store=store, kind=kind)
    assert error.value.hint.removeprefix("did you mean ").startswith(near.format(**ids))


def test_of_a_run_whose_newest_checkpoint_is_damaged_an_earlier_one_is_named(store, run):
    (run.place(20_000) / "weights.bin").write_bytes(b"")
    (run.place(20) / "artifact.json").write_text("{")
    with pytest.raises(InputError, match=r"is damaged: weights\.bin") as error:
        resolve("S16", store=store, kind="checkpoint")
    assert error.value.hint == f"an earlier one is whole: {run.path}@10"
