"""Files of one artifact that become files of another: the same bytes under two names where both lie
on one disk, verified copies elsewhere.

Nothing published is changed in its place, and `nofollow.opened` gives a file with several names one
of its own before it is written to, so that neither can damage the other; `rm` of either takes one
name.
"""

from __future__ import annotations

import errno
from typing import Literal

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.manifest import FileEntry
from vitctl.errors import InputError
from vitctl.places import Place, nofollow
from vitctl.places.based_path import temporary_name
from vitctl.places.copies import download, upload
from vitctl.places.local import LocalPath
from vitctl.places.scratch import scratch

# Another disk; a file system without hard links (FAT, some of FUSE and SMB); files of another user,
# which Linux lets nobody link (fs.protected_hardlinks); as many names as a file may have.
_NO_LINKS = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
    | {errno.EMLINK, errno.EINVAL}
)


def share_file(source: Artifact, entry: FileEntry, target: Place) -> Literal["linked", "copied"]:
    """Make `target` what `entry` of the source is; what had the name before goes.

    Raises InputError where a copy has other bytes than were published, or the file is gone. A file
    that is linked is not read: `verify --deep` does.
    """
    try:
        if target.remote is not None:
            _send(source, entry, target)
            return "copied"
        local = target.local
        assert local is not None
        if source.path.local is not None and _link(source.path.local / entry.path, local):
            return "linked"
        temporary = local.with_name(temporary_name(local.name))
        try:
            _fetch(source, entry, temporary)
            nofollow.sync(temporary)
            nofollow.rename(temporary, local)
        finally:
            temporary.remove(missing_ok=True)
    except FileNotFoundError:
        raise InputError(
            f"{source.path} is damaged: {entry.path} is missing",
            hint=f"see all: vitctl verify --deep {source.path}",
        ) from None
    nofollow.sync(local.parent)
    return "copied"


def can_link(source: Artifact, folder: Place) -> bool:
    """Whether files of an artifact can most likely be linked into a folder."""
    target, origin = folder.local, source.path.local
    if target is None or origin is None:
        return False
    return target.stat().st_dev == origin.stat().st_dev


def _link(source: LocalPath, target: LocalPath) -> bool:
    target.remove(missing_ok=True)
    try:
        nofollow.link(source, target)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    nofollow.sync(target.parent)
    return True


def _fetch(source: Artifact, entry: FileEntry, target: LocalPath) -> None:
    if not download(source.path / entry.path, target, size=entry.size, sha256=entry.sha256):
        raise _other_bytes(source, entry)


def _send(source: Artifact, entry: FileEntry, target: Place) -> None:
    """ArrayRecord's files are sent whole, from this machine: a store has no copying that every
    other has, too."""
    assert target.remote is not None
    if (here := source.path.local) is not None:
        sent = upload(here / entry.path, target.remote)
    else:
        with scratch(entry.size, of=f"a copy of {source.path / entry.path}") as folder:
            _fetch(source, entry, folder / target.name)
            sent = upload(folder / target.name, target.remote)
    if (sent.size, sent.sha256) != (entry.size, entry.sha256):
        target.remove(missing_ok=True)
        raise _other_bytes(source, entry)


def _other_bytes(source: Artifact, entry: FileEntry) -> InputError:
    return InputError(
        f"{source.path} is damaged: {entry.path} has other bytes than were published",
        hint=f"see all: vitctl verify --deep {source.path}",
    )
