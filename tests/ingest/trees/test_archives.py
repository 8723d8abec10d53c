"""A tar and a zip of a folder mean what the folder means."""

from __future__ import annotations

from functools import partial

import pytest

from tests.ingest.trees.test_folder import contents, label_file, make
from tests.ingest.trees.test_tar import PATHS, packed, rows, spooled
from tests.ingest.trees.test_zip import METHODS, pack
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.trees.folder import list_folder

TARS = {
    f"p.tar{mode.replace('w:', '.').replace('w', '')}": partial(packed, mode=mode)
    for mode in ("w", "w:gz", "w:bz2", "w:xz", "w:zst")
}
ZIPS = {f"{method}.zip": partial(pack, method=method) for method in METHODS}
"""By the number of the method: 0 stores, 8 deflates."""
ARCHIVES = TARS | ZIPS


@pytest.fixture
def photos(tmp_path):
    return make(tmp_path / "photos", *PATHS)


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize("top", ["", "photos"])
def test_an_archive_of_a_folder_is_the_folder(photos, tmp_path, name, top):
    path = str(ARCHIVES[name](tmp_path / name, photos, top=top))
    for options in (
        {"exclude": ["café"]},
        {"layout": "classes"},
        {"unlabelled": True, "layout": "flat"},
    ):
        folder, listing = list_folder(photos, **options), list_images(path, **options)
        assert rows(listing) == rows(folder)
        assert listing.classes == folder.classes
        assert spooled(listing) == contents(folder)
        assert listing.fingerprint != folder.fingerprint  # another file, with a time of its own
        assert listing.fingerprint_of(contents=True) == folder.fingerprint_of(contents=True)
        assert listing.unmatched == folder.unmatched
        assert f"from a {'tar' if name in TARS else 'zip'}" in listing.reading
        in_sequence = name in TARS and name != "p.tar"
        assert ("front to back" in listing.reading) == in_sequence
    assert listing.skipped[".txt files"] == 1
    labels = label_file(tmp_path / "l", [("train/cat/1.jpg", ["a", "b"]), ("val/dog/x", [])])
    assert rows(list_images(path, labels=labels)) == rows(list_folder(photos, labels=labels))
