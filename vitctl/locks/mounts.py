"""Which file system a folder is on, and whether other machines may see the same one."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Where flock may be one of this machine's kernel alone, depending on how it was mounted.
_SHARED = frozenset(
    {
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "kafs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "wekafs",
    }
)


def shared(folder: Path) -> str | None:
    """The type of the file system of a folder if other machines may see it, too; None if it is this
    machine's own, or where that cannot be told."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return None
    filesystem = type_of(os.path.realpath(folder), os.fsdecode(mountinfo))
    return filesystem if filesystem is not None and is_shared(filesystem) else None


def is_shared(type: str) -> bool:
    """FUSE's types have the name of their program behind a dot; `fuseblk` is a local disk."""
    return type.partition(".")[0] in _SHARED


def type_of(path: str, mountinfo: str) -> str | None:
    """The type of the file system that an absolute path without links lies on; proc(5) tells what
    the lines hold."""
    filesystem, longest = None, -1
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        above = point.rstrip("/") + "/"
        # The later of two at one place hides the earlier.
        if f"{path}/".startswith(above) and len(above) >= longest:
            filesystem, longest = after.split(" ")[0], len(above)
    return filesystem
