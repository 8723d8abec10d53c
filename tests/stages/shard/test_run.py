"""The stage by its Python API. Work happens in this process unless a test is about processes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from stages import api
from stages.shard.preview import preview
from stages.shard.run import run
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from tests import forking
from tests.data import encoded_images as images
from tests.data.encoded_images import encode, rgb
from tests.forking import DECODING, FORKED_WORKERS
from tests.ingest.pixels.test_convert import TABLE, readers, seen_in_training
from tests.workers.fake_ray import FakeRay
from tests.workers.fake_ray import begin as begin_ray
from vitctl.artifacts import Artifact, Draft, Store
from vitctl.data.dataset import Dataset
from vitctl.data.example import decode_example
from vitctl.data.order import sample_key
from vitctl.data.sheet import sheet
from vitctl.data.verify import check_records
from vitctl.errors import DoesNotFitError, InputError, NotFoundError, UsageError
from vitctl.events import Caution, Note, Settings
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.trees import own_output
from vitctl.ingest.write import shard_writer as shards_module
from vitctl.pixels.header import BadImageError
from vitctl.places import place

HERE = ShardRuntime(workers=0)


def photos(root, *, classes=("ant", "bee", "cat"), each=6, format_="PNG"):
    """A folder of class folders; every image differs."""
    for c, name in enumerate(classes):
        os.makedirs(root / name, exist_ok=True)
        for i in range(each):
            data = encode(rgb(8 + c, 8 + i), format_)
            (root / name / f"{i}.{format_.lower()}").write_bytes(data)
    return root


@pytest.fixture
def source(tmp_path):
    return photos(tmp_path / "photos")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "artifacts")


def shard(source, store, *, runtime=HERE, emit=None, inputs=None, **config):
    events = [] if emit is None else emit
    return run(
        ShardConfig(**config),
        inputs or Inputs(str(source)),
        store=store,
        runtime=runtime,
        emit=events.append,
    )


def everything(dataset):
    return {
        example.id: example
        for split in dataset.info.splits
        for example in map(
            decode_example,
            dataset.records(split).read(np.arange(dataset.info.examples(split))),
        )
    }


def test_a_folder_becomes_a_dataset(source, store):
    artifact = shard(source, store, val_fraction=0.3, shards=4)
    dataset = Dataset.load(artifact.path)
    assert dataset.info.classes == ("ant", "bee", "cat")
    result = everything(dataset)
    assert len(result) == 18
    for example in result.values():
        assert example.image == (source / example.id).read_bytes()
        assert dataset.info.classes[example.labels[0]] == example.id.split("/")[0]
    for split in ("train", "val"):
        records = dataset.records(split).read(np.arange(dataset.info.examples(split)))
        read = [decode_example(record) for record in records]
        assert dataset.keys(split).tolist() == [sample_key(example.id) for example in read]
        assert dataset.labels(split).tolist() == [list(example.labels) for example in read]
    assert Artifact.load(artifact.path).check_contents() == []
    assert artifact.summary["examples"] == {
        split: info.examples for split, info in dataset.info.splits.items()
    }
    assert not (artifact.path / "reports").exists()


def test_the_same_command_finds_it(source, store, monkeypatch):
    first = shard(source, store)
    monkeypatch.setattr(shards_module, "prepare", None)  # any work would fail
    assert shard(source, store).path == first.path


SHARDING = """
import json, sys
from stages import api
from stages.shard.run import run
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from vitctl.artifacts import Store
source, store, policy = sys.argv[1:]
cfg = ShardConfig(shards=3, pixels=json.loads(policy))
runtime = ShardRuntime(workers=2, max_bad_fraction=0.5)
print(run(cfg, Inputs(source), store=Store(store), runtime=runtime).digest)
"""


def test_the_bytes_do_not_depend_on_workers(source, tmp_path):
    """Two processes against this one, silent ones."""
    (source / "ant" / "bad.png").write_bytes(b"no")
    (source / "ant" / "cut.jpg").write_bytes(encode(rgb(50, 50), "JPEG")[:-100])
    (source / "ant" / "palette.bmp").write_bytes(encode(rgb().convert("P"), "BMP"))
    (source / "ant" / "large.jpg").write_bytes(encode(rgb(40, 60), "JPEG"))
    policy = {"max_side": 50, "quality": 80, "background": "white", "srgb": True}
    runtime = ShardRuntime(workers=0, max_bad_fraction=0.5)
    alone = shard(source, Store(tmp_path / "alone"), runtime=runtime, shards=3, pixels=policy)
    assert alone.summary["treatments"] == {"shrunk": 1, "encoded": 20}
    code = f"{FORKED_WORKERS}{SHARDING}"
    arguments = (source, tmp_path / "two", json.dumps(policy))
    done = forking.run(code, *arguments, preload=DECODING, text=True)
    assert (done.stdout, done.stderr) == (f"{alone.digest}\n", "")


def test_the_same_images_elsewhere_give_the_same_digest(source, store, tmp_path):
    first = shard(source, store)
    moved = shutil.copytree(source, tmp_path / "other name")
    second = shard(moved, store)
    assert second.digest == first.digest


def test_interrupted_work_continues(source, store, monkeypatch):
    """A crash in the middle, then the same command: finished shards are not made again."""
    reference = shard(source, Store(store.root / "reference"), shards=6)
    original = shards_module.prepare
    made = []

    def failing(data, **options):
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(data)
        return original(data, **options)

    monkeypatch.setattr(shards_module, "prepare", failing)
    with pytest.raises(KeyboardInterrupt):
        shard(source, store, shards=6)
    left = list(store.root.glob("shard/*/images-*record*"))
    assert left
    monkeypatch.setattr(shards_module, "prepare", original)
    times = {path: path.stat().st_mtime_ns for path in left}
    events = []
    artifact = shard(source, store, emit=events, shards=6)
    assert artifact.digest == reference.digest
    assert {path: path.stat().st_mtime_ns for path in left} == times
    assert any(isinstance(e, Note) and e.text.startswith("continuing") for e in events)


def test_a_crash_at_the_very_end_costs_nothing(source, store, monkeypatch):
    """After the shards and before the manifest: nothing is decoded again."""
    monkeypatch.setattr(Draft, "publish", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shard(source, store, shards=3)
    monkeypatch.undo()
    monkeypatch.setattr(shards_module, "prepare", None)
    artifact = shard(source, store, shards=3)
    assert len(everything(Dataset.load(artifact.path))) == 18
    assert not (artifact.path / "reports").exists()
    assert not [file for file in artifact.manifest.files if "report" in file.path]


def test_a_half_written_shard_is_made_again(source, store, monkeypatch):
    reference = shard(source, Store(store.root / "reference"), shards=3)
    monkeypatch.setattr("stages.shard.run._check_unchanged", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        shard(source, store, shards=3)
    one = next(store.root.glob("shard/*/images-train*record*"))
    one.write_bytes(one.read_bytes()[:-1])
    monkeypatch.undo()
    assert shard(source, store, shards=3).digest == reference.digest


@pytest.mark.parametrize(
    ("total", "allowed"), [(3, 0), (5, 1), (14, 3), (99, 3), (300, 3), (1000, 10)]
)
def test_a_few_bad_images_are_allowed_however_few_there_are(total, allowed):
    from vitctl.ingest.write.rejects import allowed_rejects

    assert int(allowed_rejects(None, total=total)) == allowed
    assert allowed_rejects(0.0, total=total) == 0


def test_bad_images_are_listed_and_left_out(source, store):
    (source / "bee" / "broken.jpg").write_bytes(encode(rgb(50, 50), "JPEG")[:-100])
    (source / "ant" / "text.jpg").write_bytes(b"hello")
    (source / "ant" / "bomb.png").write_bytes(images.bomb())
    with pytest.raises(InputError, match="3 of 21 images are bad") as error:
        shard(source, store, runtime=ShardRuntime(workers=0, max_bad_fraction=0.1))
    assert "--max-bad-fraction 0.15" in error.value.hint
    draft = next(store.root.glob("shard/*"))
    listed = [json.loads(line) for line in (draft / "rejects.jsonl").read_text().splitlines()]
    assert [row["id"] for row in listed] == ["ant/bomb.png", "ant/text.jpg", "bee/broken.jpg"]
    assert "3.6" not in listed[0]["reason"]
    assert "60000 x 60000" in listed[0]["reason"]
    artifact = shard(source, store, runtime=ShardRuntime(workers=0, max_bad_fraction=0.15))
    assert artifact.path == draft
    assert artifact.summary["rejected"] == 3
    assert len(everything(Dataset.load(artifact.path))) == 18


def heic():
    """Photos of a phone."""
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    return encode(rgb(24, 16), "HEIF")


def test_photos_of_a_phone_are_read_once_their_package_is_installed(source, store, monkeypatch):
    """By the command that failed, as its reason says; shards without one are not made again."""
    for name in ("ant/7.heic", "ant/8.heic", "bee/7.heic", "bee/8.heic"):
        (source / name).write_bytes(heic())
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        for _ in range(2):  # as long as it is missing, nothing is made twice
            events = []
            with pytest.raises(InputError, match=r"4 of 22 .* pip install 'vitctl\[heic\]'"):
                shard(source, store, emit=events)
        assert Note("continuing: 2 of 2 shards exist already") in events
    events = []
    artifact = shard(source, store, emit=events)
    again = [e.text for e in events if isinstance(e, Note) and "made again" in e.text]
    assert len(again) == 1
    assert again[0].endswith("images that could not be read can be now")
    assert artifact.summary["rejected"] == 0
    assert len(everything(Dataset.load(artifact.path))) == 22


def test_a_finished_dataset_says_what_could_be_read_by_now(source, store, monkeypatch):
    (source / "ant" / "7.heic").write_bytes(heic())
    (source / "ant" / "8.jpg").write_bytes(b"hello")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pillow_heif", None)
        made = shard(source, store)
        events = []
        assert shard(source, store, emit=events) == made
        assert not [event for event in events if isinstance(event, Caution)]
    events = []
    assert shard(source, store, emit=events) == made
    (caution,) = [event.text for event in events if isinstance(event, Caution)]
    assert caution.startswith("1 image that was left out of ")
    assert "--force" in caution
    anew = shard(source, store, runtime=ShardRuntime(workers=0, force=True))
    assert anew.summary["rejected"] == 1


def test_files_that_can_be_opened_by_now_are_read_by_the_same_command(source, store, monkeypatch):
    """Who has given himself the right to read files has changed neither their bytes nor times."""
    read = shards_module.read

    def refused(reader, entry, **look):
        if entry.id.startswith("ant/"):
            raise PermissionError(13, "Permission denied")
        return read(reader, entry, **look)

    with monkeypatch.context() as before:
        before.setattr(shards_module, "read", refused)
        before.setattr("vitctl.ingest.write.rejects.read", refused)
        for _ in range(2):
            with pytest.raises(
                InputError, match=r"6 of 18 .*it can't be read \(Permission denied\)"
            ):
                shard(source, store)
    artifact = shard(source, store)
    assert artifact.summary["rejected"] == 0


def test_pictures_that_vitctl_made_are_left_out_late_and_are_not_bad(source, store, monkeypatch):
    """Where there are too many files to look at each while they are listed."""
    monkeypatch.setattr(own_output, "_ALL_LOOKED_AT", 1)
    monkeypatch.setattr(own_output, "_LOOKED_AT", 2)
    picture = sheet(np.zeros((2, 8, 8, 3), np.float32), [["a"], ["b"]])
    for name in ("ant/2.png", "ant/3.png", "bee/2.png", "bee/3.png"):
        (source / name).write_bytes(picture)
    artifact = shard(source, store, runtime=ShardRuntime(workers=0, max_bad_fraction=0))
    listed = (artifact.path / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in listed] == [own_output.PICTURE] * 4
    assert len(everything(Dataset.load(artifact.path))) == 14


def test_conversions_are_counted_by_reason(source, store):
    (source / "ant" / "a.bmp").write_bytes(encode(rgb().convert("1"), "BMP"))
    (source / "ant" / "b.bmp").write_bytes(encode(rgb().convert("P"), "BMP"))
    (source / "ant" / "c.tiff").write_bytes(encode(rgb(), "TIFF"))
    artifact = shard(source, store)
    assert artifact.summary["converted"] == {
        "BMP other than 24-bit": 2,
        "TIFF is not decoded in training": 1,
    }


def test_what_a_policy_did_is_counted_and_said(source, store):
    (source / "ant" / "turned.jpg").write_bytes(images.with_orientation(rgb(40, 60), "JPEG", 6))
    (source / "bee" / "clear.png").write_bytes(encode(images.rgba(), "PNG"))
    events = []
    policy = {"max_short_side": 30, "background": "#000"}
    artifact = shard(source, store, emit=events, pixels=policy)
    assert artifact.summary["treatments"] == {"composed": 1, "turned": 1, "shrunk": 1, "encoded": 2}
    assert artifact.summary["converted"] == {}
    assert artifact.manifest.config["pixels"] == {"max_short_side": 30, "background": "#000000"}
    texts = [event.text for event in events if isinstance(event, Note)]
    assert "shrunk: 1 image" in texts
    (row,) = (event for event in events if isinstance(event, Settings) and event.title == "dataset")
    assert row.values["images"] == "shorter side at most 30, laid on #000000"
    stored = everything(Dataset.load(artifact.path))
    assert seen_in_training(stored["ant/turned.jpg"].image).shape == (45, 30, 3)
    for id_ in stored.keys() - {"ant/turned.jpg", "bee/clear.png"}:
        assert stored[id_].image == (source / id_).read_bytes()


def test_without_a_policy_the_id_has_no_word_of_it():
    assert "pixels" not in ShardConfig().identity()
    assert ShardConfig(pixels={"quality": 90}).identity()["pixels"] == {
        "encode": "jpeg",
        "quality": 90,
    }


def test_images_that_shrink_fill_the_shards_with_what_is_left_of_them(source, store):
    """A shard of 3 kB of images of 8 pixels a side: 32 bytes a photo and 109 a PNG, about."""
    for name in ("ant", "bee", "cat"):
        (source / name / "large.jpg").write_bytes(encode(rgb(200, 300), "JPEG"))
    plain = shard(source, store, shard_bytes=3000)
    small = shard(source, store, shard_bytes=3000, pixels={"max_side": 8})
    assert plain.summary["shards"]["train"] > small.summary["shards"]["train"] == 1


def test_keeping_bytes_and_encoding_all_contradict_each_other():
    with pytest.raises(ValidationError, match="keeps files as they are"):
        ShardConfig(keep_bytes=True, pixels={"encode": "png"})


def test_a_source_that_changes_is_noticed(source, store, monkeypatch):
    original = shards_module.prepare

    def meddling(data, **options):
        (source / "ant" / "new.png").write_bytes(data)
        return original(data, **options)

    monkeypatch.setattr(shards_module, "prepare", meddling)
    with pytest.raises(InputError, match="changed while it was read"):
        shard(source, store)
    assert not list(store.root.glob("shard/*/artifact.json"))


def test_a_file_that_vanishes_is_noticed(source, store, monkeypatch):
    original = shards_module.prepare

    def meddling(data, **options):
        shutil.rmtree(source / "bee", ignore_errors=True)
        return original(data, **options)

    monkeypatch.setattr(shards_module, "prepare", meddling)
    with pytest.raises(InputError, match=r"vanished|changed"):
        shard(source, store)


def test_a_full_disk_loses_nothing(source, store, monkeypatch):
    def full(data, **options):
        raise DoesNotFitError("the disk is full")

    original = shards_module.prepare
    monkeypatch.setattr(shards_module, "prepare", full)
    with pytest.raises(DoesNotFitError):
        shard(source, store)
    monkeypatch.setattr(shards_module, "prepare", original)
    assert shard(source, store).summary["classes"] == 3


def test_too_little_space_is_said_before_any_work(source, store, monkeypatch):
    """With the file that is to blame, where one is: whether here, or copied here first."""
    (source / "bee" / "large.png").write_bytes(bytes(2**20))
    usage = shutil.disk_usage(source)._replace(free=100)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    monkeypatch.setattr(shards_module, "prepare", None)
    largest = r"\(the largest file is (photos/)?bee/large.png, 1 MiB\)"
    with pytest.raises(DoesNotFitError, match=f"100 B left {largest}"):
        shard(source, store)
    bucket = Store(place(f"memory://{source.parent.name}/store"))
    with pytest.raises(DoesNotFitError, match=f"are needed there {largest}"):
        shard(source, bucket)
    archive = shutil.make_archive(str(source), "gztar", source.parent, source.name)
    with pytest.raises(DoesNotFitError, match=f"are needed there {largest}"):
        shard(archive, bucket)


def test_too_many_bad_images_end_the_work_early(source, store, monkeypatch):
    looked = []

    def refuse(data, **options):
        looked.append(data)
        raise BadImageError("no")

    monkeypatch.setattr(shards_module, "prepare", refuse)
    monkeypatch.setattr("stages.shard.shards._ENOUGH_REJECTS", 3)
    with pytest.raises(InputError, match=r"4 of 4 images are bad, more than 16\.7% of all 18"):
        shard(source, store, shards=18)
    assert len(looked) == 4


def test_choosing_classes(source, store):
    two = shard(source, store, classes="cat,ant")
    assert Dataset.load(two.path).info.classes == ("ant", "cat")
    with pytest.raises(UsageError, match="no class 'dog'"):
        shard(source, store, classes="dog")


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_around_the_classes_is_named_as_it_can_be_given(tmp_path, store, packed):
    root = tmp_path / "photos"
    for name in ("all/ant/0.png", "all/bee/1.png"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(encode(rgb(), "PNG"))
    (root / "cover.png").write_bytes(encode(rgb(), "PNG"))
    given = shutil.make_archive(str(tmp_path / "photos"), "zip", root) if packed else root
    with pytest.raises(InputError, match="one class only") as error:
        shard(given, store)
    way = "unpack it and give that folder" if packed else f"vitctl shard {root / 'all'}"
    assert way in error.value.hint


def test_one_class_is_nothing_to_learn(source, store, tmp_path):
    with pytest.raises(InputError, match="one class only \\(ant\\)"):
        shard(source, store, classes="ant")
    listed = tmp_path / "list.txt"
    listed.write_text("cat\nbee\nant\n")
    artifact = shard(source, store, classes="ant", inputs=Inputs(str(source), classes_from=listed))
    dataset = Dataset.load(artifact.path)
    assert dataset.info.classes == ("cat", "bee", "ant")
    assert (dataset.labels("train") == 2).all()


def test_classes_from_another_dataset(source, store, tmp_path):
    all_three = shard(source, store)
    part = photos(tmp_path / "part", classes=("bee", "cat"))
    artifact = shard(part, store, inputs=Inputs(str(part), classes_from=all_three.path))
    assert Dataset.load(artifact.path).info.classes == ("ant", "bee", "cat")
    strange = photos(tmp_path / "strange", classes=("bee", "dog", "eel"))
    with pytest.raises(InputError, match=r"2 of the 3 classes .* not among the 3 .*dog, eel"):
        shard(strange, store, inputs=Inputs(str(strange), classes_from=all_three.path))


def test_titles_are_part_of_the_identity(source, store, tmp_path):
    plain = shard(source, store)
    titles = tmp_path / "titles.tsv"
    titles.write_text("ant\tFormica rufa\n")
    named = shard(source, store, inputs=Inputs(str(source), class_titles=titles))
    assert named.id != plain.id
    assert Dataset.load(named.path).info.class_titles == ("Formica rufa", "bee", "cat")


def test_several_labels_an_image(source, store, tmp_path):
    """What scoring by reassessed labels (ReaL) needs: several, or none, in another's numbering."""
    whole = shard(source, store)
    file = tmp_path / "labels.jsonl"
    rows = {"ant/0.png": ["cat", "ant"], "bee/1.png": [], "cat/2.png": ["bee"]}
    file.write_text("".join(json.dumps({"id": k, "labels": v}) + "\n" for k, v in rows.items()))
    inputs = Inputs(str(source), labels=file, classes_from=whole.path)
    artifact = shard(source, store, inputs=inputs, val_fraction=0.0)
    dataset = Dataset.load(artifact.path)
    assert dataset.info.multi_label
    assert dataset.info.max_labels == 2
    assert {id: example.labels for id, example in everything(dataset).items()} == {
        "ant/0.png": (2, 0),
        "bee/1.png": (),
        "cat/2.png": (1,),
    }
    assert sorted(dataset.labels("train").tolist()) == [[-1, -1], [1, -1], [2, 0]]
    assert list(check_records(dataset)) == []
    file.write_text(file.read_text().replace("1.png", "77.png").replace("2.png", "78.png"))
    with pytest.raises(InputError, match="not in"):
        shard(source, store, inputs=inputs)


def test_split_folders_and_fractions(tmp_path, store):
    root = tmp_path / "split"
    for split in ("train", "test"):
        photos(root / split)
    dataset = Dataset.load(shard(root, store).path)
    assert set(dataset.info.splits) == {"train", "test"}
    with_val = Dataset.load(shard(root, store, val_fraction=0.4).path)
    assert set(with_val.info.splits) == {"train", "val", "test"}
    photos(root / "validation")
    with pytest.raises(UsageError, match="--val-fraction"):
        shard(root, store, val_fraction=0.2)


def test_only_a_train_folder_gets_its_val_by_hash(tmp_path, store):
    photos(tmp_path / "split" / "train", each=30)
    dataset = Dataset.load(shard(tmp_path / "split", store).path)
    assert set(dataset.info.splits) == {"train", "val"}


def test_a_dataset_without_anything_to_score_says_so(source, store):
    events = []
    artifact = shard(source, store, emit=events, val_fraction=0.0)
    assert set(Dataset.load(artifact.path).info.splits) == {"train"}
    assert any(isinstance(e, Caution) and "no image to score" in e.text for e in events)


def test_rehash_ignores_file_times(source, store):
    inputs = Inputs(str(source), rehash=True)
    first = shard(source, store, inputs=inputs)
    os.utime(source / "ant" / "0.png", ns=(5, 5))
    assert shard(source, store, inputs=inputs).path == first.path
    assert shard(source, store).id != first.id


def test_nothing_there(store, tmp_path):
    with pytest.raises(NotFoundError):
        shard(tmp_path / "none", store)
    with pytest.raises(InputError, match="no image"):
        shard(tmp_path, store)


def test_hostile_names(store, tmp_path):
    root = tmp_path / "names"
    for name in (b"a b", b"new\nline", b"\xff\xfe raw"):
        folder = os.path.join(os.fsencode(root), name)
        os.makedirs(folder)
        for i in range(3):
            with open(os.path.join(folder, b"\n%d\xff.png" % i), "wb") as file:
                file.write(encode(rgb(9, 9 + i), "PNG"))
    dataset = Dataset.load(shard(root, store).path)
    assert dataset.info.classes == ("\\xff\\xfe raw", "a b", "new\\x0aline")
    labels = (dataset.path / "label.labels.txt").read_text().splitlines()
    assert tuple(labels) == dataset.info.classes
    assert "a b/\\x0a0\\xff.png" in everything(dataset)


@pytest.mark.slow
def test_tensorflow_datasets_reads_several_labels(source, store, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    file = tmp_path / "labels.jsonl"
    file.write_text(
        '{"id": "ant/0.png", "labels": ["x", "y"]}\n{"id": "ant/1.png", "labels": []}\n'
    )
    artifact = shard(source, store, inputs=Inputs(str(source), labels=file), val_fraction=0.0)
    data = tfds.builder_from_directory(str(artifact.path)).as_data_source("train")
    values = {example["id"]: list(map(int, example["label"])) for example in data}
    assert values == {b"ant/0.png": [0, 1], b"ant/1.png": []}


@pytest.mark.slow
def test_tensorflow_datasets_reads_it(source, store):
    tfds = pytest.importorskip("tensorflow_datasets")
    artifact = shard(source, store, shards=5)
    builder = tfds.builder_from_directory(str(artifact.path))
    assert builder.info.features["label"].names == ["ant", "bee", "cat"]
    data = builder.as_data_source()
    assert sum(len(part) for part in data.values()) == 18
    for example in data["train"]:
        name, number = example["id"].decode().removesuffix(".png").split("/")
        assert builder.info.features["label"].int2str(example["label"]) == name
        assert example["image"].shape[1] == 8 + int(number)


@pytest.fixture
def all_kinds(tmp_path):
    """A folder with one file of every kind of the table, in two classes."""
    root = tmp_path / "kinds"
    for i, name in enumerate(TABLE):
        place = root / f"class{i % 2}" / f"{name.replace(' ', '-')}.{name.split()[0]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix("").write_bytes(TABLE[name][0]())
    return root


def test_tensorflow_datasets_and_grain_read_every_kind_as_training_does(all_kinds, store):
    """With Pillow, with OpenCV and through Grain's loader, where these are installed."""
    tfds = pytest.importorskip("tensorflow_datasets")
    artifact = shard(all_kinds, store, val_fraction=0.0)
    assert artifact.summary["rejected"] == 0
    trained = {
        example.id.encode(): seen_in_training(example.image)
        for example in everything(Dataset.load(artifact.path)).values()
    }
    assert len(trained) == len(TABLE)
    source = tfds.builder_from_directory(str(artifact.path)).as_data_source("train")
    assert len(source) == len(TABLE)
    raw = tfds.builder_from_directory(str(artifact.path)).as_data_source(
        "train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    for example, undecoded in zip(source, raw, strict=True):
        values = trained[example["id"]]
        assert np.array_equal(example["image"], values)
        for reader, decoded in readers(undecoded["image"]).items():
            assert np.array_equal(decoded, values), (reader, example["id"])
    if importlib.util.find_spec("grain"):
        import grain

        read = list(grain.MapDataset.source(source))
        assert len(read) == len(TABLE)
        for example in read:
            assert np.array_equal(example["image"], trained[example["id"]])


def test_kept_bytes_are_the_files_and_what_differs_is_said(all_kinds, store):
    events = []
    artifact = shard(all_kinds, store, emit=events, val_fraction=0.0, keep_bytes=True)
    rows = [row for row in TABLE.values() if row[1] is None]
    # The one GIF that TensorFlow decodes in part is converted all the same.
    expected = Counter(row[2] for row in rows if row[2]) - Counter(["GIF"])
    assert artifact.summary["differ"] == dict(expected)
    said = [event.text for event in events if isinstance(event, Caution)]
    for reason, count in expected.items():
        assert any(text.startswith(f"kept as it is: {count} ({reason})") for text in said)
    for id, example in everything(Dataset.load(artifact.path)).items():
        name = Path(id).name.replace("-", " ")
        row = next(row for key, row in TABLE.items() if key.replace("-", " ") == name)
        if row[1] is None and name != "gif part of canvas":
            assert example.image == row[0]()


@pytest.fixture
def old(source, store):
    """What the first version of the stage made of the source."""
    with pytest.MonkeyPatch.context() as version_1:
        version_1.setattr("stages.shard.planning.VERSION", 1)
        fields = ShardConfig.model_dump
        version_1.setattr(
            ShardConfig,
            "model_dump",
            lambda self, **options: {
                k: v for k, v in fields(self, **options).items() if k != "keep_bytes"
            },
        )
        old = shard(source, store, share_of="image")
    assert old.manifest.version == 1
    return old


def test_what_the_first_version_made_is_still_found(old, source, store):
    events = []
    assert shard(source, store, emit=events).id == old.id
    assert any("earlier version" in event.text for event in events if isinstance(event, Note))
    forced = ShardRuntime(workers=0, force=True)
    anew = shard(source, store, runtime=forced, share_of="image")
    assert anew.manifest.version == 2
    assert anew.digest == old.digest


def test_once_this_version_has_made_one_it_is_that_which_is_found(old, source, store, monkeypatch):
    """With --force, which then holds for the same command without it, too."""

    def killed(*arguments, **named):
        raise KeyboardInterrupt

    forced = ShardRuntime(workers=0, force=True)
    monkeypatch.setattr("stages.shard.run.assemble", killed)
    with pytest.raises(KeyboardInterrupt):
        shard(source, store, runtime=forced)
    monkeypatch.undo()
    anew = shard(source, store)
    assert anew.id != old.id, "what --force began goes on"
    assert shard(source, store).path == anew.path
    assert api.shard(str(source), store=store, dry_run=True).finished == str(anew.path)
    (anew.path / "dataset.json").write_text("cut short")
    with pytest.raises(InputError, match=re.escape(str(anew.path))):
        shard(source, store)  # nothing older in its place without a word
    assert shard(source, store, runtime=forced).id == anew.id


def test_a_huge_file_costs_neither_memory_nor_shards_nor_room(source, store):
    """400 GiB of nothing, and a JPEG that says it has 3 GiB: sparse files, read no further than
    their beginning."""
    for name, head, size in (
        ("nothing.jpg", b"", 400 * 2**30),
        ("no-ending", b"\x00\x01\x02\x03", 3 * 2**30),
        ("long.jpg", encode(rgb(), "JPEG"), 3 * 2**30),
    ):
        with open(source / "ant" / name, "wb") as file:
            file.write(head)
            file.truncate(size)
    began = time.process_time()
    runtime = ShardRuntime(workers=0, max_bad_fraction=0.5)
    artifact = shard(source, store, runtime=runtime, shard_bytes=2**20, val_fraction=0.0)
    assert time.process_time() - began < 20
    assert artifact.summary["shards"] == {"train": 1}
    reasons = [
        json.loads(line) for line in (artifact.path / "rejects.jsonl").read_text().splitlines()
    ]
    assert [(row["id"], row["reason"][:34]) for row in reasons] == [
        ("ant/long.jpg", "the file has 3,072 MiB, more than "),
        ("ant/no-ending", "it is not an image of a known form"),
        ("ant/nothing.jpg", "it is nothing but zero bytes; copy"),
    ]


def said(events, kind):
    return [event.text for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("bad", [2, 5])
def test_the_first_files_left_out_are_named_with_their_reasons(source, store, bad):
    for i in range(bad):
        (source / "bee" / f"{i} bad.jpg").write_bytes(b"" if i else b"not a picture")
    events = []
    runtime = ShardRuntime(workers=0, max_bad_fraction=0.5)
    shard(source, store, runtime=runtime, emit=events)
    (caution,) = [text for text in said(events, Caution) if "left out" in text]
    assert f"{bad} files were left out" in caution
    assert "bee/0 bad.jpg: it is text; bee/1 bad.jpg: the file is empty" in caution
    assert ("bee/2 bad.jpg" in caution) == (bad > 2)
    assert caution.endswith("; ...") == (bad > 3)


def test_what_a_description_for_others_lacks_is_asked_for_only_where_it_is_published(source, store):
    events = []
    about = {"license": "CC-BY-4.0", "creator": "Jane Doe"}
    shard(source, store, runtime=ShardRuntime(workers=0, about=about), emit=events)
    (note,) = [text for text in said(events, Note) if "croissant.json" in text]
    assert "Only if you publish it" in note
    assert note.endswith(": --homepage, --date-published")


def test_the_store_may_lie_in_the_source_and_the_command_run_twice(source):
    inside = Store(source / "artifacts")
    first = shard(source, inside)
    assert shard(source, inside).path == first.path
    assert Dataset.load(first.path).info.classes == ("ant", "bee", "cat")
    # From another store: what the first wrote is told by its manifest.
    other = shard(source, Store(source.parent / "elsewhere"))
    assert (other.id, other.digest) == (first.id, first.digest)
    assert other.summary["skipped"] == {"folders that vitctl made": 1}


def test_out_may_lie_in_the_source(source, store):
    runtime = ShardRuntime(workers=0, out=source / "made")
    first = shard(source, store, runtime=runtime)
    assert shard(source, store, runtime=runtime).path == first.path
    assert Dataset.load(first.path).info.classes == ("ant", "bee", "cat")


def test_replay_pictures_are_no_photos(source, store):
    picture = sheet(np.zeros((2, 8, 8, 3), np.float32), [["a"], ["b"]])
    (source / "replays").mkdir()
    for name in ("ant/batch.png", *(f"replays/{i}.png" for i in range(9))):
        (source / name).write_bytes(picture)
    events = []
    artifact = shard(source, store, emit=events)
    assert artifact.summary["rejected"] == 0
    assert artifact.summary["skipped"] == {"pictures that vitctl made": 10}
    assert Dataset.load(artifact.path).info.classes == ("ant", "bee", "cat")
    assert any("10 pictures that vitctl made" in text for text in said(events, Note))
    assert said(events, Caution) == []


def test_the_layout_is_announced(source, store):
    events = []
    shard(source, store, emit=events)
    assert f"{source} is read as folders of classes" in said(events, Note)
    again = []
    shard(source, store, emit=again)
    assert said(again, Note) == said(events, Note)[:1]


def test_no_class_is_left_without_an_image_to_train_on(tmp_path, store):
    root = photos(tmp_path / "tiny", classes=[f"c{i}" for i in range(10)], each=1)
    events = []
    artifact = shard(root, store, emit=events, val_fraction=0.5, share_of="image")
    assert artifact.summary["examples"] == {"train": 10}
    assert artifact.manifest.config["stratified"] is True
    assert any("stay to train on instead of going to val" in text for text in said(events, Note))


def test_a_share_is_one_of_each_class_and_said(source, store):
    events = []
    artifact = shard(source, store, emit=events, val_fraction=0.34)
    dataset = Dataset.load(artifact.path)
    assert np.bincount(dataset.labels("val").ravel()).tolist() == [2, 2, 2]
    assert artifact.manifest.config["share_of"] == "class"
    assert "held out as val: 34 % of each class, by a hash of their paths: 6 of 18 images" in said(
        events, Note
    )
    small = []
    shard(source, store, emit=small, val_fraction=0.1)
    assert any(
        text.endswith(
            "2 of 18 images; classes that are too small for one in val: 1 "
            "(--val-per-class 1 takes one of each)"
        )
        for text in said(small, Note)
    )


@pytest.mark.parametrize("options", [{"val_fraction": 0.1}, {"val_per_class": 1}], ids=str)
def test_what_holds_out_no_image_of_a_class_of_one_is_no_hint(tmp_path, store, options):
    """A class keeps one image to train on, whatever is asked for."""
    root, events = tmp_path / "photos", []
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(encode(rgb(), "PNG"))
    shard(root, store, emit=events, **options)
    (caution,) = [t for t in said(events, Caution) if t.startswith("there is no image to score")]
    assert "as no class has two" in caution
    lines = said(events, Note) + said(events, Caution)
    assert not [text for text in lines if "--val-per-class" in text]
    (root / "bee" / "1.png").write_bytes(encode(rgb(), "PNG"))
    lines = []
    shard(root, store, emit=lines, val_fraction=0.1)
    assert any(
        "--val-per-class 1 takes one of each but 1 of one image" in t for t in said(lines, Note)
    )
    assert any("--val-per-class 1 holds out one" in text for text in said(lines, Caution))


def test_a_dataset_that_was_split_by_a_hash_of_each_image_is_found(source, store):
    """The same command goes on to return the dataset that runs were trained on."""
    earlier = shard(source, store, val_fraction=0.34, share_of="image")
    assert "share_of" not in earlier.manifest.config
    events = []
    assert shard(source, store, emit=events, val_fraction=0.34).path == earlier.path
    assert any("a hash of each, not a share of each class" in t for t in said(events, Note))
    runtime = ShardRuntime(workers=0, force=True)
    assert shard(source, store, runtime=runtime, val_fraction=0.34).path != earlier.path


def test_so_many_images_of_each_class(source, store):
    artifact = shard(source, store, val_per_class=2)
    dataset = Dataset.load(artifact.path)
    assert np.bincount(dataset.labels("val").ravel()).tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="two ways"):
        ShardConfig(val_per_class=2, val_fraction=0.1)


def test_settings_that_came_later_leave_older_ids_alone():
    """As the first version wrote it; `tests/fixtures/old_store` has whole datasets of it."""
    first = {
        "val_fraction": 0.1,
        "classes": None,
        "shard_bytes": 268435456,
        "shards": None,
        "max_pixels": 100000000,
    }
    second = {**first, "keep_bytes": False}
    assert ShardConfig(val_fraction=0.1).identity() == second
    assert ShardConfig(val_per_class=2).identity() == {
        **second,
        "val_fraction": None,
        "val_per_class": 2,
    }


def test_a_list_of_more_than_names_is_what_to_mend(source, store, tmp_path):
    (tmp_path / "classes.txt").write_text("1 ant\n2 bee\n3 cat\n")
    inputs = Inputs(str(source), classes_from=tmp_path / "classes.txt")
    with pytest.raises(InputError, match="3 of the 3 classes") as refused:
        shard(source, store, inputs=inputs)
    assert refused.value.hint == (
        "write only a name on each line: ant, where the file says '1 ant'"
    )
    names = tmp_path / "out.txt"
    names.write_text('"bee",\n"ant/0.png"\n')
    artifact = shard(source, store, inputs=Inputs(str(source), exclude=(str(names),)))
    assert Dataset.load(artifact.path).info.classes == ("ant", "cat")
    assert sum(artifact.summary["examples"].values()) == 11


def test_a_split_without_a_usable_image_costs_the_others_nothing(tmp_path, store):
    root = tmp_path / "split"
    photos(root / "train")
    for name in ("ant", "bee"):
        os.makedirs(root / "val" / name)
        (root / "val" / name / "0.jpg").write_bytes(b"not an image")
    events = []
    runtime = ShardRuntime(workers=0, max_bad_fraction=0.2)
    artifact = shard(root, store, emit=events, runtime=runtime)
    assert artifact.summary["examples"] == {"train": 18}
    assert list(Dataset.load(artifact.path).info.splits) == ["train"]
    assert any("no image of the val split is usable" in text for text in said(events, Caution))
    assert Artifact.load(artifact.path).check_contents() == []
    assert not list(artifact.path.glob("images-val*"))


def test_exclude_by_name_and_by_file(source, store, tmp_path):
    names = tmp_path / "names.txt"
    names.write_bytes("bee\r\nant/0.png\r\n".encode("utf-16"))
    artifact = shard(source, store, inputs=Inputs(str(source), exclude=(str(names),)))
    assert Dataset.load(artifact.path).info.classes == ("ant", "cat")
    assert sum(artifact.summary["examples"].values()) == 11
    with pytest.raises(UsageError, match="no class, top folder or image 'beee'") as error:
        shard(source, store, inputs=Inputs(str(source), exclude=("beee",)))
    assert "bee" in error.value.hint


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_lists_as_other_programs_write_them(source, store, tmp_path, encoding):
    listed, titles = tmp_path / "classes.txt", tmp_path / "titles.txt"
    listed.write_bytes("cat\r\nbee\r\nant\r\n".encode(encoding))
    titles.write_bytes("cat\tHouse cat\r\nant\tAnt\r\n".encode(encoding))
    inputs = Inputs(str(source), classes_from=listed, class_titles=titles)
    info = Dataset.load(shard(source, store, inputs=inputs).path).info
    assert info.classes == ("cat", "bee", "ant")
    assert info.class_titles == ("House cat", "bee", "Ant")


def test_shards_of_a_ray_cluster_are_those_of_this_machine(source, store, tmp_path, monkeypatch):
    """By a cluster in this process; tests/workers/test_ray_cluster.py has a real one."""
    fake = begin_ray(monkeypatch, FakeRay(losses=1))
    here = run(ShardConfig(), Inputs(source=source), store=store, runtime=HERE)
    other, events = Store(tmp_path / "other"), []
    remote = run(
        ShardConfig(),
        Inputs(source=source),
        store=other,
        runtime=ShardRuntime(ray="auto"),
        emit=events.append,
    )
    assert fake.actors
    assert fake.losses == 0
    assert here.id == remote.id
    shards = [path for path in here.path.local.iterdir() if "array_record" in path.name]
    assert shards
    for path in shards:
        assert path.read_bytes() == (remote.path.local / path.name).read_bytes()


def test_what_is_finished_needs_no_cluster(source, store, tmp_path, monkeypatch):
    """Nothing listens at the port: a socket that is bound, and not more, has it."""
    begin_ray(monkeypatch, FakeRay())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        gone = ShardRuntime(ray=f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(NotFoundError, match="there is no Ray cluster"):
            run(ShardConfig(), Inputs(source=source), store=store, runtime=gone)
        assert not store.root.exists()
        with pytest.raises(NotFoundError, match="there is no Ray cluster"):
            preview(ShardConfig(), Inputs(source=source), store=store, runtime=gone)
        made = run(ShardConfig(), Inputs(source=source), store=store, runtime=HERE)
        again = run(ShardConfig(), Inputs(source=source), store=store, runtime=gone)
        assert again.path == made.path
        monkeypatch.setattr("stages.shard.preview.worker_count", lambda runtime, images: 0)
        previewed = preview(ShardConfig(), Inputs(source=source), store=store, runtime=gone)
        assert previewed.finished == str(made.path)


@pytest.mark.parametrize("command", [run, preview])
@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"ray": "auto"}, "--ray auto"),
        ({"workers": 0}, "--workers 0"),
        ({"workers": 3}, "--workers 3"),
        ({"max_bad_fraction": 0.5}, "--max-bad-fraction 0.5"),
    ],
)
def test_workers_that_would_have_nothing_to_do_are_refused(command, given, option, store):
    inputs = Inputs(source="formula", formula=FormulaConfig(), virtual=True)
    with pytest.raises(UsageError, match=f"{option} .* --virtual stores none") as raised:
        command(ShardConfig(), inputs, store=store, runtime=ShardRuntime(**given))
    assert raised.value.hint == "leave one of them out"


def test_workers_of_a_cluster_are_elsewhere():
    with pytest.raises(UsageError, match="--workers 0 works in this process"):
        ShardRuntime(workers=0, ray="auto")
    with pytest.raises(UsageError, match="no address"):
        ShardRuntime(ray="somewhere")


@pytest.mark.parametrize("command", [run, preview])
@pytest.mark.parametrize(("kind", "way"), [("packed", "unpack the"), ("pixels", "convert it to")])
def test_a_source_that_is_copied_here_first_is_refused_before_a_cluster_works(
    source, store, tmp_path, monkeypatch, kind, way, command
):
    begin_ray(monkeypatch, FakeRay(unreachable=AssertionError("it is joined")))
    if kind == "packed":
        given = shutil.make_archive(str(tmp_path / "packed"), "gztar", source)
    else:
        given = str(tmp_path / "pixels.npz")
        pixels = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
        np.savez(given, x_train=pixels, y_train=np.arange(4) % 2)
    with pytest.raises(UsageError, match="read from front to back only") as raised:
        command(ShardConfig(), Inputs(source=given), store=store, runtime=ShardRuntime(ray="auto"))
    assert raised.value.hint.startswith(way)
    assert not store.root.exists()
