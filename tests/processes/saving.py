"""One of several processes that save a sharded state, without any training.

    python -c "from tests.processes.saving import main; main()" INDEX COUNT PORT STORE STEPS

Process 0 prints, as JSON, what the last checkpoint is and what was found before it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitctl import processes
from vitctl.artifacts import Recipe, Store, crew, staging
from vitctl.artifacts.manifest import FileEntry
from vitctl.checkpoints import arrays
from vitctl.console.failure import as_expected
from vitctl.errors import VitctlError
from vitctl.places import Place
from vitctl.processes import cluster, connection

RECIPE = Recipe(stage="pretrain", version=1, kind="run", config={"a": 1}, parents=())


def state(step: int) -> dict[str, jax.Array]:
    """Divided over all devices, divided over some, on all."""
    mesh = Mesh(np.asarray(jax.devices()).reshape(-1, 2), ("data", "fsdp"))
    draw = np.random.default_rng(step)
    parts = {"both": (("data", "fsdp"),), "some": (None, "fsdp"), "none": ()}

    def make(axes: tuple[object, ...]) -> jax.Array:
        whole = draw.normal(size=(16, 8)).astype(np.float32)
        sharding = NamedSharding(mesh, PartitionSpec(*axes))
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return {name: make(axes) for name, axes in parts.items()}


def like(step: int) -> dict[str, jax.ShapeDtypeStruct]:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding),
        state(step),
    )


def work(store: Store, steps: int) -> dict[str, object]:
    with crew.of(store).open_run(RECIPE, name="S16") as draft:
        fetched: list[str] = []
        copied = staging._copied

        def spy(source: Place, target: Path, entry: FileEntry) -> bool:
            fetched.append(entry.path)
            return copied(source, target, entry)

        staging._copied = spy
        before, problems = draft.usable(at_most=steps)
        done = before.step if before is not None and before.step is not None else 0
        restored = True
        if before is not None:
            params = arrays.restore(before.path, "params", like=like(done))
            same = jax.tree.map(
                lambda a, b: all(
                    np.array_equal(x.data, y.data)
                    for x, y in zip(a.addressable_shards, b.addressable_shards, strict=True)
                ),
                params,
                state(done),
            )
            restored = all(jax.tree.leaves(same))
        for step in range(done + 1, steps + 1):
            writing = arrays.begin(
                draft.empty_place(step),
                parts={"params": state(step)},
                position={"step": step},
                apart=draft.path.local is None,
            )
            writing.finish()
            artifact = draft.publish(
                step, summary={"step": step}, started="", volatile=arrays.VOLATILE
            )
        return {
            "digest": artifact.digest,
            "done": done,
            "problems": len(problems),
            "restored": all(processes.gather("restored", restored)),
            "fetched": processes.gather("fetched", sorted(fetched)),
            "files": [entry.path for entry in artifact.manifest.files],
        }


def main() -> None:
    index, count, port, store, steps = sys.argv[1:6]

    def report(error: VitctlError) -> None:
        print(f"error: {error.message}", file=sys.stderr, flush=True)

    try:
        if int(count) > 1:
            membership = cluster.Membership(int(count), int(index), f"localhost:{port}")
            connection.connect(membership, report=report, start_s=60)
        record = work(Store(store), int(steps))
        if processes.first():
            print(json.dumps(record), flush=True)
        if int(count) > 1:
            connection.finish()
    except Exception as caught:
        error = as_expected(caught)
        if error is None:
            raise
        report(error)
        connection.leave_now(error)
