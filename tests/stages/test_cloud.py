"""The whole craft in a bucket, as a shell sees it: killed, resumed, and equal to a local one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="pip install 'vitctl[test-all]'")

sys.path.append(str(Path(__file__).parents[1] / "places"))
import fakes

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
# The weights are gone from the cache, the images too: nothing but the bucket outlives a machine.
KEYS = ("path", "id", "digest", "kind", "summary")


@pytest.fixture(scope="module", params=["s3", "gs"])
def fake(request):
    with getattr(fakes, request.param)() as fake:
        yield fake


class Shell:
    """Runs vitctl on a machine of its own (its disk), with a store."""

    def __init__(self, home: Path, store: str, environment: dict[str, str]) -> None:
        for folder in ("tmp", "cache"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        self.home = home
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            "VITCTL_STORE": store,
            "TMPDIR": str(home / "tmp"),
            "XDG_CACHE_HOME": str(home / "cache"),
            **environment,
        }

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

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out

    def json(self, *arguments: str) -> dict:
        return json.loads(self.run(*arguments, "--json").splitlines()[-1])

    def fails(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert out == ""
        assert "Traceback" not in err
        return process.returncode, err

    def killed(self, door: fakes.Door, *arguments: str, after: int) -> None:
        """Start a command and kill it without warning at its `after`-th upload."""
        left, process = [after], self.start(*arguments)

        def count(method: str, path: str) -> str | None:
            upload = method == "PUT" or (method == "POST" and "/upload/" in path)
            left[0] -= upload
            if left[0] > 0:
                return None
            process.kill()
            return "cut"

        door.fault = count
        process.communicate(timeout=300)
        door.fault = lambda method, path: None
        assert process.returncode == -9


def test_the_whole_craft(fake, tmp_path):
    with fakes.door(fake) as door:
        make = fakes.s3_environment if fake.scheme == "s3" else fakes.gs_environment
        here = Shell(tmp_path / "here", f"{fake.url}/store", make(door.port))
        local = Shell(tmp_path / "local", str(tmp_path / "local" / "store"), {})

        shard = ["shard", "digits", "--shards", "6", "--workers", "0", "--classes", "0-3"]
        here.killed(door, *shard, after=6)
        assert json.loads(here.run("ls", "--json").splitlines()[0])["state"] == "unfinished"
        images = here.json(*shard)
        ours = local.json(*shard)
        assert images["path"].startswith(f"{fake.url}/store/shard/digits-")
        assert [images[k] for k in KEYS[1:]] == [ours[k] for k in KEYS[1:]]

        trunk = ["pretrain", *TINY, "--steps", "8", "--set", "schedule.kind=rsqrt"]
        more = ["--checkpoint-every", "4"]
        for after in (12, 120):  # in the first checkpoint, and past it
            here.killed(door, *trunk, *more, after=after)
        trained = here.json(*trunk, *more)
        assert trained["path"].endswith("/checkpoints/8")
        assert [trained[k] for k in KEYS[1:3]] == [local.json(*trunk, *more)[k] for k in KEYS[1:3]]

        # Another machine goes on with nothing but the URL.
        there = Shell(tmp_path / "there", f"{fake.url}/store", make(door.port))
        run = trained["path"].removesuffix("/checkpoints/8")
        cooled = there.run("cooldown", "--from", f"{run}@4", "--steps", "3").strip()
        tuned = there.run("finetune", "--from", cooled, "--data", images["path"], "--epochs", "1")
        probe = there.json("fewshot", "--from", cooled, "--shots", "2", "--set", "draws=2")
        score = there.json("evaluate", "--from", tuned.strip())
        assert probe["path"].startswith(f"{fake.url}/store/fewshot/")
        assert score["summary"]["examples"] == images["summary"]["examples"]["val"]
        assert not list((tmp_path / "there" / "tmp").glob("vitctl-scratch-*"))

        # Looking
        listed = [json.loads(line) for line in there.run("ls", "--json").splitlines()]
        assert {row["state"] for row in listed} == {"finished"}
        assert {row["kind"] for row in listed} == {"dataset", "run", "fewshot", "evaluation"}
        for word in ("schedule", run, "goodput"):
            assert word in there.run("show", f"{run}@4") + there.run("show", run, "--json")
        lineage = there.json("lineage", score["path"])
        assert images["path"] in json.dumps(lineage)
        there.run("verify", "--all", "--deep")

        # A byte that turned in the bucket
        code, said = _with_damage(there, door, images["path"])
        assert code == 3
        assert "other bytes than were published" in said


def _with_damage(shell: Shell, door: fakes.Door, dataset: str) -> tuple[int, str]:
    script = (
        "import sys; from vitctl.places import place; "
        "p = place(sys.argv[1]) / 'images-train.keys'; c = p.read_bytes(); "
        "p.write_bytes(bytes([c[0] ^ 1]) + c[1:])"
    )
    subprocess.run([sys.executable, "-c", script, dataset], env=shell.environment, check=True)
    return shell.fails("verify", "--deep", dataset)


def test_two_machines_on_one_recipe(fake, tmp_path):
    """One works, the other waits and finds the result."""
    shells = [Shell(tmp_path / str(i), f"{fake.url}/together", fake.environment) for i in range(2)]
    command = ["pretrain", *TINY, "--mock", "--steps", "6", "--set", "data.mock.examples=256"]
    processes = [shell.start(*command) for shell in shells]
    answers = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len({out for out, _ in answers}) == 1
    assert sum("another vitctl works on" in err for _, err in answers) == 1


def test_what_goes_wrong_is_a_sentence(fake, tmp_path):
    make = fakes.s3_environment if fake.scheme == "s3" else fakes.gs_environment
    shell = Shell(tmp_path, f"{fake.scheme}://nosuchbucket/store", fake.environment)
    for command in (["ls"], ["pretrain", *TINY, "--mock", "--steps", "2"]):
        code, said = shell.fails(*command)
        assert code == 4
        assert f"error: there is no bucket {fake.scheme}://nosuchbucket" in said
    with fakes.door(fake) as door:
        door.fault = lambda method, path: 403
        shell = Shell(tmp_path, f"{fake.url}/store", make(door.port))
        code, said = shell.fails("ls")
        assert code == 2
        assert f"error: access to {fake.url}" in said


def test_a_store_that_goes_away_while_training(fake, tmp_path):
    """Nothing half-published counts, the exit code says that it can go on, and it does."""
    make = fakes.s3_environment if fake.scheme == "s3" else fakes.gs_environment
    with fakes.door(fake) as door:
        shell = Shell(tmp_path, f"{fake.url}/outage", make(door.port))
        command = ["pretrain", *TINY, "--mock", "--steps", "4", "--checkpoint-every", "2"]
        command += ["--set", "data.mock.examples=256"]
        uploads = [0]
        lock = threading.Lock()

        def away(method: str, path: str) -> int | None:
            with lock:
                uploads[0] += method == "PUT" or "/upload/" in path
            return 403 if uploads[0] > 20 else None

        door.fault = away
        code, said = shell.fails(*command)
        assert code == 2
        assert "denied" in said
        door.fault = lambda method, path: None
        (row,) = [json.loads(line) for line in shell.run("ls", "--json").splitlines()]
        assert row["steps"] == []
        assert shell.run(*command).strip().endswith("/checkpoints/4")
