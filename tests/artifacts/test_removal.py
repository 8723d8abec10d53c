"""What goes, what is refused, and what a removal leaves behind."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from contextlib import suppress

import pytest

from tests.artifacts.making import dataset, half_made, made, recipe, trained
from vitctl.artifacts import Run, Store, removal
from vitctl.artifacts.descent import (
    Member,
    checkpoint_of,
    descendants,
    member_at,
    members,
    only_needed_by,
)
from vitctl.artifacts.files import LOCK
from vitctl.errors import OverwriteError
from vitctl.events import silent
from vitctl.locks.exclusive import exclusive
from vitctl.places import place


def derived(store, parent, *, name, **config):
    return made(store, recipe("evaluate", "evaluation", parents=(parent,), **config), name=name)


@pytest.fixture
def family(store):
    """photos -> trunk (steps 10, 20) -> cooled (from 20); an evaluation of each."""
    photos = dataset(store)
    data = photos.as_parent("data")
    trunk = trained(store, recipe("pretrain", "run", parents=(data,)), steps=(10, 20), name="trunk")
    at_20 = Run.load(trunk).checkpoint(20)
    branch = recipe("cooldown", "run", parents=(at_20.as_parent("from"),))
    cooled = trained(store, branch, steps=(25,), name="cooled", results=(25,))
    derived(store, Run.load(cooled).checkpoint(25).as_parent("from"), name="cooled-top1")
    derived(store, Run.load(trunk).checkpoint(10).as_parent("from"), name="early-top1", x=1)
    return store


def named(store, *names):
    by_name = {member.path.name.rpartition("-")[0]: member for member in members(store)}
    return [by_name[name] for name in names]


def names_of(removals):
    return [one.member.path.name.rpartition("-")[0] for one in removals]


def left(store):
    return sorted(member.path.name.rpartition("-")[0] for member in members(store))


def remove(store, *names, **how):
    removals = removal.chosen(named(store, *names), among=members(store), **how)
    for one in removals:
        removal.remove(one, emit=silent)
    return names_of(removals)


EVERYTHING = ["cooled", "cooled-top1", "early-top1", "photos", "trunk"]


def test_what_nothing_descends_from_goes_whole(family):
    assert remove(family, "cooled-top1") == ["cooled-top1"]
    assert left(family) == ["cooled", "early-top1", "photos", "trunk"]
    assert sorted(p.name for p in (family.root / "evaluate").iterdir()) == [
        str(named(family, "early-top1")[0].path.name)
    ]


@pytest.mark.parametrize("descending", ["refuse", "keep", "remove"])
def test_what_a_command_reads_is_not_removed_meanwhile(family, descending):
    """Its draft names what it is made of: an evaluation, an export, features, few-shot results."""
    photos, cooled = named(family, "photos", "cooled")
    reads = recipe("embed", "feature-set", parents=(photos.entry.as_parent("data"),))
    with family.open(reads, name="features"):
        with pytest.raises(OverwriteError, match=r"features-.* (was|were) made from|works on"):
            remove(family, "photos", descending=descending)
        assert set(EVERYTHING) <= set(left(family))
        assert only_needed_by([cooled], among=members(family)) == []


def test_unfinished_work_needs_its_inputs_but_does_not_hold_them_for_ever(family):
    photos = named(family, "photos")[0]
    reads = recipe("embed", "feature-set", parents=(photos.entry.as_parent("data"),))
    with suppress(ZeroDivisionError), family.open(reads, name="features") as draft:
        (draft.path / "part.npy").write_bytes(b"half")
        raise ZeroDivisionError
    with pytest.raises(OverwriteError, match="features-"):
        remove(family, "photos")
    remove(family, "photos", descending="keep")
    assert "photos" not in left(family)


@pytest.mark.parametrize("name", ["photos", "trunk", "cooled"])
def test_what_others_descend_from_is_refused_and_nothing_goes(family, name):
    with pytest.raises(OverwriteError, match="made from") as refusal:
        remove(family, name)
    assert "--descendants" in refusal.value.hint
    assert left(family) == EVERYTHING


def test_descendants_go_before_what_they_were_made_from(family):
    gone = remove(family, "photos", descending="remove")
    assert gone[-1] == "photos"
    assert gone.index("cooled-top1") < gone.index("cooled") < gone.index("trunk")
    assert left(family) == []


def test_descendants_are_kept_when_told(family):
    assert remove(family, "photos", descending="keep") == ["photos"]
    assert left(family) == [name for name in EVERYTHING if name != "photos"]


def test_inputs_go_where_nothing_else_needs_them(family):
    assert remove(family, "cooled-top1", inputs=True) == ["cooled-top1", "cooled"]
    assert remove(family, "early-top1", inputs=True) == ["early-top1", "trunk", "photos"]
    assert left(family) == []


def test_a_checkpoint_goes_alone(family):
    (trunk,) = named(family, "trunk")
    at_10, at_20 = (checkpoint_of(trunk.entry, step) for step in (10, 20))
    with pytest.raises(OverwriteError, match="early-top1"):
        removal.chosen([at_10], among=members(family))
    (one,) = removal.chosen([at_10], among=members(family), descending="keep")
    removal.remove(one, emit=silent)
    assert trunk.entry.steps() == [20]
    assert [m.path.name[:6] for m in descendants([at_20], among=members(family))] == [
        "cooled", "cooled"
    ]  # fmt: skip
    assert only_needed_by([at_20], among=members(family)) == []  # its run still needs the images
    assert Run.load(trunk.path).checkpoint(20)


def test_a_copy_keeps_descendants_whole(family, tmp_path):
    """An artifact that is there twice can go once."""
    (photos,) = named(family, "photos")
    copy = dataset(family, name="other", x=1).path
    assert os.system(f"rm -r {copy} && cp -r {photos.path} {copy}") == 0
    assert removal.chosen([photos], among=members(family))[0].member is photos


def test_what_a_process_works_on_stays(family):
    (trunk,) = named(family, "trunk")
    with exclusive(trunk.path / LOCK, emit=silent, waiting=""):
        for going in (trunk, checkpoint_of(trunk.entry, 10)):
            with pytest.raises(OverwriteError, match="works on"):
                removal.chosen([going], among=members(family), descending="keep")
    assert removal.chosen([trunk], among=members(family), descending="keep")


def test_a_pinned_checkpoint_stays(family):
    (trunk,) = named(family, "trunk")
    wanted = recipe("cooldown", "run", parents=(trunk.entry.checkpoint(10).as_parent("from"),))
    branch = trained(family, wanted, steps=(), name="begun")
    trunk.entry.pins.pin(10, by=place(branch), id=wanted.id)
    for going in (trunk, checkpoint_of(trunk.entry, 10)):
        with pytest.raises(OverwriteError, match=r"not finished, and begins from .*@10"):
            removal.chosen([going], among=members(family), descending="keep")
    assert removal.chosen(
        [checkpoint_of(trunk.entry, 20)], among=members(family), descending="keep"
    )
    both = [trunk, *named(family, "begun")]
    assert removal.chosen(both, among=members(family), descending="keep")


def test_what_is_not_ours_stays_with_its_folder(family):
    top1, cooled = named(family, "cooled-top1", "cooled")
    for member in (top1, cooled):
        (member.path / "notes.txt").write_text("mine")
    removals = removal.chosen([top1, cooled], among=members(family))
    assert [one.strangers for one in removals] == [("notes.txt",)] * 2
    for one in removals:
        removal.remove(one, emit=silent)
        assert [path.name for path in one.member.path.iterdir()] == ["notes.txt"]
    assert left(family) == ["early-top1", "photos", "trunk"]


def test_a_checkpoint_with_files_of_others_is_refused(family):
    """Training would clear them away, once the manifest is gone."""
    (trunk,) = named(family, "trunk")
    checkpoint = checkpoint_of(trunk.entry, 10)
    (checkpoint.path / "notes.txt").write_text("mine")
    with pytest.raises(OverwriteError, match=r"such as 'notes\.txt'"):
        removal.chosen([checkpoint], among=members(family), descending="keep")


def test_sizes_are_those_of_the_files(family):
    (trunk,) = named(family, "trunk")
    (one,) = removal.chosen([trunk], among=members(family), descending="keep")
    paths = [path for path in trunk.path.rglob("*") if path.is_file()]
    assert (one.files, one.bytes) == (len(paths), sum(path.stat().st_size for path in paths))


def test_unfinished_work_goes_and_finished_stays(family):
    half_made(family, x=2)
    trained(family, recipe("pretrain", "run", x=3), steps=(), name="empty")
    (trunk,) = named(family, "trunk")
    (trunk.path / "checkpoints" / "30").mkdir()
    (trunk.path / "checkpoints" / "30" / "weights.bin").write_bytes(b"w" * 100)
    (named(family, "photos")[0].path / ".tmp-shard.17").write_bytes(b"s" * 10)
    every = members(family)
    assert sorted(names_of(removal.unfinished(every))) == ["empty", "half"]
    for one in removal.unfinished(every):
        removal.remove(one, emit=silent)
    killed = [member for member in every if removal.leftovers(member)]
    assert [removal.size_of(removal.leftovers(member)) for member in killed] == [(1, 100), (1, 10)]
    for member in killed:
        removal.free_leftovers(member, emit=silent)
    assert left(family) == EVERYTHING
    assert not any(removal.leftovers(member) for member in members(family))


def test_work_under_way_is_not_unfinished(family):
    with family.open(recipe(x=4), name="now") as draft:
        (draft.path / "shard-0").write_bytes(b"")
        assert member_at(draft.path).unfinished
        assert removal.unfinished(members(family)) == []
        draft.publish(summary={})


@pytest.mark.parametrize("after", range(4))
def test_a_removal_that_is_killed_never_looks_finished(family, monkeypatch, after):
    """Whatever was removed before the kill, what is left is found and goes the second time."""
    (cooled,) = named(family, "cooled")
    (one,) = removal.chosen([cooled], among=members(family), descending="keep")
    countdown = itertools.count()

    class KilledError(Exception):
        pass

    local = type(cooled.path)
    for name in ("remove", "remove_tree"):
        original = getattr(local, name)

        def counted(self, *args, _original=original, **more):
            if self.name != LOCK and next(countdown) == after:
                raise KilledError
            return _original(self, *args, **more)

        monkeypatch.setattr(local, name, counted)
    with pytest.raises(KilledError):
        removal.remove(one, emit=silent)
    monkeypatch.undo()
    rest = member_at(cooled.path)
    if not rest.unfinished:
        assert rest.entry.checkpoint(25)  # nothing is gone yet
    removals = (
        removal.unfinished(members(family))
        if rest.unfinished
        else removal.chosen([rest], among=members(family), descending="keep")
    )
    for one in removals:
        removal.remove(one, emit=silent)
    assert not cooled.path.exists()


def test_a_link_in_a_run_is_not_followed(family, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("1")
    (cooled,) = named(family, "cooled")
    os.rename(cooled.path / "checkpoints", tmp_path / "away")
    (cooled.path / "checkpoints").symlink_to(victim)
    (one,) = removal.chosen([member_at(cooled.path)], among=members(family), descending="keep")
    removal.remove(one, emit=silent)
    assert (victim / "precious").read_text() == "1"
    assert not cooled.path.exists()


def test_a_damaged_manifest_can_go(family):
    (top1,) = named(family, "cooled-top1")
    (top1.path / "artifact.json").write_text("{")
    member = member_at(top1.path)
    assert (member.entry, member.unfinished) == (None, False)
    assert removal.unfinished(members(family)) == []
    for one in removal.chosen([member], among=members(family)):
        removal.remove(one, emit=silent)
    assert not top1.path.exists()


@pytest.mark.parametrize("content", ["{", '{"format": 99}'])
def test_a_damaged_run_keeps_its_family(family, content):
    """Its checkpoints still say what they were made from, and others what was made from them."""
    (trunk,) = named(family, "trunk")
    (trunk.path / "run.json").write_text(content)
    with pytest.raises(OverwriteError, match="made from"):
        remove(family, "trunk")
    with pytest.raises(OverwriteError, match=r"trunk-\w+.* made from"):
        remove(family, "photos")
    assert left(family) == EVERYTHING
    assert remove(family, "trunk", descending="keep") == ["trunk"]


def test_a_draft_that_was_finished_meanwhile_stays(family):
    """It has the same id as before."""
    half_made(family, x=2)
    (one,) = removal.unfinished(members(family))
    draft = one.member.path
    with family.open(recipe(x=2), name="half") as again:
        assert again.path == draft
        again.publish(summary={})
    assert member_at(draft).id == one.member.id
    with pytest.raises(OverwriteError, match="not what it was"):
        removal.remove(one, emit=silent)
    assert not member_at(draft).unfinished


def test_a_run_that_got_a_checkpoint_meanwhile_stays(family):
    wanted = recipe("pretrain", "run", x=3)
    path = trained(family, wanted, steps=(), name="empty")
    (one,) = removal.unfinished(members(family))
    trained(family, wanted, steps=(5,), name="empty")
    with pytest.raises(OverwriteError, match="not what it was"):
        removal.remove(one, emit=silent)
    assert Run.load(path).steps() == [5]


def test_one_that_was_made_anew_meanwhile_stays(family):
    (top1,) = named(family, "cooled-top1")
    (one,) = removal.chosen([top1], among=members(family))
    manifest = json.loads((top1.path / "artifact.json").read_text())
    (other,) = named(family, "early-top1")
    (top1.path / "artifact.json").write_bytes((other.path / "artifact.json").read_bytes())
    with pytest.raises(OverwriteError, match="not what it was"):
        removal.remove(one, emit=silent)
    assert manifest["id"] == one.member.id
    assert top1.path.exists()


@pytest.mark.parametrize("seed", range(20))
def test_descent_is_reachability(seed, tmp_path):
    """On random families: as a walk over every path says."""
    draw = random.Random(seed)
    numbers = range(12)
    parents = {i: {p for p in range(i) if draw.random() < 0.25} for i in numbers}
    root = Store(tmp_path).root
    every = [
        Member(root / "s" / str(i), "thing", str(i), frozenset([str(i)]),
               frozenset(map(str, parents[i])), None)
        for i in numbers
    ]  # fmt: skip
    roots = set(draw.sample(numbers, 2))

    def reaches(i):
        return any(p in roots or reaches(p) for p in parents[i])

    below = {i for i in numbers if i not in roots and reaches(i)}
    result = descendants([every[i] for i in sorted(roots)], among=every)
    assert {int(m.path.name) for m in result} == below
    leaving = roots | below
    # An input goes if every way down from it ends in what leaves.
    above: set[int] = set()
    for i in reversed(numbers):
        users = {c for c in numbers if i in parents[c]}
        if i not in leaving and users and users <= leaving | above:
            above.add(i)
    taken = only_needed_by([every[i] for i in sorted(leaving)], among=every)
    assert {int(m.path.name) for m in taken} == above


@pytest.mark.parametrize("whole", [True, False])
def test_work_that_begins_from_it_in_the_last_moment_keeps_it(family, monkeypatch, whole):
    """Pinned after the look and before the manifests are gone."""
    (trunk,) = named(family, "trunk")
    going = trunk if whole else checkpoint_of(trunk.entry, 10)
    (one,) = removal.chosen([going], among=members(family), descending="keep")
    wanted = recipe("cooldown", "run", parents=(trunk.entry.checkpoint(10).as_parent("from"),))
    branch = trained(family, wanted, steps=(), name="begun")
    trunk.entry.pins.pin(10, by=place(branch), id=wanted.id)
    with pytest.raises(OverwriteError, match="not finished, and begins from"):
        removal.remove(one, emit=silent)
    assert [Run.load(trunk.path).checkpoint(step).step for step in (10, 20)] == [10, 20]


def test_a_checkpoint_that_was_made_anew_meanwhile_stays(family):
    (trunk,) = named(family, "trunk")
    (one,) = removal.chosen(
        [checkpoint_of(trunk.entry, 10)], among=members(family), descending="keep"
    )
    other = (trunk.path / "checkpoints" / "20" / "artifact.json").read_bytes()
    (trunk.path / "checkpoints" / "10" / "artifact.json").write_bytes(other)
    with pytest.raises(OverwriteError, match="not what it was"):
        removal.remove(one, emit=silent)
    assert (trunk.path / "checkpoints" / "10" / "weights.bin").exists()


def test_named_results_go_before_what_they_were_made_from(family):
    gone = remove(family, "photos", "trunk", "cooled-top1", "early-top1", "cooled")
    assert gone.index("cooled-top1") < gone.index("cooled") < gone.index("trunk")
    assert gone[-1] == "photos"


@pytest.fixture
def twins(family, tmp_path):
    """The family in two stores, the second being a copy of the first."""
    copy = Store(tmp_path / "copy")
    shutil.copytree(str(family.root), str(copy.root))
    return family, copy


def in_both(twins):
    return [member for store in twins for member in members(store)]


def test_a_copy_in_another_store_does_not_stand_for_what_a_store_loses(twins):
    """Each store is whole by itself: a copy of a store is often taken to another machine."""
    for store in twins:
        with pytest.raises(OverwriteError, match="made from") as refusal:
            removal.chosen(named(store, "photos"), among=in_both(twins))
        assert str(store.root / "pretrain") in refusal.value.message
        going = removal.chosen(named(store, "photos"), among=in_both(twins), descending="remove")
        assert sorted(names_of(going)) == EVERYTHING
        assert all(one.member.path.inside(store.root) for one in going)


def test_inputs_are_those_of_the_same_store(twins):
    """And what a copy in another store was made of does not keep them."""
    for store, other in (twins, twins[::-1]):
        going = removal.chosen(named(store, "cooled-top1"), among=in_both(twins), inputs=True)
        assert names_of(going) == ["cooled-top1", "cooled"]
        assert all(one.member.path.inside(store.root) for one in going)
        # Nothing uses it there: still it is no input of what goes here.
        remove(other, "cooled-top1")
        again = removal.chosen(named(store, "cooled-top1"), among=in_both(twins), inputs=True)
        assert [one.member.path for one in again] == [one.member.path for one in going]
        derived(other, Run.load(named(other, "cooled")[0].path).checkpoint(25).as_parent("from"),
                name="cooled-top1")  # fmt: skip


def test_what_lies_in_another_store_alone_is_the_one_that_was_recorded(twins, tmp_path):
    """Of two copies elsewhere, only the one that it was made from is its input."""
    first, second = twins
    third = Store(tmp_path / "third")
    reads = named(second, "cooled")[0].entry.checkpoint(25).as_parent("from")
    derived(third, reads, name="third-top1", x=3)
    for store in twins:
        remove(store, "cooled-top1")
    every = [*in_both(twins), *members(third)]
    assert removal.chosen(named(first, "cooled"), among=every)
    with pytest.raises(OverwriteError, match="third-top1"):
        removal.chosen(named(second, "cooled"), among=every)
    going = removal.chosen(named(third, "third-top1"), among=every, inputs=True)
    assert [str(one.member.store) for one in going] == [str(third.root), str(second.root)]
    # Moved since: no place is known, and neither copy is taken for what is to go with it.
    os.rename(str(second.root), str(tmp_path / "moved"))
    every = [m for s in (first, Store(tmp_path / "moved"), third) for m in members(s)]
    assert removal.chosen(named(first, "cooled"), among=every)
    going = removal.chosen(named(third, "third-top1"), among=every, inputs=True)
    assert names_of(going) == ["third-top1"]
    both = [named(s, "cooled")[0] for s in (first, Store(tmp_path / "moved"))]
    with pytest.raises(OverwriteError, match="third-top1"):
        removal.chosen(both, among=every)
