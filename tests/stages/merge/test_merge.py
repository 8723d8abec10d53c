"""Parts of a dataset, made apart and merged, are the dataset that one machine makes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import tarfile

import pytest

from stages import api
from stages.merge import run as merge_run
from stages.merge.spec import VERSION
from stages.shard import spec as shard_spec
from tests.data.encoded_images import encode, rgb
from tests.stages.shard.test_run import photos
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.drafts import publish
from vitctl.artifacts.kinds import DATASET_PART
from vitctl.artifacts.manifest import FileEntry, digest_of
from vitctl.artifacts.provenance import now
from vitctl.errors import InputError, InterruptedRun, NotFoundError, UsageError
from vitctl.events import Caution, Note, Progress
from vitctl.ingest.write import shard_writer
from vitctl.places import nofollow, place

HERE = {"workers": 0}


@pytest.fixture
def source(tmp_path):
    return photos(tmp_path / "photos")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


def shard(source, store, part=None, *, runtime=HERE, emit=None, set=None, **options):
    settings = (set or {}) | ({} if part is None else {"part": part})
    return api.shard(str(source), store=store, set=settings, runtime=runtime, emit=emit, **options)


def parts_of(source, store, *, count=3, **options):
    return [shard(source, store, f"{i}/{count}", **options) for i in range(1, count + 1)]


def contents(artifact):
    """Every file but the manifest, which has times, and what the manifest says of them."""
    files = {
        name: (artifact.path / name).read_bytes()
        for name in artifact.path.files_below()
        if name != "artifact.json" and not name.startswith(".lock")
    }
    manifest = artifact.manifest
    return files, manifest.id, manifest.digest, manifest.seal, manifest.summary, manifest.files


def odd(root):
    """Images of which some are rejected, converted and changed, and what is no image."""
    (root / "ant" / "bad.png").write_bytes(b"no")
    (root / "bee" / "cut.jpg").write_bytes(encode(rgb(50, 50), "JPEG")[:-100])
    (root / "cat" / "palette.bmp").write_bytes(encode(rgb().convert("P"), "BMP"))
    (root / "cat" / "large.jpg").write_bytes(encode(rgb(40, 60), "JPEG"))
    (root / "cat" / "readme.txt").write_text("no image")
    return root


def folder(tmp_path):
    policy = {"max_side": 50, "quality": 80, "background": "white"}
    return odd(photos(tmp_path / "photos")), {"set": {"shards": 7, "pixels": policy}}


def compressed(tmp_path):
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as tar:
        tar.add(photos(tmp_path / "unpacked"), arcname=".")
    return tmp_path / "photos.tar.gz", {"set": {"shards": 5}}


def archives(tmp_path):
    unpacked = photos(tmp_path / "unpacked")
    for name in ("ant", "bee", "cat"):
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            tar.add(unpacked / name, arcname=name)
    return tmp_path / "*.tar", {"set": {"shards": 4, "val_per_class": 2}}


def several_labels(tmp_path):
    root = photos(tmp_path / "photos")
    rows = [
        {"id": f"{name}/{i}.png", "labels": [name, "even", "low"][: 1 + i % 3]}
        for name in ("ant", "bee", "cat")
        for i in range(6)
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root, {"labels": tmp_path / "labels.jsonl", "set": {"shards": 6}}


def formula(tmp_path):
    return "formula", {"per_class": 4, "res": 32, "set": {"classes": "3", "shards": 4}}


def unlabelled(tmp_path):
    return photos(tmp_path / "photos"), {"set": {"unlabelled": True, "shards": 4}}


SOURCES = (folder, compressed, archives, several_labels, formula, unlabelled)


@pytest.mark.parametrize("of", SOURCES, ids=lambda of: of.__name__)
def test_the_dataset_is_that_of_one_machine(of, tmp_path):
    source, options = of(tmp_path)
    runtime = {**HERE, "max_bad_fraction": 0.5}
    about = {"about": {"license": "CC0-1.0"}}
    alone = shard(source, Store(tmp_path / "one"), runtime={**runtime, **about}, **options)
    store = Store(tmp_path / "many")
    parts = parts_of(source, store, runtime=runtime, **options)
    merged = api.merge(store=store, runtime={"max_bad_fraction": 0.5, **about})
    assert contents(merged) == contents(alone)
    assert merged.path.name == alone.path.name
    for part in parts:
        assert Artifact.load(part.path).check_contents() == []
        summary = DATASET_PART.summary(part)
        assert summary.dataset == alone.id
        assert sum(summary.shards.values()) >= 1
    assert api.merge(store=store).path == merged.path
    assert not (merged.path / "reports").exists()


def test_parts_share_the_files_of_the_dataset_and_go_without_it(source, store):
    parts = parts_of(source, store, set={"shards": 5})
    merged = api.merge(*reversed(parts), store=store)
    shards = [name for name in merged.path.files_below() if "array_record" in name]
    assert {(merged.path / name).stat().st_nlink for name in shards} == {2}
    api.rm(*parts, store=store)
    assert Artifact.load(merged.path).check_contents() == []
    assert shard(source, store, set={"shards": 5}).path == merged.path


def test_parts_on_other_disks_are_copied_and_compared(source, tmp_path, monkeypatch):
    stores = [Store(tmp_path / f"disk{i}") for i in range(3)]
    parts = [shard(source, s, f"{i}/3", set={"shards": 5}) for i, s in enumerate(stores, start=1)]

    def apart(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(nofollow, "link", apart)
    events = []
    home = Store(tmp_path / "home")
    merged = api.merge(*parts, store=home, emit=events.append)
    assert any("are copies" in event.text for event in events if isinstance(event, Note))
    assert Artifact.load(merged.path).check_contents() == []
    one = next(parts[1].path.local.glob("*array_record*"))
    data = bytearray(one.read_bytes())
    data[len(data) // 2] ^= 1
    one.write_bytes(data)
    with pytest.raises(InputError, match=f"{one.name} has other bytes than were published"):
        api.merge(*parts, store=home, force=True)


def test_a_dataset_in_a_bucket(source, store):
    alone = shard(source, store, set={"shards": 4})
    bucket = Store(place(f"memory://{source.parent.name}/merged"))
    parts = parts_of(source, bucket, count=2, set={"shards": 4})
    assert contents(api.merge(*parts, store=bucket)) == contents(alone)


# Refusals


def test_a_missing_part_is_named_with_the_command_that_makes_it(source, store, monkeypatch):
    shard(source, store, "2/4", set={"shards": 4})
    command = ["vitctl", "shard", "my photos", "--part=2/4", "--shards", "4"]
    with pytest.raises(NotFoundError) as error:
        api.merge(store=store)
    assert error.value.message == "parts 1, 3, 4 of 4 of photos are missing"
    assert "vitctl shard SRC --part 1/4" in error.value.hint
    monkeypatch.setattr("sys.argv", command)
    parts = [shard(source, store, f"{i}/4", set={"shards": 4}) for i in (1, 4)]
    monkeypatch.setattr("stages.shard.run.finished_shards", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shard(source, store, "3/4", set={"shards": 4})
    with pytest.raises(NotFoundError) as error:
        api.merge(*parts, store=store)
    assert error.value.message == ("part 3 of 4 of photos is missing (3 begun, not finished)")
    assert "vitctl shard 'my photos' --part=3/4 --shards 4;" in error.value.hint


def test_a_part_is_given_once(source, store, tmp_path):
    first, second = parts_of(source, store, count=2)
    with pytest.raises(UsageError, match="part 1 of 2 of photos is given twice, as "):
        api.merge(first, second, first, store=store)
    other = shard(source, Store(tmp_path / "other"), "1/2")
    with pytest.raises(UsageError, match=f"as {first.path} and {other.path}"):
        api.merge(first, second, other, store=store)


@pytest.mark.parametrize("named", [True, False])
def test_parts_of_another_listing_are_refused(source, store, named):
    first = shard(source, store, "1/2")
    (source / "ant" / "new.png").write_bytes(encode(rgb(8, 30), "PNG"))
    second = shard(source, store, "2/2")
    with pytest.raises(InputError, match="each has another listing of the source") as error:
        api.merge(*((first, second) if named else ()), store=store)
    assert "--rehash" in error.value.hint


def test_parts_of_other_settings_are_refused(source, store):
    first = shard(source, store, "1/2")
    second = shard(source, store, "2/2", set={"val_fraction": 0.2, "max_pixels": 99})
    with pytest.raises(InputError) as error:
        api.merge(first, second, store=store)
    assert "max_pixels is 99 and 100000000; val_fraction is 0.2 and 0.1" in error.value.message
    divided = shard(source, store, "2/3", set={"shards": 4})
    first = shard(source, store, "1/2", set={"shards": 4})
    with pytest.raises(InputError, match=r"is one of 2 parts and .* one of 3"):
        api.merge(first, divided, store=store)


def test_parts_of_another_version_are_refused(source, store, tmp_path):
    assert VERSION == shard_spec.VERSION
    part = shard(source, store, "1/2")
    later = shutil.copytree(part.path, tmp_path / "later")
    (later / "artifact.json").unlink()
    recipe = part.manifest.recipe.model_copy(update={"version": VERSION + 1})
    publish(place(later), recipe=recipe, summary=part.summary, started=now())
    with pytest.raises(InputError, match=f"was made by version {VERSION + 1} of vitctl shard"):
        api.merge(str(later), store=store)


@pytest.mark.parametrize("name", ["part.json", ".keys", ".labels"])
def test_a_damaged_part_is_refused(source, store, name):
    part, _ = parts_of(source, store, count=2)
    (file,) = (part.path / entry.path for entry in part.manifest.files if entry.path.endswith(name))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_atomic(bytes(data))
    with pytest.raises(InputError, match=f"{file.name} has other bytes than were published"):
        api.merge(store=store)


def test_a_shard_that_only_the_description_names_is_refused(source, store):
    """Somebody took it out of artifact.json, and made the digest match."""
    part, _ = parts_of(source, store, count=2)
    manifest = json.loads((part.path / "artifact.json").read_bytes())
    (shard, *_) = (e for e in manifest["files"] if ".array_record-" in e["path"])
    manifest["files"].remove(shard)
    manifest["digest"] = digest_of([FileEntry(**entry) for entry in manifest["files"]])
    (part.path / shard["path"]).unlink()
    (part.path / "artifact.json").write_atomic(json.dumps(manifest).encode())
    with pytest.raises(InputError, match=f"describes the shard {shard['path']}, and its"):
        api.merge(store=store)


def test_what_is_no_part_is_refused(source, store):
    whole = shard(source, store)
    with pytest.raises(InputError, match="a part of a dataset"):
        api.merge(whole, store=store)
    part = shard(source, store, "1/2")
    with pytest.raises(InputError, match="a dataset"):
        api.subset(part, store=store, set={"images": 2})


@pytest.mark.parametrize(
    ("part", "set", "options", "problem"),
    [
        ("3/2", {}, {}, "is no part"),
        ("0/2", {}, {}, "is no part"),
        ("1/9", {"shards": 4}, {}, "there are 4 shards, and one machine makes a shard"),
    ],
)
def test_what_is_no_part_of_the_work(source, store, part, set, options, problem):
    with pytest.raises(UsageError, match=problem):
        shard(source, store, part, set=set, **options)
    assert list(store.entries()) == []


def test_what_a_part_leaves_no_room_for(source, store):
    with pytest.raises(UsageError, match="which a part has not"):
        shard(source, store, "1/2", runtime={**HERE, "about": {"license": "CC0-1.0"}})
    with pytest.raises(UsageError, match="stores none"):
        shard("formula", store, "1/2", virtual=True)


# Rejects


def test_rejects_are_too_many_where_one_machine_would_say_so(tmp_path):
    """Four bad ones of 22 are over the three that are let pass: no part has so many."""
    source = photos(tmp_path / "photos")
    for i, name in enumerate(("ant", "bee", "cat", "cat")):
        (source / name / f"bad{i}.png").write_bytes(b"no")

    def refused(work):
        with pytest.raises(InputError) as error:
            work()
        return error.value.message.partition("; all are listed")[0], error.value.hint

    alone = refused(lambda: shard(source, Store(tmp_path / "one"), set={"shards": 7}))
    store = Store(tmp_path / "many")
    parts_of(source, store, set={"shards": 7})
    assert refused(lambda: api.merge(store=store)) == alone
    merged = api.merge(store=store, runtime={"max_bad_fraction": 0.2})
    assert merged.summary["rejected"] == 4
    assert len((merged.path / "rejects.jsonl").read_text().splitlines()) == 4


def test_a_part_that_alone_is_too_bad_ends_at_once(source, store):
    for file in source.rglob("*.png"):
        file.write_bytes(b"no")
    with pytest.raises(InputError, match=r"images are bad, more than 16\.7% of all 18"):
        shard(source, store, "1/2")


def test_a_split_without_a_usable_image_is_left_out(source, tmp_path):
    for name in ("ant", "bee", "cat"):
        (source / "train").mkdir(exist_ok=True)
        (source / name).rename(source / "train" / name)
        (source / "val" / name).mkdir(parents=True)
        (source / "val" / name / "x.png").write_bytes(b"no")
    runtime = {**HERE, "max_bad_fraction": 0.5}
    alone = shard(source, Store(tmp_path / "one"), runtime=runtime, set={"shards": 4})
    store = Store(tmp_path / "many")
    parts_of(source, store, runtime=runtime, set={"shards": 4})
    events = []
    merged = api.merge(store=store, runtime={"max_bad_fraction": 0.5}, emit=events.append)
    assert contents(merged) == contents(alone)
    cautions = [event.text for event in events if isinstance(event, Caution)]
    assert any("no image of the val split is usable" in text for text in cautions)


# Going on


def test_a_part_that_died_goes_on(source, store, tmp_path, monkeypatch):
    made = []
    prepare = shard_writer.prepare

    def dies(data, **options):
        made.append(data)
        if len(made) == 8:
            raise KeyboardInterrupt
        return prepare(data, **options)

    monkeypatch.setattr(shard_writer, "prepare", dies)
    with pytest.raises(KeyboardInterrupt):
        shard(source, store, "1/2", set={"shards": 6})
    events = []
    shard(source, store, "1/2", set={"shards": 6}, emit=events.append)
    assert any("shards exist already" in event.text for event in events if isinstance(event, Note))
    assert len(made) < 8 + 9
    shard(source, store, "2/2", set={"shards": 6})
    alone = shard(source, Store(tmp_path / "one"), set={"shards": 6})
    assert contents(api.merge(store=store)) == contents(alone)


def test_a_merge_that_was_stopped_goes_on(source, store, tmp_path, monkeypatch):
    parts = parts_of(source, store, set={"shards": 6})

    def stops(event):
        if isinstance(event, Progress) and event.done == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRun, match="of 6 shards are gathered"):
        api.merge(store=store, emit=stops)
    calls = []
    share = merge_run.share_file
    monkeypatch.setattr(
        merge_run, "share_file", lambda *given: calls.append(given) or share(*given)
    )
    merged = api.merge(*parts, store=store)
    assert 0 < len(calls) < 6
    alone = shard(source, Store(tmp_path / "one"), set={"shards": 6})
    assert contents(merged) == contents(alone)


def test_what_one_machine_has_begun_is_gone_on_with(source, store, monkeypatch):
    """The draft is the same: shards that are there and whole are not gathered again."""
    parts = parts_of(source, store, set={"shards": 6})
    monkeypatch.setattr("stages.shard.run.finished_shards", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shard(source, store, set={"shards": 6})
    events = []
    merged = api.merge(*parts, store=store, emit=events.append)
    notes = [event.text for event in events if isinstance(event, Note)]
    assert "continuing: 6 of 6 shards are there already" in notes
    assert Artifact.load(merged.path).check_contents() == []


def test_a_dry_run_counts_the_part(source, store):
    whole = shard(source, store, set={"shards": 6}, dry_run=True)
    part = shard(source, store, "1/3", set={"shards": 6}, dry_run=True)
    assert part.shards == whole.shards
    assert part.estimate.bytes < whole.estimate.bytes
    assert any(note.startswith("part 1/3: 2 of 6 shards") for note in part.notes)
