"""Several real processes whose only common ground is a bucket: each sends its own part."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="pip install 'vitctl[test-all]'")

from tests.places import fakes
from tests.processes.running import Ended, begin
from vitctl.artifacts import Run
from vitctl.errors import NotFoundError
from vitctl.places import buckets, place
from vitctl.text.quantities import show_bytes

pytestmark = pytest.mark.slow

# One that is dead or cut off is given up after six seconds instead of sixty.
QUICK = """
from vitctl.locks import leases
leases.BEAT_S, leases.PATIENCE_S = 0.5, 6.0
"""
SAVING = "from tests.processes.saving import main; main()"
# The last process halts with the first of its files sent.
HALTING = """
import sys, time
from vitctl.places import copies
put = copies._put
def put_and_halt(source, target):
    put(source, target)
    if index == 1 and "/checkpoints/2/" in str(target):
        print("sending", file=sys.stderr, flush=True)
        time.sleep(1000)
copies._put = put_and_halt
"""


# The folder of process 0 is made later than that of process 1.
LATE_FOLDER = """
import asyncio
from orbax.checkpoint._src.path import atomicity
create = atomicity._create_tmp_directory
async def create_late(*args, **options):
    if index == 0:
        await asyncio.sleep(1.5)
    return await create(*args, **options)
atomicity._create_tmp_directory = create_late
"""


# A step takes a quarter of a second, so that there is time for a signal.
SLOW = """
import time
from vitctl.data import pipeline
train_batches = pipeline.train_batches
def slow_batches(*args, **options):
    for batch in train_batches(*args, **options):
        time.sleep(0.25)
        yield batch
pipeline.train_batches = slow_batches
"""


# The disk of a process has room for so many bytes.
ROOM = """
import shutil
usage = shutil.disk_usage
shutil.disk_usage = lambda folder: usage(folder)._replace(free={room}[index])
"""


@pytest.fixture(scope="module", params=["s3", "gs"])
def fake(request):
    with getattr(fakes, request.param)() as fake:
        yield fake


def saving(count: int, store: object, steps: int, *, folder: Path, prelude: str = "", **more):
    """Real processes that save a state at `steps` steps, without training."""
    return begin(count, store, steps, folder=folder, prelude=QUICK + prelude, code=SAVING, **more)


def answer_of(*ended: Ended) -> dict:
    assert [e.code for e in ended] == [0] * len(ended), "\n".join(e.err for e in ended)
    answers = [line for e in ended for line in e.out.splitlines() if line.startswith("{")]
    assert len(answers) == 1  # the rest is Gloo's
    return json.loads(answers[0])


@pytest.mark.parametrize("devices", [1, 2])
def test_each_sends_its_part(fake, tmp_path, devices):
    """From disks of their own; the digest is that of a store on one disk, whoever wrote what."""
    more = {"devices": devices, "environment": fake.environment}
    store = f"{fake.url}/parts{devices}"
    on_disk = answer_of(
        *saving(2, tmp_path / "store", 2, folder=tmp_path / "h", devices=devices).ended()
    )
    in_bucket = answer_of(*saving(2, store, 2, folder=tmp_path / "t", **more).ended())
    assert in_bucket == on_disk
    assert sum("/c/" in name for name in in_bucket["files"]) == 2 * devices + 2 + 1
    again = answer_of(*saving(2, store, 3, folder=tmp_path / "again", **more).ended())
    assert (again["done"], again["restored"], again["problems"]) == (2, True, 0)
    # Each fetched the chunks of its own devices, and those that all have.
    both = [{n for n in names if "/both/c/" in n} for names in again["fetched"]]
    assert [len(names) for names in both] == [devices, devices]
    assert not both[0] & both[1]
    assert all("params/none/c/0/0" in names for names in again["fetched"])
    # Nothing is left on any disk.
    assert not list(tmp_path.glob("*/disk*/tmp/vitctl-scratch-*"))


def test_one_makes_its_folder_later(fake, tmp_path):
    """orbax lets all write once one has told that it made its folder."""
    store, more = f"{fake.url}/late", {"environment": fake.environment}
    late = saving(2, store, 2, folder=tmp_path / "late", prelude=LATE_FOLDER, **more)
    late = answer_of(*late.ended())
    steady = answer_of(*saving(2, tmp_path / "store", 2, folder=tmp_path / "steady").ended())
    assert (late["digest"], late["files"]) == (steady["digest"], steady["files"])


@pytest.mark.parametrize("victim", [0, 1])
def test_one_dies_while_they_send(fake, tmp_path, victim):
    """Half of a checkpoint is in the bucket; it never counts, and is made again."""
    store, more = f"{fake.url}/killed{victim}", {"environment": fake.environment}
    running = saving(2, store, 3, folder=tmp_path / "killed", prelude=HALTING, **more)
    running.wait_until(lambda: "sending" in running.err(1))
    running.kill(victim, signal.SIGKILL)
    ended = running.ended()
    assert ended[victim].code == -9
    assert ended[1 - victim].code == 10, ended
    assert "process 1 (" in ended[0].err if victim == 1 else "process 0" in ended[1].err
    again = answer_of(*saving(2, store, 3, folder=tmp_path / "again", **more).ended())
    assert (again["done"], again["restored"], again["problems"]) == (1, True, 0)
    steady = answer_of(*saving(2, tmp_path / "store", 3, folder=tmp_path / "steady").ended())
    assert (again["digest"], again["files"]) == (steady["digest"], steady["files"])


def pretrain(store: object) -> list[object]:
    return [
        "pretrain", "--model", "test", "--mock", "--store", store, "--batch", 16, "--res", 16,
        "--set", "data.mock.examples=64", "--set", "data.eval_split=none",
        "--set", "model.classes=4", "--set", "schedule.warmup_steps=2", "--mesh", "fsdp=2",
        "--set", "schedule.timescale_steps=20", "--steps", 8, "--checkpoint-every", 2, "--json",
    ]  # fmt: skip


def test_two_train_one_dies_and_they_go_on(fake, tmp_path, monkeypatch):
    """The command line, each process with a disk of its own: bitwise what it is in a folder."""
    store, environment = f"{fake.url}/trained", fake.environment

    running = begin(
        2, *pretrain(store), folder=tmp_path / "killed", prelude=QUICK + SLOW,
        environment=environment,
    )  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    buckets.filesystem.cache_clear()

    def saved() -> bool:
        with suppress(NotFoundError):  # it is only just begun
            return any(Run.load(run).steps() for run in (place(store) / "pretrain").iterdir())
        return False

    running.wait_until(saved)
    running.kill(1, signal.SIGKILL)
    ended = running.ended()
    assert [e.code for e in ended] == [10, -9], ended
    again, other = begin(
        2, *pretrain(store), folder=tmp_path / "again", prelude=QUICK, environment=environment
    ).ended()
    assert (again.code, other.code) == (0, 0), again.err + other.err
    assert "from step" in again.err
    steady, other = begin(2, *pretrain(tmp_path / "store"), folder=tmp_path / "steady").ended()
    assert (steady.code, other.code) == (0, 0), steady.err + other.err
    in_bucket, on_disk = (json.loads(e.out.splitlines()[-1]) for e in (again, steady))
    assert (in_bucket["id"], in_bucket["digest"]) == (on_disk["id"], on_disk["digest"])


def test_one_that_cannot_reach_the_bucket(fake, tmp_path):
    """All end with its words and its code."""
    if fake.scheme == "gs":
        pytest.skip("gcsfs tries for a minute")
    cut = "import os\nif index == 1: os.environ['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9'\n"
    environment, store = fake.environment, f"{fake.url}/lonely"
    ended = saving(2, store, 1, folder=tmp_path, prelude=cut, environment=environment).ended()
    assert [e.code for e in ended] == [10, 10], ended
    assert "cannot be reached" in ended[1].err
    assert "process 1 ended" in ended[0].err


def test_the_disk_of_each_must_have_room_for_its_part(fake, tmp_path):
    """Of two that have half of every array: what is free on one is too little, and all say so."""
    if fake.scheme == "gs":
        pytest.skip("nothing of this is about one kind of bucket")
    store, environment = f"{fake.url}/full", fake.environment
    for room, code in (((10**9, 100_000), 6), ((10**9, 2_200_000), 0)):
        prelude, folder = QUICK + ROOM.format(room=room), tmp_path / str(code)
        ended = begin(
            2, *pretrain(store), folder=folder, prelude=prelude, environment=environment
        ).ended()
        assert [e.code for e in ended] == [code, code], "\n".join(e.err for e in ended)
        if code:
            said = "".join(each.err for each in ended)
            assert "error: what one process writes of a checkpoint of" in said
            assert f"disk1/tmp has {show_bytes(100_000)} free" in said
