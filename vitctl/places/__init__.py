"""Where files lie: a folder, or objects in a bucket.

    place              text -> a `Place`: a `LocalPath` or an `ObjectPath`
    contract           what every place answers, so that nobody asks which kind it is
    address            the name of an object in a bucket, and of its neighbours: text alone
    based_path         a path that knows below which folder it lies: text alone
    local              `LocalPath`: a based path, and what the disk answers
    nofollow           the only module that writes, replaces and removes files; never through a link
    objects            `ObjectPath`: an address, and what the store answers
    buckets            the requests to object stores, through fsspec, with retries
    explain            a failure of a store -> one sentence, a hint, an exit code
    copies             whole files to and from a bucket, verified
    background_writes  writes to a bucket in the background
    guards             what must hold before a path is published, replaced or removed
    out_file           the one file that a command writes where its user says
    home               the home folder: what `~/` means, and where caches lie
    disk               how much room a disk has
    scratch            folders on the local disk for files on their way to or from a bucket

An object store has no folders and no renames; an object is replaced as a whole. So what makes
something finished is one object, written last. fsspec is imported with the first request: whoever
works with local folders never loads it.
"""

from vitctl.places.objects import ObjectPath
from vitctl.places.place import Place, place

__all__ = ["ObjectPath", "Place", "place"]
