"""Whole files to and from a bucket. What was sent is compared with what the store says it has."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vitctl.errors import OutOfReachError
from vitctl.places import buckets, nofollow
from vitctl.places.buckets import Listed, ask, below, concurrently, look_up
from vitctl.places.objects import ObjectPath
from vitctl.places.place import Place

# Larger files are sent in parts of this size, several parts of several files at a time: at most
# AT_ONCE * _PARTS_AT_ONCE * PART bytes of memory.
PART = 32 << 20
_PARTS_AT_ONCE = 4
AT_ONCE = 4

_TRIES = 3
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Sent:
    """What a file holds, as it was read to be sent. `etags` are those S3 would give it."""

    size: int
    sha256: str
    md5: str
    etags: frozenset[str]


def upload(source: Path, target: ObjectPath) -> Sent:
    """Send one file."""
    sent = hashed(source)
    _put(source, target)
    _confirm({target: (source, sent)}, {target: look_up(target)})
    return sent


def files_below(folder: Path) -> list[str]:
    """Relative POSIX paths of every file, sorted."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def upload_folder(
    source: Path, target: ObjectPath, *, names: Iterable[str] | None = None
) -> dict[str, Sent]:
    """Send every file below a folder, or those of these relative `names`; name -> what it holds.

    Compared by one listing, which costs less than a request for each.
    """
    names = files_below(source) if names is None else sorted(names)

    def one(name: str) -> Sent:
        sent = hashed(source / name)
        _put(source / name, target / name)
        return sent

    sent = dict(zip(names, concurrently(one, names, at_once=_at_once(source, names)), strict=True))
    remote = below(target) if sent else {}
    _confirm(
        {target / name: (source / name, of) for name, of in sent.items()},
        {target / name: listed for name, listed in remote.items()},
    )
    return sent


def download(source: Place, target: Path, *, size: int, sha256: str) -> bool:
    """Fetch one file; whether it is the one expected. Read again once if not: it may have been the
    way here."""
    for _ in range(2):
        digest = hashlib.sha256()
        read = 0
        with nofollow.opened(target, "wb") as file:
            for block in source.blocks():
                file.write(block)
                digest.update(block)
                read += len(block)
        if (read, digest.hexdigest()) == (size, sha256):
            return True
    return False


def hashed(path: Path) -> Sent:
    """Every checksum of a file, in one reading."""
    whole, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    parts: list[bytes] = []
    part, filled, size = hashlib.md5(usedforsecurity=False), 0, 0
    with path.open("rb") as file:
        while block := file.read(min(_BLOCK, PART - filled)):
            for checksum in (whole, md5, part):
                checksum.update(block)
            size, filled = size + len(block), filled + len(block)
            if filled == PART:
                parts.append(part.digest())
                part, filled = hashlib.md5(usedforsecurity=False), 0
    if filled:
        parts.append(part.digest())
    in_parts = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return Sent(
        size=size,
        sha256=whole.hexdigest(),
        md5=base64.b64encode(md5.digest()).decode(),
        etags=frozenset({md5.hexdigest(), f"{in_parts}-{len(parts)}"}),
    )


def _put(source: Path, target: ObjectPath) -> None:
    more = {"max_concurrency": _PARTS_AT_ONCE} if target.scheme == "s3" else {}
    sized = {} if target.scheme == "memory" else {"chunksize": PART, **more}
    ask(target, lambda fs: fs.put_file(str(source), target.key, **sized), guarded=True)


def _confirm(sent: dict[ObjectPath, tuple[Path, Sent]], remote: dict[ObjectPath, Listed]) -> None:
    """Send again what the store does not have as it was sent."""

    def one(target: ObjectPath) -> None:
        source, of = sent[target]
        listed = remote.get(target)
        for _ in range(_TRIES):
            if listed is not None and _is_same(target, listed, of):
                return
            _put(source, target)
            listed = look_up(target)
        raise OutOfReachError(
            f"{target} does not hold what was written to it",
            exit_code=10,
            hint="run the same command again; if it stays so, tell who runs the store",
        )

    concurrently(one, sent)


def _is_same(target: ObjectPath, listed: Listed, sent: Sent) -> bool:
    """By the store's checksum; where it has none we know (some encrypt), by reading it back."""
    if listed.size != sent.size:
        return False
    if listed.md5 == sent.md5 or listed.etag in sent.etags:
        return True
    digest = hashlib.sha256()
    for block in buckets.blocks(target):
        digest.update(block)
    return digest.hexdigest() == sent.sha256


def _at_once(source: Path, names: Iterable[str]) -> int:
    """Many small files wait for answers, few large ones for memory."""
    largest = max(((source / name).stat().st_size for name in names), default=0)
    return AT_ONCE if largest > PART else buckets.AT_ONCE
