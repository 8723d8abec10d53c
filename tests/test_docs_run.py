"""The command lines of README and the guide run, each page's in their order, on a small world.

tests/miniature_pages.py says what is made small, and tests/test_docs_commands.py, which is quick,
that all of them parse. docs/guide/tutorial.md and python.md are run by tests of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import miniature_pages
from tests.compiling import QUICK
from tests.test_docs_commands import PAGES, blocks
from tests.waiting import PATIENCE_S

ELSEWHERE = {"tutorial.md": "tests/test_tutorial.py", "doctor.md": "tests/doctor"}
NOT_RUN = {
    ("README.md", "vitctl plan"): "compiles for minutes; tests/plan",
    ("README.md", "vitctl doctor"): "reports this machine; tests/doctor",
    ("plan.md", "vitctl plan"): "compiles for minutes; tests/plan",
    ("sweep.md", "scaling"): "two runs have no law; tests/stages/scaling/test_sweeps.py",
    ("sweep.md", "/shared/store"): "needs an array job; tests/test_clusters.py",
    ("cloud.md", "vitctl"): "needs a bucket; tests/stages/test_cloud.py",
    ("watching.md", "vitctl"): "needs a service; tests/train/telemetry",
    ("README.md", "vitctl vtab"): "takes 1,000 images of each dataset; tests/stages/vtab",
    ("vtab.md", "vitctl vtab"): "takes 1,000 images of each dataset; tests/stages/vtab",
    ("processes.md", "vitctl"): "needs two machines; tests/processes",
}
"""What lines of a page hold that do not run here, and why."""
IMAGES = miniature_pages.TRAIN_A_CLASS * len(miniature_pages.CLASSES)
DATASETS_PAGE = next(page for page in PAGES if page.name == "datasets.md")


class Step(NamedTuple):
    """A line that is run, and whether the page shows it to fail."""

    page: str
    number: int
    line: str
    fails: bool


def steps(page: Path) -> Iterator[Step]:
    """The lines of a page's shell blocks that run `vitctl`; of those with prompts, not the
    output."""
    for block in blocks(page.read_text(encoding="utf-8")):
        prompted = any(line.startswith("$ ") for _, line in block)
        fails = prompted and any("error: " in line for _, line in block)
        rows = iter(block)
        for number, row in rows:
            if prompted and not row.startswith("$ "):
                continue
            line = row.removeprefix("$ ")
            while line.endswith("\\"):
                line = line[:-1] + next(rows, (0, ""))[1]
            if re.search(r"(^|[|;(&{] *)(\w+=\S+ )*vitctl ", line) and "install" not in line:
                refused = "# refuses " in line  # says the comment behind it
                yield Step(page.name, number, line, fails or refused)


STEPS = {
    page.name: several
    for page in PAGES
    if page.name not in ELSEWHERE and (several := list(steps(page)))
}


def why_not(step: Step) -> str | None:
    for (page, part), reason in NOT_RUN.items():
        if step.page == page and part in step.line:
            return reason
    return None


def test_the_lines_are_those_that_are_parsed_and_each_exception_is_there():
    run = [step for several in STEPS.values() for step in several if why_not(step) is None]
    assert len(run) > 60
    assert {step.page for step in run} >= {"README.md", "training.md", "artifacts.md", "probes.md"}
    for (page, part), _ in NOT_RUN.items():
        text = next(p for p in PAGES if p.name == page).read_text(encoding="utf-8")
        assert part in text, (page, part)


def environment(folder: Path) -> dict[str, str]:
    """Of the commands: `~` is the folder, and so is the cache of compiled programs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VITCTL_")}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    python = str(miniature_pages.ROOT)
    return {
        **environment,
        "PATH": path,
        "HOME": str(folder),
        "PYTHONPATH": python,
        "XLA_FLAGS": QUICK,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    miniature_pages.build(folder, environment(folder))
    return folder


def failed(step: Step, folder: Path) -> str | None:
    """What went wrong, None if nothing did."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", miniature_pages.line_for(step.line)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
    )
    where = f"{step.page}:{step.number}: {step.line}\n{done.stderr}"
    if "Traceback" in done.stderr or "bug in vitctl" in done.stderr:
        return where
    return None if (done.returncode != 0) == step.fails else where


@pytest.mark.slow
@pytest.mark.parametrize("page", STEPS)
def test_the_lines_of_a_page_run(world, tmp_path, page):
    folder = tmp_path / "world"
    shutil.copytree(world, folder, symlinks=True)
    failures = [failed(step, folder) for step in STEPS[page] if why_not(step) is None]
    assert not any(failures), "\n\n".join(filter(None, failures))


@pytest.mark.slow
def test_other_programs_read_a_dataset_as_the_page_says(world):
    """The blocks of TensorFlow Datasets and of Grain, one after the other."""
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("grain")
    text = DATASETS_PAGE.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert "tfds" in code
    assert "grain" in code
    (dataset,) = (world / "artifacts" / "shard").glob("photos-*")
    code = re.sub(r"artifacts/shard/photos-[0-9a-f]{8}", str(dataset), code)
    code += f"\nassert image.shape == (32, 32, 3)\nassert len(images) == {IMAGES}, len(images)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
