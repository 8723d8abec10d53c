"""The whole craft in a bucket, as a shell sees it: killed, resumed, and equal to a local one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import pytest

pytest.importorskip("s3fs", reason="pip install 'vitctl[test-all]'")

from tests import compiling
from tests.places import fakes
from tests.stages.warm import Warm
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TINY = [
    "--model",
    "test",
    "--set",
    "model.resolution=16",
    "--set",
    "data.batch=64",
    "--set",
    "data.augment.randaugment=none",
    "--set",
    "data.augment.mixup_alpha=none",
    "--set",
    "schedule.warmup_steps=2",
]


@pytest.fixture(scope="module", params=["s3", "gs"])
def fake(request):
    with getattr(fakes, request.param)() as fake:
        yield fake


# The sixth batch of the order has a pixel that is not a number.
SPOILT = """
import numpy as np
from vitctl.train.run.images import Images
honest = Images.train_batches
def spoilt(self, layout, *, start_step):
    for batch in honest(self, layout, start_step=start_step):
        if batch.number == 5:
            batch.images[3, 0, 0, 0] = np.nan
        yield batch
Images.train_batches = spoilt
"""


class Machine:
    """Where vitctl is run: a disk of its own, and a store. `run` and its like work in one warm
    process, `start` and `killed` in new ones."""

    def __init__(
        self, home: Path, store: str, environment: dict[str, str], *, prelude: str = ""
    ) -> None:
        for folder in ("tmp", "cache"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        self.home, self.store = home, store
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": compiling.QUICK,
            "VITCTL_STORE": store,
            "TMPDIR": str(home / "tmp"),
            "XDG_CACHE_HOME": str(home / "cache"),
            **environment,
        }
        self._warm = Warm(home, environment=self.environment, prelude=prelude)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._warm.__exit__(kind, error, trace)

    def run(self, *arguments: str) -> str:
        done = self._warm.run(*arguments)
        assert done.code == 0, done.err
        return done.out

    def json(self, *arguments: str) -> dict:
        return json.loads(self.run(*arguments, "--json").splitlines()[-1])

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.run("ls", "--json").splitlines()]

    def fails(self, *arguments: str) -> tuple[int, str]:
        done = self._warm.run(*arguments)
        assert "Traceback" not in done.err
        assert sum(line.startswith("error: ") for line in done.err.splitlines()) <= 1
        return done.code, done.out + done.err

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stages.app", *arguments],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def killed(self, door: fakes.Door, *arguments: str, after: int) -> None:
        """Start a command and kill it without warning at its `after`-th upload."""
        left, process = [after], self.start(*arguments)

        def count(method: str, path: str) -> str | None:
            left[0] -= _is_upload(method, path)
            if left[0] > 0:
                return None
            process.kill()
            return "cut"

        door.fault = count
        try:
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        door.fault = lambda method, path: None
        assert process.returncode == -9


def _is_upload(method: str, path: str) -> bool:
    return method == "PUT" or (method == "POST" and "/upload/" in path)


def _environment(fake: fakes.Fake, door: fakes.Door) -> dict[str, str]:
    make = fakes.s3_environment if fake.scheme == "s3" else fakes.gs_environment
    return make(door.port)


def _same(one: dict, other: dict) -> bool:
    """What was made is the same, wherever it lies."""
    return all(one[key] == other[key] for key in ("id", "digest", "kind", "summary"))


def test_the_whole_craft(fake, tmp_path):
    """Two machines, one bucket: the same ids and digests as in a folder."""
    with (
        fakes.door(fake) as door,
        Machine(tmp_path / "here", f"{fake.url}/store", _environment(fake, door)) as here,
        Machine(tmp_path / "there", f"{fake.url}/store", _environment(fake, door)) as remote,
        Machine(tmp_path / "local", str(tmp_path / "local" / "store"), {}) as local,
    ):
        shard = ["shard", "digits", "--shards", "6", "--workers", "0", "--classes", "0-3"]
        here.killed(door, *shard, after=6)
        assert [row["state"] for row in remote.rows()] == ["unfinished"]
        images = here.json(*shard)
        assert images["path"].startswith(f"{fake.url}/store/shard/digits-")
        assert _same(images, local.json(*shard))

        trunk = ["pretrain", *TINY, "--steps", "8", "--set", "schedule.kind=rsqrt"]
        trunk += ["--checkpoint-every", "4"]
        for after in (12, 120):  # in the first checkpoint, and past it
            here.killed(door, *trunk, after=after)
        # Another machine goes on with nothing but the URL.
        trained, ours = remote.json(*trunk), local.json(*trunk)
        assert trained["path"].endswith("/checkpoints/8")
        assert (trained["id"], trained["digest"]) == (ours["id"], ours["digest"])

        run, ours_run = (made["path"].removesuffix("/checkpoints/8") for made in (trained, ours))
        values = {}
        for machine, begin in ((remote, run), (local, ours_run)):
            cooled = machine.json("cooldown", "--from", f"{begin}@4", "--steps", "3")
            from_cooled = ["--from", cooled["path"]]
            tuned = machine.json("finetune", *from_cooled, "--data", "digits", "--epochs", "1")
            probe = machine.json("fewshot", *from_cooled, "--shots", "2", "--set", "draws=2")
            score = machine.json("evaluate", "--from", tuned["path"])
            batch = tmp_path / f"{machine.home.name}.npz"
            machine.run("replay", "--from", begin, "--step", "3", "--out", str(batch))
            values[machine] = (cooled, tuned, probe, score, batch.read_bytes())
        *made, batch = values[remote]
        *ours_made, ours_batch = values[local]
        for one, other in zip(made, ours_made, strict=True):
            assert one["path"].startswith(f"{fake.url}/store/")
            assert (one["id"], one["digest"]) == (other["id"], other["digest"]), one["kind"]
        assert batch == ours_batch
        score = made[-1]
        assert score["summary"]["examples"] == images["summary"]["examples"]["val"]
        assert not list((remote.home / "tmp").glob("vitctl-scratch-*"))

        # Looking
        listed = remote.rows()
        assert {row["state"] for row in listed} == {"finished"}
        assert {row["kind"] for row in listed} == {"dataset", "run", "fewshot", "evaluation"}
        for word in ("schedule", run, "goodput"):
            assert word in remote.run("show", f"{run}@4") + remote.run("show", run, "--json")
        assert images["path"] in json.dumps(remote.json("lineage", score["path"]))
        remote.run("verify", "--all", "--deep")

        # A byte that turned in the bucket
        script = (
            "import sys; from vitctl.places import place; "
            "p = place(sys.argv[1]) / 'images-train.keys'; c = p.read_bytes(); "
            "p.write_bytes(bytes([c[0] ^ 1]) + c[1:])"
        )
        command = [sys.executable, "-c", script, images["path"]]
        subprocess.run(command, env=remote.environment, check=True)
        code, said = remote.fails("verify", "--deep", images["path"])
        assert code == 3
        assert "other bytes than were published" in said


def test_a_divergence(fake, tmp_path):
    """The batch is kept in the bucket, and the run goes back and on as one in a folder."""
    command = ["pretrain", *TINY, "--mock", "--steps", "8", "--checkpoint-every", "4"]
    command += ["--set", "data.mock.examples=256"]
    ended = []
    for name, store, environment in (
        ("bucket", f"{fake.url}/diverging", fake.environment),
        ("folder", str(tmp_path / "store"), {}),
    ):
        with Machine(tmp_path / name, store, environment, prelude=SPOILT) as machine:
            code, said = machine.fails(*command)
            assert code == 11
            assert f"its batch is kept in {store}" in said
            (rows,) = [row for row in machine.rows() if row["kind"] == "batch"]
            machine.run("verify", "--deep", rows["path"])
            run = machine.json(*command, "--on-divergence", "rollback")
            batch = machine.json("show", rows["path"])
            assert "skipped after a divergence" in machine.run(
                "show", run["path"].partition("/checkpoints")[0]
            )
            ended.append([run["id"], run["digest"], batch["id"], batch["digest"]])
    assert ended[0] == ended[1]


def test_two_machines_on_one_recipe(fake, tmp_path):
    """One works, the other waits and finds the result."""
    machines = [
        Machine(tmp_path / str(i), f"{fake.url}/together", fake.environment) for i in range(2)
    ]
    command = ["pretrain", *TINY, "--mock", "--steps", "6", "--set", "data.mock.examples=256"]
    processes = [machine.start(*command) for machine in machines]
    try:
        answers = [process.communicate(timeout=PATIENCE_S) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    assert len({out for out, _ in answers}) == 1
    assert sum("another vitctl works on" in err for _, err in answers) == 1


TRAIN = ("pretrain", *TINY, "--mock", "--set", "data.mock.examples=256", "--steps")


def test_what_goes_wrong_is_a_sentence(fake, tmp_path):
    """No such bucket, no right, no credentials, no package: one error, a hint, a code."""
    with Machine(
        tmp_path / "a", f"{fake.scheme}://nosuchbucket/store", fake.environment
    ) as machine:
        for command in (["ls"], [*TRAIN, "2"]):
            code, said = machine.fails(*command)
            assert code == 4
            assert f"error: there is no bucket {fake.scheme}://nosuchbucket" in said
            assert "hint: " in said
    with fakes.door(fake) as door:
        door.fault = lambda method, path: 403
        with Machine(tmp_path / "b", f"{fake.url}/store", _environment(fake, door)) as denied:
            code, said = denied.fails("ls")
            assert code == 2
            assert f"error: access to {fake.url}" in said
            assert "hint: " in said
    package = {"s3": "s3fs", "gs": "gcsfs.core"}[fake.scheme]
    without = f"import sys; sys.modules['{package}'] = None"
    with Machine(tmp_path / "c", f"{fake.url}/s", fake.environment, prelude=without) as bare:
        code, said = bare.fails("ls")
        assert code == 2
        assert "needs a package that is not here" in said
        assert "hint: install it: pip install 'vitctl[cloud]'" in said


def test_no_credentials(fake, tmp_path):
    if fake.scheme == "gs":
        pytest.skip("an emulator asks for none")
    nobody = {
        **fake.environment,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    with Machine(tmp_path / "m", f"{fake.url}/store", nobody) as machine:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del machine.environment[name]
        code, said = machine.fails(*TRAIN, "2")
        assert code == 2
        assert "error: there are no credentials for s3://bucket" in said
        assert "hint: log in" in said


@pytest.mark.parametrize(
    ("answer", "exit_code", "sentence_part"), [(403, 2, "denied"), (404, 4, "bucket")]
)
def test_a_store_that_goes_away_while_training(fake, tmp_path, answer, exit_code, sentence_part):
    """Nothing half-published counts, the sentence says what is wrong, and it can go on."""
    store = f"{fake.url}/outage{answer}"
    with (
        fakes.door(fake) as door,
        Machine(tmp_path, store, _environment(fake, door)) as machine,
    ):
        command = [*TRAIN, "4", "--checkpoint-every", "2"]
        uploads = [0]
        lock = threading.Lock()

        def away(method: str, path: str) -> int | None:
            with lock:
                uploads[0] += _is_upload(method, path)
            return answer if uploads[0] > 20 else None

        door.fault = away
        code, said = machine.fails(*command)
        assert code == exit_code, said
        assert sentence_part in said
        door.fault = lambda method, path: None
        (row,) = machine.rows()
        assert row["steps"] == []
        assert machine.run(*command).strip().endswith("/checkpoints/4")


def test_a_lease_that_a_dead_machine_left(fake, tmp_path):
    """It is waited for, which is said, and then the work goes on: after the minute that leases
    last. With shorter ones a busy machine loses its own."""
    store = f"{fake.url}/left"
    with Machine(tmp_path, store, fake.environment) as machine:
        made = machine.run(*TRAIN, "2").strip()
        run = made.removesuffix("/checkpoints/2")
        script = (
            "import sys, json; from vitctl.places import place; "
            "p = place(sys.argv[1]) / '.lock' / '00000099'; "
            "p.write_bytes(json.dumps({'token': 't', 'beat': 3, 'world': 'another'}).encode())"
        )
        subprocess.run([sys.executable, "-c", script, run], env=machine.environment, check=True)
        done = machine._warm.run(*TRAIN, "3")
        assert done.code == 0
        assert "another vitctl works on" in done.err
