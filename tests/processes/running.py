"""Real processes of the command line on this machine, each with its own disk but for the store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.compiling import QUICK
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
_COMMAND = "from stages.app import main; main()"


@dataclass
class Ended:
    code: int
    out: str
    err: str


@dataclass
class Processes:
    """A command in several processes. `ended()` waits for all; `kill` sends one a signal."""

    running: list[subprocess.Popen[str]]
    folder: Path
    signals: dict[int, int] = field(default_factory=dict)

    def err(self, index: int) -> str:
        return (self.folder / f"{index}.err").read_text()

    def kill(self, index: int, number: int) -> None:
        self.running[index].send_signal(number)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE_S / 0.05)):
            if condition():
                return
            if any(p.poll() is not None for p in self.running):
                break
            time.sleep(0.05)
        messages = "\n".join(self.err(i) for i in range(len(self.running)))
        self.stop()
        raise AssertionError(f"did not come to pass:\n{messages}")

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()

    def ended(self) -> list[Ended]:
        end = time.monotonic() + PATIENCE_S
        try:
            for process in self.running:
                process.wait(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(
                "still running:\n" + "\n".join(self.err(i) for i in range(len(self.running)))
            ) from None
        finally:
            self.stop()
        return [
            Ended(p.returncode, (self.folder / f"{i}.out").read_text(), self.err(i))
            for i, p in enumerate(self.running)
        ]


def begin(
    count: int,
    *arguments: object,
    folder: Path,
    own: Sequence[Sequence[object]] = (),
    devices: int = 1,
    prelude: str = "",
    srun: bool = False,
    environment: Mapping[str, str] | None = None,
    code: str | None = None,
) -> Processes:
    """Start `vitctl *words` in `count` processes. `own[i]` are more words for process i; `prelude`
    is Python that runs before, with `index` set; `srun`: the environment of a SLURM task tells who
    is who, not flags; `environment`: more of it; `code`: another program, which gets (index, count,
    port) before its words."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    running = []
    for index in range(count):
        disk = folder / f"disk{index}"
        for name in ("home", "tmp", "cwd"):
            (disk / name).mkdir(parents=True, exist_ok=True)
        flags = f"--xla_force_host_platform_device_count={devices}"
        variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("VITCTL_", "SLURM_"))},
            "HOME": str(disk / "home"),
            "XDG_CACHE_HOME": str(disk / "home" / "cache"),
            "TMPDIR": str(disk / "tmp"),
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{flags} {QUICK}",
        }
        if srun:
            variables |= {
                "SLURM_JOB_ID": str(port),
                "SLURM_STEP_NODELIST": "localhost",
                "SLURM_NTASKS": str(count),
                "SLURM_PROCID": str(index),
                "SLURM_LOCALID": str(index),
            }
        several = ["--processes", count, "--process-id", index]
        several += ["--coordinator", f"localhost:{port}", "--start-timeout", PATIENCE_S]
        words_of = [
            *arguments,
            *(several if count > 1 and not srun else []),
            *(own[index] if own else []),
        ]
        if code is not None:
            words_of = [index, count, port, *arguments]
        program = f"index = {index}\n{prelude}\n{code or _COMMAND}"
        with (
            (folder / f"{index}.out").open("w") as out,
            (folder / f"{index}.err").open("w") as err,
        ):
            running.append(
                subprocess.Popen(
                    [sys.executable, "-c", program, *map(str, words_of)],
                    cwd=disk / "cwd",
                    env={**variables, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    text=True,
                )
            )
    return Processes(running, folder)


def run(count: int, *arguments: object, folder: Path, **options: object) -> list[Ended]:
    """Like `begin`, to its end."""
    return begin(count, *arguments, folder=folder, **options).ended()  # type: ignore[arg-type]


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


STOP = signal.SIGSTOP
