"""Command lines in README.md, docs/guide and help pages are ones that vitctl takes.

The real commands parse them, and nothing runs: a flag that was renamed, or a value of another form,
fails with file and line.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple, get_args

import pytest
import typer
from pydantic import TypeAdapter
from typer.core import TyperGroup

import vitctl.console.verb
from stages.app import VERBS, app
from vitctl.console import flags
from vitctl.console.flag import Flags
from vitctl.console.session import Options
from vitctl.events import silent
from vitctl.plan import topology
from vitctl.recipes.settings import length
from vitctl.settings.config import Config
from vitctl.settings.overrides import check_keys, parse_set
from vitctl.settings.trees import Tree

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
HELP = sorted((ROOT / "tests" / "golden").glob("help*.txt"))
SHELLS = {"", "sh", "bash", "shell", "console"}
FENCE = re.compile(r" {0,3}```+\s*(\w*)")
ENDS = set(";|&()")
"""Characters between two commands of a line."""


class Line(NamedTuple):
    """A command line, without the word `vitctl`, and where it begins."""

    page: str
    number: int
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.number}: vitctl {shlex.join(self.arguments)}"


def blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Code blocks of a shell, fenced or indented, as lines with their numbers."""
    block: list[tuple[int, str]] = []
    language: str | None = None
    blank = True
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if language is not None and not fence:
            block.append((number, line))
        elif language is not None or fence or not line.startswith("    ") or not (block or blank):
            if block and (language is None or language in SHELLS):
                yield block
            block = []
            language = fence[1] if fence and language is None else None
        else:
            block.append((number, line.strip()))
        blank = not line.strip()
    if block and language is None:
        yield block


def commands(page: str, text: str) -> Iterator[Line]:
    """The command lines of vitctl in a page. In a block with prompts the rest is output."""
    for block in blocks(text):
        if any(line.startswith("$ ") for _, line in block):
            block = _prompted(block)
        rows = iter(block)
        for number, row in rows:
            line = row
            while line.endswith("\\"):
                line = line[:-1] + next(rows, (0, ""))[1]
            if "vitctl" in line:
                for command in _simple(line):
                    yield Line(page, number, command)


def _prompted(block: list[tuple[int, str]]) -> list[tuple[int, str]]:
    lines, goes_on = [], False
    for number, line in block:
        if line.startswith("$ ") or goes_on:
            lines.append((number, line.removeprefix("$ ")))
            goes_on = line.endswith("\\")
    return lines


def _simple(line: str) -> Iterator[tuple[str, ...]]:
    """What follows the word `vitctl` in each command of a line. Trees of folders and output have no
    such word at the beginning, `pip install vitctl` has another command."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:  # an apostrophe: no shell would take it, so it is output
        assert not line.startswith("vitctl"), line
        return
    simple: list[list[str]] = [[]]
    redirected = False
    for token in tokens:
        if redirected:
            redirected = False
        elif set(token) <= set("<>&") and set(token) & set("<>"):
            redirected = True
        elif set(token) <= ENDS:
            simple.append([])
        else:
            simple[-1].append(token)
    for command in simple:
        if "vitctl" in command and "install" not in command[: command.index("vitctl")]:
            yield tuple(command[command.index("vitctl") + 1 :])


def examples(page: str, text: str) -> Iterator[Line]:
    """The command lines that a help page is pasted from: `Example: vitctl ls`."""
    for number, row in enumerate(text.splitlines(), start=1):
        label, colon, line = row.partition(": ")
        if colon and re.fullmatch(r"[A-Z][a-zA-Z ]*", label) and not line.endswith("."):
            for command in _simple(line) if label != "Usage" and "vitctl " in line else ():
                yield Line(page, number, command)


FOUND = [line for page in PAGES for line in commands(page.name, page.read_text(encoding="utf-8"))]
FOUND += [line for page in HELP for line in examples(page.name, page.read_text(encoding="utf-8"))]


def check_values(model: type[Config], tree: Tree) -> None:
    """Validate each value of a tree by the annotation of its setting; a missing one is no fault."""
    for key, value in tree.items():
        field = model.model_fields[key]
        table = next(
            (
                o
                for o in (field.annotation, *get_args(field.annotation))
                if hasattr(o, "model_fields")
            ),
            None,
        )
        if table is not None and isinstance(value, dict):
            check_values(table, value)
        elif value not in (None, "none"):
            TypeAdapter(Annotated[field.annotation, field]).validate_python(value)


@pytest.fixture
def parse(monkeypatch):
    """Parses words as `vitctl` does, up to where the command would begin; raises what it would.
    Returns the settings that the flags stand for."""
    taken = Flags.taken
    models: list[type[Config]] = []
    given: list[Options] = []

    def take(self, arguments, **options):
        tree = taken(self, arguments, **options)
        models.append(self.model)
        check_values(self.model, tree)
        return tree

    def begin(function, options, arguments, **_):
        models.clear()
        given.append(options(silent))  # reads the texts of flags: 20k, 1,5,10
        if given[-1].settings:
            tree = parse_set(given[-1].settings)
            check_keys(models[0], tree)
            check_values(models[0], tree)
        length({unit: arguments.get(unit) for unit in ("steps", "images", "epochs")})
        for name in ("examples", "step"):
            flags.count(arguments.get(name), f"--{name}")
        if arguments.get("topology", "local") != "local":
            topology.parse(arguments["topology"])
        return 0

    monkeypatch.setattr(Flags, "taken", take)
    monkeypatch.setattr(vitctl.console.verb, "run_guarded", begin)

    def run(arguments):
        name, command, context = "vitctl", typer.main.get_command(app), None
        arguments = list(arguments)
        try:
            while True:
                context = command.make_context(name, arguments, parent=context)
                if not isinstance(command, TyperGroup):
                    break
                arguments = [*context._protected_args, *context.args]
                assert arguments, "no command"
                name, command, arguments = command.resolve_command(context, arguments)
        except typer.Exit:  # --help, --version
            return None
        with context:
            command.invoke(context)
        return given[-1]

    return run


@pytest.mark.parametrize("line", FOUND, ids=lambda line: f"{line.page}:{line.number}")
def test_a_command_line_of_the_guide_parses(parse, line):
    try:
        parse(line.arguments)
    except Exception as error:
        pytest.fail(f"{line}\n{error}", pytrace=False)


def test_each_help_page_has_an_example():
    assert {line.page for line in FOUND} >= {page.name for page in HELP}
    assert len([line for line in FOUND if line.page == "help_shard.txt"]) == 4


def test_most_commands_are_shown():
    assert {line.arguments[0] for line in FOUND} >= set(VERBS) - {"finetune"}
    assert {line.page for line in FOUND} >= {"README.md", "cloud.md", "training.md", "scaling.md"}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("pretrian", "there is no command"),
        ("scaling fti TABLE", "No such command"),
        ("pretrain --modle S16", "No such option"),
        ("pretrain --steps", "requires an argument"),
        ("pretrain --steps 20q", "20q"),
        ("pretrain --res wide", "valid integer"),
        ("pretrain --on-divergence perish", "perish"),
        ("pretrain --batch -4", "greater than 0"),
        ("pretrain --set optim.wd_haed=1", "no setting 'optim.wd_haed'"),
        ("pretrain --set optim.wd_head=much", "valid number"),
        ("pretrain --steps 20k --epochs 3", "both give the length"),
        ("plan --examples 3X", "3X"),
        ("plan --model G14 --topology v3:32y32", "32y32"),
        ("replay --step one", "one"),
        ("fewshot --shots 1,many", "many"),
        ("evaluate photos/", "unexpected extra argument"),
        ("sweep", "Missing parameter: grid"),
    ],
)
def test_a_wrong_one_does_not(parse, arguments, fault):
    with pytest.raises(Exception, match=fault):
        parse(arguments.split())


def test_values_are_read(parse):
    options = parse(["pretrain", "--warmup", "2k", "--set", "optim.wd_head=1"])
    assert options.flags == {"schedule": {"warmup_steps": 2000}}
    assert options.settings == ("optim.wd_head=1",)


PAGE = """Text with vitctl nonsense.

```sh
pip install vitctl && vitctl ls   # and vitctl never
X=1 srun vitctl show "a b" > vitctl.txt; vitctl lineage x | jq . | vitctl verify \\
  --deep
```

```console
$ vitctl doctor
vitctl output
$ vitctl plan --model \\
  G14
```

```python
vitctl = 1
```

    vitctl ls --json

```
store/
  vitctl/
vitctl show y
```
"""


def test_lines_are_taken_from_shells_only():
    assert [(line.number, " ".join(line.arguments)) for line in commands("page", PAGE)] == [
        (4, "ls"),
        (5, "show a b"),
        (5, "lineage x"),
        (5, "verify --deep"),
        (10, "doctor"),
        (12, "plan --model G14"),
        (20, "ls --json"),
        (25, "show y"),
    ]


def test_no_array_library_is_needed():
    script = (
        "import sys, tests.test_docs_commands as lines\n"
        "from stages.app import VERBS, load\n"
        "for name in VERBS: load(name)\n"
        "print([name for name in ('jax', 'tensorflow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
