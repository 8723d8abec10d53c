"""Made-up mounts, as the kernel would tell of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vitctl.locks import mounts

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 252:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 27 0:30 / /home rw shared:2 - autofs systemd-1 rw,fd=44
31 30 0:31 / /home rw shared:3 master:4 - nfs4 server:/home rw,vers=4.2,local_lock=none
32 31 0:32 / /home/me/scratch rw - xfs /dev/vdb rw
33 27 0:33 / /mnt/my\040data rw - fuse.gcsfuse bucket rw
34 27 0:34 / /lustre rw - lustre 10.0.0.1@tcp:/fs rw,localflock
35 27 0:35 / /usb rw - fuseblk /dev/sdb1 rw
a line of a kernel to come
36 27 0:36 / /sys/fs/fuse/connections rw - fusectl fusectl rw
"""


@pytest.mark.parametrize(
    ("path", "type", "shared"),
    [
        ("/", "ext4", False),
        ("/homes/run", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/artifacts", "nfs4", True),
        ("/home/me/scratch/run", "xfs", False),
        ("/mnt/my data/store", "fuse.gcsfuse", True),
        ("/lustre/store", "lustre", True),
        ("/usb/store", "fuseblk", False),
        ("/sys/fs/fuse/connections", "fusectl", False),
    ],
)
def test_the_file_system_of_a_path(path, type, shared):
    assert mounts.type_of(path, MOUNTINFO) == type
    assert mounts.is_shared(type) == shared


def test_nothing_is_known_of_what_is_not_told():
    assert mounts.type_of("/x", "") is None
    assert mounts.type_of("/x", "22 27 0:21 / /proc rw - proc proc rw\n") is None


def test_links_are_followed(tmp_path, monkeypatch):
    (tmp_path / "server").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "server")
    line = f"1 0 0:1 / {tmp_path / 'server'} rw - nfs server:/x rw\n"
    monkeypatch.setattr(Path, "read_bytes", lambda self: line.encode())
    assert mounts.shared(tmp_path / "link") == "nfs"
    assert mounts.shared(tmp_path) is None


def test_where_the_system_does_not_tell_nothing_is_shared(tmp_path, monkeypatch):
    def missing(self):
        raise FileNotFoundError(2, "No such file", str(self))

    monkeypatch.setattr(Path, "read_bytes", missing)
    assert mounts.shared(tmp_path) is None
