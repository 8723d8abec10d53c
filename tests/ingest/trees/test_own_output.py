"""What vitctl wrote is no source of images: in a folder, in archives of it, whatever holds it."""

from __future__ import annotations

import contextlib
import json
import shutil
import tarfile

import numpy as np
import pytest

from tests.artifacts.making import made, recipe
from tests.ingest.test_folder_layout import RUN
from tests.ingest.trees.test_folder import make
from vitctl.artifacts import Store
from vitctl.data.sheet import sheet
from vitctl.errors import InputError
from vitctl.events import silent
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.trees import own_output

PICTURE = sheet(np.zeros((2, 8, 8, 3), np.float32), [["a"], ["b"]])
CONTAINERS = ("folder", "tar", "tar in a tar", "tar.gz", "tar.gz in a tar", "zip", "zip, stored")


def packed(container, folder, *, top=True):
    """A folder in a container; `top`: whether its own name is a part of the paths."""
    out, name = folder.with_suffix(".packed"), folder.name if top else "."
    if container == "folder":
        return folder
    if container.startswith("zip"):
        import zipfile

        method = zipfile.ZIP_STORED if "stored" in container else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(out, "w", method) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder.parent if top else folder))
        return out
    with tarfile.open(out, "w:gz" if container.startswith("tar.gz") else "w") as archive:
        archive.add(folder, arcname="." if container.endswith("in a tar") else name)
    if container.endswith("in a tar"):
        inner = "all.tar.gz" if container.startswith("tar.gz") else "all.tar"
        inside, out = out.rename(out.with_name(inner)), out.with_name("outer")
        with tarfile.open(out, "w") as archive:
            archive.add(inside, arcname=inside.name)
    return out


def ids(listing):
    return sorted(entry.id for entry in listing.entries)


@pytest.fixture
def photos(tmp_path):
    """Two classes; and what people's habits leave among them."""
    root = make(tmp_path / "photos", *(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3)))
    store = Store(root / "artifacts")
    artifact = made(store, recipe(n=1))
    make(artifact.path, "train/cat/1.jpg", "images/2.png", "titles.csv")
    copied = root / "old" / "best"
    shutil.copytree(artifact.path, copied)
    with contextlib.suppress(RuntimeError), store.open(recipe(n=2), name="thing") as draft:
        make(draft.path, "shown/3.jpg")
        raise RuntimeError
    run = make(store.root / "pretrain" / "run-1a2b3c4d", "pictures/4.jpg")
    (run / "run.json").write_text(json.dumps(RUN))
    for name in ("cat/batch.png", "replays/1.png", "replays/late/2.PNG"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(PICTURE)
    return root


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_vitctl_wrote_makes_no_class(photos, container):
    source_ = str(packed(container, photos))
    listing = list_images(source_)
    assert listing.classes == ["cat", "dog"]
    assert ids(listing) == sorted(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(3))
    assert listing.skipped[own_output.KIND] == 4
    assert listing.skipped[own_output.PICTURES] == 3
    assert listing.empty_classes == []
    flat = list_images(source_, unlabelled=True, layout="flat")
    assert ids(flat) == ids(listing)
    with (
        at_random(listing.source, [listing.entries], largest=2**30, emit=silent) as source,
        source.reader() as reader,
    ):
        for entry in listing.entries:
            with reader.open(entry) as file:
                assert file.read().decode() == entry.id


@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("container", CONTAINERS[1:])
def test_what_vitctl_wrote_as_the_whole_source(photos, container, top):
    (artifact,) = (photos / "artifacts" / "shard").glob("thing-*/artifact.json")
    with pytest.raises(InputError, match="what vitctl made") as refused:
        list_images(str(packed(container, artifact.parent, top=top)))
    assert refused.value.hint == "give the folder of the images themselves"


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_strangers_files_of_those_names_change_nothing(tmp_path, container):
    root = make(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg", "cat/artifact.json", "run.json")
    (root / "dog" / "draft.json").write_text('{"file": "2.jpg"}')
    listing = list_images(str(packed(container, root)))
    assert ids(listing) == ["cat/1.jpg", "dog/2.jpg"]
    assert listing.skipped == {".json files": 3}


def archives_of(container, *folders):
    """Each folder in an archive of its own, in one folder."""
    out = folders[0].parent / "archives"
    out.mkdir()
    for i, folder in enumerate(folders):
        packed(container, folder, top=False).rename(out / f"{i}.{container.partition(',')[0]}")
    return str(out / "*")


@pytest.mark.parametrize("container", ["tar", "tar.gz", "zip"])
def test_of_several_archives_those_that_vitctl_made_are_left_out(tmp_path, container):
    """Also one that is nothing else; what another archive has under the same names stays."""
    store = Store(tmp_path / "artifacts")
    whole = make(made(store, recipe(n=1)).path, "cat/0.png", "ant/9.png", "ant/labels.csv")
    nested = make(tmp_path / "nested", "cat/1.png", "dog/1.png")
    shutil.copytree(made(store, recipe(n=2)).path, nested / "dog", dirs_exist_ok=True)
    photos = make(tmp_path / "photos", "cat/2.png", "dog/2.png")
    listing = list_images(archives_of(container, whole, nested, photos))
    assert ids(listing) == ["cat/1.png", "cat/2.png", "dog/2.png"]
    assert listing.classes == ["cat", "dog"]
    assert listing.empty_classes == []
    assert listing.skipped[own_output.KIND] == 2


def test_several_archives_that_vitctl_made(tmp_path):
    store = Store(tmp_path / "artifacts")
    folders = [make(made(store, recipe(n=n)).path, "cat/0.png") for n in (1, 2)]
    for folder in folders:
        folder.rename(tmp_path / folder.name)
    with pytest.raises(InputError, match="what vitctl made"):
        list_images(archives_of("tar", *(tmp_path / folder.name for folder in folders)))


def test_of_very_many_pngs_some_of_each_folder_are_looked_at(tmp_path, monkeypatch):
    """Opening a million files on a share takes minutes; a folder of replay pictures still goes."""
    monkeypatch.setattr(own_output, "_ALL_LOOKED_AT", 10)
    monkeypatch.setattr(own_output, "_LOOKED_AT", 2)
    root = make(tmp_path / "photos", *(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(9)))
    # In one folder the last are pictures, as a name like replay-200.png makes them.
    for name in ("cat/5.png", "dog/8.png", *(f"replays/{i}.png" for i in range(4))):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(PICTURE)
    listing = list_images(str(root))
    assert listing.classes == ["cat", "dog"]
    assert "cat/5.png" in ids(listing)  # it is left out when it is read
    assert "dog/8.png" not in ids(listing)
    assert listing.skipped[own_output.PICTURES] == 5


@pytest.mark.parametrize("cut", range(0, 1024, 37))
def test_an_archive_that_was_cut_within_a_picture_keeps_what_is_before(tmp_path, cut):
    root = make(tmp_path / "photos", "cat/1.jpg", "dog/2.jpg")
    (root / "zebra").mkdir()
    noise = np.random.default_rng(0).bytes(4096)
    (root / "zebra" / "3.png").write_bytes(PICTURE[:100] + noise)
    path = tmp_path / "p.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("cat/1.jpg", "dog/2.jpg", "zebra/3.png"):
            archive.add(root / name, arcname=name)
    path.write_bytes(path.read_bytes()[: -1 - cut])
    listing = list_images(str(path))
    assert ids(listing)[:2] == ["cat/1.jpg", "dog/2.jpg"]
    assert listing.cautions
