"""Against real HTTP servers that speak S3 and GCS: the same promises, and what goes wrong."""

from __future__ import annotations

import hashlib
import os

import pytest

pytest.importorskip("s3fs", reason="pip install 'vitctl[test-all]'")

from tests.places import fakes
from vitctl.errors import DeniedError, OutOfReachError
from vitctl.events import silent
from vitctl.locks import leases
from vitctl.places import ObjectPath, buckets, copies, place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["s3", "gs"])
def fake(request):
    with getattr(fakes, request.param)() as fake:
        yield fake


@pytest.fixture(autouse=True)
def _fresh():
    """No connection of another test's environment."""
    buckets.filesystem.cache_clear()
    buckets._reachable.clear()
    yield
    buckets.filesystem.cache_clear()


@pytest.fixture
def reach(monkeypatch):
    """Make a port the store of a scheme."""

    def reach(scheme, port):
        settings = fakes.s3_environment(port) if scheme == "s3" else fakes.gs_environment(port)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)

    return reach


@pytest.fixture
def root(fake, reach, request):
    """A part of the bucket of this test's own."""
    reach(fake.scheme, fake.port)
    return place(f"{fake.url}/{request.node.name.partition('[')[0]}")


@pytest.fixture
def doored(fake, reach, request):
    """The same, through a door."""
    with fakes.door(fake) as door:
        reach(fake.scheme, door.port)
        yield door, place(f"{fake.url}/{request.node.name.partition('[')[0]}")


def test_what_pathlib_does(root):
    assert not root.exists()
    place(root / "a b").write_atomic(b"1")  # a name that URLs must quote
    place(root / "sub" / "x").write_atomic(b"22")
    place(root / "subway").write_atomic(b"")
    assert [(c.name, c.is_dir()) for c in place(root).children()] == [
        ("a b", False),
        ("sub", True),
        ("subway", False),
    ]
    assert (root / "a b").read_bytes() == b"1"
    assert (root / "sub" / "x").stat().st_size == 2
    assert list(buckets.below(root)) == ["a b", "sub/x", "subway"]
    place(root / "a b").write_atomic(b"changed")
    assert (root / "a b").read_bytes() == b"changed"
    (root / "a b").unlink()
    for missing in (root / "a b", root / "nothing"):
        assert not missing.exists()
        with pytest.raises(FileNotFoundError):
            missing.read_bytes()


def test_only_one_creates(root):
    buckets.write(root / "one", b"first", new=True)
    with pytest.raises(FileExistsError):
        buckets.write(root / "one", b"second", new=True)
    assert (root / "one").read_bytes() == b"first"


def test_leases_work_on_it(root):
    with leases.lease(root / ".lock", emit=silent, waiting=""):
        assert leases.is_held(root / ".lock")
        assert leases._take(root / ".lock", 1) is None
    assert not leases.is_held(root / ".lock")


def test_files_of_every_size_arrive(root, tmp_path, monkeypatch):
    """In one request and in parts, at the sizes where it changes; sent twice, so that the second
    replaces the first."""
    monkeypatch.setattr(copies, "PART", 5 << 20)
    for size in (0, 1, (5 << 20) - 1, 5 << 20, (10 << 20) + 7, 12 << 20):
        data = os.urandom(size)
        (tmp_path / "file").write_bytes(data)
        sent = copies.upload(tmp_path / "file", root / "file")
        assert (sent.size, sent.sha256) == (size, hashlib.sha256(data).hexdigest())
        elsewhere = tmp_path / "again"
        assert copies.download(root / "file", elsewhere, size=size, sha256=sent.sha256)
        assert elsewhere.read_bytes() == data


def test_what_arrives_changed_is_sent_again(root, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"content")
    real, sent = copies._put, []

    def damaged(source, target):
        real(source, target)
        if not sent:
            buckets.write(target, b"CONTENT")
        sent.append(target)

    monkeypatch.setattr(copies, "_put", damaged)
    copies.upload_folder(tmp_path, root)
    assert (root / "file").read_bytes() == b"content"
    assert len(sent) == 2


def test_cut_connections_and_busy_stores_are_asked_again(doored):
    door, root = doored
    place(root / "first").write_atomic(b"1")
    for fault in ("cut", "lose", 503, 500):
        left = [fault, fault]
        door.fault = lambda method, path, left=left: left.pop() if left else None
        place(root / "x").write_atomic(str(fault).encode())
        assert not left
        assert (root / "x").read_bytes() == str(fault).encode()


def test_a_lost_answer_to_a_create_is_not_anothers(doored):
    door, root = doored
    place(root / "first").write_atomic(b"1")
    left = ["lose"]
    door.fault = lambda method, path: left.pop() if method in ("PUT", "POST") and left else None
    buckets.write(root / "one", b"mine", new=True)
    assert not left


def test_a_store_that_refuses(doored):
    door, root = doored
    door.fault = lambda method, path: 403
    with pytest.raises(DeniedError, match=r"access to .* denied") as caught:
        (root / "x").read_bytes()
    assert caught.value.exit_code == 2


def test_no_such_bucket(fake, reach):
    reach(fake.scheme, fake.port)
    unknown = ObjectPath(fake.scheme, "nosuchbucket/store/x")
    for ask in (
        unknown.read_bytes,
        unknown.is_file,
        lambda: place(unknown).write_atomic(b"1"),
        unknown.is_dir,
    ):
        buckets._reachable.clear()
        with pytest.raises(OutOfReachError, match="no bucket") as caught:
            ask()
        assert caught.value.exit_code == 4


def test_nobody_answers(fake, reach, monkeypatch):
    reach(fake.scheme, 9)  # the port of a service nobody runs
    monkeypatch.setattr("gcsfs.retry.asyncio.sleep", _no_sleep)
    with pytest.raises(OutOfReachError, match="cannot be reached") as caught:
        (place(f"{fake.url}/x")).read_bytes()
    assert caught.value.exit_code == 10


async def _no_sleep(seconds):
    return None


def test_no_credentials(fake, reach, monkeypatch, tmp_path):
    if fake.scheme == "gs":
        pytest.skip("an emulator asks for none")
    reach(fake.scheme, fake.port)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(DeniedError, match="no credentials"):
        (place(f"{fake.url}/x")).read_bytes()
