"""The next saves of a run give the files that orbax gives, byte for byte."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitctl.checkpoints import arrays
from vitctl.checkpoints.series import Series
from vitctl.errors import DoesNotFitError
from vitctl.places.local import LocalPath, based
from vitctl.places.nofollow import LinkError

VOLATILE = {name.rpartition("/")[2] for name in arrays.VOLATILE}


WHOLE = PartitionSpec()


def tree(seed: int):
    """Arrays of the kinds that a state has: divided, repeated, scalars, halves, only zeros."""
    rng = np.random.default_rng(seed)
    mesh = Mesh(np.asarray(jax.devices()).reshape(4, 2), ("data", "fsdp"))

    def place(array, spec=WHOLE):
        return jax.device_put(array, NamedSharding(mesh, spec))

    return {
        "layer": {
            "kernel": place(
                rng.normal(size=(8, 6)).astype(np.float32), PartitionSpec("data", None)
            ),
            "bias": place(rng.normal(size=(6,)).astype(jax.numpy.bfloat16)),
        },
        "zeros": place(np.zeros((4, 2), np.float32), PartitionSpec(None, "fsdp")),
        "count": place(np.asarray(seed, np.int32)),
    }


def parts(seed: int):
    return {"params": tree(seed), "opt": {"m": tree(seed + 100), "n": tree(seed + 200)["count"]}}


def files(place: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(place)): p.read_bytes()
        for p in sorted(place.rglob("*"))
        if p.is_file() and p.name not in VOLATILE
    }


def made(folder: Path, name: str) -> LocalPath:
    place = based(folder / name)
    place.mkdir()
    return place


def test_byte_for_byte_what_orbax_writes(tmp_path):
    series = Series()
    for step in range(3):
        place, plain = made(tmp_path, f"series{step}"), made(tmp_path, f"orbax{step}")
        series.begin(place, parts=parts(step), position={"step": step}).finish()
        arrays.save(plain, parts=parts(step), position={"step": step})
        assert files(place) == files(plain)
        names = [{str(p.relative_to(x)) for p in x.rglob("*")} for x in (place, plain)]
        assert names[0] == names[1]
    restored = arrays.restore(
        based(tmp_path / "series2"),
        "params",
        like=jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree(2)
        ),
    )
    assert all(map(np.array_equal, jax.tree.leaves(restored), jax.tree.leaves(tree(2))))


def test_the_files_that_tell_of_a_save_tell_of_this_one(tmp_path):
    series, began = Series(), 0
    for step in range(2):
        place = made(tmp_path, f"{step}")
        began = time.time_ns()
        series.begin(place, parts={"params": tree(step)}, position={}).finish()
        assert str(place / "params") in (place / "params" / "commit_success.txt").read_text()
        times = json.loads((place / "params" / "_CHECKPOINT_METADATA").read_bytes())
        assert began <= times["init_timestamp_nsecs"] <= times["commit_timestamp_nsecs"]


def test_what_is_written_was_copied_when_the_save_began(tmp_path):
    """A step takes the memory of its arguments for its results."""
    series = Series()
    series.begin(made(tmp_path, "0"), parts={"params": tree(0)}, position={}).finish()
    current = tree(1)
    writing = series.begin(made(tmp_path, "1"), parts={"params": current}, position={})
    jax.block_until_ready(
        jax.jit(lambda t: jax.tree.map(lambda x: x + 1, t), donate_argnums=0)(current)
    )
    writing.finish()
    arrays.save(made(tmp_path, "plain"), parts={"params": tree(1)}, position={})
    assert files(tmp_path / "1") == files(tmp_path / "plain")


@pytest.mark.parametrize(
    "other",
    [
        {"params": tree(1)["layer"]},
        {"params": tree(1), "ema": tree(2)},
        {"params": jax.tree.map(lambda x: jax.device_put(x, jax.devices()[0]), tree(1))},
        {"params": jax.tree.map(lambda x: jax.numpy.stack([x, x]), tree(1))},
    ],
    ids=["fewer", "another part", "elsewhere", "larger"],
)
def test_other_arrays_are_described_anew(tmp_path, other):
    series = Series()
    series.begin(made(tmp_path, "0"), parts={"params": tree(0)}, position={}).finish()
    series.begin(made(tmp_path, "1"), parts=other, position={}).finish()
    arrays.save(made(tmp_path, "plain"), parts=other, position={})
    assert files(tmp_path / "1") == files(tmp_path / "plain")


def test_a_failed_first_save_describes_nothing(tmp_path, monkeypatch):
    series = Series()
    writing = series.begin(made(tmp_path, "0"), parts={"params": tree(0)}, position={})
    arrays.Writing(writing.place, writing.position, writing.jobs[:-1]).finish()
    series.begin(made(tmp_path, "1"), parts={"params": tree(1)}, position={}).finish()
    arrays.save(made(tmp_path, "plain"), parts={"params": tree(1)}, position={})
    assert files(tmp_path / "1") == files(tmp_path / "plain")


def test_bytes_on_disk_are_those_of_first_copies():
    """Of one process that has all devices; what is divided counts once, as what is on all does."""
    arrays_of = tree(0)
    apart, shared = (arrays.bytes_on_disk(arrays_of, apart=each) for each in (True, False))
    assert apart == shared
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), arrays_of
    )
    assert arrays.bytes_on_disk(like, apart=True) == shared


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    series = Series()
    series.begin(made(tmp_path, "0"), parts={"params": tree(0)}, position={}).finish()
    disk = SimpleNamespace(total=100, free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: disk)
    with pytest.raises(DoesNotFitError, match="a checkpoint needs"):
        series.begin(made(tmp_path, "1"), parts={"params": tree(1)}, position={})
    assert not list((tmp_path / "1").iterdir())


def test_nothing_is_written_through_a_link(tmp_path):
    series = Series()
    series.begin(made(tmp_path, "0"), parts={"params": tree(0)}, position={}).finish()
    made(tmp_path, "outside")
    (made(tmp_path, "1") / "params").symlink_to(tmp_path / "outside")
    from vitctl.places.local import based

    with pytest.raises(LinkError):
        series.begin(based(tmp_path) / "1", parts={"params": tree(1)}, position={}).finish()
    assert not list((tmp_path / "outside").iterdir())
