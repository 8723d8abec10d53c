"""Where files lie: a folder, or objects in a bucket.

    place      text -> a `Place`: a `pathlib.Path` or an `ObjectPath`
    local      `LocalPath`: a `Path` that knows below which folder nothing goes through a link
    nofollow   what writes, replaces and removes files, never through a link
    objects    `ObjectPath`: the part of a Path's face that objects can have
    buckets    the requests, through fsspec: tried again, and explained where they fail
    transfer   whole files to and from a bucket, verified
    behind     writes that nobody waits for
    scratch    folders on the local disk for what is on its way

An object store has no folders and no renames; an object is replaced as a whole. So what makes
something finished is one object, written last. fsspec is imported with the first request: whoever
works with local folders never loads it.
"""

from vitctl.places.objects import ObjectPath
from vitctl.places.place import Place, children, inside, place

__all__ = ["ObjectPath", "Place", "children", "inside", "place"]
