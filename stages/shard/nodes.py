"""Whether workers and the nodes of a Ray cluster have work that they can do, asked before a cluster
is joined or begun."""

from __future__ import annotations

from stages.shard.spec import Inputs, ShardRuntime
from vitctl.errors import UsageError
from vitctl.ingest.listing import Source
from vitctl.ingest.trees.tar import TarsInOrder
from vitctl.workers.ray_address import check_reachable

_UNPACK = "unpack the archive where all nodes see it"
# Unpacked files of pixels and tables are as little read at random as packed ones.
_CONVERT = "convert it to a folder or a plain tar of image files where all nodes see it"


def check_has_work(inputs: Inputs, runtime: ShardRuntime) -> None:
    """Raise UsageError where workers or a cluster are given, or how many images may be bad, and no
    image is made."""
    given = {
        "--ray": runtime.ray,
        "--workers": runtime.workers,
        "--max-bad-fraction": runtime.max_bad_fraction,
    }
    for option, value in given.items():
        if inputs.virtual and value is not None:
            raise UsageError(
                f"{option} {value} is about making images, and --virtual stores none",
                hint="leave one of them out",
            )


def check_nodes(ray: str | None, source: Source) -> None:
    """Raise where nodes of the cluster at `ray` could not read the source, or nothing is there;
    None is no cluster."""
    if ray is None:
        return
    if source.access != "random":
        way = _UNPACK if isinstance(source, TarsInOrder) else _CONVERT
        raise UsageError(
            "this source is read from front to back only, by way of a copy in TMPDIR, which other "
            "nodes do not see",
            hint=f"{way}, or leave out --ray; --part divides the work without a cluster",
        )
    check_reachable(ray)
