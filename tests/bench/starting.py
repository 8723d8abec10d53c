"""Start-up: processor and wall seconds of each command, as ratios, in turns:

    python -m tests.bench.starting help [COMMAND ...] [--rounds 3]
    python -m tests.bench.starting work [--images FOLDER] [--rounds 3]

help  `COMMAND --help` of every command (or those that are named), beside the `--help` of a typer
      app of two commands, which is what typer and rich alone take
work  a small model and scikit-learn's digits, or a folder of images: `shard`, `plan`, `ls`, `show`,
      and `pretrain` until its first row of losses is printed: with an empty cache of compiled
      programs ("cold"), with a full one ("warm"), and once more to go on with the same run. Beside
      `python -c "import jax"`, and where it is installed TensorFlow

Seconds are medians of the rounds. On a machine with other work only ratios of processor time hold.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TYPER = """
import typer
app = typer.Typer()
@app.command()
def first(number: int = 3, name: str = "one"):
    "The first command."
@app.command()
def second(number: int = 3, name: str = "two"):
    "The second command."
app()
"""
_OURS = (sys.executable, "-m", "vitctl")
_MODEL = ("--model", "test/8", "--res", "16", "--batch", "8")
_LOSS = re.compile(rb"\bloss \d")


@dataclass(frozen=True)
class Times:
    """Seconds of a process until it ended, or until it printed what was awaited."""

    cpu_s: float
    wall_s: float


Table = dict[str, list[Times]]


def times_of(
    command: Sequence[str], *, until: re.Pattern[bytes] | None = None, cache: Path | None = None
) -> Times:
    """Run a command to its end. With `until`, the time is that of the first line on stderr that
    matches. `cache`: the user's cache folder instead of their own.

    Raises RuntimeError with what it printed, if it failed or nothing matched."""
    environment = os.environ | ({} if cache is None else {"XDG_CACHE_HOME": str(cache)})
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    assert process.stderr is not None
    lines: list[bytes] = []
    times = None
    for line in process.stderr:
        lines.append(line)
        if until is not None and times is None and until.search(line):
            times = Times(_cpu_s(process.pid), time.perf_counter() - began)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if until is None:
        times = Times(used.ru_utime + used.ru_stime, time.perf_counter() - began)
    if process.returncode or times is None:
        raise RuntimeError(f"{' '.join(command)}: {b''.join(lines).decode()}")
    return times


def _cpu_s(pid: int) -> float:
    """Processor seconds of a process so far, its ended children's included."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, values[11:15])) / os.sysconf("SC_CLK_TCK")


def helps(names: Sequence[str]) -> Iterator[tuple[str, Times]]:
    """One round of `--help`: what typer and rich take comes first."""
    yield "typer and rich", times_of([sys.executable, "-c", _TYPER, "first", "--help"])
    yield "vitctl", times_of([*_OURS, "--help"])
    for name in names:
        yield name, times_of([*_OURS, *name.split(), "--help"])


def work(images: str) -> Iterator[tuple[str, Times]]:
    """One round of commands on a store and a cache of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place, cache = ["--store", str(folder / "store")], folder / "cache"
        yield "import jax", times_of([sys.executable, "-c", "import jax"])
        tensorflow = "from vitctl.data.tensorflow import load_tensorflow as load; load()"
        yield "import tensorflow", times_of([sys.executable, "-c", tensorflow])
        yield "shard", times_of([*_OURS, "shard", images, "--val-fraction", "0.3", *place])
        yield "ls", times_of([*_OURS, "ls", *place])
        yield "show latest", times_of([*_OURS, "show", "latest", *place])
        planning = [*_OURS, "plan", *_MODEL, *place]
        yield "plan", times_of(planning, cache=folder / "cache-of-plan")  # else less is cold below
        (dataset,) = (folder / "store" / "shard").glob("*-????????")
        training = [*_OURS, "pretrain", *_MODEL, "--eval-every", "0", "--data", str(dataset)]
        for label, steps, store in (
            ("pretrain to the first loss, cold", 4, "a"),
            ("pretrain to the first loss, warm", 4, "b"),
            ("pretrain to the first loss, continued", 8, "b"),
        ):
            command = [*training, "--steps", str(steps), "--warmup", "1"]
            # A store of its own, as one finds a run that it has. Another seed would not do: it is
            # a constant of the program of a step with mixup, which would be compiled anew.
            own = ["--store", str(folder / store)]
            yield label, times_of([*command, *own], until=_LOSS, cache=cache)


def table_of(rounds: Sequence[Iterator[tuple[str, Times]]]) -> Table:
    """The rows of all rounds, by label."""
    table: Table = defaultdict(list)
    for rows in rounds:
        for label, times in rows:
            table[label].append(times)
    return table


def lines_of(table: Table) -> Iterator[str]:
    """A table of Markdown; ratios are of processor time, to the first row in the same round."""
    first = next(iter(table))
    yield f"| | CPU-s | seconds | CPU, of {first} |"
    yield "|---|---|---|---|"
    for label, rows in table.items():
        ratios = [row.cpu_s / base.cpu_s for row, base in zip(rows, table[first], strict=True)]
        cpu_s, wall_s = (
            statistics.median(getattr(row, name) for row in rows) for name in ("cpu_s", "wall_s")
        )
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        ratio = f"{statistics.median(ratios):.2f} ({spread})"
        yield f"| {label} | {cpu_s:.2f} | {wall_s:.1f} | {ratio} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("help", "work"))
    parser.add_argument("commands", nargs="*")
    parser.add_argument("--images", default="digits")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.what == "help":
        from stages.app import VERBS

        names = given.commands or [name for name in VERBS if name not in ("scaling", "bench")]
        rounds = [helps(names) for _ in range(given.rounds)]
    else:
        rounds = [work(given.images) for _ in range(given.rounds)]
    print("\n".join(lines_of(table_of(rounds))))


if __name__ == "__main__":
    main()
