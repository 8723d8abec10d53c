"""A long campaign of hostile stores and files, by hand: thousands of commands in one warm process.

    python -m tests.stages.campaign GROUP FIRST LAST [COMMAND ...]

GROUP is `look` (commands that import no array library), `stages` (all others that read a store) or
`files` (tables, settings, lists of names, weights, images: see `hostile_files`). Each number from
FIRST to LAST is the seed of one case. What is printed is what is neither an answer nor a sentence,
and what takes more than `PATIENCE_S` or `MEMORY_MIB` more than the process had.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.compiling import QUICK
from tests.fixtures.old_store import make
from tests.stages import hostile, hostile_files
from tests.stages.warm import Done, Warm

PATIENCE_S = 240.0
MEMORY_MIB = 1500
SENTENCES = {0, 2, 3, 4, 5, 6, 11}
FIXTURE = Path(make.__file__).parent
ROOT = FIXTURE.parents[2]

_TINY_STEP = ("--steps", "1", "--no-tensorboard")
LOOK: dict[str, tuple[str, ...]] = {
    "ls": ("ls",),
    "ls-json": ("ls", "--json"),
    "ls-checkpoints": ("ls", "--kind", "checkpoint", "--json"),
    "show-run": ("show", "adam"),
    "show-checkpoint": ("show", "adam@6"),
    "show-json": ("show", "cooled", "--json"),
    "show-dataset": ("show", "photos"),
    "show-score": ("show", "SCORE"),
    "show-score-json": ("show", "SCORE", "--json"),
    "show-probe": ("show", "PROBE"),
    "show-law": ("show", "LAW"),
    "lineage": ("lineage", "PROBE"),
    "lineage-json": ("lineage", "finetuned", "--json"),
    "verify": ("verify", "--all"),
    "verify-deep": ("verify", "--all", "--deep", "--json"),
}
STAGES: dict[str, tuple[str, ...]] = {
    "plot": ("scaling", "plot", "LAW", "--figure", "compute", "--theme", "light"),
    "plan": ("plan", "--data", "photos", "--model", "test", "--steps", "4", "--batch", "8"),
    "continue": (*make._ADAM, *make._ADAM_KEEPS, "--steps", "8"),
    "interrupted": make.INTERRUPTED,
    "pretrain": ("pretrain", "--name", "new", "--lr", "0.01", *make._TINY, "--steps", "1"),
    "cooldown": ("cooldown", "--from", "adam@6", *_TINY_STEP),
    "cooldown-run": ("cooldown", "--from", "adam", *_TINY_STEP),
    "finetune": ("finetune", "--from", "cooled", "--batch", "8", "--lr", "0.01", *_TINY_STEP),
    "fewshot": ("fewshot", "--from", "adam@6", "--shots", "1", "--draws", "1"),
    "evaluate": ("evaluate", "--from", "cooled", "--force"),
    "evaluate-trunk": ("evaluate", "--from", "adam@4"),
    "replay": ("replay", "--from", "adam", "--step", "3"),
    "replay-picture": ("replay", "--from", "adam@4", "--step", "3", "--force", "--out", "b.png"),
    "export": ("export", "--from", "cooled", "--to", "safetensors"),
    "export-trunk": ("export", "--from", "adam@6", "--to", "safetensors", "--weights", "raw"),
    "shard": ("shard", "DATASET", "--name", "again", "--workers", "0"),
    "classes-from": ("shard", "IMAGES", "--classes-from", "DATASET", "--workers", "0"),
}


def main(arguments: list[str]) -> int:
    group, first, last, *only = arguments
    scratch = Path(tempfile.mkdtemp(prefix="campaign", dir=os.environ.get("CAMPAIGN_DIR")))
    try:
        with tarfile.open(FIXTURE / "store.tar.xz") as archive:
            archive.extractall(scratch / "whole", filter="data")
        numbers = range(int(first), int(last))
        if group == "files":
            return _campaign(scratch, numbers, _file_cases(scratch, only))
        commands = {"look": LOOK, "stages": STAGES}[group]
        chosen = {name: commands[name] for name in only or commands}
        return _campaign(scratch, numbers, _store_cases(scratch, chosen, each=2 if only else 3))
    finally:
        shutil.rmtree(scratch)


Cases = Callable[[random.Random], tuple[str, list[tuple[str, ...]]]]


def _store_cases(scratch: Path, commands: dict[str, tuple[str, ...]], *, each: int) -> Cases:
    def case(rng: random.Random) -> tuple[str, list[tuple[str, ...]]]:
        folder = scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        hostile.copied(scratch / "whole", folder)
        what = hostile.forge(folder / "artifacts", rng.choice)
        for _ in range(rng.choice((0, 0, 1, 2))):
            what += "; " + hostile.forge(folder / "artifacts", rng.choice)
        hostile.reseal(folder / "artifacts")
        named = {
            word: str(folder / hostile.MADE[made]["path"])
            for word, made in (
                ("PROBE", "probe"),
                ("SCORE", "score"),
                ("LAW", "law"),
                ("DATASET", "dataset"),
            )
        } | {"IMAGES": str(folder / "images")}
        chosen = rng.sample(sorted(commands), min(each, len(commands)))
        return what, [
            (*(named.get(word, word) for word in commands[name]), "--store", f"{folder}/artifacts")
            for name in chosen
        ]

    return case


def _file_cases(scratch: Path, only: list[str]) -> Cases:
    def case(rng: random.Random) -> tuple[str, list[tuple[str, ...]]]:
        folder = scratch / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return hostile_files.case(folder, scratch / "whole", rng, only)

    return case


def _campaign(scratch: Path, numbers: range, case: Cases) -> int:
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(scratch / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.05",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        **os.environ,
        **make.ENVIRONMENT,
        "XLA_FLAGS": QUICK,
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("VITCTL_STORE", None)
    working = scratch / "working"
    working.mkdir()
    codes: Counter[tuple[str, int]] = Counter()
    bad, began = 0, time.monotonic()
    warm = Warm(working, environment=environment)
    for done_cases, number in enumerate(numbers):
        if done_cases % 100 == 99:
            print(f"... {done_cases + 1} cases, {time.monotonic() - began:.0f} s", flush=True)
        what, commands = case(random.Random(number))
        for command in commands:
            done, seconds, mib = _timed(warm, command)
            codes[command[0], done.code] += 1
            if (
                done.code not in SENTENCES
                or "Traceback" in done.err
                or "bug in vitctl" in done.err
                or seconds > PATIENCE_S / 4
                or mib > MEMORY_MIB
            ):
                bad += 1
                print(f"#{number} code {done.code}, {seconds:.0f} s, {mib:.0f} MiB: {what}")
                print("   ", " ".join(command)[:300].replace(str(scratch), ""))
                print("   ", done.err.strip()[-1500:].replace("\n", "\n    "), flush=True)
            if done.code < 0:
                warm = Warm(working, environment=environment)
    warm.__exit__(None, None, None)
    print(f"{len(numbers)} cases, {bad} bad, {time.monotonic() - began:.0f} s", dict(codes))
    return bad


def _timed(warm: Warm, arguments: tuple[str, ...]) -> tuple[Done, float, float]:
    """Answer, seconds, and MiB above what the process had; -1 is the code of one that died."""
    process = warm._process
    before = 0.0 if process is None else _resident(process, "VmRSS", reset=True)
    began = time.monotonic()
    alarm = threading.Timer(PATIENCE_S, _abort, args=[warm])
    alarm.start()
    try:
        done = warm.run(*arguments)
    except (AssertionError, BrokenPipeError) as error:
        return Done(-1, "", str(error)), time.monotonic() - began, 0.0
    finally:
        alarm.cancel()
    assert warm._process is not None
    peak = _resident(warm._process, "VmHWM") if process is not None else 0.0
    return done, time.monotonic() - began, peak - before


def _abort(warm: Warm) -> None:
    if warm._process is not None:
        warm._process.send_signal(signal.SIGABRT)


def _resident(process: subprocess.Popen[str], key: str, *, reset: bool = False) -> float:
    try:
        if reset:
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 100))
